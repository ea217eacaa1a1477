//! Secrets go where their bindings say and nowhere else, and none comes back.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use floe_egress::policy::Scope;
use floe_egress::secrets::{Binding, Place, Secret, Secrets};
use floe_egress::{Error, Request, Session};
use hmac::{Hmac, Mac};
use http::Method;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use crate::support::{Server, client, full, request, session};

const VALUE: &str = "s3cret/+\"value\\";
const KEY: &[u8] = b"random bytes";

fn header(name: &'static str, form: &str) -> Place {
    Place::Header { name: name.parse().unwrap(), form: form.to_owned() }
}

/// A session with the secret `api`, bound to these places at the server.
fn bound(server: &Server, places: &[Place]) -> Session {
    let scope = Scope { path: "/v1/*".parse().unwrap(), ..server.rule().scope };
    let bindings = places.iter().map(|place| Binding { scope: scope.clone(), place: place.clone() }).collect();
    let secret = Secret::try_new("api", VALUE, bindings, KEY).unwrap();
    Session { secrets: Secrets::try_new(vec![secret]).unwrap(), ..session(vec![server.rule()]) }
}

fn placeholder(session: &Session) -> String {
    session.secrets.get("api").unwrap().placeholder().to_owned()
}

#[test]
fn a_secret_is_checked_and_never_shown() {
    let secret = |name: &str, value: &str| Secret::try_new(name, value, Vec::new(), KEY);
    for (name, value) in [
        ("", "12345678"),
        ("A", "12345678"),
        ("a b", "12345678"),
        ("a", "1234567"),
        ("a", "12345678\r\nx: y"),
        ("a", "12345678\n"),
        ("a", " 12345678"),
        ("a", "1234567ä"),
        ("a", &"x".repeat(4097)),
    ] {
        let error = secret(name, value).unwrap_err().to_string();
        assert!(value.len() < 4 || !error.contains(value), "{error}");
    }
    let one = secret("api", VALUE).unwrap();
    assert!(!format!("{one:?}").contains("s3cret"), "{one:?}");
    let secrets = Secrets::try_new(vec![one.clone()]).unwrap();
    assert!(!format!("{secrets:?} {:?}", secrets.scrubber()).contains("s3cret"));
    assert!(Secrets::try_new(vec![one.clone(), one.clone()]).is_err());
    let other = Secret::try_new("api", VALUE, Vec::new(), b"another process").unwrap();
    assert!(one.placeholder().starts_with("floe-secret-api-") && one.placeholder().len() == 48);
    assert_ne!(one.placeholder(), other.placeholder());
}

#[test]
fn bindings_that_are_too_wide_are_refused() {
    let server = Server::says("");
    let scope = server.rule().scope;
    let check = |scope: &Scope, place: Place| {
        let binding = Binding { scope: scope.clone(), place };
        Secret::try_new("api", VALUE, vec![binding], KEY)
    };
    let anywhere = Scope { host: "*".parse().unwrap(), ..scope.clone() };
    assert!(check(&anywhere, header("x-key", "{secret}")).is_err());
    let name = || "x-key".parse().unwrap();
    for place in [
        header("host", "{secret}"),
        header("content-length", "{secret}"),
        header("x-key", "none"),
        header("x-key", "{secret}{secret}"),
        header("x-key", "{secret}\r\nb: c"),
        Place::Basic { user: "a:b".to_owned() },
        Place::Query { name: "a&b".to_owned() },
        Place::Hmac { name: name(), form: "none".to_owned(), date: "x-date".parse().unwrap() },
        Place::Hmac { name: name(), form: "{signature}".to_owned(), date: name() },
    ] {
        assert!(check(&scope, place.clone()).is_err(), "{place:?}");
    }
}

#[tokio::test]
async fn a_value_arrives_where_it_is_bound() {
    let server = Server::says("ok");
    let basic = STANDARD.encode(format!("me:{VALUE}"));
    let form = "Bearer {secret}";
    let table = [
        (header("x-key", "{secret}"), "x-key", "PLACEHOLDER".to_owned(), format!("x-key: {VALUE}")),
        (header("authorization", form), "authorization", "PLACEHOLDER".to_owned(), format!("authorization: Bearer {VALUE}")),
        (
            header("authorization", form),
            "authorization",
            "Bearer PLACEHOLDER".to_owned(),
            format!("authorization: Bearer {VALUE}"),
        ),
        (
            Place::Basic { user: "me".to_owned() },
            "authorization",
            "PLACEHOLDER".to_owned(),
            format!("authorization: Basic {basic}"),
        ),
        (
            Place::Basic { user: "me".to_owned() },
            "authorization",
            "Basic PLACEHOLDER".to_owned(),
            format!("authorization: Basic {basic}"),
        ),
        (Place::Basic { user: "me".to_owned() }, "authorization", "BASIC".to_owned(), format!("authorization: Basic {basic}")),
    ];
    for (place, name, value, expected) in table {
        let session = bound(&server, &[place]);
        let placeholder = placeholder(&session);
        let value = match value.as_str() {
            "BASIC" => format!("Basic {}", STANDARD.encode(format!("me:{placeholder}"))),
            other => other.replace("PLACEHOLDER", &placeholder),
        };
        client().send(&session, request(Method::GET, &server.url("/v1/x"), &[(name, &value)], "")).await.unwrap();
        let last = server.requests().pop().unwrap();
        assert!(last.contains(&format!("\r\n{expected}\r\n")) && !last.contains("floe-secret"), "{last}");
    }
}

#[tokio::test]
async fn a_value_arrives_in_query_and_body_if_they_are_opted_in() {
    let server = Server::says("ok");
    let session = bound(&server, &[Place::Query { name: "key".to_owned() }, Place::Body]);
    let placeholder = placeholder(&session);
    let table = [
        ("application/json", r#"{"k":"s3cret/+\"value\\"}"#),
        ("application/x-www-form-urlencoded", r#"{"k":"s3cret%2F%2B%22value%5C"}"#),
        ("text/plain", r#"{"k":"s3cret/+"value\"}"#),
    ];
    for (kind, expected) in table {
        let url = server.url(&format!("/v1/x?a=b&key={placeholder}"));
        let body = format!(r#"{{"k":"{placeholder}"}}"#);
        client().send(&session, request(Method::POST, &url, &[("content-type", kind)], &body)).await.unwrap();
        let last = server.requests().pop().unwrap();
        assert!(last.starts_with("POST /v1/x?a=b&key=s3cret%2F%2B%22value%5C HTTP/1.1\r\n"), "{last}");
        assert!(last.ends_with(&format!("content-length: {}\r\n\r\n{expected}", expected.len())), "{last}");
    }
}

#[tokio::test]
async fn a_request_is_signed_in_the_host() {
    let server = Server::says("ok");
    let place =
        Place::Hmac { name: "x-signature".parse().unwrap(), form: "v1={signature}".to_owned(), date: "x-date".parse().unwrap() };
    let session = bound(&server, &[place]);
    let asked =
        request(Method::POST, &server.url("/v1/x?a=b"), &[("x-signature", &placeholder(&session)), ("x-date", "1")], "body");
    client().send(&session, asked).await.unwrap();
    let sent = server.requests().pop().unwrap();
    let field = |name: &str| sent.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap().to_owned();
    let date = field("x-date");
    assert!(date.parse::<u64>().unwrap() > 1_700_000_000, "the host's date, not the guest's");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut mac = Hmac::<Sha256>::new_from_slice(VALUE.as_bytes()).unwrap();
    mac.update(format!("POST\n/v1/x?a=b\n{date}\n{}", hex(&Sha256::digest("body"))).as_bytes());
    assert_eq!(field("x-signature"), format!("v1={}", hex(&mac.finalize().into_bytes())));
    assert!(sent.ends_with("\r\n\r\nbody") && !sent.contains("s3cret"), "{sent}");
}

/// Wherever no binding says so, the request is refused and nothing is connected to; the error has the binding.
#[tokio::test]
async fn a_placeholder_elsewhere_is_refused() {
    let server = Server::says("ok");
    let session = bound(&server, &[header("authorization", "Bearer {secret}"), Place::Basic { user: "me".to_owned() }]);
    let key = placeholder(&session);
    let encoded = format!("Basic {}", STANDARD.encode(format!("other:{key}")));
    let get = |path: &str, headers: &[(&'static str, &str)]| request(Method::GET, &server.url(path), headers, "");
    let table = [
        (get("/v1/x", &[("x-key", &key)]), "header: x-key"),
        (get("/v2/x", &[("authorization", &format!("Bearer {key}"))]), "path: \"/v2/x\""),
        (get("/v1/x", &[("authorization", &format!("Token {key}"))]), "form: \"Bearer {secret}\""),
        (get("/v1/x", &[("authorization", &format!("Bearer {key}{key}"))]), "header: authorization"),
        (get("/v1/x", &[("authorization", &encoded)]), "header: authorization"),
        (get(&format!("/v1/x?key={key}"), &[]), "query: key"),
        (get(&format!("/v1/x?{key}=1"), &[]), "query: NAME"),
        (get(&format!("/v1/{key}"), &[]), "none may stand"),
        (request(Method::PUT, &server.url("/v1/x"), &[("x-a", "b")], &format!("a{key}b")), "body: true"),
    ];
    for (asked, expected) in table {
        let error = client().send(&session, asked).await.unwrap_err();
        assert!(matches!(&error, Error::Secret(text) if text.contains(expected) && text.contains("`api`")), "{error}");
    }
    assert!(server.requests().iter().all(|request| !request.contains("floe-secret") && !request.contains("s3cret")));
    let elsewhere = Server::says("ok");
    let mut both = session.clone();
    both.policy = crate::support::session(vec![server.rule(), elsewhere.rule()]).policy;
    let asked = request(Method::GET, &elsewhere.url("/v1/x"), &[("authorization", &key)], "");
    assert!(matches!(client().send(&both, asked).await, Err(Error::Secret(_))));
    assert_eq!(elsewhere.connections(), 0);
}

/// A body in pieces has its placeholder found although no piece has it whole; the server gets no whole one.
#[tokio::test]
async fn a_placeholder_in_pieces_is_found() {
    let server = Server::says("ok");
    let session = bound(&server, &[]);
    let pieces: Vec<_> = placeholder(&session).bytes().map(|byte| Ok(hyper::body::Frame::data(vec![byte].into()))).collect();
    let body = floe_egress::RequestBody::new(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)));
    let asked = Request { body, ..request(Method::POST, &server.url("/v1/x"), &[], "") };
    assert!(matches!(client().send(&session, asked).await, Err(Error::Secret(_))));
    assert!(server.requests().iter().all(|request| !request.contains(&placeholder(&session))));
}

#[tokio::test]
async fn a_secret_does_not_follow_a_redirect() {
    let elsewhere = Server::says("elsewhere");
    let to = elsewhere.url("/v1/x");
    let server =
        Server::start(move |_| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes());
    let mut session = bound(&server, &[header("x-key", "{secret}")]);
    let mut rule = server.rule();
    rule.redirects = 1;
    session.policy = crate::support::session(vec![rule, elsewhere.rule()]).policy;
    let asked = request(Method::GET, &server.url("/v1/x"), &[("x-key", &placeholder(&session))], "");
    client().send(&session, asked).await.unwrap();
    let last = elsewhere.requests().pop().unwrap();
    assert!(!last.contains("x-key") && !last.contains("s3cret"), "{last}");
    assert!(server.requests()[0].contains(VALUE));

    // A place to go on to that has the secret in it is not gone to; the guest sees where, without the secret.
    let to = elsewhere.url(&format!("/v1/{}", "s3cret%2F%2B%22value%5C"));
    let server =
        Server::start(move |_| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes());
    let mut rule = server.rule();
    rule.redirects = 1;
    let mut session = bound(&server, &[]);
    session.policy = crate::support::session(vec![rule, elsewhere.rule()]).policy;
    let response = client().send(&session, request(Method::GET, &server.url("/v1/x"), &[], "")).await.unwrap();
    let location = response.headers["location"].to_str().unwrap().to_owned();
    assert!(location.ends_with(&"*".repeat(23)) && !location.contains("s3cret"), "{location}");
    assert_eq!(elsewhere.connections(), 1);
}

/// Wherever in the place to go on to, and however it is written there: a host in lower case, other cases, an escape, Base64.
#[tokio::test]
async fn a_redirect_that_would_carry_a_value_is_not_followed() {
    let elsewhere = Server::says("elsewhere");
    let port = elsewhere.port;
    let (name, odd) = ("MyToken-123", "My+Tok/en-4");
    let places = [
        format!("http://{name}.test:{port}/"),
        format!("http://a.{name}.test:{port}/"),
        format!("http://x.test:{port}/{name}"),
        format!("http://x.test:{port}/mytoken-123"),
        format!("http://x.test:{port}/MYTOKEN-123"),
        format!("http://x.test:{port}/%4DyToken%2D123"),
        format!("http://x.test:{port}/?a=b&key={name}"),
        format!("http://x.test:{port}/?key=My%2BTok%2fen-4"),
        format!("http://x.test:{port}/?key={}", STANDARD.encode(name)),
        format!("http://x.test:{port}/{}", URL_SAFE_NO_PAD.encode(format!("me:{odd}"))),
    ];
    let secret = |key: &str, value: &str| Secret::try_new(key, value, Vec::new(), KEY).unwrap();
    let send = async |to: &str| {
        let to = to.to_owned();
        let server =
            Server::start(move |_| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes());
        let mut first = server.rule();
        first.redirects = 1;
        let mut session = session(vec![first, crate::support::rule("*.test", port)]);
        session.secrets = Secrets::try_new(vec![secret("name", name), secret("odd", odd)]).unwrap();
        client().send(&session, request(Method::GET, &server.url("/"), &[], "")).await.unwrap()
    };
    for to in places {
        let response = send(&to).await;
        assert_eq!((response.status.as_u16(), elsewhere.connections()), (302, 0), "{to}");
    }
    let response = send(&format!("http://x.test:{port}/harmless")).await;
    assert_eq!((response.status.as_u16(), elsewhere.connections()), (200, 1));
}

/// An answer that is refused is the server's text all the same, and what is said of it has none of it.
#[tokio::test]
async fn an_error_gives_nothing_away() {
    let answers = [
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {VALUE}\r\ncontent-length: 0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-encoding: {VALUE}\r\ncontent-length: 0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {VALUE}, chunked\r\n\r\n0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {VALUE}\r\n\r\n"),
        format!("HTTP/1.1 101 {VALUE}\r\nconnection: upgrade\r\nupgrade: {VALUE}\r\n\r\n"),
        format!("HTTP/1.1 {VALUE}\r\n\r\n"),
        format!("{VALUE}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nx-a: b\r\n {VALUE}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{VALUE}\r\n\r\n"),
    ];
    for answer in answers {
        let sent = answer.clone();
        let server = Server::start(move |_| sent.clone().into_bytes());
        let session = bound(&server, &[]);
        let error = client().send(&session, request(Method::GET, &server.url("/v1/x"), &[], "")).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(matches!(error, Error::Broken(_)) && !told.contains("s3cret") && !told.contains("value"), "{answer}: {told}");
    }
    // Without a body there is nothing to unpack, and the header is one like any other.
    let server = Server::start(|_| format!("HTTP/1.1 200 OK\r\ncontent-encoding: {VALUE}\r\n\r\n").into_bytes());
    let session = bound(&server, &[]);
    let response = client().send(&session, request(Method::HEAD, &server.url("/v1/x"), &[], "")).await.unwrap();
    assert_eq!(response.headers["content-encoding"], "*".repeat(VALUE.len()).as_str());
}

/// Whatever form the server sends it back in, and wherever, the guest sees stars.
#[tokio::test]
async fn an_echo_is_scrubbed() {
    let percent: String = VALUE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let unicode: String = VALUE.bytes().map(|byte| format!("\\u{byte:04X}")).collect();
    let forms = [
        VALUE.to_owned(),
        "s3cret%2F%2B%22value%5C".to_owned(),
        percent,
        r#"s3cret\/+\"value\\"#.to_owned(),
        unicode,
        STANDARD.encode(VALUE),
        STANDARD.encode(format!("a{VALUE}")),
        STANDARD.encode(format!("ab{VALUE}c")),
        URL_SAFE_NO_PAD.encode(format!("me:{VALUE}:x")),
    ];
    for form in forms {
        let sent = form.clone();
        let server = Server::start(move |_| {
            let mut answer = format!("HTTP/1.1 200 OK\r\nx-echo: <{sent}>\r\ns3cret: 1\r\ntransfer-encoding: chunked\r\n\r\n");
            for byte in format!("before {sent} after").chars() {
                answer += &format!("1\r\n{byte}\r\n");
            }
            answer += &format!("0\r\nx-trailer: <{sent}>\r\n\r\n");
            answer.into_bytes()
        });
        let session = bound(&server, &[]);
        let response = client().send(&session, request(Method::GET, &server.url("/v1/x"), &[], "")).await.unwrap();
        let header = response.headers["x-echo"].to_str().unwrap().to_owned();
        let body = response.body.collect().await.unwrap();
        let trailer = body.trailers().unwrap()["x-trailer"].to_str().unwrap().to_owned();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert_eq!(text.len(), "before  after".len() + form.len());
        assert!(text.starts_with("before ") && text.ends_with(" after"), "{text}");
        for seen in [header, text, trailer] {
            assert!(seen.contains("**********") && !seen.contains(&form), "{form}: {seen}");
        }
    }
}

#[tokio::test]
async fn a_name_of_a_header_gives_nothing_away() {
    let server = Server::start(|_| {
        "HTTP/1.1 200 OK\r\nx-MyToken123: 1\r\nx-other: 2\r\ncontent-length: 0\r\n\r\n".to_owned().into_bytes()
    });
    let mut session = session(vec![server.rule()]);
    let secret = Secret::try_new("api", "MyToken123", Vec::new(), KEY).unwrap();
    session.secrets = Secrets::try_new(vec![secret]).unwrap();
    let response =
        client().send(&session, Request { body: full(""), ..request(Method::GET, &server.url("/"), &[], "") }).await.unwrap();
    assert!(response.headers.contains_key("x-other") && !response.headers.contains_key("x-mytoken123"));
}
