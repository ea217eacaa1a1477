//! One call under a deadline: polls it, counts the time spent polling, and gives up when the deadline has passed, whatever the
//! guest or the host function that it called is waiting for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::share::Turns;

/// The time `wait` after `now`, or one so far that nothing happens there.
pub(crate) fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + Duration::from_secs(u32::MAX.into()))
}

/// The deadline passed.
#[derive(Debug)]
pub(crate) struct TimedOut;

/// A future, its deadline and the time that its polls took.
pub(crate) struct Timed<'a, F> {
    future: Pin<&'a mut F>,
    deadline: Instant,
    /// Made when the future first waits or yields; most calls end at their first poll.
    timer: Option<Pin<Box<Sleep>>>,
    /// What it has of the threads; none: it does not share them.
    turns: Option<&'a Turns>,
    pub(crate) busy: Duration,
}

impl<'a, F: Future> Timed<'a, F> {
    pub(crate) fn new(future: Pin<&'a mut F>, deadline: Instant, turns: Option<&'a Turns>) -> Self {
        Self { future, deadline, timer: None, turns, busy: Duration::ZERO }
    }
}

impl<F: Future> Future for Timed<'_, F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (future, busy) = (&mut this.future, &mut this.busy);
        let mut poll = |cx: &mut Context<'_>| {
            let started = clock::now();
            let poll = future.as_mut().poll(cx);
            *busy += clock::now() - started;
            poll
        };
        let poll = match this.turns {
            Some(turns) => turns.poll(cx, poll),
            None => poll(cx),
        };
        if let Poll::Ready(output) = poll {
            return Poll::Ready(Ok(output));
        }
        let deadline = this.deadline;
        // A guest that computes is polled again and again, and timers may be late.
        if Instant::now() >= deadline {
            return Poll::Ready(Err(TimedOut));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(cx).map(|()| Err(TimedOut))
    }
}

/// The thread's real time: what a guest computes takes time even where a test has stopped Tokio's clock.
mod clock {
    #[expect(clippy::disallowed_types, reason = "computing takes real time, also where a test has paused Tokio's clock")]
    pub(super) fn now() -> std::time::Instant {
        std::time::Instant::now()
    }
}
