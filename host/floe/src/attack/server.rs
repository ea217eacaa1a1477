//! A server on this machine that no case may reach unless it is granted: it counts who comes, and answers them badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use crate::Error;

/// Bytes of a request that are looked at.
const MAX_HEAD: u64 = 64 << 10;
/// What a large answer is said to have, and does have for whoever reads on.
const LARGE: usize = 256 << 20;
/// A header field that is larger than all of them may be.
const FIELD: usize = 1 << 20;

/// What a case may be granted to have sent and never to see: a variable of the environment, and its value.
pub(super) const SECRET: (&str, &str) = ("FLOE_ATTACK_SECRET", "open-sesame-4711");

/// Answers until the process ends.
#[derive(Debug)]
pub(super) struct Server {
    /// Where it is on loopback.
    pub(super) port: u16,
    visits: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let visits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&visits);
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                // A visitor who finds no thread finds nobody.
                let _ = Builder::new().name("floe-visitor".to_owned()).spawn(move || answer(&stream));
            }
        };
        Builder::new().name("floe-server".to_owned()).spawn(accept)?;
        Ok(Self { port, visits })
    }

    /// Connections since the last time.
    pub(super) fn visits(&self) -> usize {
        self.visits.swap(0, Ordering::SeqCst)
    }
}

/// One answer, and the end. A visitor who goes away is no error.
fn answer(stream: &TcpStream) {
    let _ = try_answer(stream);
    let _ = stream.shutdown(Shutdown::Both);
}

fn try_answer(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.take(MAX_HEAD));
    while reader.read_line(&mut head)? > 2 {}
    let path = head.split(' ').nth(1).unwrap_or_default();
    match path.split('?').next().unwrap_or_default() {
        "/away" => redirect(stream, "http://169.254.169.254/latest/meta-data/"),
        "/round" => redirect(stream, "/round"),
        "/silent" => stream.read(&mut [0]).map(drop),
        "/large" => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n")?;
            (0..LARGE >> 16).try_for_each(|_| stream.write_all(&[b'x'; 1 << 16]))
        }
        "/endless" => {
            write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            loop {
                write!(stream, "1000\r\n{}\r\n", "x".repeat(0x1000))?;
            }
        }
        "/fields" => {
            write!(stream, "HTTP/1.1 200 OK\r\nx-large: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(FIELD))
        }
        "/lies" => write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 500\r\n\r\nhello"),
        "/garbage" => stream.write_all(&[0xff; 4096]),
        "/bound" if !head.contains(SECRET.1) => {
            write!(stream, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        }
        // Everything that was said, whatever it was.
        _ => write!(stream, "HTTP/1.1 200 OK\r\nx-said: {}\r\ncontent-length: {}\r\n\r\n{head}", path, head.len()),
    }
}

fn redirect(mut stream: &TcpStream, to: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
}
