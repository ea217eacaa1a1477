//! What other systems see of a run: its spans by OTLP, its numbers over HTTP for Prometheus. Each is a feature of this crate; in a
//! build without it, whoever asks for it is told so.

use std::net::SocketAddr;
use std::sync::Arc;

use floe_flow::Metrics;
use tracing_subscriber::{Layer, Registry};

use crate::Error;

pub use numbers::{Endpoint, Serving};
pub use spans::Spans;

/// What exports spans, for the registry of the log.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Exports the spans of this process from now on to the collector at this address, once its log has the layer.
pub fn spans(endpoint: &str) -> Result<(SpanLayer, Spans), Error> {
    spans::start(endpoint)
}

/// Listens at this address for whoever collects numbers.
pub async fn endpoint(address: SocketAddr) -> Result<Endpoint, Error> {
    numbers::bind(address, Arc::new(Metrics::default())).await
}

#[cfg(feature = "otlp")]
mod spans {
    use floe_telemetry::otlp::{self, Guard};
    use tokio::runtime::{Builder, Runtime};

    use super::SpanLayer;
    use crate::Error;

    /// Exports until it is closed.
    #[derive(Debug)]
    #[must_use = "spans that wait are exported when it is closed"]
    pub struct Spans {
        guard: Guard,
        /// The collector is spoken to on a thread of its own: a run's runtime has gone when the last spans go.
        runtime: Runtime,
    }

    pub(super) fn start(endpoint: &str) -> Result<(SpanLayer, Spans), Error> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("floe-export").enable_all().build();
        let runtime = runtime.map_err(|error| Error::wrong(format!("cannot start a runtime for --otlp: {error}")))?;
        let started = otlp::init(endpoint, "floe", runtime.handle());
        let (layer, guard) = started.map_err(|error| Error::wrong(format!("--otlp: {error}")))?;
        Ok((layer, Spans { guard, runtime }))
    }

    impl Spans {
        /// Exports what waits, and gives up after [`otlp::CLOSE_TIMEOUT`].
        pub fn close(self) {
            let Self { guard, runtime } = self;
            match runtime.block_on(guard.close()) {
                Ok(()) => {}
                Err(error @ otlp::Error::Unsent(_)) => tracing::debug!("{error}"),
                Err(error) => tracing::warn!("{error}"),
            }
            runtime.shutdown_background();
        }
    }
}

#[cfg(not(feature = "otlp"))]
mod spans {
    use super::{SpanLayer, not_built};
    use crate::Error;

    /// There is none in this build.
    #[derive(Debug)]
    pub enum Spans {}

    pub(super) fn start(_: &str) -> Result<(SpanLayer, Spans), Error> {
        Err(not_built("--otlp", "otlp"))
    }

    impl Spans {
        /// Exports what waits.
        pub fn close(self) {
            match self {}
        }
    }
}

#[cfg(feature = "prometheus")]
mod numbers {
    use std::io::Write;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use floe_flow::{Metrics, Observer};
    use floe_telemetry::prometheus::Server;
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use crate::Error;

    /// Listens, and counts what it observes.
    #[derive(Debug)]
    pub struct Endpoint {
        server: Server,
        metrics: Arc<Metrics>,
    }

    /// Answers until it is stopped.
    #[derive(Debug)]
    pub struct Serving {
        stop: oneshot::Sender<()>,
        task: JoinSet<()>,
    }

    pub(super) async fn bind(address: SocketAddr, metrics: Arc<Metrics>) -> Result<Endpoint, Error> {
        let server = Server::bind(address).await.map_err(|error| {
            let message = format!("cannot serve metrics at {address}: {error}");
            Error::wrong(message).with_help("name another address, or port 0 for any port that is free")
        })?;
        Ok(Endpoint { server, metrics })
    }

    impl Endpoint {
        /// What is to see the events of a flow.
        pub fn observer(&self) -> Arc<dyn Observer> {
            Arc::clone(&self.metrics) as _
        }

        /// Answers from now on, on the current runtime, and says where.
        pub fn serve(self) -> Result<Serving, Error> {
            let address = self.server.address().map_err(|error| Error::wrong(format!("no address for metrics: {error}")))?;
            // A caller who closed standard error does not want to know.
            let _ = writeln!(std::io::stderr(), "metrics at http://{address}/metrics");
            let (stop, stopped) = oneshot::channel::<()>();
            let mut task = JoinSet::new();
            task.spawn(self.server.serve(self.metrics, async {
                // Whoever drops it wants it to stop as well.
                let _ = stopped.await;
            }));
            Ok(Serving { stop, task })
        }
    }

    impl Serving {
        /// Finishes the answers that are under way, and listens no more.
        pub async fn stop(self) {
            let Self { stop, mut task } = self;
            drop(stop);
            while task.join_next().await.is_some() {}
        }
    }
}

#[cfg(not(feature = "prometheus"))]
mod numbers {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use floe_flow::{Metrics, Observer};

    use super::not_built;
    use crate::Error;

    /// There is none in this build.
    #[derive(Debug)]
    pub enum Endpoint {}

    /// There is none in this build.
    #[derive(Debug)]
    pub enum Serving {}

    pub(super) async fn bind(_: SocketAddr, _: Arc<Metrics>) -> Result<Endpoint, Error> {
        Err(not_built("--metrics", "prometheus"))
    }

    impl Endpoint {
        /// What is to see the events of a flow.
        pub fn observer(&self) -> Arc<dyn Observer> {
            match *self {}
        }

        /// Answers from now on.
        pub fn serve(self) -> Result<Serving, Error> {
            match self {}
        }
    }

    impl Serving {
        /// Listens no more.
        pub async fn stop(self) {
            match self {}
        }
    }
}

#[cfg(not(all(feature = "otlp", feature = "prometheus")))]
fn not_built(option: &str, feature: &str) -> Error {
    let help = format!("build it with the feature: cargo install --path host/floe --features {feature}");
    Error::wrong(format!("this floe was built without {option}")).with_help(help)
}
