//! A server on a port of its own, a resolver that answers as scripted, and a session that may do a little.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use floe_egress::address::{Lookup, Resolver};
use floe_egress::policy::{Policy, Rule, Scope};
use floe_egress::secrets::Secrets;
use floe_egress::target::{Scheme, Target};
use floe_egress::{Client, Config, Error, Limits, Maxima, Quota, Request, RequestBody, Response, Session};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};

/// Answers every connection with what `answer` makes of its request, and closes it.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), connections: Arc::default(), requests: Arc::default() };
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let request = read(&mut stream);
                let answer = answer(&request);
                requests.lock().unwrap().push(request);
                // Whoever has asked may have gone.
                let _ = stream.write_all(&answer);
            }
        });
        server
    }

    /// One that answers every request with this body.
    pub(crate) fn says(body: &'static str) -> Self {
        Self::start(move |_| ok(body).into_bytes())
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests so far, head and body as they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What permits every request to it.
    pub(crate) fn rule(&self) -> Rule {
        rule("127.0.0.1", self.port)
    }
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A request until its end, or until the other side closes.
fn read(stream: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let is_whole = if head.contains("transfer-encoding: chunked") {
                body.ends_with("0\r\n\r\n")
            } else {
                body.len() >= length.unwrap_or(0)
            };
            if is_whole {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Each look-up takes the next answer; the last one stays.
#[derive(Debug)]
pub(crate) struct Scripted {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    lookups: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), lookups: AtomicUsize::new(0) })
    }

    pub(crate) fn lookups(&self) -> usize {
        self.lookups.load(Ordering::SeqCst)
    }
}

impl Resolver for Scripted {
    fn resolve<'a>(&'a self, _: &'a str) -> Lookup<'a> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| std::io::Error::other("no such name")) })
    }
}

/// A client for which every name stands for 127.0.0.1.
pub(crate) fn client() -> Client {
    client_with(Scripted::new(&[&["127.0.0.1"]]))
}

pub(crate) fn client_with(resolver: Arc<Scripted>) -> Client {
    Client::try_new(Config { resolver, roots: Vec::new() }).unwrap()
}

/// What permits every method and path of a host over HTTP, wherever it is.
pub(crate) fn rule(host: &str, port: u16) -> Rule {
    let host: floe_egress::policy::HostPattern = host.parse().unwrap();
    let private = host != floe_egress::policy::HostPattern::Any;
    let methods = vec![Method::GET, Method::HEAD, Method::POST, Method::PUT];
    Rule {
        scope: Scope { scheme: Scheme::Http, host, ports: vec![port], methods, path: "/*".parse().unwrap() },
        private,
        redirects: 0,
    }
}

pub(crate) const MAXIMA: Maxima = Maxima { requests: 16, connections: 4, bytes_out: 1 << 20, bytes_in: 4 << 20 };

pub(crate) fn limits() -> Limits {
    let time = Duration::from_secs(20);
    Limits { fields: 32 << 10, field_count: 100, connect: time, first_byte: time, time }
}

pub(crate) fn session(rules: Vec<Rule>) -> Session {
    Session {
        policy: Arc::new(Policy::try_new(rules).unwrap()),
        secrets: Secrets::default(),
        limits: limits(),
        quotas: vec![Quota::of_call(MAXIMA)],
        deadline: None,
    }
}

pub(crate) fn get(url: &str) -> Request {
    request(Method::GET, url, &[], "")
}

pub(crate) fn request(method: Method, url: &str, headers: &[(&'static str, &str)], body: &str) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    Request { method, target: Target::parse(url).unwrap(), headers: map, body: full(body), length: None }
}

pub(crate) fn full(body: &str) -> RequestBody {
    RequestBody::new(Full::new(Bytes::copy_from_slice(body.as_bytes())).map_err(|never| match never {}))
}

/// The whole body of an answer.
pub(crate) async fn text(response: Response) -> Result<String, Error> {
    Ok(String::from_utf8(response.body.collect().await?.to_bytes().to_vec()).unwrap())
}
