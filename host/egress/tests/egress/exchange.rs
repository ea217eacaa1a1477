//! Exchanges over real sockets: what is sent, what is refused, and every limit.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use floe_egress::{Client, Config, Error, Maxima, Quota, Request, RequestBody, Used};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::time::Instant;

use crate::support::{MAXIMA, Scripted, Server, client, full, get, ok, request, rule, session, text};

#[tokio::test]
async fn an_exchange_has_what_was_asked_and_no_more() {
    let server = Server::says("hello");
    let url = server.url("/a?b=c");
    let asked = request(Method::POST, &url, &[("x-one", "1"), ("accept-encoding", "gzip, br")], "body");
    let response = client().send(&session(vec![server.rule()]), asked).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.headers["content-length"], "5");
    assert_eq!(text(response).await.unwrap(), "hello");
    let [sent] = &server.requests()[..] else { panic!("one request") };
    let expected = format!(
        "POST /a?b=c HTTP/1.1\r\nx-one: 1\r\naccept-encoding: identity\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody",
        server.port
    );
    assert_eq!(sent, &expected);
}

#[tokio::test]
async fn nothing_is_sent_that_is_not_granted() {
    let server = Server::says("hello");
    let (client, url) = (client(), server.url("/"));
    let mut narrow = server.rule();
    narrow.scope.methods = vec![Method::GET];
    narrow.scope.path = "/v1/*".parse().unwrap();
    for asked in [get(&url), request(Method::POST, &server.url("/v1/x"), &[], "")] {
        assert!(matches!(client.send(&session(vec![narrow.clone()]), asked).await, Err(Error::Denied { .. })));
    }
    assert!(matches!(client.send(&session(Vec::new()), get(&url)).await, Err(Error::Denied { .. })));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn headers_of_the_connection_are_refused() {
    let server = Server::says("hello");
    let names = [
        "host",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-authorization",
        "proxy-connection",
        "proxy-anything",
        "http2-settings",
    ];
    for name in names {
        let asked = request(Method::GET, &server.url("/"), &[(name, "1")], "");
        let error = client().send(&session(vec![server.rule()]), asked).await.unwrap_err();
        assert!(error.to_string().contains(&format!("the header `{name}` belongs to the connection")), "{error}");
    }
    for method in ["CONNECT", "TRACE", "get", "GET-IT"] {
        let asked = request(method.parse().unwrap(), &server.url("/"), &[], "");
        assert!(matches!(client().send(&session(vec![server.rule()]), asked).await, Err(Error::Invalid(_))), "{method}");
    }
    assert_eq!(server.connections(), 0);
    // Line ends never get into a value.
    for value in ["a\r\nb: c", "a\nb", "a\0b", "a\r\n b"] {
        assert!(HeaderValue::from_str(value).is_err());
    }
}

/// Trailers are no way around the filter, in either direction.
#[tokio::test]
async fn trailers_are_filtered_too() {
    let server = Server::start(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-one\r\nconnection: x-two\r\nx-two: 2\r\n\r\n2\r\nhi\r\n0\r\nx-one: 1\r\nupgrade: x\r\n\r\n".to_vec()
    });
    let response = client().send(&session(vec![server.rule()]), get(&server.url("/"))).await.unwrap();
    assert!(response.headers.is_empty(), "{:?}", response.headers);
    let body = response.body.collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    assert_eq!((trailers.len(), trailers["x-one"].as_bytes()), (1, &b"1"[..]));
    let mut trailers = HeaderMap::new();
    trailers.insert("transfer-encoding", "chunked".parse().unwrap());
    let frames = [Frame::data(Bytes::from_static(b"hi")), Frame::trailers(trailers)];
    let asked = Request { body: streamed(frames), ..request(Method::POST, &server.url("/"), &[("x-a", "b")], "") };
    let error = client().send(&session(vec![server.rule()]), asked).await.unwrap_err();
    assert!(error.to_string().contains("`transfer-encoding` belongs to the connection"), "{error}");
}

fn streamed(frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + 'static>) -> RequestBody {
    RequestBody::new(StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok))))
}

#[tokio::test]
async fn a_body_has_the_length_that_was_said() {
    let server = Server::says("hello");
    for length in [3, 5] {
        let asked = Request { length: Some(length), ..request(Method::POST, &server.url("/"), &[], "body") };
        let error = client().send(&session(vec![server.rule()]), asked).await.unwrap_err();
        assert!(error.to_string().contains(&format!("other than the {length} bytes")), "{error}");
    }
    let asked = Request { length: Some(4), ..request(Method::POST, &server.url("/"), &[], "body") };
    assert!(client().send(&session(vec![server.rule()]), asked).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_refused() {
    let table: [(&[u8], &str); 6] = [
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi", "has a content-encoding"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer-encoding other than"),
        (b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "another protocol"),
        (b"SSH-2.0-OpenSSH\r\n", "broke off"),
        (b"HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", "broke off"),
        (b"", "broke off"),
    ];
    for (answer, expected) in table {
        let server = Server::start(|_| answer.to_vec());
        let error = client().send(&session(vec![server.rule()]), get(&server.url("/"))).await.unwrap_err();
        assert!(matches!(&error, Error::Broken(text) if error.to_string().contains(expected) && !text.is_empty()), "{error}");
    }
    let cut = Server::start(|_| b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi".to_vec());
    let response = client().send(&session(vec![cut.rule()]), get(&cut.url("/"))).await.unwrap();
    assert!(matches!(text(response).await, Err(Error::Broken(_))));
}

#[tokio::test]
async fn requests_and_bytes_are_bounded() {
    let server = Server::start(|request| ok(&"x".repeat(if request.contains("/large") { 5000 } else { 10 })).into_bytes());
    let limited = |max: Maxima| {
        let mut session = session(vec![server.rule()]);
        session.quotas.push(Quota::of_tenant(max));
        session
    };
    let reached = |error: Error, name: &str, more: u64| match error {
        Error::Limit { limit, used, max } => assert!(limit == name && used > max && used >= more, "{limit} {used} {max}"),
        other => panic!("{other}"),
    };
    let client = client();
    let session = limited(Maxima { requests: 2, ..MAXIMA });
    for _ in 0..2 {
        assert_eq!(text(client.send(&session, get(&server.url("/"))).await.unwrap()).await.unwrap().len(), 10);
    }
    reached(client.send(&session, get(&server.url("/"))).await.unwrap_err(), "network.requests", 3);
    session.quotas[1].refill();
    assert!(client.send(&session, get(&server.url("/"))).await.is_ok());
    assert_eq!(session.quotas[0].used().requests, 4, "the call's own count goes on");

    let session = limited(Maxima { bytes_out: 2000, ..MAXIMA });
    let asked = request(Method::POST, &server.url("/"), &[], &"y".repeat(3000));
    reached(client.send(&session, asked).await.unwrap_err(), "network.egress", 3000);
    let asked = request(Method::GET, &server.url(&format!("/{}", "y".repeat(3000))), &[], "");
    reached(client.send(&session, asked).await.unwrap_err(), "network.egress", 3000);

    let session = limited(Maxima { bytes_in: 2000, ..MAXIMA });
    let response = client.send(&session, get(&server.url("/large"))).await.unwrap();
    reached(text(response).await.unwrap_err(), "network.ingress", 2001);
    let Used { requests, bytes_out, bytes_in } = session.quotas[0].used();
    assert!(requests == 1 && bytes_out > 50 && bytes_in > 2000, "{requests} {bytes_out} {bytes_in}");
}

/// However often one asks for too much: what is refused is not counted, so that no counter runs over.
#[tokio::test]
async fn what_is_refused_is_not_counted() {
    let server = Server::says("hello");
    let client = client();
    let table = [
        (Maxima { requests: 0, ..MAXIMA }, "requests", 1),
        (Maxima { connections: 0, ..MAXIMA }, "http_connections", 1),
        (Maxima { bytes_out: 10, ..MAXIMA }, "egress_bytes", 0),
    ];
    for (max, name, expected) in table {
        let mut session = session(vec![server.rule()]);
        session.quotas = vec![Quota::of_call(max)];
        let mut all = Vec::new();
        for _ in 0..3 {
            match client.send(&session, get(&server.url("/"))).await {
                Err(Error::Limit { limit, used, .. }) if limit == name => all.push(used),
                other => panic!("{other:?}"),
            }
        }
        assert!(all[0] >= expected && all.iter().all(|used| *used == all[0]), "{name}: {all:?}");
        assert_eq!(session.quotas[0].used().bytes_out, 0, "{name}");
        // What it was refused is there as soon as it is allowed.
        session.quotas[0].limit(MAXIMA);
        assert!(client.send(&session, get(&server.url("/"))).await.is_ok(), "{name}");
    }
}

/// Sizes that are said and are not there: nothing is reserved for them, nothing is counted, and nothing overflows.
#[tokio::test]
async fn sizes_beyond_all_bounds_are_only_numbers() {
    for length in ["9223372036854775807", "18446744073709551613", "18446744073709551614", "18446744073709551615"] {
        let server = Server::start(move |_| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nhi").into_bytes());
        let session = session(vec![server.rule()]);
        let answer = match client().send(&session, get(&server.url("/"))).await {
            Ok(response) => text(response).await,
            Err(error) => Err(error),
        };
        // The reader of heads has one word for a head and for a number that are too large.
        let is_refused = matches!(answer, Err(Error::Broken(_) | Error::Limit { limit: "fields", .. }));
        assert!(is_refused, "{length}: {answer:?}");
        assert!(session.quotas[0].used().bytes_in < 100, "{length}");
    }
    for length in [1 << 63, u64::MAX - 2, u64::MAX - 1, u64::MAX] {
        let server = Server::says("hello");
        let session = session(vec![server.rule()]);
        let asked = Request { length: Some(length), ..request(Method::POST, &server.url("/"), &[], "body") };
        let error = client().send(&session, asked).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{length}: {error}");
        assert!(session.quotas[0].used().bytes_out < 500, "{length}");
    }
    // A chunk that says so, too.
    let server = Server::start(|_| b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nhi".to_vec());
    let response = client().send(&session(vec![server.rule()]), get(&server.url("/"))).await.unwrap();
    assert!(matches!(text(response).await, Err(Error::Broken(_))));
}

/// A connection counts as long as its answer is being read, and not a moment longer.
#[tokio::test]
async fn connections_at_once_are_bounded() {
    let server = Server::says("hello");
    let mut session = session(vec![server.rule()]);
    session.quotas = vec![Quota::of_call(Maxima { connections: 1, ..MAXIMA })];
    let client = client();
    let first = client.send(&session, get(&server.url("/"))).await.unwrap();
    let error = client.send(&session, get(&server.url("/"))).await.unwrap_err();
    assert!(matches!(error, Error::Limit { limit: "http_connections", used: 2, max: 1 }), "{error}");
    drop(first);
    let second = client.send(&session, get(&server.url("/"))).await.unwrap();
    assert_eq!(text(second).await.unwrap(), "hello");
    assert!(client.send(&session, get(&server.url("/"))).await.is_ok());
    // Also one that failed gives its place back.
    assert!(client.send(&session, get("http://127.0.0.1:1/")).await.is_err());
    assert!(client.send(&session, get(&server.url("/"))).await.is_ok());
}

#[tokio::test]
async fn headers_are_bounded_in_both_directions() {
    let server = Server::start(|request| {
        let (count, size) = if request.contains("/many") { (50, 10) } else { (1, 5000) };
        let fields: String = (0..count).map(|index| format!("x-{index}: {}\r\n", "y".repeat(size))).collect();
        format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n").into_bytes()
    });
    let mut session = session(vec![server.rule()]);
    session.limits.fields = 4000;
    session.limits.field_count = 40;
    for path in ["/many", "/large"] {
        let error = client().send(&session, get(&server.url(path))).await.unwrap_err();
        assert!(matches!(error, Error::Limit { limit: "fields", .. }), "{error}");
    }
    let asked = request(Method::GET, &server.url("/"), &[("x-a", &"y".repeat(4000))], "");
    assert!(matches!(client().send(&session, asked).await, Err(Error::Limit { limit: "fields", used: 4007, max: 4000 })));
    let asked = request(Method::GET, &server.url("/"), &[("x-a", "y"); 41], "");
    assert!(matches!(client().send(&session, asked).await, Err(Error::Limit { limit: "field count", used: 41, max: 40 })));
}

/// A server that accepts and then says nothing, or only the head.
fn silent(head: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            open.push(stream);
        }
    });
    port
}

#[tokio::test]
async fn every_phase_is_bounded_in_time() {
    let (soon, later) = (Duration::from_millis(30), Duration::from_secs(20));
    let port = silent("");
    let url = format!("http://127.0.0.1:{port}/");
    let timed_out = |error: Error, expected: (&str, &str)| match error {
        Error::TimedOut { limit, phase, .. } => assert_eq!((limit, phase), expected),
        other => panic!("{other}"),
    };
    let mut session = session(vec![rule("127.0.0.1", port), rule("slow.test", port)]);
    session.limits.first_byte = soon;
    timed_out(client().send(&session, get(&url)).await.unwrap_err(), ("http_time", "the head of the answer"));
    session.limits.first_byte = later;
    session.deadline = Some(Instant::now() + soon);
    timed_out(client().send(&session, get(&url)).await.unwrap_err(), ("wall", "the head of the answer"));
    session.deadline = None;
    session.limits.connect = soon;
    let never = Client::try_new(Config { resolver: Arc::new(Never), roots: Vec::new() }).unwrap();
    let asked = get(&format!("http://slow.test:{port}/"));
    timed_out(never.send(&session, asked).await.unwrap_err(), ("http_time", "a connection"));

    let port = silent("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi");
    let mut session = crate::support::session(vec![rule("127.0.0.1", port)]);
    session.limits.time = soon;
    let response = client().send(&session, get(&format!("http://127.0.0.1:{port}/"))).await.unwrap();
    timed_out(text(response).await.unwrap_err(), ("http_time", "the whole exchange"));
}

#[derive(Debug)]
struct Never;

impl floe_egress::address::Resolver for Never {
    fn resolve<'a>(&'a self, _: &'a str) -> floe_egress::address::Lookup<'a> {
        Box::pin(std::future::pending())
    }
}

/// What the server sends without end is not taken in before somebody reads it, and dropping the answer hangs up.
#[tokio::test]
async fn a_body_comes_as_it_is_read_and_hangs_up_when_dropped() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").unwrap();
        while let Ok(bytes) = stream.write(&[b'x'; 65536]) {
            count.fetch_add(bytes, Ordering::SeqCst);
        }
    });
    let response =
        client().send(&session(vec![rule("127.0.0.1", port)]), get(&format!("http://127.0.0.1:{port}/"))).await.unwrap();
    let mut body = response.body;
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(!first.is_empty());
    drop(body);
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
    assert!(written.load(Ordering::SeqCst) < 100_000_000, "buffers of the system, not the whole");
}

#[tokio::test]
async fn a_server_over_tls_is_known_by_its_certificate() {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(include_bytes!("certificates/service.key.der").to_vec());
    let certificate = rustls::pki_types::CertificateDer::from(include_bytes!("certificates/service.der").to_vec());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut connection = rustls::ServerConnection::new(Arc::new(config.clone())).unwrap();
            let mut stream = stream.unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            // A client that does not trust this server hangs up.
            if tls.read(&mut [0; 4096]).is_ok() {
                tls.write_all(ok("hello").as_bytes()).unwrap();
            }
        }
    });
    let mut rule = rule("*.test", port);
    rule.scope.scheme = floe_egress::target::Scheme::Https;
    let roots = vec![include_bytes!("certificates/authority.der").to_vec()];
    let resolver = Scripted::new(&[&["127.0.0.1"]]);
    let trusting = Client::try_new(Config { resolver: resolver.clone(), roots }).unwrap();
    let url = |name: &str| get(&format!("https://{name}:{port}/"));
    let response = trusting.send(&session(vec![rule.clone()]), url("service.test")).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
    let other_name = trusting.send(&session(vec![rule.clone()]), url("other.test")).await.unwrap_err();
    assert!(matches!(&other_name, Error::Unreachable(text) if text.contains("certificate")), "{other_name}");
    let stranger = client().send(&session(vec![rule]), url("service.test")).await.unwrap_err();
    assert!(matches!(&stranger, Error::Unreachable(text) if text.contains("certificate")), "{stranger}");
    assert!(Client::try_new(Config { resolver, roots: vec![b"no certificate".to_vec()] }).is_err());
}

#[tokio::test]
async fn the_systems_resolver_finds_names() {
    let server = Server::says("hello");
    let resolver = Arc::new(floe_egress::address::System::new());
    let client = Client::try_new(Config { resolver, roots: Vec::new() }).unwrap();
    let url = format!("http://localhost:{}/", server.port);
    let denied = client.send(&session(vec![rule("*", server.port)]), get(&url)).await.unwrap_err();
    assert!(matches!(denied, Error::Address { .. }), "{denied}");
    let asked = Request { body: full(""), ..get(&url) };
    let response = client.send(&session(vec![rule("localhost", server.port)]), asked).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "hello");
}
