//! The sandbox: one engine for untrusted code, the threads on which it runs, the clock that interrupts it, and loading.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use floe_flow::StateStore;
use floe_flow::state::{MAX_STATE_BYTES, Memory};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::Error;
use crate::bindings::exports::floe::plugin::{node, toolset};
use crate::cache::Cache;
use crate::call::Loaded;
use crate::compiler::{Allowance, Compiler};
use crate::engine::{
    MAX_INSTANCES, MAX_MEMORIES, MAX_MEMORY, MAX_RANDOM, MAX_TABLE_ELEMENTS, MAX_TABLES, TABLES_PER_PLACE, Ticker, engine,
};
use crate::host::files::{Directories, FILE_THREADS};
use crate::host::random::Secret;
use crate::inspect::{Inspection, check_functions, digest, inspect};
use crate::interface::{Grants, admit, admit_to_describe, admit_to_learn};
use crate::kept::{Kept, MAX_KEPT, MAX_KEPT_BYTES};
use crate::learn::Asks;
use crate::limits::Limits;
use crate::link::linker;
use crate::network::Network;
use crate::plugin::Plugin;
use crate::pool::Room;
use crate::share::Threads;
use crate::state::{Identity, State};
use crate::tenants::{Registry, Tenants};
use crate::text::is_name;

/// Live instances at once. Each takes six of the kernel's 65 530 mappings and some 30 KiB, more where the guest uses more.
pub const DEFAULT_POOL: u32 = 1000;

/// Bytes of headers that a host is willing to hold at once.
const MAX_FIELDS: u64 = 1 << 20;
/// Turns of a thread between two looks at work that came from elsewhere: half of the turns are for it, half for guests that were
/// interrupted. Tokio's 61 suits tasks that take microseconds; here a turn takes up to a tick.
const TURNS_TO_NEW_WORK: u32 = 2;
/// Turns of a thread between two looks at its timers, for the same reason.
const TURNS_TO_TIMERS: u32 = 8;
/// The most memory for compiling, whatever the limits say: what the compiler answers is held in the host's.
pub const MAX_COMPILE_MEMORY: u64 = 32 << 30;

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Threads on which guests run; a good number is that of the cores.
    pub threads: usize,
    /// Where compiled code is kept; none: every start compiles. The directory is made private to the user.
    pub cache: Option<PathBuf>,
    /// Live instances at once, over all plugins; half of them may wait for reuse.
    pub instances: u32,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Where plugins keep values that outlive a call; none: in memory, as long as the sandbox.
    pub state: Option<Arc<dyn StateStore>>,
    /// What the randomness of calls follows from: with the same one, a call has the same. None: one is drawn.
    pub secret: Option<Secret>,
    /// What tenants may have at most; none: whatever plugins are granted.
    pub tenants: Option<Tenants>,
}

impl Config {
    /// Guests on so many threads, compiled in this process each time, with room for [`DEFAULT_POOL`], values in memory, and no tenants
    /// with ceilings.
    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            cache: None,
            instances: DEFAULT_POOL,
            compiler: Compiler::InProcess,
            state: None,
            secret: None,
            tenants: None,
        }
    }
}

/// Where untrusted plugins are loaded and run.
///
/// Plugins keep what they need of it. Dropping it stops its threads: guests that still run on them are dropped, and calls must
/// run elsewhere from then on.
#[derive(Debug)]
pub struct Sandbox {
    core: Arc<Core>,
    runtime: Option<Runtime>,
    /// One compilation at a time: each uses every core there is.
    compiling: Arc<Semaphore>,
    compiler: Compiler,
    cache: Option<Arc<Cache>>,
    kept: Arc<Kept>,
    values: Arc<dyn StateStore>,
    secret: Secret,
}

/// What a component is loaded for.
enum Mode<'a> {
    /// To be called.
    Granted(&'a Grants),
    /// To see what it asks for beyond that.
    Learning(&'a Grants, &'a Arc<Asks>),
    /// To be looked at.
    Denied,
}

/// What loaded plugins share.
pub(crate) struct Core {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) room: Arc<Room>,
    pub(crate) threads: Arc<Threads>,
    /// None: nobody has a ceiling.
    pub(crate) tenants: Option<Registry>,
    network: Arc<Network>,
    _ticker: Ticker,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("room", &self.room).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts the engine, its clock and its threads.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Thread`] and [`Error::Random`]. A cache that cannot be used is only warned of.
    pub fn new(config: Config) -> Result<Self, Error> {
        let engine = engine(config.instances.max(1))?;
        let linker = linker(&engine).map_err(Error::Engine)?;
        let ticker = Ticker::start(&engine)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .max_blocking_threads(FILE_THREADS)
            .thread_name("floe-guest")
            .global_queue_interval(TURNS_TO_NEW_WORK)
            .event_interval(TURNS_TO_TIMERS)
            .enable_time()
            .build()
            .map_err(Error::Thread)?;
        let cache = config.cache.and_then(|directory| match Cache::open(&directory, &engine) {
            Ok(cache) => Some(Arc::new(cache)),
            Err(error) => {
                warn!(%error, path = %directory.display(), "No cache of compiled code: plugins are compiled at every start.");
                None
            }
        });
        let room = Room::new(config.instances.max(1));
        let tenants = config.tenants.map(Registry::new);
        let threads = Threads::new(config.threads.max(1));
        Ok(Self {
            core: Arc::new(Core { engine, linker, room, threads, tenants, network: Arc::default(), _ticker: ticker }),
            runtime: Some(runtime),
            compiling: Arc::new(Semaphore::new(1)),
            compiler: config.compiler,
            cache,
            kept: Arc::new(Kept::new(MAX_KEPT, MAX_KEPT_BYTES)),
            values: config.state.unwrap_or_else(|| Arc::new(Memory::default())),
            secret: config.secret.map_or_else(Secret::draw, Ok)?,
        })
    }

    /// The threads on which nodes are to be invoked, and so guests run: apart from timers and I/O, which a busy guest would
    /// hold up.
    pub fn handle(&self) -> &Handle {
        self.runtime.as_ref().expect("the runtime is there until drop").handle()
    }

    /// Loads a component: reads what it is, refuses what it must not import, compiles it or takes the compiled code from the
    /// cache, and lets it describe itself under its limits.
    ///
    /// # Errors
    /// [`Error::Plugin`] with the reason; see the variants of [`Error`].
    pub async fn load(&self, name: &str, bytes: &[u8], grants: &Grants, limits: &Limits) -> Result<Plugin, Error> {
        self.try_load(name, bytes, Mode::Granted(grants), limits).await.map_err(|error| error.of(name))
    }

    /// Loads a component to look at it, whatever it imports: it is granted nothing, and what this host does not have traps when
    /// it is called. It can describe itself; its nodes can do no more than that lets them.
    ///
    /// # Errors
    /// As [`Sandbox::load`], except for grants.
    pub async fn load_denied(&self, name: &str, bytes: &[u8], limits: &Limits) -> Result<Plugin, Error> {
        self.try_load(name, bytes, Mode::Denied, limits).await.map_err(|error| error.of(name))
    }

    /// Loads a component to learn what it asks for: whatever this host serves can be called, all of it that is not granted is
    /// denied, and `asks` has what that was. A clock and randomness cannot be denied to a call that goes on: it gets those that
    /// WASI gives to all.
    ///
    /// # Errors
    /// As [`Sandbox::load`], except for what is served and not granted.
    pub async fn load_to_learn(
        &self,
        name: &str,
        bytes: &[u8],
        grants: &Grants,
        limits: &Limits,
        asks: &Arc<Asks>,
    ) -> Result<Plugin, Error> {
        // With rules for nothing each request is denied by itself, and so known.
        let grants = Grants { http: Some(grants.http.clone().unwrap_or_default()), ..grants.clone() };
        self.try_load(name, bytes, Mode::Learning(&grants, asks), limits).await.map_err(|error| error.of(name))
    }

    async fn try_load(&self, name: &str, bytes: &[u8], mode: Mode<'_>, limits: &Limits) -> Result<Plugin, Error> {
        check_limits(name, limits)?;
        let identity = Arc::new(self.identity(name, &mode, limits)?);
        check_size(&identity, "module", u64::try_from(bytes.len()).unwrap_or(u64::MAX), limits.module)?;
        let ready = self.kept.get(&digest(bytes));
        let inspection = ready.as_ref().map_or_else(|| inspect(bytes), |ready| Ok(ready.inspection.clone()))?;
        let counts = inspection.counts;
        check_size(&identity, "functions", counts.functions, limits.functions.into())?;
        check_size(&identity, "imports", counts.imports, limits.imports.into())?;
        check_size(&identity, "nested", (counts.modules + counts.components).max(counts.instances), limits.nested.into())?;
        match mode {
            Mode::Granted(grants) => admit(&inspection, name, grants)?,
            Mode::Learning(grants, _) => admit_to_learn(&inspection, name, grants)?,
            Mode::Denied => admit_to_describe(&inspection)?,
        }

        let component = match ready {
            Some(ready) => ready.component,
            None => self.compile(&identity, &inspection, bytes).await?,
        };
        let differs = |error: wasmtime::Error| Error::Interface { reason: reason(&error) };
        let pre = match mode {
            Mode::Granted(_) | Mode::Learning(..) => self.core.linker.instantiate_pre(&component),
            Mode::Denied => {
                let mut linker = self.core.linker.clone();
                let trapping = linker.define_unknown_imports_as_traps(&component);
                trapping.and_then(|()| linker.instantiate_pre(&component))
            }
        };
        let pre = pre.map_err(differs)?;
        let node = inspection.node.then(|| node::GuestIndices::new(&pre).map_err(differs)).transpose()?;
        let toolset = inspection.toolset.then(|| toolset::GuestIndices::new(&pre).map_err(differs)).transpose()?;
        let places = places(&component, limits);
        let code = code(&inspection.digest).into();
        let digest = inspection.digest.clone();
        let loaded = Arc::new(Loaded {
            identity,
            pre,
            node,
            toolset,
            code,
            digest,
            places,
            core: Arc::clone(&self.core),
            retired: AtomicBool::new(false),
        });
        Plugin::describe(loaded, inspection, self.handle()).await
    }

    /// Checks what is granted, and opens it.
    fn identity(&self, name: &str, mode: &Mode<'_>, limits: &Limits) -> Result<Identity, Error> {
        let (grants, asks) = match mode {
            Mode::Granted(grants) => (Grants::clone(grants), None),
            Mode::Learning(grants, asks) => (Grants::clone(grants), Some(Arc::clone(asks))),
            Mode::Denied => (Grants::default(), None),
        };
        let root = asks.as_ref().map(|asks| asks.empty.as_path());
        if let Some(space) = &grants.state {
            let line = |key: &str| format!("plugins.{name}.grants.state.{key}");
            if !is_name(&space.name) {
                let reason = "a space's name is 1 to 64 of a-z, 0-9, `_` and `-`".to_owned();
                return Err(Error::Grant { line: line("space"), reason });
            }
            if space.bytes > MAX_STATE_BYTES {
                return Err(Error::LimitTooHigh { line: line("bytes"), value: space.bytes, max: MAX_STATE_BYTES });
            }
        }
        Ok(Identity {
            name: name.to_owned(),
            limits: limits.clone(),
            values: Arc::clone(&self.values),
            directories: Directories::open(&grants.files, &format!("plugins.{name}.grants.files"), root)?,
            grants,
            secret: self.secret,
            network: Arc::clone(&self.core.network),
            egress: None,
            within: None,
            asks,
        })
    }

    /// Takes what is in the cache, or compiles.
    async fn compile(&self, identity: &Arc<Identity>, inspection: &Inspection, bytes: &[u8]) -> Result<Component, Error> {
        if let Some(cache) = self.cache.clone() {
            let (engine, digest) = (self.core.engine.clone(), inspection.digest.clone());
            let read = self.handle().spawn_blocking(move || cache.load(&engine, &digest));
            if let Ok(Some(component)) = AbortOnDropHandle::new(read).await {
                self.kept.put(inspection, &component);
                return Ok(component);
            }
        }
        check_functions(bytes)?;
        let turn = Arc::clone(&self.compiling).acquire_owned().await.expect("the semaphore is never closed");
        // Whoever had the turn before may have compiled the same.
        if let Some(ready) = self.kept.get(&inspection.digest) {
            return Ok(ready.component);
        }
        self.compile_now(identity, inspection, bytes, turn).await
    }

    /// Compiles on a thread that waits for it, since that takes hundreds of milliseconds. If it takes too long, or nobody waits
    /// any more, a child is killed; without one, the thread ends alone. The next turn comes when it is over.
    async fn compile_now(
        &self,
        identity: &Identity,
        inspection: &Inspection,
        bytes: &[u8],
        turn: OwnedSemaphorePermit,
    ) -> Result<Component, Error> {
        let limits = &identity.limits;
        let may = Allowance {
            memory: limits.compile_memory,
            time: limits.compile,
            raise_memory: identity.line("compile_memory"),
            raise_time: identity.line("compile"),
        };
        let stop = CancellationToken::new();
        let _killed = stop.clone().drop_guard();
        let (engine, compiler) = (self.core.engine.clone(), self.compiler.clone());
        let (cache, kept) = (self.cache.clone(), Arc::clone(&self.kept));
        let (inspection, bytes) = (inspection.clone(), bytes.to_vec());
        let work = self.handle().spawn_blocking(move || {
            let _turn = turn;
            let code = compiler.run(&engine, &bytes, &may, &stop)?;
            let component = code.load(&engine).map_err(|error| Error::Compile(reason(&error)))?;
            // Before the turn is over, so that the next one finds it.
            kept.put(&inspection, &component);
            if let Some(cache) = cache {
                cache.store(&inspection.digest, &code);
            }
            Ok(component)
        });
        match tokio::time::timeout(limits.compile, AbortOnDropHandle::new(work)).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Error::Compile("the compiler failed on it".to_owned())),
            Err(_) => Err(Error::CompileTimeout { limit: limits.compile, raise: identity.line("compile") }),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Not waiting: this may be a thread of an async runtime, where waiting is forbidden.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What an instance takes of the engine's slots: a place for each memory, and there are [`TABLES_PER_PLACE`] tables to a place.
fn places(component: &Component, limits: &Limits) -> u32 {
    // It imports no modules, so what it needs is known; if not, it needs no more than it may.
    let (memories, tables) = match component.resources_required() {
        Some(resources) => (resources.num_memories, resources.num_tables),
        None => (limits.memories, limits.tables),
    };
    memories.min(limits.memories).max(tables.min(limits.tables).div_ceil(TABLES_PER_PLACE)).max(1)
}

/// Which code it is, short enough for every record of a call: the first 16 hexadecimal digits of its digest.
fn code(digest: &str) -> &str {
    let digits = digest.rsplit(':').next().unwrap_or_default();
    digits.get(..16).unwrap_or(digits)
}

/// Wasmtime's reasons quote names that the guest chose.
pub(crate) fn reason(error: &wasmtime::Error) -> String {
    crate::text::plain(&format!("{error:#}"), 2 << 10)
}

fn check_size(identity: &Identity, limit: &'static str, used: u64, max: u64) -> Result<(), Error> {
    if used <= max { Ok(()) } else { Err(Error::Limit { limit, used, max, raise: identity.line(limit) }) }
}

/// Limits beyond what the host is made for would fail later, and worse: what they bound is held in the host's memory.
fn check_limits(plugin: &str, limits: &Limits) -> Result<(), Error> {
    let most = [
        ("memory", limits.memory, MAX_MEMORY),
        ("table_elements", limits.table_elements, MAX_TABLE_ELEMENTS),
        ("tables", limits.tables.into(), MAX_TABLES.into()),
        ("memories", limits.memories.into(), MAX_MEMORIES.into()),
        ("instances", limits.instances.into(), MAX_INSTANCES.into()),
        ("hostcall", limits.hostcall, MAX_MEMORY),
        ("random", limits.random, MAX_RANDOM),
        ("stdio", limits.stdio, MAX_MEMORY),
        ("log_line", limits.log_line, MAX_MEMORY),
        ("chunk", limits.chunk, MAX_MEMORY),
        ("emit", limits.emit, MAX_MEMORY),
        ("result", limits.result, MAX_MEMORY),
        ("compile_memory", limits.compile_memory, MAX_COMPILE_MEMORY),
        ("egress_bytes", limits.egress_bytes, MAX_MEMORY),
        ("http_in", limits.http_in, MAX_MEMORY),
        ("fields", limits.fields, MAX_FIELDS),
    ];
    match most.into_iter().find(|(_, value, max)| value > max) {
        Some((limit, value, max)) => Err(Error::LimitTooHigh { line: format!("plugins.{plugin}.limits.{limit}"), value, max }),
        None => Ok(()),
    }
}
