//! What was asked for, as `grants` of a flow file. All that a guest chose is checked first: what is not plain is left out, and said.

use std::fmt::Write as _;

use floe_sandbox::{Asked, Inspection, plain};
use serde_json::{Map, Value, json};

use crate::file::HttpRule;

/// What came of it.
#[derive(Debug)]
pub(super) struct Learned {
    /// `grants` of a flow file.
    pub(super) grants: Value,
    /// What does not stand there, and why: one sentence each.
    pub(super) notes: Vec<String>,
}

/// The grants that were given, with those added that were asked for, and as little as can be of what is imported and was not used.
pub(super) fn learned(plugin: &str, given: Value, asked: &[Asked], left_out: u64, inspection: &Inspection) -> Learned {
    let mut learned = Learned { grants: given, notes: Vec::new() };
    for asked in asked {
        learned.add(plugin, asked);
    }
    for key in inspection.imports.asks() {
        learned.add_unused(plugin, &key);
    }
    if left_out > 0 {
        let most = floe_sandbox::MAX_ASKED;
        learned.notes.push(format!("{left_out} more things are left out: they are too long, or more than {most} different ones"));
    }
    learned
}

// === impl Learned ===

impl Learned {
    fn add(&mut self, plugin: &str, asked: &Asked) {
        match asked {
            Asked::Capability("state") => self.set("state", json!({ "space": plugin })),
            Asked::Capability("clock") => self.set("clock", json!({ "resolution": "1ms" })),
            Asked::Capability(name) => self.set(name, json!(true)),
            Asked::Tool(tool) => match tool.split_once('/') {
                Some((owner, name)) if is_name(owner) && is_name(name) => self.push("tools", json!(tool)),
                _ => self.leave_out("the tool", tool),
            },
            Asked::Subflow(flow) if is_name(flow) => self.push("subflow", json!(flow)),
            Asked::Subflow(flow) => self.leave_out("the subflow", flow),
            Asked::Http(rule) => match checked(rule) {
                Some(rule) => self.push("http", rule),
                None => self.leave_out("the request", rule),
            },
            Asked::File(path) => match directory(path) {
                Some(directory) => self.add_directory(directory),
                None => self.leave_out("the path", path),
            },
            Asked::Secret(name) if is_name(name) => self.notes.push(format!(
                "it asks for the secret `{name}`: say yourself where the value is and where it may go, as in secrets: {{ {name}: {{ env: VARIABLE, bind: [{{ host: api.example.com, header: authorization }}] }} }}"
            )),
            Asked::Secret(name) => self.leave_out("the secret", name),
            Asked::Refused(why) => self.notes.push(plain(why, 400)),
        }
    }

    /// A component is not loaded while something that it imports is not granted, so that there is a grant, of nothing if possible.
    fn add_unused(&mut self, plugin: &str, key: &str) {
        let (terms, what) = match key {
            "http" | "tools" | "subflow" => (json!([]), "nothing"),
            "state" => (json!({ "space": plugin, "bytes": 0 }), "a space without room"),
            "clock" => (json!({ "resolution": "1ms" }), "the time that every plugin has"),
            "random" => (json!(true), "what every plugin has"),
            "secrets" if self.grants.get(key).is_none() => {
                let asked = self.notes.iter().any(|note| note.starts_with("it asks for the secret"));
                if !asked {
                    self.notes.push("it imports `secrets`, and is not loaded before one is granted".to_owned());
                }
                return;
            }
            _ => return,
        };
        if self.grants.get(key).is_none() {
            self.set(key, terms);
            self.notes.push(format!("it imports `{key}` and did not use it: {what} is granted, so that it can be loaded"));
        }
    }

    fn add_directory(&mut self, directory: &str) {
        if self.list("files").iter().any(|known| known["as"] == directory) {
            return;
        }
        let here = format!(".{directory}");
        self.notes.push(format!("it looks for files in `{directory}`: change `dir: {here}` into the directory that is meant"));
        self.push("files", json!({ "dir": here, "as": directory }));
    }

    /// What the guest wrote is shown, not granted.
    fn leave_out(&mut self, what: &str, text: &str) {
        self.notes.push(format!("{what} `{}` is left out: no grant can be written for it", plain(text, 160)));
    }

    fn map(&mut self) -> &mut Map<String, Value> {
        if !self.grants.is_object() {
            self.grants = json!({});
        }
        self.grants.as_object_mut().expect("it was made one")
    }

    fn set(&mut self, key: &str, terms: Value) {
        self.map().insert(key.to_owned(), terms);
    }

    fn list(&mut self, key: &str) -> &mut Vec<Value> {
        let list = self.map().entry(key).or_insert_with(|| json!([]));
        if !list.is_array() {
            *list = json!([]);
        }
        list.as_array_mut().expect("it was made one")
    }

    fn push(&mut self, key: &str, terms: Value) {
        let list = self.list(key);
        if !list.contains(&terms) {
            list.push(terms);
        }
    }
}

/// A name of a plugin, tool or subflow.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// A rule that a flow file takes; none for one that guests' text made into something else.
fn checked(rule: &str) -> Option<Value> {
    let is_plain = rule.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let value: Value = serde_saphyr::from_str(rule).ok().filter(|_| is_plain)?;
    let parsed: HttpRule = serde_json::from_value(value.clone()).ok()?;
    // What a guest wrote may be something else in YAML.
    (parsed.rule().ok()?.to_string() == rule).then_some(value)
}

/// The directory that a file is in: an absolute path without detours, of characters that need no care.
fn directory(path: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let steps: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let sane = steps.iter().all(|step| !step.is_empty() && *step != "." && *step != ".." && step.bytes().all(plain));
    // Only the directory of a file is there for all that can be asked of it; one right below `/` would be all.
    path.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| sane && !parent.is_empty())
}

/// The lines under a plugin in a flow file.
pub(super) fn yaml(grants: &Value) -> String {
    let Some(grants) = grants.as_object().filter(|grants| !grants.is_empty()) else { return "grants: {}\n".to_owned() };
    let mut text = "grants:\n".to_owned();
    for (key, terms) in grants {
        match terms.as_array().filter(|list| !list.is_empty()) {
            Some(list) => {
                let _ = writeln!(text, "  {key}:");
                for terms in list {
                    let _ = writeln!(text, "    - {}", flow_style(terms));
                }
            }
            None => {
                let _ = writeln!(text, "  {key}: {}", flow_style(terms));
            }
        }
    }
    text
}

/// A value in one line: as JSON, which YAML takes too, but with plain keys.
fn flow_style(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(list) => format!("[{}]", joined(list.iter().map(flow_style).collect())),
        Value::Object(map) if !map.is_empty() => {
            let pair = |(key, value): (&String, &Value)| {
                let key = if is_name(key) { key.clone() } else { json!(key).to_string() };
                format!("{key}: {}", flow_style(value))
            };
            format!("{{ {} }}", joined(map.iter().map(pair).collect()))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use floe_sandbox::Asked;
    use serde_json::json;

    use super::{Learned, checked, directory, yaml};

    #[test]
    fn what_a_guest_makes_up_is_left_out() {
        let mut learned = Learned { grants: json!({}), notes: Vec::new() };
        for text in ["a/b\n  http: true", "a/b/c", "a/\u{1b}[31mred", "/", "a/", "a/b: {}"] {
            learned.add("p", &Asked::Tool(text.to_owned()));
            learned.add("p", &Asked::Subflow(text.to_owned()));
            learned.add("p", &Asked::Secret(text.to_owned()));
        }
        for text in ["/a/../b", "/file", "/a//b", "/a\n/b", "/a: b/c", "a/b"] {
            learned.add("p", &Asked::File(text.to_owned()));
        }
        for text in
            ["{ host: \"*\" }\nfiles: []", "{ host: a, b: 1 }", "[]", "{ host: x.example, methods: [null], path: \"/x\" }"]
        {
            learned.add("p", &Asked::Http(text.to_owned()));
        }
        assert_eq!(learned.grants, json!({}));
        assert_eq!(learned.notes.len(), 28);
        assert!(learned.notes.iter().all(|note| !note.contains(char::is_control)));
        assert_eq!(directory("/data/deep/a.txt"), Some("/data/deep"));
        assert!(checked("{ scheme: http, host: \"127.0.0.1\", ports: [80], methods: [POST], path: \"/x\" }").is_some());
    }

    #[test]
    fn grants_are_lines_to_paste() {
        let mut learned = Learned { grants: json!({}), notes: Vec::new() };
        let rule = "{ host: api.example.com, methods: [GET], path: \"/x\" }";
        for asked in [
            Asked::Capability("state"),
            Asked::Capability("random"),
            Asked::Http(rule.to_owned()),
            Asked::Tool("shop/search".to_owned()),
            Asked::File("/data/a.txt".to_owned()),
            Asked::File("/data/b.txt".to_owned()),
        ] {
            learned.add("p", &asked);
        }
        learned.add_unused("p", "subflow");
        expect![[r#"
            grants:
              files:
                - { as: "/data", dir: "./data" }
              http:
                - { host: "api.example.com", methods: ["GET"], path: "/x" }
              random: true
              state: { space: "p" }
              subflow: []
              tools:
                - "shop/search"
        "#]]
        .assert_eq(&yaml(&learned.grants));
        assert_eq!(yaml(&json!({})), "grants: {}\n");
    }
}
