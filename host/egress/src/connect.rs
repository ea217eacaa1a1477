//! One connection to one address that has been checked, and one exchange on it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Error;
use crate::body::Sent;
use crate::client::Limits;
use crate::error::shown;
use crate::target::{Host, Scheme, Target};

/// The least that hyper takes for a buffer.
const MIN_BUFFER: usize = 8 << 10;
/// A buffer takes a head and a piece of a body.
const BUFFER: usize = 64 << 10;

/// What keeps an exchange going; whoever polls it drives it, and dropping it closes the connection.
pub(crate) type Connection = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// What became of a request's body on its way out.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// Why it failed, if it did.
    pub(crate) fault: Mutex<Option<Error>>,
    /// It had at least a byte.
    pub(crate) has_data: AtomicBool,
}

/// What makes TLS connections.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Trusts Mozilla's roots and these, DER-encoded.
    pub(crate) fn try_new(roots: &[Vec<u8>]) -> Result<Self, Error> {
        let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for root in roots {
            let added = store.add(CertificateDer::from(root.as_slice()));
            added.map_err(|error| Error::Invalid(format!("a root certificate cannot be used: {error}")))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Invalid(format!("TLS cannot be used: {error}")))?;
        let mut config = config.with_root_certificates(store).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Who comes back must not be told apart: tenants share this client.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// An open connection, ready for one request.
pub(crate) struct Open {
    sender: http1::SendRequest<Sent>,
    connection: Connection,
}

/// Connects to the first of these addresses that answers.
pub(crate) async fn open(target: &Target, addresses: &[IpAddr], tls: &Tls, limits: &Limits) -> Result<Open, Error> {
    let unreachable = |error: &dyn fmt::Display| Error::Unreachable(format!("`{}` is not reached: {error}", target.authority()));
    let mut stream = None;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(*address, target.port)).await {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(error) => last = Some(error),
        }
    }
    let Some(stream) = stream else {
        return Err(last.map_or_else(|| unreachable(&"it has no address"), |error| unreachable(&error)));
    };
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    match target.scheme {
        Scheme::Http => handshake(stream, limits).await,
        Scheme::Https => {
            let name = match &target.host {
                Host::Address(address) => ServerName::from(*address),
                Host::Name(name) => ServerName::try_from(name.clone()).map_err(|error| unreachable(&error))?,
            };
            handshake(tls.0.connect(name, stream).await.map_err(|error| unreachable(&error))?, limits).await
        }
    }
}

async fn handshake<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(io: T, limits: &Limits) -> Result<Open, Error> {
    let mut builder = http1::Builder::new();
    builder
        .max_headers(limits.field_count)
        .max_header_size(limits.fields.max(1))
        .max_buf_size(BUFFER.max(limits.fields + MIN_BUFFER));
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(|error| Error::Broken(error.to_string()))?;
    Ok(Open { sender, connection: Box::pin(connection) })
}

impl Open {
    /// Sends the request and waits for the head of the answer. The connection comes back as long as there is more to come.
    pub(crate) async fn exchange(
        self,
        request: http::Request<Sent>,
        limits: &Limits,
        fate: &Fate,
    ) -> Result<(http::Response<Incoming>, Option<Connection>), Error> {
        let Self { mut sender, connection } = self;
        let mut connection = Some(connection);
        let mut answer = pin!(sender.send_request(request));
        let answer = poll_fn(|cx| {
            if let Some(open) = &mut connection
                && open.as_mut().poll(cx).is_ready()
            {
                connection = None;
            }
            match answer.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(answer) => Poll::Ready(answer),
            }
        });
        match answer.await {
            Ok(answer) => Ok((answer, connection)),
            Err(error) if error.is_parse_too_large() => {
                let max = limits.fields as u64;
                Err(Error::Limit { limit: "fields", used: max + 1, max })
            }
            Err(error) => Err(broken(fate, &error)),
        }
    }
}

/// What made the exchange fail: the request's own body, or the other side.
pub(crate) fn broken(fate: &Fate, error: &hyper::Error) -> Error {
    let own = fate.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
    own.unwrap_or_else(|| {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Error::Broken(shown(&format!("{error}{cause}")))
    })
}
