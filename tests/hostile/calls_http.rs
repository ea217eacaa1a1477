//! A plugin that asks others, by the host's own interface: only whom it was granted, within its limits, and with secrets that never
//! reach it.

use std::time::Duration;

use floe_egress::secrets::{Place, Secrets};
use floe_flow::{End, Terminal};
use floe_sandbox::{Error, Grants, Limits};
use serde_json::{Value, json};

use crate::support::asking::{Asking, Granted, Server, VALUE, base64, forms, header, memory, ok, sent_to_inside};
use crate::support::{limits, lines, load, sandbox};

pub(crate) const GUEST: &str = floe_tests::CALLS_HTTP;

async fn asking(granted: Granted, change: impl FnOnce(&mut Limits)) -> Asking {
    let mut limits = limits();
    change(&mut limits);
    Asking::new((GUEST, "asker", "ask"), granted.grants(), limits).await
}

fn error(terminal: &Terminal) -> (&str, &str) {
    let error = terminal.error.as_ref().unwrap_or_else(|| panic!("{terminal:?}"));
    (&error.code, &error.message)
}

#[tokio::test]
async fn without_a_grant_it_does_not_load() {
    let refused = load(&sandbox(1, 1), (GUEST, "asker"), &limits()).await.unwrap_err();
    assert!(matches!(refused.reason(), Error::NotGranted { .. }), "{refused:?}");
    let missing = async |grants: Grants, line: &str| {
        let refused = sandbox(1, 1).load("asker", &floe_tests::bytes(GUEST), &grants, &limits()).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("      grants:\n        {line}")), "{refused}");
    };
    let both = Granted::default().grants();
    missing(Grants { http: None, ..both.clone() }, "http: [{ host: ").await;
    missing(Grants { secrets: Secrets::default(), ..both }, "secrets: { NAME: {").await;
}

#[tokio::test]
async fn what_is_granted_is_answered() {
    let server = Server::start(|request| ok(&format!("you sent {}", request.rsplit("\r\n\r\n").next().unwrap())));
    let asking = asking(Granted::to(&server), |_| {}).await;
    let wanted = json!({ "method": "POST", "url": server.url("/v1/x"), "headers": [["x-a", "b"]], "body": "this" });
    let (outputs, terminal) = asking.ask(wanted).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert_eq!((&outputs[0]["status"], &outputs[0]["text"]), (&json!(200), &json!("you sent this")));
    let left = outputs[0]["left"].clone();
    let sent = server.requests();
    assert_eq!((sent.len(), &left["requests"]), (1, &json!(15)));
    assert!(left["egress"].as_u64().unwrap() < (1 << 20) - 50, "{left}");
    assert!(sent[0].contains("x-a: b") && sent[0].contains("accept-encoding: identity"), "{}", sent[0]);
}

/// Whatever way is tried, with every host granted: the server on loopback is not even connected to.
#[tokio::test]
async fn nothing_private_is_reached_by_a_grant_for_every_host() {
    let (inner, outer, granted) = sent_to_inside();
    let asking = asking(granted, |_| {}).await;
    let port = inner.port;
    let urls = [
        "http://169.254.169.254/".to_owned(),
        format!("http://169.254.169.254:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://localhost.:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://[fd00:ec2::254]:{port}/"),
        format!("http://[64:ff9b::7f00:1]:{port}/"),
        outer.url("/"),
    ];
    for url in urls {
        let (_, terminal) = asking.ask(json!({ "url": url })).await;
        let (code, message) = error(&terminal);
        assert_eq!(code, "denied", "{url}: {message}");
    }
    assert_eq!((inner.connections(), outer.connections()), (0, 1));
}

#[tokio::test]
async fn a_denial_has_the_rule_to_add() {
    let server = Server::start(|_| ok("hello"));
    let asking = asking(Granted::to(&server), |_| {}).await;
    let (_, terminal) = asking.ask(json!({ "url": "https://api.example.com/v1/x?key=1" })).await;
    let why = "`GET https://api.example.com/v1/x` is not granted; the rule that would grant it: { host: api.example.com, methods: \
               [GET], path: \"/v1/x\" }; add it to `plugins.asker.grants.http`";
    assert_eq!(error(&terminal), ("denied", why));
    let (_, terminal) = asking.ask(json!({ "secret": "other\u{1b}[2J", "url": server.url("/") })).await;
    assert_eq!(error(&terminal), ("denied", "the secret `other` is not granted; add it to `plugins.asker.grants.secrets`"));
    let (_, terminal) = asking.ask(json!({ "url": server.url("/"), "headers": [["host", "b"]] })).await;
    assert_eq!(error(&terminal).0, "invalid-input");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn exchanges_are_limited() {
    let server = Server::start(|request| ok(&"x".repeat(if request.contains("/large") { 5000 } else { 10 })));
    let reached = async |change: fn(&mut Limits), wanted: Value, limit: &str| {
        let asking = asking(Granted::to(&server), change).await;
        let (_, terminal) = asking.ask(wanted).await;
        let (code, message) = error(&terminal);
        assert_eq!(code, "exhausted", "{message}");
        assert!(message.starts_with(&format!("limit `{limit}` reached: used ")), "{message}");
        assert!(message.ends_with(&format!("raise it with `plugins.asker.limits.{limit}`")), "{message}");
    };
    let url = server.url("/v1/large");
    reached(|limits| limits.requests = 2, json!({ "url": url, "times": 3 }), "requests").await;
    reached(|limits| limits.http_in = 4000, json!({ "url": url }), "http_in").await;
    let large = "y".repeat(4000);
    reached(|limits| limits.egress_bytes = 3000, json!({ "url": url, "method": "POST", "body": large }), "egress_bytes").await;
    reached(|limits| limits.fields = 2000, json!({ "url": url, "headers": [["x-a", large]] }), "fields").await;
    reached(|limits| limits.http_connections = 0, json!({ "url": url }), "http_connections").await;
}

#[tokio::test]
async fn an_exchange_is_limited_in_time() {
    let silent = Server::silent();
    let quick = |limits: &mut Limits| limits.http_time = Duration::from_millis(50);
    let (_, terminal) = asking(Granted::to(&silent), quick).await.ask(json!({ "url": silent.url("/v1/x") })).await;
    let why =
        "`http_time` allows 50ms for the head of the answer, and that is over; raise it with `plugins.asker.limits.http_time`";
    assert_eq!(error(&terminal), ("timed-out", why));
    let asking = asking(Granted::to(&silent), |limits| limits.wall = Duration::from_millis(100)).await;
    let (_, terminal) = asking.ask(json!({ "url": silent.url("/v1/x"), "timeout_ms": 3_600_000 })).await;
    assert_eq!(error(&terminal).0, "timed-out", "{terminal:?}");
    assert!(error(&terminal).1.contains("wall"), "{terminal:?}");
    // Nothing is left behind: the server sees both connections closed.
    silent.all_closed();
}

/// The value arrives; its echo, in every form and cut at every place, comes neither into the guest's memory nor anywhere else.
#[tokio::test]
async fn a_secret_arrives_and_does_not_come_back() {
    for form in forms() {
        for how in ["return", "fail", "panic"] {
            let echo = form.clone();
            let server = Server::start(move |_| {
                let pieces: String = format!("<{echo}>").chars().map(|char| format!("1\r\n{char}\r\n")).collect();
                format!(
                    "HTTP/1.1 200 OK\r\nx-echo: {echo}\r\ntransfer-encoding: chunked\r\n\r\n{pieces}0\r\nx-end: {echo}\r\n\r\n"
                )
            });
            let asking = asking(Granted::to(&server).with_secret(&[header("authorization", "Bearer {secret}")]), |_| {}).await;
            let wanted = json!({
                "url": server.url("/v1/x"), "headers": [["authorization", "Bearer SECRET"]], "secret": "api", "spill": how,
            });
            let (outputs, terminal) = asking.ask(wanted).await;
            assert!(server.requests()[0].contains(&format!("authorization: Bearer {VALUE}\r\n")), "{:?}", server.requests());
            let seen = format!("{:?}\n{outputs:?}\n{terminal:?}\n{:?}", lines(&asking.trace()), asking.items());
            let kept = asking.journal();
            for text in [&seen, &kept] {
                for form in forms() {
                    // As it is, and as `Debug` writes it.
                    let written = format!("{form:?}");
                    assert!(!text.contains(&form) && !text.contains(written.trim_matches('"')), "{form} is in {text}");
                }
                assert!(text.contains("**********"), "{text}");
            }
            if how == "return" {
                let answer = outputs.iter().find(|output| output["memory"].is_string()).unwrap();
                assert_eq!(memory(answer, "memory").len(), form.len() + 2);
                for part in ["memory", "headers"] {
                    let seen = memory(answer, part);
                    assert!(seen.contains(&"*".repeat(VALUE.len())) && !seen.contains(&form), "{seen}");
                }
            }
        }
    }
}

/// A value that got in all the same, for a server wrote it in a form that nobody knows, does not get out: by none of the ways there are.
#[tokio::test]
async fn a_value_that_is_known_inside_is_not_let_out() {
    // As JSON writes it in a text, and JSON writes that once more, it is no form that is known.
    let once = json!(VALUE).to_string();
    for form in forms().into_iter().filter(|form| *form != once.trim_matches('"')) {
        for how in ["return", "fail", "panic"] {
            let backwards: String = form.chars().rev().collect();
            let server = Server::start(move |_| ok(&backwards));
            let asking = asking(Granted::to(&server).with_secret(&[]), |_| {}).await;
            let (outputs, terminal) = asking.ask(json!({ "url": server.url("/v1/x"), "backwards": true, "spill": how })).await;
            let expected = if how == "return" { End::Completed } else { End::Failed };
            assert_eq!(terminal.end, expected, "{terminal:?}");
            let lines = lines(&asking.trace());
            for text in [format!("{lines:?}"), format!("{outputs:?} {terminal:?}"), asking.items(), asking.journal()] {
                // Each way has its own line, item or field, and each of them is full of stars.
                for form in forms() {
                    let written = format!("{form:?}");
                    assert!(!text.contains(&form) && !text.contains(written.trim_matches('"')), "{form} is in {text}");
                }
                assert!(text.contains("**********"), "{text}");
            }
            let stars = |line: &&crate::support::Line| line.message.contains("**********");
            assert_eq!(lines.iter().filter(stars).count(), if how == "panic" { 4 } else { 3 }, "{lines:?}");
            let fields = lines.iter().find(|line| !line.fields.is_empty()).unwrap();
            assert!(fields.fields.matches("**********").count() >= 2, "{fields:?}");
            if how == "return" {
                let answer = outputs.iter().find(|output| output["memory"].is_string()).unwrap();
                assert_eq!(memory(answer, "memory").chars().rev().collect::<String>(), form, "it did get in");
            }
        }
    }
}

/// A component that reads its key from its environment finds the placeholder there.
#[tokio::test]
async fn a_secret_may_stand_in_the_environment() {
    let server = Server::start(|_| ok("hello"));
    let granted = Granted::to(&server).with_secret(&[Place::Basic { user: "me".to_owned() }]).in_variable("API_KEY");
    let asking = asking(granted, |_| {}).await;
    let wanted = json!({ "url": server.url("/v1/x"), "headers": [["authorization", "SECRET"]], "variable": "API_KEY" });
    let (outputs, terminal) = asking.ask(wanted).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert!(outputs[0]["placeholder"].as_str().unwrap().starts_with("floe-secret-api-"));
    let expected = format!("authorization: Basic {}\r\n", base64(&format!("me:{VALUE}")));
    assert!(server.requests()[0].contains(&expected), "{:?}", server.requests());
    let (_, terminal) = asking.ask(json!({ "url": server.url("/v1/x"), "variable": "HOME" })).await;
    assert_eq!(error(&terminal).0, "not-found", "nothing of the host's environment is there");
}

/// Where no binding says so nothing is sent, and the error has the binding to add.
#[tokio::test]
async fn a_secret_goes_nowhere_else() {
    let server = Server::start(|_| ok("hello"));
    let asking = asking(Granted::to(&server).with_secret(&[header("x-key", "{secret}")]), |_| {}).await;
    for wanted in [
        json!({ "url": server.url("/v1/x"), "headers": [["x-other", "SECRET"]], "secret": "api" }),
        json!({ "url": server.url("/elsewhere"), "headers": [["x-key", "SECRET"]], "secret": "api" }),
        json!({ "url": server.url("/v1/x?key=SECRET"), "secret": "api" }),
        json!({ "url": server.url("/v1/x"), "method": "POST", "body": "SECRET", "secret": "api" }),
    ] {
        let (_, terminal) = asking.ask(wanted).await;
        let (code, message) = error(&terminal);
        assert_eq!(code, "denied", "{message}");
        assert!(
            message.contains("of the secret `api`") && message.ends_with("add it to `plugins.asker.grants.secrets`"),
            "{message}"
        );
    }
    assert!(server.requests().iter().all(|sent| !sent.contains("s3cret") && !sent.contains("floe-secret-api")));
}

/// A recorded exchange is not made again: the record answers.
#[tokio::test]
async fn an_exchange_is_recorded_for_replay() {
    let server = Server::start(|_| ok("hello"));
    let asking = asking(Granted::to(&server).with_secret(&[header("x-key", "{secret}")]), |_| {}).await;
    let wanted = json!({ "url": server.url("/v1/x"), "headers": [["x-key", "SECRET"]], "secret": "api" });
    let (outputs, _) = asking.ask(wanted).await;
    assert_eq!(outputs[0]["text"], json!("hello"));
    let (then, now, tape) = asking.again().await;
    assert_eq!((tape.unfit, &now), (None, &then));
    // The request counts as this call's use, now as then.
    assert!(now.contains(" (1, ") && !now.contains(" (1, 0)"), "{now}");
    assert_eq!(server.connections(), 1);
}
