//! Nodes that each attack the host in one way when they are called, or show what it lets through. The host's tests call them.

mod compute;
mod emit;
mod exact;
mod outcome;
mod payload;
mod world;

/// A node of raw JSON: its type, its name, what it attacks (its description), and what it does.
macro_rules! node {
    ($type:ident, $name:literal, $attack:literal, |$payload:pat_param, $ctx:pat_param| $body:expr) => {
        pub(crate) struct $type;

        impl floe_guest::Node for $type {
            const NAME: &'static str = $name;
            const DESCRIPTION: &'static str = $attack;
            type Config = ();
            type Input = floe_guest::Json;
            type Output = floe_guest::Json;

            fn handle(
                (): (),
                $payload: floe_guest::Json,
                $ctx: &floe_guest::Context,
            ) -> floe_guest::Result<floe_guest::Outcome<floe_guest::Json>> {
                $body
            }
        }
    };
}
use node;

floe_guest::export!(nodes: [
    compute::Spin,
    compute::Slow,
    compute::Sleep,
    compute::SlowWrite,
    compute::Recurse,
    compute::RecurseFrames,
    compute::Allocate,
    compute::Panic,
    payload::Garbage,
    payload::GarbageMeta,
    payload::Instruction,
    payload::TargetTwice,
    payload::InvalidText,
    payload::Huge,
    payload::Deep,
    payload::Many,
    emit::FloodEmit,
    emit::FloodLog,
    emit::FloodChunk,
    emit::ChunkTo,
    emit::FloodProgress,
    emit::FloodHost,
    emit::EmitThenPanic,
    emit::Progress,
    outcome::Fail,
    outcome::LongFailure,
    outcome::UnknownTarget,
    outcome::Again,
    outcome::Final,
    world::Stdout,
    world::Exit,
    world::Env,
    world::Told,
    world::HashOrder,
    world::StateKept,
    world::Unpredictable,
    exact::Exact,
]);
