//! For plugins that ask others: a server on loopback that counts who comes, what a plugin is granted, and a flow of the one node
//! that asks, with a journal.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use floe_egress::policy::{Policy as Rules, Rule, Scope};
use floe_egress::secrets::{Binding, Place, Secret, Secrets};
use floe_egress::target::Scheme;
use floe_flow::journal::{Entry, Journal, Pending};
use floe_flow::{Config, Flow, Graph, Item, Receipt, Submission, Tape, Terminal};
use floe_sandbox::{Grants, Limits, Sandbox};
use serde_json::{Value, json};

use super::{HANG, policy, sandbox, soon, unique};

/// The secret `api`. Each encoding of it differs from the others.
pub(crate) const VALUE: &str = "s3cret/+\"token\\7";

/// How a server may write the value.
pub(crate) fn forms() -> [String; 7] {
    let percent = |digits: fn(u8) -> String| VALUE.bytes().map(digits).collect::<String>();
    [
        VALUE.to_owned(),
        percent(|byte| format!("%{byte:02X}")),
        percent(|byte| format!("%{byte:02x}")),
        json!(VALUE).as_str().map(|text| json!(text).to_string().trim_matches('"').to_owned()).unwrap(),
        base64(VALUE),
        base64(&format!("a{VALUE}b")),
        base64(&format!("ab{VALUE}")).replace('+', "-").replace('/', "_"),
    ]
}

pub(crate) fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            out.push(if place <= three.len() { digit } else { '=' });
        }
    }
    out
}

pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(crate) fn header(name: &'static str, form: &str) -> Place {
    Place::Header { name: name.parse().unwrap(), form: form.to_owned() }
}

/// What a guest says that it had in memory of an answer.
pub(crate) fn memory(output: &Value, key: &str) -> String {
    let digits = output[key].as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    String::from_utf8(digits.chunks(2).map(byte).collect()).unwrap()
}

/// A server that nobody may reach, one that sends on to it, and a grant for the second and for every host, redirects too.
pub(crate) fn sent_to_inside() -> (Server, Server, Granted) {
    let inner = Server::start(|_| ok("inside"));
    let to = inner.url("/");
    let outer = Server::start(move |_| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    let mut granted = Granted::to(&outer);
    granted.rules.extend([rule("*", inner.port, false), rule("*", 80, false)]);
    granted.rules.iter_mut().for_each(|rule| rule.redirects = 5);
    (inner, outer, granted)
}

/// Answers each connection with what `answer` makes of its request.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    /// Of one that does not come to an end: those who came.
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        Self::serve(move |mut stream, requests, _| {
            let request = read(&mut stream);
            let answer = answer(&request);
            requests.lock().unwrap().push(request);
            // Whoever asked may be gone.
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// One that answers each request with the head of an answer and leaves it at that.
    pub(crate) fn stalls() -> Self {
        Self::serve(|mut stream, requests, open| {
            let request = read(&mut stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").unwrap();
            // Before it is counted: who has seen the count finds it open.
            open.lock().unwrap().push(stream);
            requests.lock().unwrap().push(request);
        })
    }

    /// One that says nothing.
    pub(crate) fn silent() -> Self {
        Self::serve(|stream, _, open| open.lock().unwrap().push(stream))
    }

    fn serve(each: impl Fn(TcpStream, &Mutex<Vec<String>>, &Mutex<Vec<TcpStream>>) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, connections: Arc::default(), requests: Arc::default(), open: Arc::default() };
        let (connections, requests, open) =
            (Arc::clone(&server.connections), Arc::clone(&server.requests), Arc::clone(&server.open));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                connections.fetch_add(1, Ordering::SeqCst);
                each(stream.unwrap(), &requests, &open);
            }
        });
        server
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Whoever came has hung up.
    pub(crate) fn all_closed(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            stream.set_read_timeout(Some(HANG)).unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).expect("it hangs");
        }
    }
}

/// A request until its end.
fn read(stream: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let is_chunked = head.contains("transfer-encoding: chunked");
            if is_chunked && body.ends_with("0\r\n\r\n") || !is_chunked && body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// What a plugin is granted.
#[derive(Default)]
pub(crate) struct Granted {
    rules: Vec<Rule>,
    places: Vec<Place>,
    variable: Option<String>,
}

impl Granted {
    /// All of one server, named by its address.
    pub(crate) fn to(server: &Server) -> Self {
        Self { rules: vec![rule("127.0.0.1", server.port, true)], ..Self::default() }
    }

    /// The secret `api`, bound to these places below `/v1/` of the first server.
    pub(crate) fn with_secret(self, places: &[Place]) -> Self {
        Self { places: places.to_vec(), ..self }
    }

    pub(crate) fn in_variable(self, name: &str) -> Self {
        Self { variable: Some(name.to_owned()), ..self }
    }

    pub(crate) fn grants(&self) -> Grants {
        let scope = self.rules.first().map(|rule| Scope { path: "/v1/*".parse().unwrap(), ..rule.scope.clone() });
        let bind = |place: &Place| Some(Binding { scope: scope.clone()?, place: place.clone() });
        let secret = Secret::try_new("api", VALUE, self.places.iter().filter_map(bind).collect(), b"key").unwrap();
        let env = self.variable.iter().map(|name| (name.clone(), secret.placeholder().to_owned())).collect();
        Grants {
            http: Some(Arc::new(Rules::try_new(self.rules.clone()).unwrap())),
            secrets: Secrets::try_new(vec![secret]).unwrap(),
            env,
            ..Grants::default()
        }
    }
}

fn rule(host: &str, port: u16, private: bool) -> Rule {
    let methods = ["GET", "POST"].map(|method| method.parse().unwrap()).to_vec();
    let (host, path) = (host.parse().unwrap(), "/*".parse().unwrap());
    Rule { scope: Scope { scheme: Scheme::Http, host, ports: vec![port], methods, path }, private, redirects: 0 }
}

/// A journal that forgets nothing.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<(Arc<str>, Entry)>>);

impl Kept {
    fn entries(&self, trace: &str) -> Vec<Entry> {
        let entries = self.0.lock().unwrap();
        entries.iter().filter(|(of, _)| &**of == trace).map(|(_, entry)| entry.clone()).collect()
    }
}

impl Journal for Kept {
    fn append(&self, trace: &Arc<str>, entry: Entry) -> Pending<()> {
        self.0.lock().unwrap().push((Arc::clone(trace), entry));
        Box::pin(std::future::ready(Ok(())))
    }

    fn load(&self, trace: &str) -> Pending<Vec<Entry>> {
        Box::pin(std::future::ready(Ok(self.entries(trace))))
    }

    fn unfinished(&self) -> Pending<Vec<Arc<str>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// A flow with the node that asks.
pub(crate) struct Asking {
    flow: Flow,
    journal: Arc<Kept>,
    /// The last trace, and what its reader saw.
    last: Mutex<(String, Vec<Item>)>,
    _sandbox: Sandbox,
}

impl Asking {
    /// Of the component at a path, loaded under a name, its node.
    pub(crate) async fn new(of: (&str, &str, &str), grants: Grants, limits: Limits) -> Self {
        Self::reusing(of, grants, limits, 1).await
    }

    /// The same, with instances that serve so many calls.
    pub(crate) async fn reusing((guest, plugin, node): (&str, &str, &str), grants: Grants, limits: Limits, reuse: u32) -> Self {
        let sandbox = sandbox(2, 2);
        let plugin = soon(sandbox.load(plugin, &floe_tests::bytes(guest), &grants, &limits)).await.unwrap();
        let journal = Arc::new(Kept::default());
        let config = Config { compute: sandbox.handle().clone(), journal: Some(journal.clone()), ..Config::on_current_runtime() };
        let mut graph = Graph::builder("asking");
        graph.run("ask", plugin.node(node, &json!({}).into(), reuse).unwrap(), policy());
        Self { flow: Flow::start(graph.build().unwrap(), config), journal, last: Mutex::default(), _sandbox: sandbox }
    }

    /// Has it ask once; the outputs and the end.
    pub(crate) async fn ask(&self, wanted: Value) -> (Vec<Value>, Terminal) {
        let trace = unique();
        let mut handle = soon(self.flow.submit(Submission::new(trace.as_str(), "t", wanted.into()))).await.unwrap();
        let (mut items, mut outputs, mut end) = (Vec::new(), Vec::new(), None);
        while let Some(item) = soon(handle.next()).await {
            match &item {
                Item::Output { message, .. } => outputs.push(message.payload.value().into_owned()),
                Item::End(terminal) => end = Some(terminal.clone()),
                Item::Chunk { .. } | Item::Superseded { .. } | Item::Progress { .. } => {}
            }
            items.push(item);
        }
        *self.last.lock().unwrap() = (trace, items);
        (outputs, end.expect("a trace has an end"))
    }

    /// The id of the last trace.
    pub(crate) fn trace(&self) -> String {
        self.last.lock().unwrap().0.clone()
    }

    /// What the reader of the last trace saw.
    pub(crate) fn items(&self) -> String {
        format!("{:?}", self.last.lock().unwrap().1)
    }

    /// What the journal has of the last trace.
    pub(crate) fn journal(&self) -> String {
        format!("{:?}", self.journal.entries(&self.trace()))
    }

    /// The last call as it was recorded, and made again from its record; both as a text, with what it used of the network.
    pub(crate) async fn again(&self) -> (String, String, Tape) {
        let entries = self.journal.entries(&self.trace());
        let past = self.flow.look_back(&self.trace(), entries).unwrap();
        let attempt = past.attempts.last().unwrap();
        let repeated = soon(self.flow.repeat(&past.origin, attempt)).await.unwrap();
        let used = |receipt: &Receipt| (receipt.requests, receipt.egress_bytes);
        let then = format!("{:?} {:?}", attempt.result, used(&attempt.receipt));
        let now = format!("{:?} {:?}", repeated.result, used(&repeated.receipt));
        (then, now, Tape::clone(attempt.tape.as_ref().unwrap()))
    }
}
