//! The flow file and the file of tenants, whatever is written into them: each is read, or refused with places that exist.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use floe::file::{Flow, MAX_PROBLEMS, Origin, Problems, Span, TenantsFile, Texts};
use floe_tests::Edit;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// The flow files of all examples.
static FLOWS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let paths = fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path().join("flow.yaml"));
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
    paths.sort();
    assert!(paths.len() > 10, "the examples have flows");
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
});

const TENANTS: &str = "floe: 1\ntenants:\n  acme: &acme\n    weight: 3\n    in_flight: 100\n    rate: { requests: 6000, fuel: 1e12 }\n    \
    instances: 8\n    plugins: [\"sha256:00\"]\n    limits: { memory: 32MiB, wall: 2s }\n    grants:\n      \
    http: [{ host: api.example.com, methods: [GET], path: /v1/* }]\n      state: { space: notes, bytes: 1MiB }\n  corp: *acme\nothers: {}\n";

const ONE_NODE: &str = "floe: 1\nname: a\nplugins: { p: { source: p.wasm } }\nnodes:\n  a: { run: p/a }\n";

/// A place is a part of its text that can be shown.
fn check_span(texts: &Texts, span: Span) {
    let text = match span.origin {
        Origin::File => &*texts.text,
        Origin::Set(index) => &texts.sets[index],
    };
    assert!(text.get(span.start..span.end).is_some(), "{span:?} is no part of a text of {} bytes: {text:?}", text.len());
}

/// Refused means: something is said, everything that is said has a place that exists or none, and it can be shown.
fn check_refused(problems: &Problems) {
    assert!(!problems.is_empty(), "it is refused without a word");
    assert!(problems.list.len() <= MAX_PROBLEMS + 1, "{} problems", problems.list.len());
    for problem in &problems.list {
        assert!(!problem.message.is_empty());
        problem.at.iter().for_each(|span| check_span(&problems.texts, *span));
        problem.beside.iter().for_each(|(span, _)| check_span(&problems.texts, *span));
    }
    let lines = problems.texts.text.lines().count().max(1) + 1;
    for shown in problems.json() {
        assert!(shown.file != problems.texts.path || shown.line.is_none_or(|line| (1..=lines).contains(&line)), "{shown:?}");
    }
    // Each is drawn with the lines around it.
    let few = Problems { list: problems.list.iter().take(3).cloned().collect(), ..problems.clone() };
    assert!(!few.render(false).is_empty());
}

fn check_flow(text: &str, sets: &[String]) {
    let texts = Texts { path: "flow.yaml".to_owned(), text: text.into(), sets: sets.to_vec() };
    match Flow::parse(texts.clone(), PathBuf::from(".")) {
        Ok(flow) => {
            for (name, _) in flow.file.nodes.iter() {
                assert!(floe::flow::graph::valid_name(name), "{name:?}");
                check_span(&texts, flow.node_span(name).unwrap());
            }
            if let Err(problems) = flow.outline() {
                check_refused(&problems);
            }
        }
        Err(problems) => check_refused(&problems),
    }
}

fn check_tenants(text: &str) {
    match TenantsFile::parse(Texts { path: "tenants.yaml".to_owned(), text: text.into(), sets: Vec::new() }) {
        Ok(file) => {
            // What was read can be handed on.
            assert_eq!(file.ceilings().tenants.len(), file.tenants.iter().count());
            file.quotas();
        }
        Err(problems) => check_refused(&problems),
    }
}

/// What YAML and flows are made of.
const PARTS: &[&str] = &[
    "floe: 1\n",
    "name: a\n",
    "nodes:\n",
    "edges:\n",
    "plugins:\n",
    "tenants:\n",
    "others:\n",
    "budget: ",
    "  ",
    "\n",
    "- ",
    ": ",
    "? ",
    "{ ",
    " }",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "!x ",
    "'",
    "\"",
    "\\u{1F600}",
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "# ",
    "a",
    "a -> b",
    "run: a/b",
    "route",
    "join",
    "map",
    "discard: true",
    "limits",
    "grants",
    "http",
    "when: \"payload.a > 1\"",
    "18446744073709551616",
    "-1",
    "1e400",
    "1e11",
    ".inf",
    ".nan",
    "0x7f",
    "64MiB",
    "30s",
    "~",
    "null",
    "true",
    "\t",
    "\r",
    "\r\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\0",
    "ä",
    "😀",
];

/// Text of [`PARTS`] in any order, and any bytes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..300).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        4 => vec(select(PARTS), 0..60).prop_map(|parts| parts.concat()),
    ]
}

/// A text that was damaged, with other text put in.
fn damaged(text: &str, edits: &[Edit], more: &str, at: usize) -> String {
    let bytes = floe_tests::edited(text.as_bytes(), edits);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let at = (0..=at % (text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
    text.insert_str(at, more);
    text
}

fn sets() -> impl Strategy<Value = Vec<String>> {
    let path = vec(select(&["nodes", "floe", "edges", "name", "a", "0", "config", "", "ä"][..]), 0..5);
    vec((path, text()).prop_map(|(path, value)| format!("{}={value}", path.join("."))), 0..2)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in text(), sets in sets()) {
        check_flow(&text, &sets);
        check_tenants(&text);
    }

    #[test]
    fn damaged_flows_are_read_or_refused(
        flow in select(&FLOWS[..]), edits in vec(any::<Edit>(), 0..4), more in text(), at in any::<usize>(), sets in sets(),
    ) {
        check_flow(&damaged(&flow, &edits, &more, at), &sets);
    }

    #[test]
    fn damaged_files_of_tenants_are_read_or_refused(edits in vec(any::<Edit>(), 0..4), more in text(), at in any::<usize>()) {
        check_tenants(&damaged(TENANTS, &edits, &more, at));
    }
}

#[test]
fn what_is_not_damaged_is_read() {
    for flow in FLOWS.iter() {
        Flow::parse(Texts { path: "flow.yaml".to_owned(), text: flow.as_str().into(), sets: Vec::new() }, PathBuf::from("."))
            .unwrap();
    }
    TenantsFile::parse(Texts { path: "tenants.yaml".to_owned(), text: TENANTS.into(), sets: Vec::new() }).unwrap();
}

/// Depth, width and references to references, on the stack of a main thread: unoptimised, a level takes some 30 KiB of it.
#[test]
fn large_texts_are_read_or_refused() {
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(check_large_texts).unwrap();
    thread.join().unwrap();
}

fn check_large_texts() {
    const SIZE: usize = 64 << 10;
    let fill = |head: &str, part: &str| format!("{head}{}", part.repeat((SIZE - head.len()) / part.len()));
    let names = |value: &str| (0..SIZE / 8).map(|n| format!("n{n}: {value}\n")).collect::<String>();
    // Each refers to the one before it, twice.
    let bomb: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{}, *a{}]\n", n - 1, n - 1)).collect();
    let texts = [
        fill("", "["),
        fill("", "{a: "),
        fill("", "- "),
        fill("", "? "),
        fill("", "a: 1\n"),
        fill("", "&a "),
        fill("", "- &a [*a]\n"),
        fill("", "!x "),
        fill("floe: 1\nname: a\nnodes:\n", "  a: { discard: true }\n"),
        fill("a: \"", "\\"),
        fill("", "'"),
        fill("", "---\n"),
        fill("floe: ", "9"),
        fill("floe: 1\nname: a\nnodes: { a: { discard: true } }\nedges: [", "a -> a, "),
        fill("- ", " -> "),
        fill("a: |\n", " \n"),
        fill("", "<<: {}\n"),
        names("1"),
        names("{ discard: true }"),
        format!("a0: &a0 [x]\n{bomb}"),
    ];
    for text in texts {
        check_flow(&text, &[]);
        check_flow("floe: 1\nname: a\nnodes:\n  a: { discard: true }\n", &[format!("nodes={text}"), text.clone()]);
        check_tenants(&text);
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.yaml");
    for bytes in [&b"floe: 1\nname: \xff\n"[..], b"\xff\xfef\0l\0", b"\xc3"] {
        fs::write(&path, bytes).unwrap();
        for error in [Flow::load(&path, &[]).unwrap_err(), TenantsFile::load(&path).unwrap_err()] {
            assert!(error.to_string().contains("is not UTF-8 text"), "{error}");
        }
    }
}

/// What is deeper than a stack would end the process as soon as it is walked through.
#[test]
fn overrides_have_a_depth() {
    let refused = |steps: usize| {
        let set = format!("nodes.a.config{}=1", ".a".repeat(steps - 3));
        let texts = Texts { path: "flow.yaml".to_owned(), text: ONE_NODE.into(), sets: vec![set] };
        Flow::parse(texts, PathBuf::from(".")).err().map(|problems| {
            check_refused(&problems);
            problems.to_string()
        })
    };
    assert_eq!(refused(64), None);
    for steps in [65, 50_000] {
        let message = format!("--set:1:1: the path has {steps} steps; the limit is 64, for a flow is not deeper");
        assert_eq!(refused(steps), Some(message));
    }
}

/// Each is shown with its place in the text: of a file of nothing else, that took minutes.
#[test]
fn of_many_problems_the_first_are_said() {
    let text = format!("{ONE_NODE}{}", "a: 1\n".repeat(40_000));
    let texts = Texts { path: "flow.yaml".to_owned(), text: text.into(), sets: Vec::new() };
    let problems = Flow::parse(texts, PathBuf::from(".")).unwrap_err();
    check_refused(&problems);
    assert_eq!(problems.list[0].message, "unknown key `a`");
    assert_eq!(problems.list.last().unwrap().message, "there are more problems; these are the first 100");
}
