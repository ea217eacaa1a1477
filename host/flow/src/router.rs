//! Routers: nodes of the host that pass a message on, unchanged, to some of their successors.

mod table;

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::{Key, Map};
use cel::{Env, Program, Value};
use serde_json::Value as Json;

use crate::context::Origin;
use crate::message::Message;
use crate::node::{Call, Failure, FailureKind, Invoke, Outcome, Output, Report};

pub use table::{RouteKey, Routes, RoutingTable};

/// Bytes of an expression: the parser needs stack for each level of it, and nobody reads a longer one.
pub const MAX_EXPRESSION_BYTES: usize = 4 * 1024;
/// How deep an expression nests: the evaluator needs about a kilobyte of stack for each level, and a sum is as deep as it has
/// terms. The parser's own limit for brackets is 96.
const MAX_EXPRESSION_DEPTH: u32 = 128;

/// What an expression may name.
const VARIABLES: [&str; 4] = ["payload", "headers", "meta", "trace"];

/// Chooses successors for each message.
#[derive(Debug)]
pub struct Router(Choice);

#[derive(Debug)]
enum Choice {
    Rules { rules: Vec<Rule>, all: bool, env: SharedEnv },
    Table { key: RouteKey, table: RoutingTable },
}

struct SharedEnv(Arc<Env>);

impl std::fmt::Debug for SharedEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard")
    }
}

/// One line of a router.
#[derive(Debug)]
pub struct Rule {
    when: Option<Program>,
    to: Vec<String>,
}

impl Rule {
    /// Matches where the CEL expression is true. It may use `payload`, `headers` (`tenant`, `topic`, `priority`), `meta` and
    /// `trace`. The error is for whoever wrote the expression.
    ///
    /// The evaluator has no budget and payloads are strangers' data, so the work must stay linear in them: a walk over a list
    /// (`all`, `exists`, `map`, `filter`, …) has no second walk in it and looks at nothing but the item.
    pub fn when(expression: &str, to: Vec<String>) -> Result<Self, String> {
        let bytes = expression.len();
        if bytes > MAX_EXPRESSION_BYTES {
            return Err(format!("the expression has {bytes} bytes; the limit is {MAX_EXPRESSION_BYTES}: use several rules"));
        }
        let program =
            Program::compile(expression).map_err(|errors| format!("`{expression}` is not a CEL expression: {errors}"))?;
        if depth(program.expression(), |_| true) > MAX_EXPRESSION_DEPTH {
            return Err(format!("`{expression}` nests deeper than {MAX_EXPRESSION_DEPTH} levels; use several rules"));
        }
        if depth(program.expression(), |part| matches!(part, Expr::Comprehension(_))) > 1 {
            return Err(format!("`{expression}` nests one walk over a list in another, which can take too long; use one"));
        }
        match multiplied(program.expression()) {
            Some("matches") => {
                return Err(format!(
                    "`{expression}` uses `matches` in a walk over a list, which would compile the pattern for each item; \
                     use `startsWith`, `endsWith` or `contains`"
                ));
            }
            Some(name) => {
                return Err(format!(
                    "`{expression}` uses `{name}` in a walk over a list, which can take too long; \
                     look only at the item there, or decide in a node ahead"
                ));
            }
            None => {}
        }
        let references = program.references();
        let mut unknown: Vec<&str> = references.variables();
        unknown.retain(|name| !VARIABLES.contains(name) && !name.starts_with('@'));
        unknown.sort_unstable();
        let bound = bound_names(program.expression());
        if let Some(name) = unknown.iter().find(|name| !bound.contains(&(**name).to_owned())) {
            return Err(format!("`{expression}` names `{name}`; there are `payload`, `headers`, `meta` and `trace`"));
        }
        Ok(Self { when: Some(program), to })
    }

    /// Matches what no earlier rule matched.
    pub fn otherwise(to: Vec<String>) -> Self {
        Self { when: None, to }
    }
}

impl Router {
    /// Tries rules in order: the first match decides or, with `all`, every match counts. No match ends the branch.
    pub fn rules(rules: Vec<Rule>, all: bool) -> Self {
        Self(Choice::Rules { rules, all, env: SharedEnv(Arc::new(Env::stdlib())) })
    }

    /// Looks up the text at a dotted path of the payload (a discriminator) in `to`; without an entry there, the text itself
    /// names the successor unless `otherwise` says where the rest goes.
    pub fn field(path: &str, to: BTreeMap<String, Vec<String>>, otherwise: Option<Vec<String>>) -> Self {
        let key = RouteKey::Payload(path.split('.').map(str::to_owned).collect());
        Self::table(key, RoutingTable::unchecked(Routes { to, otherwise }))
    }

    /// Looks something of each message up in a table, which may change meanwhile.
    pub fn table(key: RouteKey, table: RoutingTable) -> Self {
        Self(Choice::Table { key, table })
    }

    fn choose(&self, origin: &Origin, message: &Message) -> Result<Vec<String>, Failure> {
        match &self.0 {
            Choice::Rules { rules, all, env } => choose_by_rules(rules, *all, &env.0, origin, message),
            Choice::Table { key, table } => table.choose(key, origin, message),
        }
    }
}

impl Invoke for Router {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        let chosen = self.choose(call.ctx.origin(), &call.message).map(|to| {
            let passed_on = Output { to, ..Output::new(call.message.payload.clone()) };
            Outcome::Outputs(if passed_on.to.is_empty() { Vec::new() } else { vec![passed_on] })
        });
        Box::pin(ready(Report::from(chosen)))
    }
}

fn choose_by_rules(
    rules: &[Rule],
    all: bool,
    env: &Arc<Env>,
    origin: &Origin,
    message: &Message,
) -> Result<Vec<String>, Failure> {
    let mut ctx = cel::Context::with_env(Arc::clone(env));
    let uses = |name: &str| rules.iter().filter_map(|rule| rule.when.as_ref()).any(|when| when.references().has_variable(name));
    if uses("payload") {
        ctx.add_variable_from_value("payload", to_cel(&message.payload.value()));
    }
    if uses("meta") {
        let entries = message.meta.entries().iter().map(|(key, value)| (key.clone(), to_cel(&value.value())));
        ctx.add_variable_from_value("meta", cel_map(entries));
    }
    let text = |text: &str| Value::String(Arc::new(text.to_owned()));
    ctx.add_variable_from_value("trace", text(&origin.trace));
    let topic = message.topic.as_deref().map_or(Value::Null, text);
    let headers = [("tenant", text(&origin.tenant)), ("topic", topic), ("priority", Value::Int(message.priority.into()))];
    ctx.add_variable_from_value("headers", cel_map(headers.map(|(key, value)| (key.to_owned(), value))));

    let mut chosen: Vec<String> = Vec::new();
    for (position, rule) in rules.iter().enumerate() {
        let matches = match &rule.when {
            None => chosen.is_empty(),
            Some(when) => match when.execute(&ctx) {
                Ok(Value::Bool(matches)) => matches,
                Ok(other) => return Err(rule_failure(position, &format!("it gives {}, not true or false", other.type_of()))),
                Err(error) => return Err(rule_failure(position, &error.to_string())),
            },
        };
        if matches {
            chosen.extend(rule.to.iter().cloned());
            if !all {
                break;
            }
        }
    }
    // A successor that two rules name gets the message once.
    let mut seen = Vec::with_capacity(chosen.len());
    chosen.retain(|name| {
        !seen.contains(name) && {
            seen.push(name.clone());
            true
        }
    });
    Ok(chosen)
}

fn rule_failure(position: usize, why: &str) -> Failure {
    let remedy =
        why.strip_prefix("No such key: ").map(|key| format!("; ask first whether it is there, as in `has(payload.{key}) && …`"));
    let remedy = remedy.unwrap_or_default();
    Failure::new(
        FailureKind::InvalidInput,
        format!("rule {} of the router cannot be decided for this message: {why}{remedy}", position + 1),
    )
}

/// JSON integers become CEL integers, so that `payload.n + 1` needs no conversion.
fn to_cel(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Value::Int(value),
            (None, Some(value)) => Value::UInt(value),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Json::Object(entries) => cel_map(entries.iter().map(|(key, value)| (key.clone(), to_cel(value)))),
    }
}

fn cel_map(entries: impl IntoIterator<Item = (String, Value)>) -> Value {
    let map = entries.into_iter().map(|(key, value)| (Key::String(Arc::new(key)), value)).collect();
    Value::Map(Map { map: Arc::new(map) })
}

/// How many of the parts that count lie within each other.
fn depth(expression: &IdedExpr, counts: fn(&Expr) -> bool) -> u32 {
    let below = children(&expression.expr).into_iter().map(|part| depth(part, counts)).max().unwrap_or(0);
    below + u32::from(counts(&expression.expr))
}

/// What the body of a walk must not use because its cost is not the item's: the evaluator copies a variable on each use, and
/// compiles a pattern.
fn multiplied(expression: &IdedExpr) -> Option<&str> {
    let Expr::Comprehension(walk) = &expression.expr else {
        return children(&expression.expr).into_iter().find_map(multiplied);
    };
    [&walk.loop_cond, &walk.loop_step, &walk.result].into_iter().find_map(used)
}

fn used(body: &IdedExpr) -> Option<&str> {
    match &body.expr {
        Expr::Ident(name) if VARIABLES.contains(&name.as_str()) => Some(name),
        Expr::Call(call) if call.func_name == "matches" => Some(&call.func_name),
        other => children(other).into_iter().find_map(used),
    }
}

/// The variables that comprehensions introduce.
fn bound_names(expression: &IdedExpr) -> Vec<String> {
    let mut names: Vec<String> = children(&expression.expr).into_iter().flat_map(bound_names).collect();
    if let Expr::Comprehension(walk) = &expression.expr {
        names.push(walk.iter_var.clone());
        names.extend(walk.iter_var2.clone());
        names.push(walk.accu_var.clone());
    }
    names
}

fn children(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(walk) => {
            vec![&walk.iter_range, &walk.accu_init, &walk.loop_cond, &walk.loop_step, &walk.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Struct(fields) => fields.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
