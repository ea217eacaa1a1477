//! `GET /metrics` for Prometheus, over HTTP/1.1. One request a connection, and nothing else is served.
//!
//! Whoever reaches the address reads the names of tenants and nodes: bind it where only the collector comes.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use floe_flow::{Config, Metrics};
//! use floe_telemetry::prometheus::{DEFAULT_ADDRESS, Server};
//!
//! # async fn run(shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
//! let metrics = Arc::new(Metrics::default());
//! // Alone, or beside others in a `Several`.
//! let config = Config { observer: Some(metrics.clone()), ..Config::on_current_runtime() };
//! // A task of the process's own, joined when it stops:
//! Server::bind(DEFAULT_ADDRESS).await?.serve(metrics, shutdown).await;
//! # Ok(())
//! # }
//! ```

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_flow::Metrics;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle as Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, debug_span, warn};

/// This machine only, at the port that Prometheus' exporters of OpenTelemetry use.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9464));
/// Connections at once: a few collectors, and a person who looks.
pub const MAX_CONNECTIONS: usize = 16;
/// Bytes of a request's line and headers.
pub const MAX_REQUEST: usize = 8 << 10;
/// Headers of a request.
pub const MAX_HEADERS: usize = 64;
/// From connection to the last byte of the answer; a collector's own time-out is as long.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take that is under way when the server is to stop.
pub const STOP_GRACE: Duration = Duration::from_secs(1);
/// A process without free file descriptors may have some after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens; serves once it is told what.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

impl Server {
    /// Takes the address, and no other. Port 0 takes any that is free.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves these numbers until `shutdown`. Nothing of it runs any more when it returns.
    pub async fn serve(self, metrics: Arc<Metrics>, shutdown: impl Future<Output = ()>) {
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                // A connection that is not accepted yet is refused when the listener goes.
                () = &mut shutdown => break,
                accepted = self.accept(&room) => accepted,
            };
            let Some((stream, place)) = accepted else { continue };
            let connection = connection(stream, Arc::clone(&metrics), closing.clone(), place);
            tasks.spawn_on(connection.instrument(debug_span!("metrics")), &Runtime::current());
        }
        drop(self.listener);
        tasks.close();
        if tokio::time::timeout(STOP_GRACE, tasks.wait()).await.is_err() {
            closing.cancel();
            tasks.wait().await;
        }
    }

    /// The next connection, once there is room for it. Until then it waits in the system's own short line.
    async fn accept(&self, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let place = Arc::clone(room).acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, _)) => Some((stream, place)),
            Err(error) => {
                warn!(%error, "No connection for metrics.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

async fn connection(stream: TcpStream, metrics: Arc<Metrics>, closing: CancellationToken, _place: OwnedSemaphorePermit) {
    let service = service_fn(|request| {
        let answer = answer(&request, &metrics);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_REQUEST)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = tokio::time::timeout(CONNECTION_TIMEOUT, connection) => match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "A request for metrics failed."),
            Err(late) => debug!(%late, "A request for metrics took too long."),
        },
        // The connection is dropped, and the other side sees it end.
        () = closing.cancelled() => {}
    }
}

/// A request's body is not read.
fn answer<B>(request: &Request<B>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let plain = |status, text: String| {
        let mut answer = Response::new(Full::new(Bytes::from(text)));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        answer
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "only /metrics is here\n".to_owned());
    }
    if request.method() != Method::GET {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics are read with GET\n".to_owned());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    let mut answer = plain(StatusCode::OK, metrics.prometheus());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    answer
}
