//! What other systems see of a run: the real binary, a real collector of spans, real requests for metrics.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg_attr(
    not(all(feature = "otlp", feature = "prometheus")),
    allow(dead_code, reason = "what belongs to tests of a feature that is not built")
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// What must happen is looked for this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A flow of one node.
fn folder(plugin: &str, node: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = format!(
        "floe: 1\nname: exported\nplugins:\n  p: {{ source: {plugin}, limits: {{ wall: 120s }} }}\nnodes:\n  n: {{ run: p/{node} }}\n"
    );
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    fs::write(dir.path().join("in.jsonl"), "1\n2\n3\n").unwrap();
    dir
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_JOURNAL", "j.db");
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where a process says that its metrics are.
fn served_at(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let said = lines.find_map(|line| Some(line.strip_prefix("metrics at http://")?.strip_suffix("/metrics")?.to_owned()));
    // It goes on to be read, so that the process can go on to write.
    std::thread::spawn(move || lines.for_each(drop));
    said.expect("the address is said")
}

fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer
}

/// Reads the metrics until they say so.
fn wait_for(address: &str, says: &str) -> String {
    let began = Instant::now();
    loop {
        let answer = scrape(address);
        if answer.contains(says) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "`{says}` is missing: {answer}");
    }
}

#[cfg(feature = "prometheus")]
#[test]
fn metrics_are_served_as_long_as_a_run_is_open() {
    let dir = folder(floe_tests::ECHO, "echo");
    let mut child = command(dir.path(), &["run", ".", "--metrics", "0"]).spawn().unwrap();
    let address = served_at(&mut child);
    assert!(address.parse::<SocketAddr>().unwrap().ip().is_loopback(), "{address}");
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "1\n2").unwrap();
    let answer = wait_for(&address, "floe_traces_ended_total{tenant=\"local\",terminal=\"completed\"} 2\n");
    assert!(answer.contains("floe_attempts_total{node=\"n\",tenant=\"local\",outcome=\"ok\"} 2\n"), "{answer}");
    assert!(child.try_wait().unwrap().is_none(), "the run is held open");
    writeln!(input, "3").unwrap();
    wait_for(&address, "floe_traces_ended_total{tenant=\"local\",terminal=\"completed\"} 3\n");
    drop(input);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[cfg(feature = "prometheus")]
#[test]
fn metrics_of_a_run_that_goes_on_are_served_too() {
    let dir = folder(floe_tests::EVIL, "sleep");
    let mut child = command(dir.path(), &["run", ".", "--journal", "j.db", "--metrics", "127.0.0.1:0"]).spawn().unwrap();
    let address = served_at(&mut child);
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "100000").unwrap();
    wait_for(&address, "floe_attempts_running{tenant=\"local\"} 1\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut child = command(dir.path(), &["resume", "j.db", "--metrics", "0"]).spawn().unwrap();
    let address = served_at(&mut child);
    let answer = wait_for(&address, "floe_attempts_running{tenant=\"local\"} 1\n");
    assert!(answer.contains("floe_traces_in_flight{tenant=\"local\"} 1\n"), "{answer}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(feature = "prometheus")]
#[test]
fn an_address_that_cannot_be_had_ends_the_run_before_it_begins() {
    let dir = folder(floe_tests::ECHO, "echo");
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = held.local_addr().unwrap();
    for (address, says) in [
        (taken.port().to_string().as_str(), format!("cannot serve metrics at {taken}: ").as_str()),
        ("localhost", "write a port (9464), or an address and a port"),
        ("70000", "write a port"),
    ] {
        let output = command(dir.path(), &["run", ".", "--input", "in.jsonl", "--metrics", address]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{address}");
        assert!(errors(&output).contains(says), "{address} should say `{says}`: {}", errors(&output));
    }
}

/// Takes whatever is exported to it.
struct Collector {
    address: SocketAddr,
    requests: JoinHandle<Vec<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while let Some((mut stream, body)) = listener.accept().ok().and_then(|(stream, _)| request(stream)) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                seen.push(body);
            }
            seen
        });
        Self { address, requests }
    }

    /// The bodies of all requests.
    fn finish(self) -> Vec<u8> {
        // A connection without a request is the last one.
        drop(TcpStream::connect(self.address).unwrap());
        self.requests.join().unwrap().concat()
    }
}

/// A request's connection and body; none if nothing is asked.
fn request(stream: TcpStream) -> Option<(TcpStream, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        let line = line.trim_end().to_lowercase();
        if let Some(found) = line.strip_prefix("content-length: ") {
            length = Some(found.parse().unwrap());
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    Some((reader.into_inner(), body))
}

fn count(body: &[u8], text: &str) -> usize {
    body.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

#[cfg(feature = "otlp")]
#[test]
fn spans_of_a_run_arrive_at_a_collector() {
    let dir = folder(floe_tests::ECHO, "echo");
    for log in ["off", "info", "debug"] {
        let collector = Collector::start();
        let endpoint = format!("http://{}", collector.address);
        let args = ["run", ".", "--input", "in.jsonl", "--otlp", &endpoint, "--log", log];
        let output = command(dir.path(), &args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        let spans = collector.finish();
        // A span of each trace and one of its attempt, with the trace's id as a field, whatever the log shows.
        for trace in ["1-6b86b273", "2-d4735e3a", "3-4e074085"] {
            assert_eq!(count(&spans, trace), 2, "{trace} with --log {log}");
        }
        assert_eq!((count(&spans, "completed"), count(&spans, "exported")), (3, 6), "--log {log}");
    }
}

#[cfg(feature = "otlp")]
#[test]
fn the_log_is_the_same_beside_the_spans() {
    let dir = folder(floe_tests::EVIL, "panic");
    let said = |more: &[&str]| {
        let output = command(dir.path(), &[&["run", ".", "--input", "in.jsonl"], more].concat()).output().unwrap();
        let said = errors(&output);
        said.lines().filter(|line| line.contains("panics on purpose")).map(str::to_owned).collect::<Vec<_>>()
    };
    let collector = Collector::start();
    let beside = said(&["--otlp", &format!("http://{}", collector.address)]);
    let alone = said(&[]);
    assert_eq!((beside.len(), beside[0].contains("attempt{")), (alone.len(), false), "{beside:?}");
    assert!(count(&collector.finish(), "internal") > 0, "the spans say how it ended");
}

#[cfg(feature = "otlp")]
#[test]
fn spans_of_a_retry_and_of_a_run_that_goes_on_arrive_too() {
    let dir = folder(floe_tests::ECHO, "greet");
    let begun = command(dir.path(), &["run", ".", "--input", "in.jsonl", "--journal", "j.db"]).output().unwrap();
    assert_eq!(begun.status.code(), Some(1), "numbers have no name: {}", errors(&begun));
    let collector = Collector::start();
    let endpoint = format!("http://{}", collector.address);
    let output = command(dir.path(), &["retry", "2-d4735e3a", "--otlp", &endpoint]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let spans = collector.finish();
    assert_eq!((count(&spans, "2-d4735e3a~2"), count(&spans, "invalid-input")), (2, 1));
}

#[cfg(feature = "otlp")]
#[test]
fn a_collector_that_is_down_fails_nothing_and_is_warned_of_once() {
    let dir = folder(floe_tests::ECHO, "echo");
    // One that nobody is, and one that never answers.
    let refuses = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for address in [refuses, silent.local_addr().unwrap()] {
        let endpoint = format!("http://{address}");
        let output = command(dir.path(), &["run", ".", "--input", "in.jsonl", "--otlp", &endpoint]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 3);
        let said = errors(&output);
        assert_eq!(said.matches("Spans cannot be exported.").count(), 1, "{said}");
        assert_eq!(said.matches("export").count(), 1, "{said}");
    }
}

#[cfg(feature = "otlp")]
#[test]
fn a_collector_that_cannot_be_is_refused() {
    let dir = folder(floe_tests::ECHO, "echo");
    for endpoint in ["https://collector", "localhost:4318"] {
        let output = command(dir.path(), &["run", ".", "--input", "in.jsonl", "--otlp", endpoint]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{endpoint}");
        let said = errors(&output);
        assert!(
            said.contains(&format!("--otlp: `{endpoint}` is no address for OTLP")) && said.contains("http://127.0.0.1:4318"),
            "{said}"
        );
    }
}

#[cfg(not(all(feature = "otlp", feature = "prometheus")))]
#[test]
fn a_build_without_a_feature_names_it() {
    let dir = folder(floe_tests::ECHO, "echo");
    for (option, value, feature, built) in [
        ("--metrics", "0", "prometheus", cfg!(feature = "prometheus")),
        ("--otlp", "http://127.0.0.1:4318", "otlp", cfg!(feature = "otlp")),
    ] {
        let output = command(dir.path(), &["run", ".", "--input", "in.jsonl", option, value]).output().unwrap();
        let said = errors(&output);
        let refused = said.contains(&format!("built without {option}")) && said.contains(&format!("--features {feature}"));
        assert_eq!((refused, output.status.code() == Some(2)), (!built, !built), "{said}");
    }
}
