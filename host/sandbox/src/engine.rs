//! The one engine for untrusted code: which proposals of WebAssembly it takes, how memory is laid out, what interrupts it.

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::{Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::Error;
use crate::bench::Guard;

/// The longest that a guest runs without a look at its wall limit; 10 ms over a limit of seconds is within reason, and ticks
/// cost next to nothing.
pub const TICK: Duration = Duration::from_millis(10);
/// Units of fuel between two yields: 6 to 100 µs of computation, so that neighbours on the same thread wait no longer than that.
pub const FUEL_YIELD: u64 = 100_000;
/// Stack of a guest: deep enough for a recursive JSON parser at its limit of 128 levels and for CPython.
pub const WASM_STACK: usize = 512 << 10;
/// Stack of a guest and of the host functions that it calls. The host's part, 1.5 MiB, must never run out: that would abort.
pub const ASYNC_STACK: usize = 2 << 20;
/// The largest memory of a guest, whatever its limits say: what the pool's slots are made for.
pub const MAX_MEMORY: u64 = 1 << 30;
/// The most elements of a table, whatever the limits say.
pub const MAX_TABLE_ELEMENTS: u64 = 1 << 16;
/// The most core instances of one component, whatever the limits say.
pub const MAX_INSTANCES: u32 = 256;
/// The most tables of one component, whatever the limits say.
pub const MAX_TABLES: u32 = 64;
/// The most bytes of one request for randomness, whatever the limits say: the host makes them.
pub const MAX_RANDOM: u64 = 16 << 20;
/// The most memories of one component, whatever the limits say.
pub const MAX_MEMORIES: u32 = 32;

/// Tables that come with a place of a memory: a usual component has one or two.
pub(crate) const TABLES_PER_PLACE: u32 = 4;

/// Bytes of a memory that are cleared by hand and stay resident in the slot when an instance goes: clearing what a small call
/// touched is cheaper than giving the pages back and faulting them in again.
const KEEP_MEMORY: usize = 512 << 10;
/// The same for tables.
const KEEP_TABLE: usize = 64 << 10;
/// Slots that stay warm for plugins which are not running.
const WARM_SLOTS: u32 = 64;

/// Builds the engine for at most `instances` live components.
pub(crate) fn engine(instances: u32) -> Result<Engine, Error> {
    let mut config = code();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
    Engine::new(&config).map_err(Error::Engine)
}

/// Builds an engine without one of its guards, to see what that one costs.
pub(crate) fn engine_without(instances: u32, without: Option<Guard>) -> Result<Engine, Error> {
    let mut config = code();
    match without {
        Some(Guard::Fuel) => _ = config.consume_fuel(false),
        Some(Guard::Ticks) => _ = config.epoch_interruption(false),
        Some(Guard::Nans) => _ = config.cranelift_nan_canonicalization(false),
        _ => {}
    }
    if without != Some(Guard::Pool) {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(instances)));
    }
    Engine::new(&config).map_err(Error::Engine)
}

/// Builds an engine that compiles the same code and runs nothing: it reserves no memory for instances.
pub(crate) fn compiler() -> Result<Engine, Error> {
    Engine::new(&code()).map_err(Error::Engine)
}

/// Which engine it is, as far as compiled code depends on it: 64 hexadecimal digits.
pub(crate) fn fingerprint(engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:x}", hasher.0.finalize())
}

/// All that compiled code depends on, and how it runs.
fn code() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    features(&mut config);
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(ASYNC_STACK)
        // A guest cannot read its stack's old contents: Cranelift writes every slot before it reads it.
        .async_stack_zeroing(false)
        .memory_init_cow(true)
        // For the operator's debug log; a failure never carries it.
        .wasm_backtrace_max_frames(NonZeroUsize::new(16));
    config
}

/// Every proposal that no supported language needs is off: what does not compile has no bugs to exploit.
fn features(config: &mut wasmtime::Config) {
    config
        // Component-model async (p3): most of Wasmtime's recent security fixes; and calls are faster without its bookkeeping.
        .concurrency_support(false)
        // GC heaps live outside the limiter's sight; exceptions and function references come with them.
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        // Threads and shared memories bypass the limiter, and a call would not be one computation.
        .wasm_threads(false)
        .shared_memory(false)
        .wasm_shared_everything_threads(false)
        // 64-bit memories need a bounds check at every access; no toolchain makes components of them.
        .wasm_memory64(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        // On: a component composed of several has a memory each, and the limiter counts them together.
        .wasm_multi_memory(true)
        // On, but with the same results on every machine, and NaNs too: a call can be repeated and compared.
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true);
}

/// Every maximum is set. An instance takes as many of the `instances` places as it has memories (see `pool`), so that none of
/// the totals is ever reached.
fn pool(instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .max_component_instance_size(8 << 20)
        .max_core_instances_per_component(MAX_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        // Counted only; the memory for them is allocated as they come.
        .total_core_instances(instances.saturating_mul(MAX_INSTANCES))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(TABLES_PER_PLACE))
        // One call is one stack; a component's instantiation runs on one too, before its call.
        .total_stacks(instances)
        .total_gc_heaps(0)
        .max_core_instance_size(4 << 20)
        .max_tables_per_module(4)
        .max_memories_per_module(4)
        .table_elements(MAX_TABLE_ELEMENTS as usize)
        .max_memory_size(MAX_MEMORY as usize)
        .linear_memory_keep_resident(KEEP_MEMORY)
        .table_keep_resident(KEEP_TABLE)
        .max_unused_warm_slots(WARM_SLOTS.min(instances))
        // Where the kernel can tell which pages were written (Linux 6.7), only those are cleared: a fresh call takes half the
        // time, and threads do not wait for each other as they do when pages are given back.
        .pagemap_scan(Enabled::Auto);
    pool
}

/// The thread that makes time pass for guests. It ends, and is joined, when this value is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts to tick. The thread holds the engine weakly, so that it keeps nothing alive.
    pub(crate) fn start(engine: &Engine) -> Result<Self, Error> {
        let engine = engine.weak();
        let (stop, stopped) = sync_channel(0);
        let run = move || while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) && tick(&engine) {};
        let thread = std::thread::Builder::new().name("floe-ticker".into()).spawn(run).map_err(Error::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn tick(engine: &EngineWeak) -> bool {
    engine.upgrade().map(|engine| engine.increment_epoch()).is_some()
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there is a bug of the host that the thread has already reported.
            let _ = thread.join();
        }
    }
}

/// Wasmtime hands out what compiled code depends on as something to hash; 64 bits of a hash table's hasher would not do.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest[..8].try_into().expect("a SHA-256 digest has 32 bytes"))
    }
}
