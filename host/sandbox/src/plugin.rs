//! A loaded plugin: what it says of itself, and its nodes and tools as something that the flow can invoke.

use std::pin::pin;
use std::sync::Arc;

use floe_flow::{Invoke, NodeSpec, Payload};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;
use crate::bindings::floe::plugin::log::Level;
use crate::call::{Function, Loaded, Target, begin};
use crate::describe::{self, ToolSpec};
use crate::inspect::Inspection;
use crate::pool::Pool;
use crate::state::Running;
use crate::timed::{Timed, after};
use crate::trap::{self, Given};

/// A plugin that was loaded.
#[derive(Clone)]
pub struct Plugin {
    /// Its name in the flow file.
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits: of the component's bytes.
    pub digest: String,
    /// Its nodes, in its own order.
    pub nodes: Vec<NodeSpec>,
    /// Its tools, in its own order.
    pub tools: Vec<ToolSpec>,
    /// What was read from its bytes.
    pub inspection: Inspection,
    pub(crate) loaded: Arc<Loaded>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Plugin {
    /// One of its nodes, with its configuration from the flow file (`{}` where there is none).
    ///
    /// `reuse` is how many calls one instance serves; 0 and 1 mean a fresh instance for each call. An instance serves one
    /// tenant only and none after a crash, a limit or a time-out.
    ///
    /// # Errors
    /// [`Error::Unknown`] within [`Error::Plugin`].
    pub fn node(&self, node: &str, config: &Payload, reuse: u32) -> Result<Arc<dyn Invoke>, Error> {
        if self.nodes.iter().all(|spec| spec.name != node) {
            return Err(self.unknown("node", node, self.nodes.iter().map(|spec| spec.name.as_str())));
        }
        Ok(self.function(node, Target::Node, config, reuse))
    }

    /// One of its tools: the message's payload is its arguments, its result the one output. `context` is a JSON object that
    /// the operator passes to the tool (`{}` where there is none). `reuse` as for [`Plugin::node`].
    ///
    /// # Errors
    /// [`Error::Unknown`] within [`Error::Plugin`].
    pub fn tool(&self, tool: &str, config: &Payload, context: &Payload, reuse: u32) -> Result<Arc<dyn Invoke>, Error> {
        if self.tools.iter().all(|spec| spec.name != tool) {
            return Err(self.unknown("tool", tool, self.tools.iter().map(|spec| spec.name.as_str())));
        }
        Ok(self.function(tool, Target::Tool { context: context.clone() }, config, reuse))
    }

    fn function(&self, name: &str, target: Target, config: &Payload, reuse: u32) -> Arc<dyn Invoke> {
        Arc::new(Function {
            loaded: Arc::clone(&self.loaded),
            name: name.to_owned(),
            target,
            config: config.clone(),
            reuse,
            pool: Pool::new(&self.loaded.core.room),
        })
    }

    fn unknown<'a>(&self, what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
        let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::Unknown { what, name: crate::text::plain(name, 64), known }.of(&self.name)
    }

    /// Lets the plugin describe itself: on the guests' threads, under the limits of a call, without a trace.
    pub(crate) async fn describe(loaded: Arc<Loaded>, inspection: Inspection, threads: &Handle) -> Result<Self, Error> {
        let asked = Arc::clone(&loaded);
        // Dropped with this call.
        let describing = AbortOnDropHandle::new(threads.spawn(async move { ask(&asked).await }));
        let (nodes, tools) = match describing.await {
            Ok(described) => described?,
            Err(_) => return Err(Error::Description("the host failed to read it".to_owned())),
        };
        let name = loaded.identity.name.clone();
        Ok(Self { name, digest: inspection.digest.clone(), nodes, tools, inspection, loaded })
    }
}

async fn ask(loaded: &Loaded) -> Result<(Vec<NodeSpec>, Vec<ToolSpec>), Error> {
    let limits = &loaded.identity.limits;
    // Before the store, so that it is dropped after it.
    let _places = loaded.core.room.wait(loaded.places).await.map_err(Error::Describe)?;
    let deadline = after(Instant::now(), limits.wall);
    let mut store = loaded.store(&loaded.identity, Running::describe(deadline, limits.amounts()));
    begin(&mut store, limits.fuel);
    let ended = {
        let work = pin!(async {
            let instance = loaded.pre.instantiate_async(&mut store).await?;
            let nodes = match &loaded.node {
                Some(indices) => indices.load(&mut store, &instance)?.call_describe(&mut store).await?,
                None => Vec::new(),
            };
            let tools = match &loaded.toolset {
                Some(indices) => indices.load(&mut store, &instance)?.call_describe(&mut store).await?,
                None => Vec::new(),
            };
            wasmtime::Result::Ok((nodes, tools))
        });
        Timed::new(work, deadline, None).await
    };
    let state = store.data_mut();
    let (stdout, stderr) = state.take_stdio().unwrap_or_default();
    state.log_lines(Level::Info, &stdout);
    state.log_lines(Level::Warn, &stderr);
    let given =
        Given { fuel: limits.fuel, wall_ms: u64::try_from(limits.wall.as_millis()).unwrap_or(u64::MAX), wall_of_attempt: false };
    match ended {
        Ok(Ok((nodes, tools))) => Ok((describe::nodes(nodes)?, describe::tools(tools)?)),
        Ok(Err(error)) => Err(Error::Describe(trap::failure(&error, &loaded.identity, &state.limiter, given, &stderr))),
        Err(_) => Err(Error::Describe(trap::out_of_time(&loaded.identity, given))),
    }
}
