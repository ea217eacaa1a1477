//! Spans of a flow, as a collector gets them over a real connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use floe_flow::{Backoff, Config, Failure, FailureKind, Flow, Graph, Outcome, Policy, Submission, native};
use floe_telemetry::otlp::{self, Error};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle as Runtime;
use tokio::task::JoinSet;
use tracing_subscriber::layer::SubscriberExt;

/// A request's head and body.
async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let end = loop {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request is whole");
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse::<usize>().unwrap();
    while bytes.len() < end + length {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request is whole");
    }
    (head, bytes.split_off(end))
}

/// Answers each request in the same way; returns what came once `requests` have come.
async fn collector(status: &'static str, requests: usize) -> (SocketAddr, JoinSet<Vec<(String, Vec<u8>)>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut seen = Vec::new();
        while seen.len() < requests {
            let (mut stream, _) = listener.accept().await.unwrap();
            seen.push(request(&mut stream).await);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen
    });
    (address, task)
}

/// A trace of two nodes, the second of which is tried twice.
async fn run() {
    let mut graph = Graph::builder("export");
    let flaky = native(|call| match call.attempt {
        1 => Err(Failure::new(FailureKind::Busy, "not yet")),
        _ => Ok(Outcome::one(call.message.payload.clone())),
    });
    let backoff = Backoff { base: Duration::ZERO, factor: 1.0, cap: Duration::ZERO, jitter: false };
    graph.run("first", native(|call| Ok(Outcome::one(call.message.payload.clone()))), Policy::with_concurrency(1));
    graph.run("flaky", flaky, Policy { retries: 1, backoff, ..Policy::with_concurrency(1) });
    graph.chain(&["first", "flaky"]);
    let flow = Flow::start(graph.build().unwrap(), Config::on_current_runtime());
    flow.submit(Submission::new("trace-of-mine", "acme", json!(1).into())).await.unwrap().finish().await;
    flow.stop(Duration::ZERO).await;
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

fn count(body: &[u8], text: &str) -> usize {
    body.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

#[tokio::test]
async fn spans_arrive_at_a_collector() {
    let (address, mut collector) = collector("200 OK", 1).await;
    let (spans, guard) = otlp::init(&format!("http://{address}"), "my-service", &Runtime::current()).unwrap();
    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans));
    run().await;
    tracing::info_span!("of_others").in_scope(|| tracing::error!("a line of the log"));
    drop(subscriber);
    guard.close().await.unwrap();

    let (head, body) = collector.join_next().await.unwrap().unwrap().remove(0);
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {address}\r\n")), "{head}");
    assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
    for text in ["my-service", "attempt", "trace-of-mine", "acme", "export", "first", "flaky", "busy", "completed"] {
        assert!(contains(&body, text), "{text} is missing");
    }
    // One span of the trace and three attempts, each with the trace's id as a field.
    assert_eq!(count(&body, "trace-of-mine"), 4);
    assert!(!contains(&body, "of_others") && !contains(&body, "line of the log"));
}

#[tokio::test]
async fn a_collector_that_is_not_there_stops_nobody() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (spans, guard) = otlp::init(&format!("http://{address}"), "my-service", &Runtime::current()).unwrap();
    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans));
    run().await;
    drop(subscriber);
    let error = guard.close().await.unwrap_err();
    assert!(matches!(&error, Error::Unsent(why) if why.contains("refused")), "{error}");
}

/// While the only thread makes spans, nobody exports any.
#[tokio::test]
async fn spans_that_find_no_room_are_counted() {
    let (address, collector) = collector("200 OK", usize::MAX).await;
    let (spans, guard) = otlp::init(&format!("http://{address}"), "my-service", &Runtime::current()).unwrap();
    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans));
    for _ in 0..3 * otlp::MAX_WAITING_SPANS {
        drop(tracing::info_span!(target: "floe_flow", "attempt"));
    }
    drop(subscriber);
    let error = guard.close().await.unwrap_err();
    let Error::Lost { lost, all } = error else { panic!("{error}") };
    // What fits into the queue and into the batches that the thread has taken from it arrives.
    assert_eq!(all, 3 * otlp::MAX_WAITING_SPANS as u64);
    assert!((1..all).contains(&lost), "{lost}");
    drop(collector);
}

#[tokio::test]
async fn a_collector_that_refuses_is_reported() {
    let (address, mut collector) = collector("400 Bad Request", 1).await;
    // A path of its own is kept.
    let endpoint = format!("http://{address}/tenants/7/v1/traces/");
    let (spans, guard) = otlp::init(&endpoint, "my-service", &Runtime::current()).unwrap();
    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans));
    run().await;
    drop(subscriber);
    let error = guard.close().await.unwrap_err();
    assert!(matches!(&error, Error::Unsent(why) if why.contains("400 Bad Request")), "{error}");
    let (head, _) = collector.join_next().await.unwrap().unwrap().remove(0);
    assert!(head.starts_with("post /tenants/7/v1/traces http/1.1\r\n"), "{head}");
}

#[tokio::test]
async fn an_address_that_cannot_be_is_refused_with_a_remedy() {
    for endpoint in ["", "localhost:4318", "https://collector", "http://", "grpc://127.0.0.1:4317", "http://a b"] {
        let error = otlp::init(endpoint, "my-service", &Runtime::current()).map(drop).unwrap_err();
        assert!(matches!(error, Error::Endpoint { .. }), "{endpoint}: {error}");
        assert!(error.to_string().contains("http://127.0.0.1:4318"), "{error}");
    }
}
