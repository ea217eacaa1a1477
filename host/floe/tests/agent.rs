//! Agents as a user sees them: the real binary, a real plugin, a script or a server on loopback in the model's place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const SCRIPT: &str = "model: { script: answers.jsonl }";
const TOOLS: &str = "tools: { text/word-count: { timeout: 5s } }";

fn folder(agent: &str, script: &[Value]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = format!(
        "floe: 1\nname: test\nplugins:\n  text: {{ source: {} }}\nnodes:\n  reader:\n    agent:\n      {agent}\n",
        floe_tests::TEXT
    );
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    let lines: String = script.iter().map(|line| format!("{line}\n")).collect();
    fs::write(dir.path().join("answers.jsonl"), lines).unwrap();
    dir
}

fn floe(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_HOME", dir.join("home")).env("NO_COLOR", "1").env("TEST_KEY", "k3y-of-a-test");
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent"));
    command.stdin(Stdio::null()).output().unwrap()
}

fn texts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn counts() -> Value {
    json!({ "action": { "thought": "count", "next_node": "text/word-count", "args": { "text": "one two three" } } })
}

fn answers(text: &str) -> Value {
    json!({ "action": { "thought": "done", "next_node": null, "args": { "raw_answer": text } } })
}

#[test]
fn an_answer_comes_with_what_led_to_it() {
    let mut last = answers("Three.\u{1b}[31m");
    last["expect"] = json!({ "observation": { "words": 3 } });
    let dir = folder(&format!("{SCRIPT}\n      {TOOLS}"), &[counts(), last]);
    let (code, out, errors) = texts(&floe(dir.path(), &["agent", "run", ".", "--query", "How many?"]));
    assert_eq!((code, out.as_str()), (0, "Three.[31m\n"), "{errors}");
    assert!(errors.contains("· calls text/word-count {\"text\":\"one two three\"}"), "{errors}");
    assert!(errors.contains("2 steps, 2 answers of models, 1 calls of tools"), "{errors}");
    let (code, out, _) = texts(&floe(dir.path(), &["agent", "run", ".", "--query", "How many?", "--json"]));
    let envelope: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &envelope["reason"], &envelope["steps"][0]["observation"]),
        (0, &json!("answer_complete"), &json!({ "words": 3 }))
    );
    // The same as a node of a flow, many at once and with a journal.
    fs::write(dir.path().join("in.jsonl"), "\"How many?\"\n").unwrap();
    let (code, out, errors) = texts(&floe(dir.path(), &["run", ".", "--input", "in.jsonl", "--journal", "j.db"]));
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &line["payload"]["usage"]["tool_calls"]), (0, &json!(1)), "{errors}");
    let history = texts(&floe(dir.path(), &["history", line["trace_id"].as_str().unwrap(), "--journal", "j.db"])).1;
    assert_eq!(history.matches("noted").count(), 4, "{history}");
}

#[test]
fn what_is_no_answer_is_said_and_is_no_success() {
    let dir =
        folder(&format!("{SCRIPT}\n      {TOOLS}"), &[json!({ "text": "I think it is three." }), json!({ "text": "Three!" })]);
    let (code, out, errors) = texts(&floe(dir.path(), &["agent", "run", ".", "-q", "How many?"]));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains("parse_failed: the answer of `answers.jsonl` cannot be used"), "{errors}");
}

#[test]
fn what_is_wrong_with_an_agent_is_said_with_its_place() {
    let wrong = |agent: &str, says: &str| {
        let dir = folder(agent, &[]);
        let (code, _, errors) = texts(&floe(dir.path(), &["validate", "."]));
        let errors = errors.replace("\n  │ ", " ");
        assert!(code == 2 && errors.contains(says) && errors.contains("flow.yaml:"), "{says}: {errors}");
    };
    wrong(&format!("{SCRIPT}\n      tools: {{ text/word-cuont: {{}} }}"), "did you mean `word-count`");
    wrong(&format!("{SCRIPT}\n      tools: {{ text/split: {{}} }}"), "`text/split` is a node; only tools can be granted");
    wrong("model: { script: nothing.jsonl }", "cannot read the script `nothing.jsonl`");
    wrong("model: { provider: openai, script: answers.jsonl }", "a model is either a `script` or of a `provider`");
    wrong("model: { provider: openai, name: m, key_env: NO_SUCH_KEY }", "there is no `NO_SUCH_KEY` in the environment");
    wrong(&format!("{SCRIPT}\n      limits: {{ steps: 0 }}"), "without a step there is no answer");
    wrong(&format!("{SCRIPT}\n      step: 3"), "unknown key `step`");
    let dir = tempfile::tempdir().unwrap();
    let flow =
        format!("floe: 1\nname: t\nplugins: {{ p: {{ source: {} }} }}\nnodes: {{ n: {{ run: p/pass }} }}\n", floe_tests::TEXT);
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    let (code, _, errors) = texts(&floe(dir.path(), &["agent", "run", ".", "-q", "?"]));
    assert!(code == 2 && errors.contains("has no node with an `agent`"), "{errors}");
}

/// Answers each request with the next of these actions, as a stream of events.
fn server(actions: Vec<Value>) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for action in actions {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (String::new(), [0; 65536]);
            loop {
                let count = stream.read(&mut buffer).unwrap();
                request.push_str(&String::from_utf8_lossy(&buffer[..count]));
                let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
                let length =
                    head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    break;
                }
            }
            let text = action.to_string();
            let (first, second) = text.split_at(text.len() / 2);
            let event =
                |text: &str| format!("data: {}\n\n", json!({ "model": "m-1", "choices": [{ "delta": { "content": text } }] }));
            let last = json!({ "model": "m-1", "choices": [], "usage": { "prompt_tokens": 100, "completion_tokens": 20 } });
            let body = format!("{}{}data: {last}\n\ndata: [DONE]\n\n", event(first), event(second));
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            requests.push(request);
        }
        requests
    });
    (port, serving)
}

#[test]
fn a_server_of_ones_own_is_asked() {
    let action = |line: Value| line["action"].clone();
    let (port, serving) = server(vec![action(counts()), action(answers("Three."))]);
    let model = format!("model: {{ provider: openai, name: m, base_url: 'http://127.0.0.1:{port}/v1', key_env: TEST_KEY }}");
    let dir = folder(&format!("{model}\n      {TOOLS}"), &[]);
    let (code, out, errors) = texts(&floe(dir.path(), &["agent", "run", ".", "-q", "How many?"]));
    assert_eq!((code, out.as_str()), (0, "Three.\n"), "{errors}");
    assert!(errors.contains("200 tokens read, 40 written; at least $0.000000"), "{errors}");
    let requests = serving.join().unwrap();
    assert!(requests.iter().all(|request| request.contains("authorization: Bearer k3y-of-a-test\r\n")));
    assert!(requests[1].contains("\\\"observation\\\":{\\\"words\\\":3}"), "{}", requests[1]);
    assert!(!errors.contains("k3y"), "{errors}");
}
