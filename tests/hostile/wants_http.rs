//! A component that speaks WASI HTTP and knows nothing of this host: refused unless that is granted, and then held to the grant.

use std::collections::BTreeSet;

use floe_egress::Maxima;
use floe_flow::{End, Terminal, Unfit};
use floe_sandbox::{Ceiling, Error, Grants, Limits, Tenants};
use serde_json::{Value, json};

use crate::support::asking::{Asking, Granted, Server, VALUE, header, memory, ok, sent_to_inside};
use crate::support::{Solo, limits, load, operators_lines, sandbox, sandbox_for, soon};

pub(crate) const GUEST: &str = floe_tests::WANTS_HTTP;

#[tokio::test]
async fn the_refusal_shows_the_lines_that_would_grant_it() {
    let error = load(&sandbox(1, 1), (GUEST, "fetcher"), &limits()).await.unwrap_err();
    assert!(matches!(error.reason(), Error::NotGranted { .. }), "{error:?}");
    let message = error.to_string();
    let lines = "the lines that would grant it:\n  plugins:\n    fetcher:\n      grants:\n        http: [";
    assert!(message.starts_with("plugin `fetcher`: it imports `wasi:http/"), "{message}");
    assert!(message.contains("is not granted") && message.contains(lines), "{message}");
}

#[tokio::test]
async fn a_grant_for_something_else_does_not_help() {
    let others: BTreeSet<String> = ["https", "state", "sockets", "wasi:http", "*", ""].map(str::to_owned).into();
    let bytes = floe_tests::bytes(GUEST);
    let error = soon(sandbox(1, 1).load("fetcher", &bytes, &Grants { unserved: others, ..Grants::default() }, &limits()))
        .await
        .unwrap_err();
    assert!(matches!(error.reason(), Error::NotGranted { .. }), "{error:?}");
}

async fn fetching(granted: Granted, change: impl FnOnce(&mut Limits)) -> Asking {
    let mut limits = limits();
    change(&mut limits);
    Asking::new((GUEST, "fetcher", "fetch"), granted.grants(), limits).await
}

fn get(authority: &str, path: &str, headers: &Value) -> Value {
    json!(["GET", "http", authority, path, headers, ""])
}

fn message(terminal: &Terminal) -> &str {
    terminal.error.as_ref().map_or("", |error| &error.message)
}

#[tokio::test]
async fn what_is_granted_is_answered() {
    let server = Server::start(|request| ok(&request.rsplit("\r\n\r\n").next().unwrap().len().to_string()));
    let fetching = fetching(Granted::to(&server), |_| {}).await;
    let authority = format!("127.0.0.1:{}", server.port);
    let body = "x".repeat(100_000);
    let wanted = json!(["POST", "http", authority, "/v1/x?a=b", [["content-length", "100000"], ["x-a", "b"]], body]);
    let (outputs, terminal) = fetching.ask(wanted).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert_eq!((&outputs[0]["status"], memory(&outputs[0], "memory").as_str()), (&json!(200), "100000"));
    let sent = server.requests();
    assert!(
        sent[0].starts_with("POST /v1/x?a=b HTTP/1.1\r\n") && sent[0].contains("accept-encoding: identity"),
        "{}",
        &sent[0][..200]
    );
    assert!(sent[0].contains(&format!("host: {authority}\r\n")), "{}", &sent[0][..200]);
    // Without a length the body comes in pieces.
    let (_, terminal) = fetching.ask(json!(["POST", "http", authority, "/v1/x", [], "small"])).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert!(server.requests()[1].contains("transfer-encoding: chunked"), "{}", server.requests()[1]);
}

#[tokio::test]
async fn nothing_private_is_reached_by_a_grant_for_every_host() {
    let (inner, outer, granted) = sent_to_inside();
    let fetching = fetching(granted, |_| {}).await;
    let port = inner.port;
    for authority in [
        "169.254.169.254".to_owned(),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("2130706433:{port}"),
        format!("127.0.0.1:{}", outer.port),
    ] {
        let (_, terminal) = fetching.ask(get(&authority, "/", &json!([]))).await;
        assert_eq!((terminal.end, message(&terminal)), (End::Failed, "ErrorCode::DestinationIpProhibited"), "{authority}");
    }
    assert_eq!((inner.connections(), outer.connections()), (0, 1));
}

#[tokio::test]
async fn what_is_not_granted_is_not_sent() {
    let server = Server::start(|_| ok("hello"));
    let fetching = fetching(Granted::to(&server), |_| {}).await;
    let authority = format!("127.0.0.1:{}", server.port);
    for (authority, headers, expected) in [
        ("127.0.0.1:1", json!([]), "HttpRequestDenied"),
        ("api.example.com", json!([]), "HttpRequestDenied"),
        (&format!("user@{authority}"), json!([]), "user information"),
        (&authority, json!([["host", "other"]]), "Forbidden"),
        (&authority, json!([["transfer-encoding", "chunked"]]), "Forbidden"),
        (&authority, json!([["proxy-authorization", "a"]]), "Forbidden"),
        (&authority, json!([["x-a", "b\r\nhost: other"]]), "InvalidSyntax"),
    ] {
        let (_, terminal) = fetching.ask(get(authority, "/", &headers)).await;
        assert_eq!(terminal.end, End::Failed, "{authority} {headers}");
        assert!(message(&terminal).contains(expected), "{authority} {headers}: {terminal:?}");
    }
    assert_eq!(server.requests().len(), 0);
}

/// The same limits as by the host's own interface.
#[tokio::test]
async fn exchanges_are_limited() {
    let server = Server::start(|_| ok(&"x".repeat(50_000)));
    let authority = format!("127.0.0.1:{}", server.port);
    let reached = async |change: fn(&mut Limits), wanted: Value, expected: &str| {
        let (_, terminal) = fetching(Granted::to(&server), change).await.ask(wanted).await;
        assert!(message(&terminal).contains(expected), "{expected}: {terminal:?}");
    };
    let plain = get(&authority, "/", &json!([]));
    reached(|limits| limits.requests = 0, plain.clone(), "limit `requests` reached: used 1 of 0").await;
    reached(|limits| limits.http_connections = 0, plain.clone(), "ConnectionLimitReached").await;
    reached(|limits| limits.http_in = 20_000, plain, "response body size exceeds limit: 20000 bytes").await;
    let large = "y".repeat(60_000);
    let post = json!(["POST", "http", authority, "/", [["content-length", "60000"]], large]);
    reached(|limits| limits.egress_bytes = 30_000, post, "HttpRequestBodySize").await;
    reached(
        |limits| limits.fields = 2000,
        get(&authority, "/", &json!([["x-a", "y".repeat(3000)]])),
        "limit `fields` reached: used 2001 of 2000",
    )
    .await;
}

/// A component made for any host gets its key as it is used to, from its environment, and never has it.
#[tokio::test]
async fn a_secret_arrives_and_does_not_come_back() {
    let server =
        Server::start(|_| format!("HTTP/1.1 200 OK\r\nx-echo: {VALUE}\r\ncontent-length: {}\r\n\r\n{VALUE}", VALUE.len()));
    let granted = Granted::to(&server).with_secret(&[header("x-key", "{secret}")]).in_variable("API_KEY");
    let fetching = fetching(granted, |_| {}).await;
    let authority = format!("127.0.0.1:{}", server.port);
    let (outputs, terminal) = fetching.ask(get(&authority, "/v1/x", &json!([["x-key", "$API_KEY"]]))).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert!(server.requests()[0].contains(&format!("x-key: {VALUE}\r\n")), "{:?}", server.requests());
    assert_eq!(memory(&outputs[0], "memory"), "*".repeat(VALUE.len()));
    let digits = |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    assert!(!memory(&outputs[0], "headers").contains(&digits(VALUE)), "{}", memory(&outputs[0], "headers"));
    let (_, terminal) = fetching.ask(get(&authority, "/elsewhere", &json!([["x-key", "$API_KEY"]]))).await;
    assert!(message(&terminal).contains("of the secret `api`"), "{terminal:?}");
    // It is not recorded, and says so.
    let entries = fetching.journal();
    assert!(entries.contains(&format!("{:?}", Some(Unfit::WasiHttp))), "{entries}");
}

/// What its own instance has served, this call among it.
fn calls(outputs: &[Value]) -> &Value {
    &outputs[0]["calls"]
}

/// An instance that would be used again is not, once it has spoken to others: what it left open is closed with its call.
#[tokio::test]
async fn an_exchange_does_not_outlive_its_call() {
    let server = Server::stalls();
    let fetching = Asking::reusing((GUEST, "fetcher", "fetch"), Granted::to(&server).grants(), limits(), 10).await;
    let authority = format!("127.0.0.1:{}", server.port);
    let none = json!(["NONE", "http", "", "", [], ""]);
    let leave = json!(["LEAVE", "http", authority, "/v1/x", [], ""]);
    for (wanted, expected) in [(&none, 1), (&none, 2), (&leave, 3), (&none, 1), (&none, 2), (&leave, 3), (&leave, 1), (&none, 1)]
    {
        let (outputs, terminal) = fetching.ask(wanted.clone()).await;
        assert_eq!((terminal.end, calls(&outputs)), (End::Completed, &json!(expected)), "{terminal:?}");
    }
    assert_eq!(server.requests().len(), 3);
    server.all_closed();
}

/// One count for both ways out, of all plugins of the tenant, whatever each call may have.
#[tokio::test]
async fn a_tenants_quota_is_the_same_by_either_way() {
    let server = Server::start(|request| ok(&"x".repeat(if request.contains("/large") { 5000 } else { 10 })));
    let authority = format!("127.0.0.1:{}", server.port);
    let grants = Granted::to(&server).grants();
    let of = |path: &str, body: &str| {
        let (by_wasi, body) = (json!(["POST", "http", authority, path, [], body]), (!body.is_empty()).then_some(body));
        (json!({ "method": "POST", "url": server.url(path), "body": body }), by_wasi)
    };
    let all = Maxima { requests: 1000, connections: 4, bytes_out: 1 << 20, bytes_in: 1 << 20 };
    let few = Maxima { requests: 3, ..all };
    let small = Maxima { bytes_out: 2000, ..all };
    let little = Maxima { bytes_in: 6000, ..all };
    // The second of these requests is too much, after two that are not and one that is for the other limits.
    let table = [
        (few, of("/v1/x", ""), of("/v1/x", ""), "network.requests", 3),
        (small, of("/v1/x", "x"), of("/v1/x", &"y".repeat(1500)), "network.egress", 2000),
        (little, of("/v1/x", ""), of("/v1/large", ""), "network.ingress", 6000),
    ];
    for (network, once, again, name, max) in table {
        let ceiling = || Ceiling { network: Some(network), ..Ceiling::none() };
        let tenants = [("one".into(), ceiling()), ("two".into(), ceiling()), ("good".into(), ceiling())];
        let sandbox = sandbox_for(Tenants { tenants: tenants.into(), others: None }, 2);
        let asker = Solo::new(&sandbox, (floe_tests::CALLS_HTTP, "asker"), "ask", &grants).await;
        let fetcher = Solo::new(&sandbox, (GUEST, "fetcher"), "fetch", &grants).await;
        for (tenant, last_by_wasi) in [("one", true), ("two", false)] {
            let answered = async |solo: &Solo, wanted: &Value| {
                assert_eq!(solo.ask(tenant, wanted.clone()).await["status"], json!(200));
            };
            answered(&asker, &once.0).await;
            answered(&fetcher, &once.1).await;
            let (first, last) = if last_by_wasi {
                ((&asker, &again.0), (&fetcher, &again.1))
            } else {
                ((&fetcher, &again.1), (&asker, &again.0))
            };
            answered(first.0, first.1).await;
            let (_, terminal) = last.0.call(crate::support::origin(tenant, None, None), last.1.clone()).await;
            let says = message(&terminal);
            let limit = format!("limit `{name}` reached: used ");
            let raise = format!(" of {max}; raise it with `tenants.{tenant}.{name}`");
            assert!(says.contains(&limit) && says.contains(&raise), "{tenant}: {says}");
        }
        // What others have used up is nobody else's loss.
        assert_eq!(fetcher.ask("good", once.1.clone()).await["status"], json!(200));
    }
}

/// WASI's codes say little, so the operator reads why a request came to nothing: without a value that stood in it.
#[tokio::test]
async fn what_the_operator_reads_of_a_request_has_no_value() {
    let server = Server::start(|_| ok("hello"));
    let granted = Granted::to(&server).with_secret(&[header("x-key", "{secret}")]);
    let fetching = Asking::new((GUEST, "tells-the-log", "fetch"), granted.grants(), limits()).await;
    let percent: String = VALUE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (_, terminal) = fetching.ask(get("api.example.com", &format!("/{percent}"), &json!([]))).await;
    assert_eq!(message(&terminal), "ErrorCode::HttpRequestDenied");
    let lines = operators_lines("tells-the-log");
    assert!(lines.iter().any(|line| line.contains("is not granted") && line.contains("********")), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("s3cret")), "{lines:?}");
}
