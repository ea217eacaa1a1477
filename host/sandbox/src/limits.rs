//! What one call of a plugin may use, each limit with a default and its reason. The names of the fields are the names in the
//! flow file (`plugins.NAME.limits.FIELD`), in failures and in the documentation.

use std::time::Duration;

use floe_flow::{Amounts, Resource};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Room for a text of some megabytes in several shapes; an idle Rust guest holds about 1 MiB.
pub const DEFAULT_MEMORY: u64 = 64 * MIB;
/// QuickJS and its heap start at some 10 MiB.
pub const DEFAULT_MEMORY_JS: u64 = 128 * MIB;
/// CPython starts at 12 MiB, and its objects are large.
pub const DEFAULT_MEMORY_PYTHON: u64 = 256 * MIB;
/// Go's collector lets the heap double before it runs.
pub const DEFAULT_MEMORY_GO: u64 = 256 * MIB;
/// From a twentieth of a second of computation for a plain loop to a second for one that waits for memory, on a core of 2026.
pub const DEFAULT_FUEL: u64 = 1_000_000_000;
/// An interpreter spends ten or more units where compiled code spends one.
pub const DEFAULT_FUEL_INTERPRETED: u64 = 10_000_000_000;
/// Ten times the most that the fuel allows in computation: the rest is waiting for the host.
pub const DEFAULT_WALL: Duration = Duration::from_secs(10);
/// As `DEFAULT_WALL`, for the fuel of an interpreter.
pub const DEFAULT_WALL_INTERPRETED: Duration = Duration::from_secs(30);
/// Sum over all tables; a Rust guest has some hundreds of entries.
pub const DEFAULT_TABLE_ELEMENTS: u64 = 10_000;
/// CPython's C functions all sit in tables.
pub const DEFAULT_TABLE_ELEMENTS_PYTHON: u64 = 60_000;
/// A component has one or two: the program's and a shim's.
pub const DEFAULT_TABLES: u32 = 8;
/// A component has one; more than one comes with composed components.
pub const DEFAULT_MEMORIES: u32 = 8;
/// A component from one language is three to five core instances.
pub const DEFAULT_INSTANCES: u32 = 16;
/// componentize-py links every native library as a core instance of its own.
pub const DEFAULT_INSTANCES_PYTHON: u32 = 128;
/// As many tables as instances: dynamic linking gives each its own shim.
pub const DEFAULT_TABLES_PYTHON: u32 = 32;
/// What one crossing may copy out of the guest: the largest result or emission four times over, for JSON in its envelope.
pub const DEFAULT_HOSTCALL: u64 = 4 * MIB;
/// Handles cost the host memory; a guest holds a handful of streams and pollables.
pub const DEFAULT_HANDLES: u32 = 1000;
/// Values behind the handles: streams and pollables of a few hundred bytes each.
pub const DEFAULT_RESOURCES: u32 = 512;
/// A seed or key needs 32 bytes; the host would have to hold what it draws.
pub const DEFAULT_RANDOM: u64 = 64 * KIB;
/// Of standard output and of standard error each: a page of a panic and some prints.
pub const DEFAULT_STDIO: u64 = 64 * KIB;
/// Enough to follow one call; a loop that logs is cut.
pub const DEFAULT_LOG_LINES: u32 = 100;
/// One screen of text; the same for all fields of a line together.
pub const DEFAULT_LOG_LINE: u64 = 4 * KIB;
/// A page of text; 64 of them wait for a reader that is slow.
pub const DEFAULT_CHUNK: u64 = 64 * KIB;
/// A call that splits a long document emits some thousands.
pub const DEFAULT_EMITS: u32 = 10_000;
/// All emissions of a call together: the document and its envelopes.
pub const DEFAULT_EMIT: u64 = 4 * MIB;
/// What a call returns: a long document.
pub const DEFAULT_RESULT: u64 = MIB;
/// A printed line takes three to five; a million calls take the host some tenths of a second.
pub const DEFAULT_HOST_CALLS: u64 = 1_000_000;
/// What an agent's tool asks of others is some dozens; each may take as long as the call.
pub const DEFAULT_CALLS: u32 = 100;
/// A node sets a handful of values; each is on the disk before it goes on, and the disk is everybody's.
pub const DEFAULT_STATE_WRITES: u32 = 100;
/// A call that looks something up asks once or twice; one that follows pages asks a dozen times.
pub const DEFAULT_REQUESTS: u32 = 16;
/// Each holds a socket, and buffers of some 100 KiB.
pub const DEFAULT_HTTP_CONNECTIONS: u32 = 4;
/// A question and a document.
pub const DEFAULT_EGRESS_BYTES: u64 = MIB;
/// Some documents; they have to fit into the guest's memory beside what it makes of them.
pub const DEFAULT_HTTP_IN: u64 = 4 * MIB;
/// As long as a call of a compiled plugin.
pub const DEFAULT_HTTP_TIME: Duration = Duration::from_secs(10);
/// A request with cookies and tokens has some KiB.
pub const DEFAULT_FIELDS: u64 = 32 * KIB;
/// A Rust plugin is 70 KiB to 5 MiB.
pub const DEFAULT_MODULE: u64 = 16 * MIB;
/// A component of componentize-py is 18 MiB, of jco 12 MiB, before the plugin's own code; TinyGo stays below 5, Go above 8.
pub const DEFAULT_MODULE_LARGE: u64 = 64 * MIB;
/// A small Python component has 13 500; compiling takes about 10 µs a function and core.
pub const DEFAULT_FUNCTIONS: u32 = 100_000;
/// A component imports some dozens of functions by some dozen instances.
pub const DEFAULT_IMPORTS: u32 = 1000;
/// CPython's libraries import from each other: a small plugin has 2 400.
pub const DEFAULT_IMPORTS_PYTHON: u32 = 10_000;
/// A component of the Python toolchain is made of some dozens.
pub const DEFAULT_NESTED: u32 = 200;
/// Compiling takes 0.2 s for a small plugin and some seconds for CPython.
pub const DEFAULT_COMPILE: Duration = Duration::from_secs(30);
/// Compiling takes some thirty to fifty times the size of the code, of which a Rust plugin has up to 5 MiB.
pub const DEFAULT_COMPILE_MEMORY: u64 = 1 << 30;
/// For components of up to 64 MiB.
pub const DEFAULT_COMPILE_MEMORY_LARGE: u64 = 4 << 30;

/// The limits of one plugin. Those of loading come last.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Bytes of all memories, and 8 for each element of a table.
    pub memory: u64,
    /// Units of computation a call.
    pub fuel: u64,
    /// Time a call, host calls and waiting included.
    pub wall: Duration,
    /// Elements of all tables.
    pub table_elements: u64,
    /// Tables of an instance.
    pub tables: u32,
    /// Memories of an instance.
    pub memories: u32,
    /// Core instances of which an instance of the component consists.
    pub instances: u32,
    /// Bytes that one crossing may copy from the guest to the host.
    pub hostcall: u64,
    /// Live handles.
    pub handles: u32,
    /// Live host values behind handles.
    pub resources: u32,
    /// Bytes that one request for randomness may ask for.
    pub random: u64,
    /// Bytes of standard output and of standard error kept a call; the rest is dropped.
    pub stdio: u64,
    /// Log lines a call; the rest is dropped.
    pub log_lines: u32,
    /// Bytes of a log line and of its fields; the rest is cut.
    pub log_line: u64,
    /// Bytes of a piece of a stream, or of progress.
    pub chunk: u64,
    /// Emissions a call; and, counted apart, outputs of its result.
    pub emits: u32,
    /// Bytes of all emissions a call.
    pub emit: u64,
    /// Bytes of a call's result.
    pub result: u64,
    /// Calls of the guest to the host.
    pub host_calls: u64,
    /// Calls of subflows and tools.
    pub calls: u32,
    /// Values set or deleted a call.
    pub state_writes: u32,
    /// HTTP requests a call, each hop of a redirect counted.
    pub requests: u32,
    /// HTTP connections at once.
    pub http_connections: u32,
    /// Bytes of all HTTP requests a call.
    pub egress_bytes: u64,
    /// Bytes of all HTTP answers a call.
    pub http_in: u64,
    /// Time for an HTTP exchange.
    pub http_time: Duration,
    /// Bytes of the headers of an HTTP request or answer.
    pub fields: u64,
    /// Bytes of the component.
    pub module: u64,
    /// Functions in the component.
    pub functions: u32,
    /// Imports in the component, at any depth.
    pub imports: u32,
    /// Components and modules within the component, at any depth; and, counted apart, how often these are instantiated.
    pub nested: u32,
    /// Time for compiling.
    pub compile: Duration,
    /// Bytes of memory that the process which compiles may take, beyond what it has when it starts.
    pub compile_memory: u64,
}

/// Named limits for what a plugin is written in. The operator names it; nothing is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Rust, C, Zig: compiled, no collector.
    Rust,
    /// JavaScript and TypeScript by componentize-js.
    Js,
    /// Python by componentize-py.
    Python,
    /// Go and TinyGo.
    Go,
}

impl Profile {
    /// Every profile, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Js, Self::Python, Self::Go];

    /// The name in the flow file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
            Self::Go => "go",
        }
    }
}

impl Limits {
    /// The limits of a profile.
    pub fn profile(profile: Profile) -> Self {
        match profile {
            Profile::Rust => Self::rust(),
            Profile::Js => Self {
                memory: DEFAULT_MEMORY_JS,
                fuel: DEFAULT_FUEL_INTERPRETED,
                wall: DEFAULT_WALL_INTERPRETED,
                module: DEFAULT_MODULE_LARGE,
                compile_memory: DEFAULT_COMPILE_MEMORY_LARGE,
                ..Self::rust()
            },
            Profile::Python => Self {
                memory: DEFAULT_MEMORY_PYTHON,
                fuel: DEFAULT_FUEL_INTERPRETED,
                wall: DEFAULT_WALL_INTERPRETED,
                table_elements: DEFAULT_TABLE_ELEMENTS_PYTHON,
                tables: DEFAULT_TABLES_PYTHON,
                instances: DEFAULT_INSTANCES_PYTHON,
                module: DEFAULT_MODULE_LARGE,
                compile_memory: DEFAULT_COMPILE_MEMORY_LARGE,
                imports: DEFAULT_IMPORTS_PYTHON,
                ..Self::rust()
            },
            Profile::Go => Self {
                memory: DEFAULT_MEMORY_GO,
                module: DEFAULT_MODULE_LARGE,
                compile_memory: DEFAULT_COMPILE_MEMORY_LARGE,
                ..Self::rust()
            },
        }
    }

    /// No limit at all: for a ceiling that says nothing of it.
    pub fn unlimited() -> Self {
        Self {
            memory: u64::MAX,
            fuel: u64::MAX,
            wall: Duration::MAX,
            table_elements: u64::MAX,
            tables: u32::MAX,
            memories: u32::MAX,
            instances: u32::MAX,
            hostcall: u64::MAX,
            handles: u32::MAX,
            resources: u32::MAX,
            random: u64::MAX,
            stdio: u64::MAX,
            log_lines: u32::MAX,
            log_line: u64::MAX,
            chunk: u64::MAX,
            emits: u32::MAX,
            emit: u64::MAX,
            result: u64::MAX,
            host_calls: u64::MAX,
            calls: u32::MAX,
            state_writes: u32::MAX,
            requests: u32::MAX,
            http_connections: u32::MAX,
            egress_bytes: u64::MAX,
            http_in: u64::MAX,
            http_time: Duration::MAX,
            fields: u64::MAX,
            module: u64::MAX,
            functions: u32::MAX,
            imports: u32::MAX,
            nested: u32::MAX,
            compile: Duration::MAX,
            compile_memory: u64::MAX,
        }
    }

    /// The lesser of each, and the names of those that `most` has lowered.
    pub fn at_most(&self, most: &Self) -> (Self, Vec<&'static str>) {
        let (mut limits, mut lowered) = (self.clone(), Vec::new());
        macro_rules! lower {
            ($($limit:ident),*) => {
                $(if most.$limit < limits.$limit {
                    limits.$limit = most.$limit;
                    lowered.push(stringify!($limit));
                })*
            };
        }
        lower!(
            memory,
            fuel,
            wall,
            table_elements,
            tables,
            memories,
            instances,
            hostcall,
            handles,
            resources,
            random,
            stdio,
            log_lines,
            log_line,
            chunk,
            emits,
            emit,
            result,
            host_calls,
            calls,
            state_writes,
            requests,
            http_connections,
            egress_bytes,
            http_in,
            http_time,
            fields,
            module,
            functions,
            imports,
            nested,
            compile,
            compile_memory
        );
        (limits, lowered)
    }

    /// What a call may use in sum, with all that it has done by others.
    pub(crate) fn amounts(&self) -> Amounts {
        let mut amounts = Amounts::UNLIMITED;
        amounts[Resource::Fuel] = self.fuel;
        amounts[Resource::Memory] = self.memory;
        amounts[Resource::HostCalls] = self.host_calls;
        amounts[Resource::LogLines] = self.log_lines.into();
        amounts[Resource::Emits] = self.emits.into();
        amounts[Resource::Calls] = self.calls.into();
        amounts[Resource::StateWrites] = self.state_writes.into();
        amounts[Resource::Requests] = self.requests.into();
        amounts[Resource::EgressBytes] = self.egress_bytes;
        amounts
    }

    fn rust() -> Self {
        Self {
            memory: DEFAULT_MEMORY,
            fuel: DEFAULT_FUEL,
            wall: DEFAULT_WALL,
            table_elements: DEFAULT_TABLE_ELEMENTS,
            tables: DEFAULT_TABLES,
            memories: DEFAULT_MEMORIES,
            instances: DEFAULT_INSTANCES,
            hostcall: DEFAULT_HOSTCALL,
            handles: DEFAULT_HANDLES,
            resources: DEFAULT_RESOURCES,
            random: DEFAULT_RANDOM,
            stdio: DEFAULT_STDIO,
            log_lines: DEFAULT_LOG_LINES,
            log_line: DEFAULT_LOG_LINE,
            chunk: DEFAULT_CHUNK,
            emits: DEFAULT_EMITS,
            emit: DEFAULT_EMIT,
            result: DEFAULT_RESULT,
            host_calls: DEFAULT_HOST_CALLS,
            calls: DEFAULT_CALLS,
            state_writes: DEFAULT_STATE_WRITES,
            requests: DEFAULT_REQUESTS,
            http_connections: DEFAULT_HTTP_CONNECTIONS,
            egress_bytes: DEFAULT_EGRESS_BYTES,
            http_in: DEFAULT_HTTP_IN,
            http_time: DEFAULT_HTTP_TIME,
            fields: DEFAULT_FIELDS,
            module: DEFAULT_MODULE,
            functions: DEFAULT_FUNCTIONS,
            imports: DEFAULT_IMPORTS,
            nested: DEFAULT_NESTED,
            compile: DEFAULT_COMPILE,
            compile_memory: DEFAULT_COMPILE_MEMORY,
        }
    }
}
