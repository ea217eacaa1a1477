//! A provider over real sockets: what it says, what it breaks, and how long it takes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use expect_test::expect;
use floe_egress::address::{Lookup, Resolver};
use floe_llm::{
    Backoff, Config, Error, Finish, MAX_EVENT, MAX_EXPLANATION, MAX_NAME, MAX_REFUSAL, MAX_RETRY_AFTER, Message, Model, Output,
    Piece, Provider, Remote, Request, Retry, Role, Schema, Secret, TimeOut, TimeOuts, Usage,
};
use serde_json::json;

use crate::server::{Act, KEY, PATIENT, Server, answer, client, config, ok, read, stream};
use crate::support::{heard, listen, question};

const ANSWER: &str = r#"{
    "model": "gpt-4.1-2025-04-14",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "It is."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}
}"#;

const STREAM: &str = r#"data: {"model":"gpt-4.1","choices":[{"delta":{"role":"assistant","content":""}}]}

data: {"model":"gpt-4.1","choices":[{"delta":{"content":"It "}}]}

: a comment
event: message
data: {"model":"gpt-4.1","choices":[{"delta":{"content":"is."}}]}

data: {"model":"gpt-4.1","choices":[{"delta":{},"finish_reason":"stop"}]}

data: {"model":"gpt-4.1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}

data: [DONE]

"#;

fn events(text: &str) -> Vec<u8> {
    stream("text/event-stream; charset=utf-8", text)
}

async fn fail(server: &Server) -> Error {
    server.model().complete(&question()).await.unwrap_err()
}

#[tokio::test]
async fn a_whole_answer_comes_with_usage_and_cost() {
    let server = Server::says(ok(ANSWER));
    let config = Config { prices: Arc::new(own_prices()), ..server.config() };
    let request = Request {
        messages: vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, "What is it?")],
        temperature: Some(0.3),
        max_tokens: Some(50),
        ..Request::default()
    };
    let answer = Remote::try_new(config).unwrap().complete(&request).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.model.as_str(), answer.finish), ("It is.", "gpt-4.1-2025-04-14", Finish::Stop));
    assert_eq!(answer.usage, Usage { input: Some(1000), output: Some(10), cached: Some(400) });
    assert_eq!(answer.cost, Some(600 + 40 + 100));
    assert!(answer.latency > Duration::ZERO);
    let head = server.requests()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /v1/chat/completions http/1.1"), "{head}");
    assert!(head.contains(&format!("authorization: bearer {KEY}")), "{head}");
    expect![[r#"{"max_tokens":50,"messages":[{"content":"Be brief.","role":"system"},{"content":"What is it?","role":"user"}],"model":"gpt-4.1","temperature":0.3}"#]]
        .assert_eq(&server.last().to_string());
}

fn own_prices() -> floe_llm::Prices {
    let own = "[[price]]\nmodel = \"gpt-4.1\"\ninput = 1000000\ncached = 100000\noutput = 10000000";
    floe_llm::Prices::default().with(own).unwrap()
}

#[tokio::test]
async fn at_another_server_the_cost_is_not_known() {
    let server = Server::says(ok(ANSWER));
    assert_eq!(server.model().complete(&question()).await.unwrap().cost, None);
}

#[tokio::test]
async fn an_answer_is_streamed_as_it_comes() {
    for text in [STREAM.to_owned(), STREAM.replace('\n', "\r\n"), STREAM.trim_end().to_owned()] {
        let server = Server::says(events(&text));
        let (answer, pieces) = listen(&server.model()).await;
        let answer = answer.unwrap();
        assert_eq!(pieces, [Piece::Text("It ".to_owned()), Piece::Text("is.".to_owned())]);
        assert_eq!((answer.text.as_str(), answer.finish), ("It is.", Finish::Stop));
        assert_eq!(answer.usage, Usage { input: Some(7), output: Some(2), cached: None });
        assert_eq!(server.last()["stream"], true);
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_heard_all_the_same() {
    let server = Server::says(ok(ANSWER));
    let (answer, pieces) = listen(&server.model()).await;
    assert_eq!(answer.unwrap().text, "It is.");
    assert_eq!(pieces, [Piece::Text("It is.".to_owned())]);
}

#[tokio::test]
async fn a_stream_that_is_cut_is_tried_again_and_taken_back() {
    let cut = STREAM.split("\n\ndata: {\"model\":\"gpt-4.1\",\"choices\":[{\"delta\":{},").next().unwrap();
    let server = Server::start(vec![Act::Say(events(cut)), Act::Say(events(STREAM))]);
    let (error, pieces) = listen(&server.model()).await;
    expect!["`openai/gpt-4.1` cannot be asked at the moment: the stream broke off before the answer was whole"]
        .assert_eq(&error.unwrap_err().to_string());
    assert_eq!(heard(&pieces), "It is.", "all that had come");
    let server = Server::start(vec![Act::Say(events(cut)), Act::Say(events(STREAM))]);
    let (answer, pieces) = listen(&quick(server.model())).await;
    assert_eq!(answer.unwrap().text, "It is.");
    assert_eq!(heard(&pieces), "It is.");
    assert_eq!(pieces.iter().filter(|piece| **piece == Piece::Restarted).count(), 1);
    // Also in the midst of an event, where HTTP itself sees it.
    let broken = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n{cut}");
    let (error, _) = listen(&Server::says(broken).model()).await;
    assert!(matches!(error, Err(Error::Unavailable { .. })), "{error:?}");
}

fn quick(model: Remote) -> Retry {
    let time = Duration::from_millis(1);
    Retry::new(Arc::new(model), Backoff { attempts: 3, base: time, cap: time, total: Duration::from_secs(60), seed: 1 })
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_its_error() {
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"It \"}}]}\n\ndata: {\"error\":{\"message\":\"Too busy\",\"type\":\"server_error\"}}\n\n";
    let (error, pieces) = listen(&Server::says(events(text)).model()).await;
    assert_eq!(heard(&pieces), "It ");
    expect!["`openai/gpt-4.1` cannot be asked at the moment: status 503: Too busy"].assert_eq(&error.unwrap_err().to_string());
    let text = "data: {\"error\":{\"message\":\"Slow\",\"code\":429}}\n\n";
    let (error, _) = listen(&Server::says(events(text)).model()).await;
    assert!(matches!(error, Err(Error::RateLimited { .. })), "{error:?}");
}

#[tokio::test]
async fn when_to_come_back_is_read_in_every_form() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: ";
    for (headers, expected) in [
        ("retry-after: 7\r\n".to_owned(), Some(Duration::from_secs(7))),
        ("retry-after: 0.5\r\n".to_owned(), Some(Duration::from_millis(500))),
        ("retry-after-ms: 250\r\nretry-after: 1\r\n".to_owned(), Some(Duration::from_millis(250))),
        (format!("{date}Sun, 06 Nov 1994 08:50:07 GMT\r\n"), Some(Duration::from_secs(30))),
        (format!("{date}Sun, 06 Nov 1994 08:00:00 GMT\r\n"), Some(Duration::ZERO)),
        (format!("{date}Wed, 01 Mar 1995 08:49:37 GMT\r\n"), Some(MAX_RETRY_AFTER)),
        ("retry-after: 99999999999\r\n".to_owned(), Some(MAX_RETRY_AFTER)),
        ("retry-after: -1\r\n".to_owned(), None),
        ("retry-after: soon\r\n".to_owned(), None),
        ("retry-after: Sun, 99 Nov 1994 08:49:37 GMT\r\n".to_owned(), None),
        (String::new(), None),
    ] {
        let error = fail(&Server::says(answer("429 Too Many Requests", &headers, "{}"))).await;
        let Error::RateLimited { retry_after, .. } = error else { panic!("{error}") };
        assert_eq!(retry_after, expected, "{headers}");
    }
    // A date of the last century has passed, whatever the clock says.
    let past = "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    assert_eq!(fail(&Server::says(answer("503 Busy", past, ""))).await.retry_after(), Some(Duration::ZERO));
}

#[tokio::test]
async fn what_passes_is_asked_again() {
    let server = Server::start(vec![
        Act::Say(answer("500 Internal Server Error", "", "oops")),
        Act::Say(answer("429 Too Many Requests", "retry-after-ms: 1\r\n", "{}")),
        Act::Say(ok(ANSWER)),
    ]);
    assert_eq!(quick(server.model()).complete(&question()).await.unwrap().text, "It is.");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn each_status_is_a_decision() {
    let mut said = Vec::new();
    for (status, body) in [
        ("400 Bad Request", r#"{"error": {"message": "Unknown parameter"}}"#),
        ("400 Bad Request", r#"{"error": {"message": "This model's maximum context length is 8192 tokens"}}"#),
        ("400 Bad Request", r#"{"error": {"message": "No.", "code": "content_filter"}}"#),
        ("400 Bad Request", r#"[{"error": {"message": "API key not valid. Please pass a valid API key."}}]"#),
        ("401 Unauthorized", r#"{"error": "who are you?"}"#),
        ("403 Forbidden", ""),
        ("404 Not Found", r#"{"error": {"message": "no such model"}}"#),
        ("413 Payload Too Large", "<html>large</html>"),
        ("422 Unprocessable", r#"{"detail": "no"}"#),
        ("429 Too Many Requests", r#"{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}"#),
        ("529 Overloaded", r#"{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}"#),
        ("302 Found", ""),
    ] {
        said.push(fail(&Server::says(answer(status, "", body))).await.to_string().replace("openai/gpt-4.1", "m"));
    }
    expect![[r#"
        `m` refuses the request: status 400: Unknown parameter
        the messages are longer than `m` can read: status 400: This model's maximum context length is 8192 tokens
        `m` will not answer this: status 400: No.
        `m` does not accept the key: status 400: API key not valid. Please pass a valid API key.; check the key and its account
        `m` does not accept the key: status 401: who are you?; check the key and its account
        `m` does not accept the key: status 403: it does not say why; check the key and its account
        there is no `m`: status 404: no such model; check the model's name and the base URL
        the messages are longer than `m` can read: status 413: <html>large</html>
        `m` refuses the request: status 422: {"detail": "no"}
        `m` does not accept the key: status 429: You exceeded your quota; check the key and its account
        `m` cannot be asked at the moment: status 529: Overloaded
        `m` refuses the request: status 302: it does not say why"#]]
    .assert_eq(&said.join("\n"));
}

#[tokio::test]
async fn the_key_is_nowhere_to_be_seen() {
    let echo = format!("{{\"error\": {{\"message\": \"Incorrect key: {KEY}, or {KEY}\\u001b[31m\\n!\"}}}}");
    let server = Server::says(answer("401 Unauthorized", "", &echo));
    let model = server.model();
    let error = model.complete(&question()).await.unwrap_err();
    let all = format!("{error} {error:?} {model:?} {:?} {:?}", server.config(), Secret::new(KEY));
    assert!(!all.contains(&KEY[3..]), "{all}");
    assert!(error.to_string().contains("Incorrect key: *"), "{error}");
    assert!(!error.to_string().contains(|char: char| char.is_control()), "{error}");
    let said = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{KEY}\"}},\"finish_reason\":\"stop\"}}]}}\n\n");
    let (answer, pieces) = listen(&Server::says(events(&said)).model()).await;
    assert!(!answer.unwrap().text.contains(KEY) && !heard(&pieces).contains(KEY), "nor in an answer that repeats it");
}

#[tokio::test]
async fn a_key_with_a_line_break_around_it_is_the_key_and_one_that_is_none_is_refused() {
    let server = Server::says(ok(ANSWER));
    let with = |key: &str| Remote::try_new(Config { key: Some(Secret::new(key)), ..server.config() });
    with(&format!("{KEY}\n")).unwrap().complete(&question()).await.unwrap();
    assert!(server.requests()[0].contains(&format!("Bearer {KEY}\r\n")));
    for key in ["tiny1", "with a\nline break"] {
        let error = with(key).unwrap_err().to_string();
        assert!(error.contains("cannot be used") && !error.contains(key), "{error}");
    }
    let none = Remote::try_new(Config { key: None, ..server.config() }).unwrap();
    none.complete(&question()).await.unwrap();
    assert!(!server.requests()[1].to_ascii_lowercase().contains("authorization"));
}

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_server_that_is_silent_is_left_in_time() {
    let half = &STREAM[..STREAM.find(": a comment").unwrap()];
    let whole = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{\"choices\"";
    let shorter = |change: fn(&mut TimeOuts)| {
        let mut time_outs = PATIENT;
        change(&mut time_outs);
        time_outs
    };
    let cases = [
        (TimeOut::Header, shorter(|times| times.header = SHORT), Vec::new()),
        (TimeOut::Chunk, shorter(|times| times.chunk = SHORT), events(half)),
        (TimeOut::Chunk, shorter(|times| times.chunk = SHORT), whole.as_bytes().to_vec()),
        (TimeOut::Total, shorter(|times| times.total = SHORT), Vec::new()),
        (TimeOut::Total, shorter(|times| times.total = SHORT), events(half)),
    ];
    for (limit, time_outs, bytes) in cases {
        let server = Server::start(vec![Act::SayAndHang(bytes)]);
        let model = Remote::try_new(Config { time_outs, ..server.config() }).unwrap();
        let (error, _) = listen(&model).await;
        assert_eq!(error, Err(Error::TimedOut { model: "openai/gpt-4.1".to_owned(), limit, after: SHORT }));
    }
}

/// Never answers.
#[derive(Debug)]
struct Silent;

impl Resolver for Silent {
    fn resolve<'a>(&'a self, _: &'a str) -> Lookup<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_come_about_is_given_up() {
    let base = config(Provider::OpenAi, "http://model.test/v1", "gpt-4.1");
    let time_outs = TimeOuts { connect: Duration::from_secs(5), ..PATIENT };
    let model = Remote::try_new(Config { private: true, client: client(Arc::new(Silent)), time_outs, ..base }).unwrap();
    let error = model.complete(&question()).await.unwrap_err();
    assert_eq!(error.to_string(), "`openai/gpt-4.1` took more than the 5s that `connect` allows");
    let request = Request { deadline: Some(tokio::time::Instant::now() + Duration::from_secs(2)), ..question() };
    let error = model.complete(&request).await.unwrap_err();
    assert_eq!(error.to_string(), "`openai/gpt-4.1` took more than the 2s that `total` allows");
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://127.0.0.1:{}/v1", listener.local_addr().unwrap().port());
    drop(listener);
    let error = Remote::try_new(config(Provider::OpenAi, &url, "m")).unwrap().complete(&question()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let error = fail(&Server::says("HTTP/1.1 200")).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_none_is_malformed_and_shown_in_part() {
    let long = "x".repeat(100_000);
    let mut said = Vec::new();
    for body in [
        "{\"choices\": [",
        "<html>\u{1b}[2J</html>",
        "[]",
        "{\"choices\": []}",
        r#"{"choices": [{"message": {"content": null}}]}"#,
        &long,
    ] {
        let error = fail(&Server::says(ok(body))).await;
        let Error::Malformed { message, received, .. } = error else { panic!("{error}") };
        said.push(format!("{message} | {}", received.chars().take(40).collect::<String>()));
        assert!(received.chars().count() <= floe_llm::MAX_RECEIVED + 1);
    }
    expect![[r#"
        EOF while parsing a list at line 1 column 13 | {"choices": [
        expected value at line 1 column 1 | <html>[2J</html>
        there is no text in it | 
        there is no text in it | 
        there is no text in it | 
        expected value at line 1 column 1 | xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"#]]
    .assert_eq(&said.join("\n"));
    let (error, _) = listen(&Server::says(events("data: {oh\n\n")).model()).await;
    assert!(matches!(error, Err(Error::Malformed { .. })), "{error:?}");
    let mut bytes = events("data: ");
    bytes.extend([0xff, 0xfe, b'\n', b'\n']);
    let (error, _) = listen(&Server::says(bytes).model()).await;
    assert!(error.unwrap_err().to_string().contains("no UTF-8"));
}

#[tokio::test]
async fn refusals_are_refusals() {
    let no = r#"{"choices": [{"message": {"content": null, "refusal": "I will not."}, "finish_reason": "stop"}]}"#;
    assert_eq!(fail(&Server::says(ok(no))).await.to_string(), "`openai/gpt-4.1` will not answer this: I will not.");
    let filtered = r#"{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}"#;
    assert!(matches!(fail(&Server::says(ok(filtered))).await, Error::Refused { .. }));
    let cut = r#"{"choices": [{"message": {"content": "I"}, "finish_reason": "content_filter"}]}"#;
    assert_eq!(Server::says(ok(cut)).model().complete(&question()).await.unwrap().finish, Finish::Filter);
    let thought = r#"{"choices": [{"message": {"content": ""}, "finish_reason": "length"}]}"#;
    let error = fail(&Server::says(ok(thought))).await.to_string();
    assert!(error.contains("the tokens ran out before a word was said"), "{error}");
}

#[tokio::test]
async fn an_answer_is_bounded_before_it_is_held() {
    let limited = |server: &Server| Remote::try_new(Config { max_answer: 1000, ..server.config() }).unwrap();
    let stated = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{";
    let unstated = stream("application/json", &format!("{{\"a\": \"{}\"}}", "x".repeat(5_000)));
    let streamed = events(&"data: {\"choices\":[{\"delta\":{\"content\":\"and so on \"}}]}\n\n".repeat(100));
    for bytes in [stated.as_bytes().to_vec(), unstated, streamed] {
        let (error, _) = listen(&limited(&Server::start(vec![Act::SayAndHang(bytes)]))).await;
        let error = error.unwrap_err();
        let Error::Limit { limit: "max_answer", used, max: 1000, .. } = error else { panic!("{error}") };
        assert!(used > 1000);
        assert!(error.moves_on() && !error.is_passing());
        assert!(error.to_string().contains("`max_answer` of the model's settings raises it"), "{error}");
    }
}

#[tokio::test]
async fn events_and_heads_and_explanations_are_bounded() {
    let endless = events(&format!("data: {}", "x".repeat(MAX_EVENT)));
    let server = Server::start(vec![Act::SayAndHang(endless)]);
    let model = Remote::try_new(Config { max_answer: 8 << 20, ..server.config() }).unwrap();
    let (error, _) = listen(&model).await;
    assert!(error.unwrap_err().to_string().contains("may have 1048576"));
    let head = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(100_000));
    assert!(matches!(fail(&Server::says(head)).await, Error::Malformed { .. }));
    // The server says more than is read, and then nothing: what has been read is enough.
    let page = format!("HTTP/1.1 500 Oh\r\ncontent-length: 9999999\r\n\r\n{}", "y".repeat(2 * MAX_REFUSAL));
    let error = fail(&Server::start(vec![Act::SayAndHang(page.into_bytes())])).await;
    let Error::Unavailable { message, .. } = error else { panic!("{error}") };
    assert!(message.chars().count() < MAX_EXPLANATION + 20, "{message}");
}

#[tokio::test]
async fn a_request_is_bounded_before_it_is_sent() {
    let server = Server::says(ok(ANSWER));
    let model = Remote::try_new(Config { max_request: 500, ..server.config() }).unwrap();
    let error = model.complete(&Request::of_user("x".repeat(500))).await.unwrap_err();
    assert!(error.to_string().starts_with("limit `max_request` of `openai/gpt-4.1` reached: used 5"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_compressed_or_sent_elsewhere_is_not_taken() {
    let zipped = answer("200 OK", "content-type: application/json\r\ncontent-encoding: gzip\r\n", "x");
    assert!(matches!(fail(&Server::says(zipped)).await, Error::Unavailable { .. }));
    let server = Server::says(ok(ANSWER));
    let moved = answer("307 Moved", &format!("location: {}\r\n", server.url("/v1/elsewhere")), "");
    assert!(matches!(fail(&Server::says(moved)).await, Error::BadRequest { .. }));
    assert!(server.requests().is_empty());
}

#[test]
fn what_could_never_be_asked_is_refused_at_once() {
    let says = |config: Config| Remote::try_new(config).unwrap_err().to_string();
    let fine = || config(Provider::OpenAi, "http://127.0.0.1:1/v1", "m");
    let mut said = vec![
        says(Config { base_url: Some("http://api.example.com/v1".to_owned()), ..fine() }),
        says(Config { base_url: Some("ftp://host/".to_owned()), ..fine() }),
        says(Config { base_url: Some("https://user:pass@host/".to_owned()), ..fine() }),
        says(Config { base_url: Some("https://host/v1?version=1".to_owned()), ..fine() }),
        says(Config { base_url: None, key: None, ..fine() }),
        says(Config { model: String::new(), ..fine() }),
        says(Config { model: "a b".to_owned(), ..fine() }),
        says(Config { provider: Provider::Gemini, model: "a/../b".to_owned(), ..fine() }),
    ];
    said.push(
        says(Config { model: "x".repeat(MAX_NAME + 1), ..fine() })
            .chars()
            .rev()
            .take(80)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect(),
    );
    expect![[r#"
        the model `openai/m` cannot be used: its base URL is `http:`, which sends everything in clear text; `private: true` says that it is near
        the model `openai/m` cannot be used: `ftp` is no scheme; there are https and http
        the model `openai/m` cannot be used: its base URL has an `@`; a key is a setting of its own
        the model `openai/m` cannot be used: its base URL has a `?` or `#`; what is asked for is added at its end
        the model `openai/m` cannot be used: its provider asks for a key
        the model `openai/` cannot be used: its name is at most 200 visible ASCII characters, without spaces, and for Gemini without `/?#%;` and `\`
        the model `openai/a b` cannot be used: its name is at most 200 visible ASCII characters, without spaces, and for Gemini without `/?#%;` and `\`
        the model `gemini/a/../b` cannot be used: its name is at most 200 visible ASCII characters, without spaces, and for Gemini without `/?#%;` and `\`
        visible ASCII characters, without spaces, and for Gemini without `/?#%;` and `\`"#]].assert_eq(&said.join("\n"));
}

/// Says that every name stands for this machine.
#[derive(Debug)]
struct Local;

impl Resolver for Local {
    fn resolve<'a>(&'a self, _: &'a str) -> Lookup<'a> {
        Box::pin(std::future::ready(Ok(vec![Ipv4Addr::LOCALHOST.into()])))
    }
}

#[tokio::test]
async fn a_name_that_leads_into_the_own_network_needs_a_word() {
    let server = Server::says(ok(ANSWER));
    let at = |base: &str, private| {
        let base = config(Provider::OpenAi, base, "m");
        Remote::try_new(Config { private, client: client(Arc::new(Local)), ..base }).unwrap()
    };
    let error = at("https://models.example.com/v1", false).complete(&question()).await.unwrap_err().to_string();
    assert!(error.contains("`private: true` of the model's settings is such a rule"), "{error}");
    let near = format!("http://models.example.com:{}/v1", server.port);
    assert_eq!(at(&near, true).complete(&question()).await.unwrap().text, "It is.");
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://127.0.0.1:{}/v1", listener.local_addr().unwrap().port());
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read(&mut stream);
        stream
            .write_all(&events(
                &STREAM[..STREAM.find("data: {\"model\":\"gpt-4.1\",\"choices\":[{\"delta\":{\"content\":\"is.").unwrap()],
            ))
            .unwrap();
        let mut rest = Vec::new();
        // Ends when the other side has closed, one way or the other.
        let _ = stream.read_to_end(&mut rest);
        tx.send(()).unwrap();
    });
    let model = Remote::try_new(config(Provider::OpenAi, &url, "m")).unwrap();
    let (pieces, mut heard) = floe_llm::Pieces::channel(4);
    let request = Request { pieces: Some(pieces), ..question() };
    tokio::select! {
        result = model.complete(&request) => panic!("{result:?}"),
        piece = heard.recv() => assert_eq!(piece, Some(Piece::Text("It ".to_owned()))),
    }
    rx.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[tokio::test]
async fn a_schema_and_json_are_asked_for_in_the_servers_own_way() {
    let server = Server::says(ok(ANSWER));
    let schema = Arc::new(Schema { name: "s".to_owned(), schema: json!({"type": "object"}) });
    for output in [Output::Schema(schema), Output::Json] {
        server.model().complete(&Request { output, ..question() }).await.unwrap();
    }
    let sent: Vec<String> = server
        .requests()
        .iter()
        .map(|request| {
            serde_json::from_str::<serde_json::Value>(request.split_once("\r\n\r\n").unwrap().1).unwrap()["response_format"]
                .to_string()
        })
        .collect();
    expect![[r#"
        {"json_schema":{"name":"s","schema":{"type":"object"},"strict":false},"type":"json_schema"}
        {"type":"json_object"}"#]]
    .assert_eq(&sent.join("\n"));
}
