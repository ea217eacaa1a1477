//! Attacks on time, stack and memory.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use floe_guest::{Context, Json, Node, Outcome, Result, SideEffect};

use crate::node;

/// Never set; the compiler cannot know.
static STOP: AtomicBool = AtomicBool::new(false);

node!(Spin, "spin", "Loops forever: fuel and wall time.", |payload, _| {
    while !STOP.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    Ok(payload.into())
});

node!(Slow, "slow", "Loops as often as the payload says, then returns it: a call that is long but ends.", |payload, _| {
    for turn in 0..payload.parse::<u64>()? {
        black_box(turn);
    }
    Ok(payload.into())
});

node!(Sleep, "sleep", "Sleeps the milliseconds of the payload: wall time without fuel.", |payload, _| {
    #[expect(clippy::disallowed_methods, reason = "sleeping is the attack")]
    std::thread::sleep(Duration::from_millis(payload.parse()?));
    Ok(payload.into())
});

/// Takes as long as [`Sleep`], and says that it must not be made twice.
pub(crate) struct SlowWrite;

impl Node for SlowWrite {
    const NAME: &'static str = "slow-write";
    const DESCRIPTION: &'static str =
        "Sleeps the milliseconds of the payload, and changes something meanwhile, as far as the host knows.";
    const SIDE_EFFECT: SideEffect = SideEffect::Write;
    type Config = ();
    type Input = Json;
    type Output = Json;

    fn handle((): (), payload: Json, _: &Context) -> Result<Outcome<Json>> {
        #[expect(clippy::disallowed_methods, reason = "it is to be found running")]
        std::thread::sleep(Duration::from_millis(payload.parse()?));
        Ok(payload.into())
    }
}

node!(Recurse, "recurse", "Calls itself until the call stack ends.", |_, _| Ok(Json::new(&down(1))?.into()));

#[inline(never)]
fn down(depth: u64) -> u64 {
    if STOP.load(Ordering::Relaxed) { depth } else { down(depth.wrapping_add(1)).rotate_left(1) ^ depth }
}

node!(RecurseFrames, "recurse-frames", "Calls itself with big frames until the stack in linear memory ends.", |_, _| {
    Ok(Json::new(&down_with_frames(1))?.into())
});

#[inline(never)]
fn down_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    if STOP.load(Ordering::Relaxed) { depth } else { down_with_frames(depth + 1).rotate_left(1) ^ frame[7] }
}

node!(Allocate, "allocate", "Fills memory, a mebibyte at a time, without end.", |_, _| {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    loop {
        kept.push(black_box(vec![1; 1 << 20]));
    }
});

node!(Panic, "panic", "Panics, with a message that should reach the log.", |_, _| panic!("this plugin panics on purpose"));
