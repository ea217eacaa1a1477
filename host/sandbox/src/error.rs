//! Why something about a plugin did not work, before any of its nodes is called. Every message names the place and the remedy.

use std::time::Duration;

use floe_flow::Failure;

/// What a caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host itself could not set up its engine: nothing can run.
    #[error("the WebAssembly engine does not start: {0:#}")]
    Engine(#[source] wasmtime::Error),
    /// A thread or a runtime could not be started: nothing can run.
    #[error("a thread for plugins does not start: {0}")]
    Thread(#[source] std::io::Error),
    /// Something about one plugin; `error` says what.
    #[error("plugin `{plugin}`: {error}")]
    Plugin {
        /// The plugin's name in the flow file.
        plugin: String,
        /// What is wrong with it.
        #[source]
        error: Box<Error>,
    },
    /// The bytes are something other than a component: give another file.
    #[error("{found}; {remedy}")]
    NotAComponent {
        /// What they are.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The bytes begin like a component, but are cut off or damaged: build or fetch it again.
    #[error("the component is damaged or cut off at byte {offset} of {size}: {reason}; build or fetch it again")]
    Damaged {
        /// Where reading failed.
        offset: u64,
        /// How many bytes there are.
        size: u64,
        /// What is wrong there.
        reason: String,
    },
    /// It needs more than a limit of loading allows: raise the limit or make it smaller.
    #[error("limit `{limit}` reached: the component has {used} of {max}; raise it with {raise}")]
    Limit {
        /// The limit's name.
        limit: &'static str,
        /// What the component has.
        used: u64,
        /// What is allowed.
        max: u64,
        /// The line of the flow file that sets it.
        raise: String,
    },
    /// A limit is set beyond what the engine is made for: lower it.
    #[error("`{line}` is {value}, but this host takes at most {max}")]
    LimitTooHigh {
        /// The line of the flow file.
        line: String,
        /// What it says.
        value: u64,
        /// What is possible.
        max: u64,
    },
    /// What is granted cannot be given: change the grant.
    #[error("`{line}`: {reason}")]
    Grant {
        /// The line of the flow file.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gives no randomness: nothing can run.
    #[error("this system has no randomness: {0}")]
    Random(String),
    /// It was built for another version of the contract: rebuild it.
    #[error(
        "it was built for the contract floe:plugin@{asked}, and this host serves floe:plugin@{served}; rebuild it for that version"
    )]
    Contract {
        /// The component's version.
        asked: String,
        /// The host's version.
        served: &'static str,
    },
    /// It exports nothing that a flow could call.
    #[error("it exports neither `floe:plugin/node@{served}` nor `floe:plugin/toolset@{served}`, so there is nothing to call")]
    NoExport {
        /// The host's version.
        served: &'static str,
    },
    /// It imports a capability that it was not granted. Granting it takes the operator, who finds the lines in the message.
    #[error("it imports `{import}`, which is not granted{}; the lines that would grant it:\n{lines}", yet(.served))]
    NotGranted {
        /// The import.
        import: String,
        /// This host has it.
        served: bool,
        /// What to write in the flow file.
        lines: String,
    },
    /// It imports a capability that is granted but that this host does not have.
    #[error("it imports `{import}`, which is granted but not available in this host yet")]
    NotAvailable {
        /// The import.
        import: String,
    },
    /// It imports something that no configuration can provide: build it without.
    #[error("it imports `{import}`, which is no interface that this host knows; build the plugin without it")]
    UnknownImport {
        /// The import.
        import: String,
    },
    /// The compiler refuses it: build it for WebAssembly without the proposals that this host switches off.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// What it imports or exports differs from the contract of the same version: rebuild it.
    #[error("its interfaces are not those of floe:plugin@{served}: {reason}; rebuild it with the contract of this version", served = crate::CONTRACT)]
    Interface {
        /// What differs.
        reason: String,
    },
    /// Compiling took too long.
    #[error("compiling took longer than limit `compile` allows, {limit:?}; raise it with {raise}")]
    CompileTimeout {
        /// The limit.
        limit: Duration,
        /// The line of the flow file that sets it.
        raise: String,
    },
    /// Compiling needed too much memory.
    #[error(
        "compiling needs more memory than limit `compile_memory` allows, {limit} bytes, all of which it used; raise it with {raise}"
    )]
    CompileMemory {
        /// The limit, bytes.
        limit: u64,
        /// The line of the flow file that sets it.
        raise: String,
    },
    /// The process that compiles failed: at this component, or at all.
    #[error("the process that compiles it failed: {0}; the host is not affected. `floe doctor` checks that process")]
    Compiler(String),
    /// Its `describe` failed.
    #[error("it cannot describe itself: {0}")]
    Describe(#[source] Failure),
    /// Its description breaks the contract.
    #[error("its description breaks the contract: {0}")]
    Description(String),
    /// It cannot take the place of the version that a flow was started with: start the flow anew.
    #[error("{what}: not what the flow was started with; start it again to run this version")]
    Changed {
        /// What differs.
        what: String,
    },
    /// Traces under way run on too many older versions: wait until some have ended.
    #[error(
        "limit `releases` reached: traces under way run on {max} older or newer versions; it is tried again when some have ended"
    )]
    Releases {
        /// How many there may be.
        max: usize,
    },
    /// It has no such node or tool.
    #[error("there is no {what} `{name}`; it has {known}")]
    Unknown {
        /// `node` or `tool`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

/// What a refusal adds where a grant would not be enough.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the macro passes fields by reference")]
fn yet(served: &bool) -> &'static str {
    if *served { "" } else { " and not available in this host yet" }
}

impl Error {
    /// The same error, said of a plugin.
    pub(crate) fn of(self, plugin: &str) -> Self {
        Self::Plugin { plugin: plugin.to_owned(), error: Box::new(self) }
    }

    /// The error itself, without the plugin's name.
    pub fn reason(&self) -> &Self {
        match self {
            Self::Plugin { error, .. } => error.reason(),
            other => other,
        }
    }
}
