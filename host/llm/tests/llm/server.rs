//! A server that does as it is told, connection by connection, and models that ask it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_egress::Client;
use floe_egress::address::{Resolver, System};
use floe_llm::{Config, Prices, Provider, Remote, Secret, TimeOuts};

/// What a connection is answered with.
pub(crate) enum Act {
    /// These bytes, then the end.
    Say(Vec<u8>),
    /// These bytes, and then nothing, for ever.
    SayAndHang(Vec<u8>),
}

/// Answers the first connection with the first act, and so on; the last one stays.
pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), requests: Arc::default() };
        let requests = Arc::clone(&server.requests);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for (index, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                requests.lock().unwrap().push(read(&mut stream));
                // Whoever has asked may have gone.
                match &acts[index.min(acts.len() - 1)] {
                    Act::Say(bytes) => drop(stream.write_all(bytes)),
                    Act::SayAndHang(bytes) => {
                        drop(stream.write_all(bytes));
                        held.push(stream);
                    }
                }
            }
        });
        server
    }

    pub(crate) fn says(answer: impl Into<Vec<u8>>) -> Self {
        Self::start(vec![Act::Say(answer.into())])
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The body of the last request.
    pub(crate) fn last(&self) -> serde_json::Value {
        let requests = self.requests();
        serde_json::from_str(requests.last().unwrap().split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A model of OpenAI's language there.
    pub(crate) fn model(&self) -> Remote {
        Remote::try_new(self.config()).unwrap()
    }

    pub(crate) fn config(&self) -> Config {
        config(Provider::OpenAi, &self.url("/v1"), "gpt-4.1")
    }
}

/// A request until its end, or until the other side closes.
pub(crate) fn read(stream: &mut TcpStream) -> String {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Long enough for a machine that is busy with other things.
pub(crate) const PATIENT: TimeOuts = TimeOuts {
    connect: Duration::from_secs(60),
    header: Duration::from_secs(60),
    chunk: Duration::from_secs(60),
    total: Duration::from_secs(60),
};

pub(crate) const KEY: &str = "sk-test-0123456789abcdef";

pub(crate) fn client(resolver: Arc<dyn Resolver>) -> Client {
    Client::try_new(floe_egress::Config { resolver, roots: Vec::new() }).unwrap()
}

pub(crate) fn config(provider: Provider, base_url: &str, model: &str) -> Config {
    Config {
        provider,
        base_url: Some(base_url.to_owned()),
        model: model.to_owned(),
        key: Some(Secret::new(KEY)),
        time_outs: PATIENT,
        max_answer: 1 << 20,
        max_request: 1 << 20,
        private: false,
        prices: Arc::new(Prices::shipped()),
        client: client(Arc::new(System::new())),
    }
}

/// An answer with a head.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", "content-type: application/json\r\n", body)
}

/// A stream that ends with the connection.
pub(crate) fn stream(kind: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}
