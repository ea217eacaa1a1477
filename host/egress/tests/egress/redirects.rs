//! Redirects: nothing follows one that was not granted, and every hop is a request of its own.

use floe_egress::Error;
use http::{Method, StatusCode};

use crate::support::{Server, client, get, ok, request, rule, session, text};

/// Sends on with this status to this place.
fn sends_on(status: u16, location: String) -> Server {
    Server::start(move |request| {
        if request.starts_with("GET /end") || request.starts_with("POST /end") {
            return ok("the end").into_bytes();
        }
        format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    })
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let inner = Server::says("inside");
    let outer = sends_on(302, inner.url("/"));
    let response = client().send(&session(vec![outer.rule(), inner.rule()]), get(&outer.url("/"))).await.unwrap();
    assert_eq!(response.status, StatusCode::FOUND);
    assert_eq!(response.headers["location"], inner.url("/").as_str());
    assert_eq!(inner.connections(), 0);
}

/// The first place may be asked; where it sends on to is checked as if the guest had asked for it.
#[tokio::test]
async fn a_redirect_to_loopback_is_refused() {
    let inner = Server::says("inside");
    let mut anything = rule("*", inner.port);
    anything.redirects = 5;
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433"] {
        let outer = sends_on(302, format!("http://{host}:{}/", inner.port));
        let mut named = outer.rule();
        named.redirects = 5;
        let error = client().send(&session(vec![anything.clone(), named]), get(&outer.url("/"))).await.unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{host}: {error}");
    }
    let outer = sends_on(302, "https://elsewhere.test/".to_owned());
    let mut named = outer.rule();
    named.redirects = 5;
    let error = client().send(&session(vec![named]), get(&outer.url("/"))).await.unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn granted_redirects_are_followed_and_counted() {
    let server = sends_on(302, "/again".to_owned());
    let mut rule = server.rule();
    rule.redirects = 3;
    let session = session(vec![rule]);
    let response = client().send(&session, get(&server.url("/"))).await.unwrap();
    assert_eq!(response.status, StatusCode::FOUND, "the last one is the answer");
    assert_eq!((server.connections(), session.quotas[0].used().requests), (4, 4));
}

/// A client that streams says only at the end that there was nothing.
#[tokio::test]
async fn an_empty_stream_is_no_body() {
    let server = sends_on(302, "/end".to_owned());
    let mut rule = server.rule();
    rule.redirects = 1;
    let nothing = futures_util::stream::iter(Vec::new());
    let body = floe_egress::RequestBody::new(http_body_util::StreamBody::new(nothing));
    let asked = floe_egress::Request { body, ..get(&server.url("/")) };
    let response = client().send(&session(vec![rule]), asked).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "the end");
}

#[tokio::test]
async fn methods_change_as_the_standard_says() {
    let table = [
        (301, Method::POST, Some("GET /end")),
        (302, Method::POST, Some("GET /end")),
        (303, Method::POST, Some("GET /end")),
        (303, Method::PUT, Some("GET /end")),
        (307, Method::GET, Some("GET /end")),
        (308, Method::GET, Some("GET /end")),
        // A body that has been sent is gone; the redirect is the answer.
        (307, Method::POST, None),
        (308, Method::POST, None),
        (302, Method::PUT, None),
        (300, Method::GET, None),
        (304, Method::GET, None),
    ];
    for (status, method, expected) in table {
        let server = sends_on(status, "/end".to_owned());
        let mut rule = server.rule();
        rule.redirects = 1;
        let body = if method == Method::GET { "" } else { "body" };
        let asked = request(method.clone(), &server.url("/"), &[], body);
        let response = client().send(&session(vec![rule]), asked).await.unwrap();
        let requests = server.requests();
        match expected {
            Some(line) => {
                assert_eq!(text(response).await.unwrap(), "the end", "{status} {method}");
                let last = requests.last().unwrap();
                assert!(
                    last.starts_with(line) && !last.contains("body") && !last.contains("content-type"),
                    "{status} {method}: {last}"
                );
            }
            None => assert_eq!((response.status.as_u16(), requests.len()), (status, 1), "{status} {method}"),
        }
    }
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let elsewhere = Server::says("elsewhere");
    let there = sends_on(302, elsewhere.url("/"));
    let here = sends_on(302, "/end".to_owned());
    let headers = [("authorization", "Bearer mine"), ("cookie", "a=b"), ("x-other", "stays")];
    for (server, is_same) in [(&there, false), (&here, true)] {
        let mut rule = server.rule();
        rule.redirects = 1;
        let asked = request(Method::GET, &server.url("/"), &headers, "");
        client().send(&session(vec![rule, elsewhere.rule()]), asked).await.unwrap();
        let last = if is_same { server.requests() } else { elsewhere.requests() }.pop().unwrap();
        assert_eq!(last.contains("mine"), is_same, "{last}");
        assert_eq!(last.contains("a=b"), is_same, "{last}");
        assert!(last.contains("stays"), "{last}");
    }
}
