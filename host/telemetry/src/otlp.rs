//! Spans for an OpenTelemetry collector, by OTLP 1.0 over HTTP with protobuf.
//!
//! Spans of the host's crates are exported, with their fields; lines of the log are not. The exporter itself reads
//! `OTEL_EXPORTER_OTLP_HEADERS`, as its users expect; everything else is set here. There is no TLS: a collector that is far away
//! is reached through one that is near.
//!
//! The layer goes onto the registry first. A filter of the log belongs to the log's layer alone: one for the whole registry would
//! keep the spans from this layer too.
//!
//! ```no_run
//! use tracing_subscriber::filter::LevelFilter;
//! use tracing_subscriber::layer::{Layer, SubscriberExt};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = tokio::runtime::Handle::current();
//! let (spans, guard) = floe_telemetry::otlp::init("http://127.0.0.1:4318", "floe", &runtime)?;
//! let log = tracing_subscriber::fmt::layer().with_filter(LevelFilter::INFO);
//! tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans).with(log))?;
//! // Run flows, stop them, and let go of their handles; then:
//! guard.close().await?;
//! # Ok(())
//! # }
//! ```

mod counted;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::net::TcpStream;
use tokio::runtime::Handle as Runtime;
use tracing::{Instrument, Metadata, debug, debug_span, info, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use counted::{Counts, Exporter, Processor};

/// Spans that may wait for the collector, about a kilobyte each; beyond them spans are dropped and counted.
pub const MAX_WAITING_SPANS: usize = 8192;
/// Spans of one request.
pub const MAX_BATCH: usize = 512;
/// A person who looks at a collector waits this long for what just happened.
pub const BATCH_DELAY: Duration = Duration::from_secs(2);
/// One request to the collector, its answer included: it is near. Shorter than [`CLOSE_TIMEOUT`], so that whoever closes hears of
/// one that does not answer.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(4);
/// A batch that the collector cannot take for now is tried once more, then dropped: the next one follows soon.
pub const MAX_RETRIES: usize = 1;
/// Bytes of the collector's answer; it says how many spans it refused, if any.
pub const MAX_ANSWER: usize = 64 << 10;
/// How long [`Guard::close`] waits for a collector that does not answer: a process that ends should end.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

const PATH: &str = "/v1/traces";

/// What a [`Registry`] needs to export spans.
pub type Spans = Box<dyn Layer<Registry> + Send + Sync>;

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Name another address.
    #[error("`{endpoint}` is no address for OTLP: {why}; name one like http://127.0.0.1:4318")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong with it.
        why: String,
    },
    /// The exporter does not start.
    #[error("the exporter of spans does not start: {0}")]
    Start(String),
    /// The collector has not taken the last spans; the log has it already, once for all requests that failed in a row.
    #[error("the last spans could not be exported: {0}")]
    Unsent(String),
    /// More spans were made than it took in time, or it was away for a while; nobody else says so.
    #[error("{lost} of {all} spans did not reach the collector")]
    Lost {
        /// Those.
        lost: u64,
        /// All that ended.
        all: u64,
    },
    /// The exporter does not end.
    #[error("the exporter of spans does not end: {0}")]
    Close(String),
}

/// Exports until it is closed.
#[derive(Debug)]
#[must_use = "spans that wait are exported when it is closed"]
pub struct Guard {
    provider: SdkTracerProvider,
    counts: Arc<Counts>,
    failure: Arc<Mutex<Option<String>>>,
}

/// Starts to export the spans of this process, under this service's name, to a collector's base address (as
/// `OTEL_EXPORTER_OTLP_ENDPOINT`). Requests are made on `runtime`, whose time and I/O must be enabled; batches are put together
/// by a thread of the OpenTelemetry SDK.
pub fn init(endpoint: &str, service: &str, runtime: &Runtime) -> Result<(Spans, Guard), Error> {
    let endpoint = address(endpoint)?;
    let failure = Arc::new(Mutex::new(None));
    let client = Client { runtime: runtime.clone(), failure: Arc::clone(&failure) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint.to_string())
        .with_timeout(EXPORT_TIMEOUT)
        .with_retry_policy(RetryPolicy::recommended().with_max_retries(MAX_RETRIES))
        .build()
        .map_err(|error| Error::Start(error.to_string()))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(MAX_WAITING_SPANS)
        .with_max_export_batch_size(MAX_BATCH)
        .with_scheduled_delay(BATCH_DELAY)
        .build();
    let counts = Arc::new(Counts::default());
    let exporter = Exporter { inner: exporter, counts: Arc::clone(&counts) };
    let inner = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().with_service_name(service.to_owned()).build())
        .with_span_processor(Processor { inner, counts: Arc::clone(&counts) })
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("floe"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(filter_fn(is_exported));
    Ok((Box::new(layer), Guard { provider, counts, failure }))
}

/// The crates of the host say what happens to a trace; what others do below is theirs. Not those of this crate: an export would
/// make more spans to export.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let crate_name = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span() && crate_name.starts_with("floe") && crate_name != env!("CARGO_CRATE_NAME")
}

fn address(endpoint: &str) -> Result<Uri, Error> {
    let wrong = |why: &str| Error::Endpoint { endpoint: endpoint.to_owned(), why: why.to_owned() };
    let base = endpoint.trim_end_matches('/');
    let whole = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
    let uri: Uri = whole.parse().map_err(|error| wrong(&format!("{error}")))?;
    if uri.scheme() == Some(&Scheme::HTTPS) {
        return Err(wrong("there is no TLS here, let a collector nearby take it on"));
    }
    if uri.scheme() != Some(&Scheme::HTTP) || uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it does not begin with http:// and a host"));
    }
    Ok(uri)
}

// === impl Guard ===

impl Guard {
    /// Exports what waits and stops. A span is exported once it has ended, and a trace's ends with the last of whoever holds the
    /// trace: close this when the flow has stopped and its handles are gone.
    pub async fn close(self) -> Result<(), Error> {
        let provider = self.provider;
        let close = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(CLOSE_TIMEOUT));
        let closed = close.await.map_err(|error| Error::Close(error.to_string()))?;
        // The SDK keeps it to itself.
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(failure) = failure {
            return Err(Error::Unsent(failure));
        }
        match self.counts.lost() {
            (0, _) => closed.map_err(|error| Error::Close(error.to_string())),
            (lost, all) => Err(Error::Lost { lost, all }),
        }
    }
}

// === requests ===

/// One connection for each request: there is one every few seconds.
#[derive(Debug)]
struct Client {
    runtime: Runtime,
    /// Why the last request failed, if it did.
    failure: Arc<Mutex<Option<String>>>,
}

impl HttpClient for Client {
    fn send_bytes<'life, 'run>(
        &'life self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'run>>
    where
        'life: 'run,
        Self: 'run,
    {
        // The SDK's thread waits for it, and has neither timers nor I/O of its own.
        let export = async {
            let answer = tokio::time::timeout(EXPORT_TIMEOUT, exchange(request)).await;
            answer.unwrap_or_else(|late| Err(late.into()))
        };
        let export = self.runtime.spawn(export.instrument(debug_span!("export")));
        Box::pin(async {
            let answer = export.await.unwrap_or_else(|error| Err(error.into()));
            self.note(&answer);
            answer
        })
    }
}

impl Client {
    /// Says once that the collector takes nothing, and once that it does again.
    fn note(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let failure = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("the collector answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let mut last = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*last, &failure) {
            (None, Some(failure)) => warn!(failure, "Spans cannot be exported."),
            (Some(_), Some(failure)) => debug!(failure, "Spans still cannot be exported."),
            (Some(_), None) => info!("Spans are exported again."),
            (None, None) => {}
        }
        *last = failure;
    }
}

async fn exchange(mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri().clone();
    let authority = uri.authority().ok_or("the address names no host")?;
    // An address of IPv6 stands in brackets here, and without them there.
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    *request.uri_mut() = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static(PATH)).into();
    let exchange = async {
        let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    // Whatever ends the connection early, the exchange says so.
    let drive = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = exchange => answer,
        // Never; with the answer, the connection is dropped.
        () = drive => Err("the connection ended".into()),
    }
}
