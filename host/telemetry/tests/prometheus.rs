//! `GET /metrics` over a real connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use floe_flow::{Config, Flow, Graph, Metrics, Outcome, Policy, Submission, native};
use floe_telemetry::prometheus::{DEFAULT_ADDRESS, MAX_CONNECTIONS, MAX_REQUEST, Server};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

struct Served {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinSet<()>,
}

/// Serves what a flow of one node did for one trace.
async fn serve() -> Served {
    let metrics = Arc::new(Metrics::default());
    let mut graph = Graph::builder("test");
    graph.run("echo", native(|call| Ok(Outcome::one(call.message.payload.clone()))), Policy::with_concurrency(1));
    let config = Config { observer: Some(metrics.clone()), ..Config::on_current_runtime() };
    let flow = Flow::start(graph.build().unwrap(), config);
    flow.submit(Submission::new("trace", "acme", json!(1).into())).await.unwrap().finish().await;

    let server = Server::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = server.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut task = JoinSet::new();
    task.spawn(server.serve(metrics, async {
        let _ = stopped.await;
    }));
    Served { address, stop, task }
}

impl Served {
    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(&self, request: &str) -> String {
        read(self.send(request).await).await
    }

    async fn stop(mut self) {
        self.stop.send(()).unwrap();
        self.task.join_next().await.unwrap().unwrap();
        assert!(TcpStream::connect(self.address).await.is_err(), "nobody listens any more");
    }
}

/// Until the server closes the connection; a connection that it resets has no more to say.
async fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn metrics_are_served() {
    let served = serve().await;
    let answer = served.ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(body.contains("# TYPE floe_attempts_total counter\n"), "{body}");
    assert!(body.contains("floe_attempts_total{node=\"echo\",tenant=\"acme\",outcome=\"ok\"} 1\n"), "{body}");
    assert!(body.contains("floe_traces_ended_total{tenant=\"acme\",terminal=\"completed\"} 1\n"), "{body}");
    assert!(body.contains("floe_attempt_seconds_count{node=\"echo\",tenant=\"acme\"} 1\n"), "{body}");
    served.stop().await;
}

#[tokio::test]
async fn nothing_else_is_served() {
    let served = serve().await;
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_REQUEST));
    let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100));
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        ("DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Method Not Allowed"),
        ("no HTTP at all\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        (&long, "HTTP/1.1 431 Request Header Fields Too Large"),
        (&many, "HTTP/1.1 431 Request Header Fields Too Large"),
    ] {
        let answer = served.ask(request).await;
        assert!(answer.starts_with(status), "{answer}");
        assert!(!answer.contains("floe_attempts_total"), "{answer}");
    }
    // The query says nothing here.
    assert!(served.ask("GET /metrics?name=x HTTP/1.1\r\nHost: a\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    served.stop().await;
}

#[tokio::test]
async fn connections_are_bounded_and_those_that_wait_are_served_later() {
    let served = serve().await;
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(served.send("GET /metr").await);
    }
    let mut waits = served.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // Many turns of the runtime, in which the server would answer if it were to.
    let turns = async {
        for _ in 0..10_000 {
            tokio::task::yield_now().await;
        }
    };
    let mut first = [0; 1];
    tokio::select! {
        _ = waits.read(&mut first) => panic!("there was room for one more"),
        () = turns => {}
    }
    idle.pop();
    assert!(read(waits).await.starts_with("HTTP/1.1 200"));
    served.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_no_request_is_cut_off() {
    let served = serve().await;
    let slow = served.send("GET /metrics HTTP/1.1\r\nHost:").await;
    assert!(!read(slow).await.contains("floe_attempts_total"));
    served.stop().await;
}

#[test]
fn by_default_only_this_machine_is_served() {
    assert!(DEFAULT_ADDRESS.ip().is_loopback());
}
