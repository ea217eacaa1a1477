//! The tenants that nobody wants beside them. Each does one thing as often as its limits let it, and all of it is a component of a few lines.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use floe_flow::Invoke;
use floe_sandbox::{Grants, Limits, Profile, Sandbox};
use serde_json::json;

use crate::{Error, attack, file};

/// What an aggressor does, and the names of its figures.
pub(super) struct Aggressor {
    name: &'static str,
    pub(super) half: &'static str,
    pub(super) most: &'static str,
    pub(super) calls: &'static str,
    /// The limit that ends its call; none: it ends by itself.
    ends: Option<&'static str>,
    does: Does,
}

enum Does {
    /// What a case of `floe attack` does.
    Case(&'static str),
    /// Emits as much as it may and completes, so that all of it has to be sent on.
    Emits,
    /// Asks a server on this machine as often as it may, over a connection each.
    Connects,
}

pub(super) const AGGRESSORS: [Aggressor; 6] = [
    Aggressor {
        name: "spin",
        half: "beside one that spins",
        most: "  99 of 100, beside one that spins",
        calls: "  its calls that ended meanwhile (spins)",
        ends: Some("fuel"),
        does: Does::Case("spin"),
    },
    Aggressor {
        name: "allocate",
        half: "beside one that allocates",
        most: "  99 of 100, beside one that allocates",
        calls: "  its calls that ended meanwhile (allocates)",
        ends: Some("memory"),
        does: Does::Case("grow-memory"),
    },
    Aggressor {
        name: "log",
        half: "beside one that floods the log",
        most: "  99 of 100, beside one that floods the log",
        calls: "  its calls that ended meanwhile (floods the log)",
        ends: None,
        does: Does::Case("log-flood"),
    },
    Aggressor {
        name: "emit",
        half: "beside one that floods the flow",
        most: "  99 of 100, beside one that floods the flow",
        calls: "  its calls that ended meanwhile (floods the flow)",
        ends: None,
        does: Does::Emits,
    },
    Aggressor {
        name: "call",
        half: "beside one that storms the host",
        most: "  99 of 100, beside one that storms the host",
        calls: "  its calls that ended meanwhile (storms the host)",
        ends: Some("host_calls"),
        does: Does::Case("budget-flood"),
    },
    Aggressor {
        name: "connect",
        half: "beside one that opens connections",
        most: "  99 of 100, beside one that opens connections",
        calls: "  its calls that ended meanwhile (opens connections)",
        ends: None,
        does: Does::Connects,
    },
];

/// An aggressor that can be called.
pub(super) struct Prepared {
    pub(super) name: &'static str,
    pub(super) ends: Option<&'static str>,
    pub(super) node: Arc<dyn Invoke>,
    /// Whom it asks.
    _server: Option<Server>,
}

const EMIT: &str =
    r#"(func $emit (import "floe:plugin/emit@0.1.0" "message") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32))"#;
/// Less than half of the messages that a trace may have at once, for another half is on its way to whoever reads.
const EMISSIONS: u32 = 4000;
const SEND: &str =
    r#"(func $send (import "floe:capability/http@0.1.0" "send") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32))"#;
/// Until it is refused.
const CONNECT: &str = r#"(func $attack
  (loop $again
    (call $send (i32.const 1024) (i32.const 3) (i32.const 1032) (i32.const LENGTH) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 2048))
    (br_if $again (i32.eqz (i32.load8_u (i32.const 2048))))))
(data (i32.const 1024) "GET")
(data (i32.const 1032) "URL")
"#;

impl Aggressor {
    pub(super) async fn prepare(&self, sandbox: &Sandbox) -> Result<Prepared, Error> {
        let wrong = |error: floe_sandbox::Error| Error::wrong(error.to_string());
        let (bytes, grants, server) = match self.does {
            Does::Case(name) => (attack::case(name)?, Grants::default(), None),
            Does::Emits => (attack::plugin(EMIT, &emits())?, Grants::default(), None),
            Does::Connects => {
                let server = Server::start()?;
                let url = format!("http://127.0.0.1:{}/", server.port);
                let body = CONNECT.replace("LENGTH", &url.len().to_string()).replace("URL", &url);
                (attack::plugin(SEND, &body)?, grants(server.port)?, Some(server))
            }
        };
        let plugin = sandbox.load(self.name, &bytes, &grants, &Limits::profile(Profile::Rust)).await.map_err(wrong)?;
        let node = plugin.node("attack", &json!({}).into(), 1).map_err(wrong)?;
        Ok(Prepared { name: self.name, ends: self.ends, node, _server: server })
    }
}

fn emits() -> String {
    format!(
        "(func $attack (local $left i32)
  (local.set $left (i32.const {EMISSIONS}))
  (loop $next
    (call $emit (i32.const 364) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1024))
    (if (i32.load8_u (i32.const 1024)) (then unreachable))
    (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
"
    )
}

/// As a flow file would grant it.
fn grants(port: u16) -> Result<Grants, Error> {
    let text = format!("http: [{{ scheme: http, host: 127.0.0.1, ports: [{port}], private: true }}]\n");
    let grants: Result<file::GrantsConfig, _> = serde_saphyr::from_str(&text);
    Ok(grants.map_err(|error| Error::wrong(error.to_string()))?.rights(|dir| dir.into()))
}

/// Answers each connection once, with nothing, on a thread of its own that ends when this is dropped.
struct Server {
    port: u16,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start() -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("floe-bench".to_owned()).spawn({
            let over = Arc::clone(&over);
            move || serve(&listener, &over)
        })?;
        Ok(Self { port, over, thread: Some(thread) })
    }
}

fn serve(listener: &TcpListener, over: &AtomicBool) {
    let mut request = [0; 2048];
    while let Ok((mut connection, _)) = listener.accept() {
        if over.load(Ordering::SeqCst) {
            return;
        }
        // Whoever asked may have gone.
        if connection.read(&mut request).is_ok_and(|length| length > 0) {
            let _ = connection.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            // It cannot panic.
            let _ = thread.join();
        }
    }
}
