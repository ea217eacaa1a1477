//! The languages of the other providers: what is sent, and what is understood.

use std::sync::Arc;

use expect_test::{Expect, expect};
use floe_llm::{Answer, Config, Error, Finish, Message, Model, Output, Prices, Provider, Remote, Request, Role, Schema, Usage};
use serde_json::json;

use crate::server::{KEY, Server, answer, config, ok, stream};
use crate::support::{heard, listen, question};

/// A conversation with everything in it.
fn request() -> Request {
    Request {
        messages: vec![
            Message::new(Role::System, "Be brief."),
            Message::new(Role::User, "Hi"),
            Message::new(Role::Assistant, "Hello"),
            Message::new(Role::System, "In JSON."),
            Message::new(Role::User, "What is it?"),
        ],
        output: Output::Schema(Arc::new(Schema { name: "s".to_owned(), schema: json!({"type": "object"}) })),
        temperature: Some(0.5),
        max_tokens: Some(9),
        ..Request::default()
    }
}

fn model(provider: Provider, server: &Server, name: &str) -> Remote {
    Remote::try_new(config(provider, &server.url("/base/"), name)).unwrap()
}

/// What is sent: the path, the header with the key, the body.
async fn check(provider: Provider, name: &str, said: &str, expected: &Expect) -> Answer {
    let server = Server::says(ok(said));
    let answer = model(provider, &server, name).complete(&request()).await.unwrap();
    let sent = server.requests().remove(0);
    let path = sent.split(' ').nth(1).unwrap().to_owned();
    let key = sent.lines().find(|line| line.contains(KEY)).unwrap_or_default().replace(KEY, "KEY");
    expected.assert_eq(&format!("{path}\n{key}\n{}", server.last()));
    answer
}

fn tokens(input: u64, output: u64, cached: Option<u64>) -> Usage {
    Usage { input: Some(input), output: Some(output), cached }
}

#[tokio::test]
async fn anthropic_is_asked_and_understood() {
    let said = r#"{"type": "message", "model": "claude-haiku-4-5-20251001", "stop_reason": "max_tokens",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "It "}, {"type": "text", "text": "is."}],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 1, "output_tokens": 3}}"#;
    let answer = check(Provider::Anthropic, "claude-haiku-4-5", said, &expect![[r#"
        /base/messages
        x-api-key: KEY
        {"max_tokens":9,"messages":[{"content":"Hi","role":"user"},{"content":"Hello","role":"assistant"},{"content":"What is it?","role":"user"}],"model":"claude-haiku-4-5","output_config":{"format":{"schema":{"type":"object"},"type":"json_schema"}},"system":"Be brief.\n\nIn JSON.","temperature":0.5}"#]]).await;
    assert_eq!((answer.text.as_str(), answer.finish, answer.usage), ("It is.", Finish::Length, tokens(16, 3, Some(5))));
}

#[tokio::test]
async fn anthropic_streams() {
    let events = [
        r#"{"type":"message_start","message":{"model":"claude-x","usage":{"input_tokens":4,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"It "}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"is."}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":8}}"#,
        r#"{"type":"message_stop"}"#,
    ];
    let text: String = events.iter().map(|event| format!("event: x\ndata: {event}\n\n")).collect();
    let (answer, pieces) =
        listen(&model(Provider::Anthropic, &Server::says(stream("text/event-stream", &text)), "claude-x")).await;
    let answer = answer.unwrap();
    assert_eq!((heard(&pieces).as_str(), answer.text.as_str(), answer.model.as_str()), ("It is.", "It is.", "claude-x"));
    assert_eq!((answer.finish, answer.usage), (Finish::Stop, tokens(4, 8, None)));
    let overloaded = "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let (error, _) =
        listen(&model(Provider::Anthropic, &Server::says(stream("text/event-stream", overloaded)), "claude-x")).await;
    assert!(matches!(error, Err(Error::Unavailable { .. })), "{error:?}");
}

#[tokio::test]
async fn anthropic_has_no_json_mode_and_says_so() {
    let server = Server::says(ok("{}"));
    let error = model(Provider::Anthropic, &server, "c").complete(&Request { output: Output::Json, ..question() }).await;
    assert!(matches!(error, Err(Error::BadRequest { .. })), "{error:?}");
    assert!(server.requests().is_empty());
    let refused = r#"{"type": "message", "stop_reason": "refusal", "content": []}"#;
    let error = model(Provider::Anthropic, &Server::says(ok(refused)), "c").complete(&question()).await;
    assert!(matches!(error, Err(Error::Refused { .. })), "{error:?}");
    let long =
        r#"{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum"}}"#;
    let server = Server::says(answer("400 Bad Request", "", long));
    let error = model(Provider::Anthropic, &server, "c").complete(&question()).await;
    assert!(matches!(error, Err(Error::ContextTooLong { .. })), "{error:?}");
}

#[tokio::test]
async fn gemini_is_asked_and_understood() {
    let said = r#"{"candidates": [{"content": {"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "It is."}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 3, "thoughtsTokenCount": 4, "cachedContentTokenCount": 2},
        "modelVersion": "gemini-2.5-flash"}"#;
    let answer = check(Provider::Gemini, "gemini-2.5-flash", said, &expect![[r#"
        /base/models/gemini-2.5-flash:generateContent
        x-goog-api-key: KEY
        {"contents":[{"parts":[{"text":"Hi"}],"role":"user"},{"parts":[{"text":"Hello"}],"role":"model"},{"parts":[{"text":"What is it?"}],"role":"user"}],"generationConfig":{"maxOutputTokens":9,"responseJsonSchema":{"type":"object"},"responseMimeType":"application/json","temperature":0.5},"systemInstruction":{"parts":[{"text":"Be brief.\n\nIn JSON."}]}}"#]]).await;
    assert_eq!((answer.text.as_str(), answer.finish, answer.usage), ("It is.", Finish::Stop, tokens(12, 7, Some(2))));
}

#[tokio::test]
async fn gemini_streams_and_refuses() {
    let text = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"It \"}]}}]}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"is.\"}]},\"finishReason\":\"MAX_TOKENS\"}],\"usageMetadata\":{\"promptTokenCount\":1,\"candidatesTokenCount\":2}}\r\n\r\n";
    let server = Server::says(stream("text/event-stream", text));
    let (answer, pieces) = listen(&model(Provider::Gemini, &server, "g")).await;
    let answer = answer.unwrap();
    assert_eq!((heard(&pieces).as_str(), answer.finish, answer.usage), ("It is.", Finish::Length, tokens(1, 2, None)));
    assert!(server.requests()[0].starts_with("POST /base/models/g:streamGenerateContent?alt=sse "));
    for said in
        [r#"{"promptFeedback": {"blockReason": "SAFETY"}}"#, r#"{"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]}"#]
    {
        let error = model(Provider::Gemini, &Server::says(ok(said)), "g").complete(&question()).await;
        assert!(matches!(error, Err(Error::Refused { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn ollama_is_asked_and_understood() {
    let said = r#"{"model": "llama3.2", "message": {"role": "assistant", "content": "It is."}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 11, "eval_count": 3}"#;
    let answer = check(Provider::Ollama, "llama3.2", said, &expect![[r#"
        /base/api/chat
        authorization: Bearer KEY
        {"format":{"type":"object"},"messages":[{"content":"Be brief.","role":"system"},{"content":"Hi","role":"user"},{"content":"Hello","role":"assistant"},{"content":"In JSON.","role":"system"},{"content":"What is it?","role":"user"}],"model":"llama3.2","options":{"num_predict":9,"temperature":0.5},"stream":false}"#]]).await;
    assert_eq!((answer.text.as_str(), answer.finish, answer.usage), ("It is.", Finish::Stop, tokens(11, 3, None)));
}

#[tokio::test]
async fn ollama_streams_lines() {
    let text = "{\"model\":\"l\",\"message\":{\"content\":\"It \"},\"done\":false}\n{\"model\":\"l\",\"message\":{\"content\":\"is.\"},\"done\":false}\n{\"model\":\"l\",\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"length\",\"eval_count\":5}\n";
    let (answer, pieces) = listen(&model(Provider::Ollama, &Server::says(stream("application/x-ndjson", text)), "l")).await;
    let answer = answer.unwrap();
    assert_eq!((heard(&pieces).as_str(), answer.finish), ("It is.", Finish::Length));
    assert_eq!(answer.usage, Usage { input: None, output: Some(5), cached: None }, "what it does not say is not nothing");
    assert_eq!(answer.cost, None, "nor is its cost");
    let cut = text.lines().next().unwrap();
    let (error, _) = listen(&model(Provider::Ollama, &Server::says(stream("application/x-ndjson", cut)), "l")).await;
    assert!(matches!(error, Err(Error::Unavailable { .. })), "{error:?}");
    let missing = answer_of("404 Not Found", r#"{"error": "model 'l' not found"}"#).await;
    assert!(matches!(missing, Err(Error::UnknownModel { .. })), "{missing:?}");
}

async fn answer_of(status: &str, body: &str) -> Result<Answer, Error> {
    model(Provider::Ollama, &Server::says(answer(status, "", body)), "l").complete(&question()).await
}

#[tokio::test]
async fn what_runs_on_the_own_machine_costs_nothing() {
    let said = r#"{"message": {"content": "a"}, "done": true, "prompt_eval_count": 1, "eval_count": 1}"#;
    let server = Server::says(ok(said));
    let mut config = Config { key: None, ..config(Provider::Ollama, "", "l") };
    for local in ["localhost", "127.0.0.1"] {
        config.base_url = Some(format!("http://{local}:{}", server.port));
        assert_eq!(Remote::try_new(config.clone()).unwrap().complete(&question()).await.unwrap().cost, Some(0));
    }
    config.prices = std::sync::Arc::new(Prices::default());
    assert_eq!(Remote::try_new(config).unwrap().complete(&question()).await.unwrap().cost, None);
    assert!(!server.requests()[0].to_ascii_lowercase().contains("authorization"));
}
