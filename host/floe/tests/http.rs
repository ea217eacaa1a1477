//! Grants for HTTP and secrets as an operator writes them: the real binary, a server on loopback, the values in the environment and
//! in files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

const VALUE: &str = "s3cret/+value";

/// Answers each request with its own `authorization`.
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), heads: Arc::default() };
        let heads = Arc::clone(&server.heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut head, mut byte) = (stream.unwrap(), Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let echo = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or("none").to_owned();
                heads.lock().unwrap().push(head);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{echo}", echo.len());
            }
        });
        server
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A folder with a flow of the plugin that asks, under these grants.
fn folder(grants: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = format!(
        "floe: 1\nname: test\nplugins:\n  p:\n    source: {}\n    grants:\n{grants}nodes:\n  n: {{ run: p/ask }}\n",
        floe_tests::CALLS_HTTP
    );
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    dir
}

/// Exit code, standard output and standard error of a run over one line.
fn run(dir: &Path, input: &str, env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    run_with(dir, input, env, &[])
}

fn run_with(dir: &Path, input: &str, env: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(["run", dir.to_str().unwrap(), "--events", dir.join("events.jsonl").to_str().unwrap()]);
    command.args(args);
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).env("NO_COLOR", "1").env_remove("KEY");
    command.envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The process may refuse the flow and never read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Grants for the server, with the secret `api` from this source.
fn grants(server: &Server, source: &str) -> String {
    let port = server.port;
    format!(
        "      http: [{{ scheme: http, host: 127.0.0.1, ports: [{port}], path: \"/v1/*\", private: true }}]\n      secrets:\n        api:\n          \
         {source}\n          variable: API_KEY\n          bind: [{{ scheme: http, host: 127.0.0.1, ports: [{port}], header: authorization, \
         form: \"Bearer {{secret}}\" }}]\n"
    )
}

fn wanted(server: &Server, path: &str) -> String {
    let url = format!("http://127.0.0.1:{}{path}", server.port);
    let wanted =
        serde_json::json!({ "url": url, "headers": [["authorization", "SECRET"]], "variable": "API_KEY", "spill": "return" });
    format!("{wanted}\n")
}

#[test]
fn a_secret_comes_from_the_environment_or_a_file_and_goes_to_its_place_only() {
    let server = Server::start();
    let dir = folder(&grants(&server, "env: KEY"));
    let from_env = run(dir.path(), &wanted(&server, "/v1/x"), &[("KEY", VALUE)]);
    let dir = folder(&grants(&server, "file: key.txt"));
    let key = dir.path().join("key.txt");
    fs::write(&key, format!("{VALUE}\n")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let from_file = run(dir.path(), &wanted(&server, "/v1/x"), &[]);
    for (code, output, errors) in [from_env, from_file] {
        assert_eq!(code, Some(0), "{errors}");
        let events = fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
        for text in [&output, &errors, &events] {
            assert!(!text.contains(VALUE) && !text.contains("s3cret"), "{text}");
        }
        let answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let answer = answers.iter().find(|answer| answer["payload"]["status"] == 200).unwrap();
        assert_eq!(answer["payload"]["text"], format!("Bearer {}", "*".repeat(VALUE.len())));
    }
    let heads = server.heads();
    assert_eq!(heads.len(), 2);
    assert!(heads.iter().all(|head| head.contains(&format!("authorization: Bearer {VALUE}\r\n"))), "{heads:?}");
}

#[test]
fn what_is_not_permitted_says_what_to_add() {
    let server = Server::start();
    let dir = folder(&grants(&server, "env: KEY"));
    let (code, output, _) = run(dir.path(), &wanted(&server, "/v2/x"), &[("KEY", VALUE)]);
    assert_eq!(code, Some(1), "{output}");
    let rule = format!(
        r#"{{ scheme: http, host: \"127.0.0.1\", ports: [{}], methods: [GET], path: \"/v2/x\" }}; add it to `plugins.p.grants.http`"#,
        server.port
    );
    assert!(output.contains(&rule), "{output}");
    assert!(server.heads().is_empty());
}

/// A tenant's ceiling takes away what the flow's file grants, and the error names the tenant's line.
#[test]
fn a_tenant_reaches_no_more_than_its_ceiling() {
    let server = Server::start();
    let dir = folder(&grants(&server, "env: KEY"));
    let tenants = dir.path().join("tenants.yaml");
    let file = |grants: &str| format!("floe: 1\ntenants:\n  acme: {{ grants: {{ {grants} }} }}\n");
    let asked = serde_json::from_str::<Value>(&wanted(&server, "/v1/x")).unwrap();
    let line = format!("{}\n", serde_json::json!({ "payload": asked, "headers": { "tenant": "acme" } }));
    let rule = |path: &str| {
        format!("http: [{{ scheme: http, host: 127.0.0.1, ports: [{}], path: \"{path}\", private: true }}]", server.port)
    };
    for (ceiling, expected, says) in [
        (file(&rule("/v1/x")), 0, "\"status\":200"),
        (file(&rule("/v2/*")), 1, "add it to `tenants.acme.grants.http`"),
        // Without HTTP there is no placeholder either.
        (file("random: true"), 1, "there is no such variable"),
        (file("secrets: { api: { bind: [] } }"), 2, "secrets have no ceiling of their own"),
        (file("http: [{ host: \"a b\" }]"), 2, "`a b` is no host"),
    ] {
        fs::write(&tenants, &ceiling).unwrap();
        let args = ["--envelope", "--tenants", tenants.to_str().unwrap()];
        let (code, output, errors) = run_with(dir.path(), &line, &[("KEY", VALUE)], &args);
        assert_eq!(code, Some(expected), "{ceiling}{output}{errors}");
        assert!(format!("{output}{errors}").contains(says), "{ceiling}{output}{errors}");
    }
    assert_eq!(server.heads().len(), 1);
}

/// What all calls of a tenant may have of the network together.
#[test]
fn a_tenants_calls_share_what_it_has_of_the_network() {
    let server = Server::start();
    let dir = folder(&grants(&server, "env: KEY"));
    let tenants = dir.path().join("tenants.yaml");
    let asked = serde_json::from_str::<Value>(&wanted(&server, "/v1/x")).unwrap();
    let line = |tenant: &str| format!("{}\n", serde_json::json!({ "payload": asked, "headers": { "tenant": tenant } }));
    let lines = [line("acme"), line("acme"), line("corp")].concat();
    for (limit, says) in [
        ("requests: 1", "limit `network.requests` reached: used 2 of 1; raise it with `tenants.acme.network.requests`"),
        ("connections: 0", "limit `network.connections` reached: used 1 of 0; raise it with `tenants.acme.network.connections`"),
    ] {
        fs::write(&tenants, format!("floe: 1\ntenants:\n  acme: {{ network: {{ {limit} }} }}\nothers: {{}}\n")).unwrap();
        let args =
            ["--envelope", "--tenants", tenants.to_str().unwrap(), "--in-flight", "1", "--set", "nodes.n.policy.retries=0"];
        let (code, output, errors) = run_with(dir.path(), &lines, &[("KEY", VALUE)], &args);
        assert_eq!(code, Some(1), "{output}{errors}");
        assert!(output.contains(says), "{says}: {output}");
        assert!(output.lines().any(|line| line.contains("\"line\":3") && line.contains("\"status\":200")), "{output}");
    }
}

#[test]
fn wrong_grants_are_said_with_their_places() {
    let server = Server::start();
    let with = |source: &str| folder(&grants(&server, source));
    let open = with("file: key.txt");
    fs::write(open.path().join("key.txt"), VALUE).unwrap();
    fs::set_permissions(open.path().join("key.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    let short = with("env: KEY");
    let http = |rule: &str| folder(&format!("      http: [{rule}]\n"));
    let bind = |binding: &str| folder(&format!("      http: []\n      secrets: {{ api: {{ env: KEY, bind: [{binding}] }} }}\n"));
    let cases = [
        (with("env: KEY"), "", "there is no `KEY` in the environment"),
        (with("file: missing.txt"), "", "missing.txt`: No such file"),
        (open, "", "can be read by others than its owner: chmod 600 it"),
        (short, "short", "its value has 8 to 4096 characters"),
        (with("env: KEY\n          file: x"), VALUE, "one of `env` and `file`"),
        (http("{ host: \"*\", private: true }"), VALUE, "`private: true` needs a host"),
        (http("{ host: \"a b\" }"), VALUE, "`a b` is no host"),
        (http("{ host: a.test, path: \"/v*\" }"), VALUE, "`/v*` is no pattern for paths"),
        (http("{ host: a.test, methds: [GET] }"), VALUE, "did you mean `methods`"),
        (bind("{ host: \"*\", header: x-key }"), VALUE, "a secret is bound to a host"),
        (bind("{ host: a.test }"), VALUE, "one of `header`, `basic`, `hmac`, `query` and `body: true`"),
        (bind("{ host: a.test, header: host }"), VALUE, "belongs to the connection"),
        (bind("{ host: a.test, basic: me, form: x }"), VALUE, "`form` goes with `header` or `hmac`"),
    ];
    for (dir, value, says) in cases {
        let env = [("KEY", value)];
        let (code, _, errors) = run(dir.path(), "{}\n", if value.is_empty() { &[] } else { &env });
        assert_eq!(code, Some(2), "{says}: {errors}");
        let text = errors
            .split(|char: char| char.is_whitespace() || char == '│')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        assert!(text.contains(says) && text.contains("flow.yaml:"), "{says}: {errors}");
        assert!(!errors.contains(VALUE), "{errors}");
    }
    assert!(server.heads().is_empty());
}
