//! The way out for all plugins: threads for I/O, apart from those on which guests compute, started when a plugin first asks for something.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use floe_egress::address::System;
use floe_egress::{Client, Config, Error, Request, Response, Session};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

/// Threads of I/O: moving bytes and TLS; a plugin's limits keep both small.
const THREADS: usize = 1;
/// Threads that wait for the system's resolver, and no more than the names that are looked up at once.
const BLOCKING: usize = 16;

/// Threads and a client, once somebody needs them.
#[derive(Debug, Default)]
pub(crate) struct Network(OnceLock<Result<Started, String>>);

#[derive(Debug)]
struct Started {
    client: Client,
    runtime: Option<Runtime>,
}

impl Network {
    /// Has the request sent and waits for the head of the answer. Dropping the future, or the answer's body, closes the connection.
    pub(crate) async fn send(&self, session: Session, request: Request) -> Result<Response, Error> {
        self.run(|client| async move { client.send(&session, request).await }).await
    }

    /// Runs something on the threads of I/O until it is done, or this is dropped.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let started = self.0.get_or_init(|| start().inspect_err(|error| warn!(error, "Plugins have no network.")));
        let started = started.as_ref().map_err(|error| Error::Unreachable(error.clone()))?;
        let Some(runtime) = &started.runtime else { return Err(Error::Unreachable("this host is ending".to_owned())) };
        let task = runtime.handle().spawn(work(started.client.clone()));
        match AbortOnDropHandle::new(task).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unreachable("this host is ending".to_owned())),
        }
    }
}

fn start() -> Result<Started, String> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING)
        .thread_name("floe-network")
        .enable_all()
        .build()
        .map_err(|error| format!("a thread for plugins' requests does not start: {error}"))?;
    let config = Config { resolver: Arc::new(System::new()), roots: Vec::new() };
    let client = Client::try_new(config).map_err(|error| error.to_string())?;
    Ok(Started { client, runtime: Some(runtime) })
}

impl Drop for Started {
    fn drop(&mut self) {
        // Not waiting: this may be a thread of an async runtime, where waiting is forbidden.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
