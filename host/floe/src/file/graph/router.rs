//! From a router in the file to one that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_flow::graph::did_you_mean;
use floe_flow::{Invoke, RouteKey, Router, Routes, RoutingTable, Rule};

use super::Making;
use crate::file::route::{Route, RouteField, RouteNode, RuleConfig};
use crate::file::routes::{self, FileRouter};
use crate::file::tree::Step;
use crate::file::types::OneOrMany;

impl Making<'_> {
    pub(super) fn router(&mut self, name: &str, node: &RouteNode) -> Option<Arc<dyn Invoke>> {
        let at = |steps: &[Step]| [&[Step::from("nodes"), name.into(), "route".into()], steps].concat();
        match &node.route {
            Route::Rules(rules) => {
                if rules.is_empty() {
                    self.problem("a router without rules ends everything; use `discard: true` for that", &at(&[]));
                }
                let last = rules.len().saturating_sub(1);
                let mut made = Vec::with_capacity(rules.len());
                for (position, rule) in rules.iter().enumerate() {
                    made.extend(self.rule(name, rule, position == last, &at(&[position.into()])));
                }
                (made.len() == rules.len()).then(|| Arc::new(Router::rules(made, node.all)) as _)
            }
            Route::Field(field) => {
                if node.all {
                    self.problem(
                        "`all` belongs to a list of rules; a field has one value",
                        &["nodes".into(), name.into(), "all".into()],
                    );
                }
                self.table(name, field, &at(&[]))
            }
        }
    }

    fn table(&mut self, name: &str, field: &RouteField, at: &[Step]) -> Option<Arc<dyn Invoke>> {
        let part = |key: &str| [at, &[Step::from(key)]].concat();
        let before = self.problems.len();
        let key = RouteKey::parse(&field.by).map_err(|message| self.problem(message, &part("by"))).ok();
        for (value, targets) in field.to.iter() {
            self.check_targets(name, targets, &[part("to").as_slice(), &[value.into()]].concat());
        }
        if let Some(targets) = &field.otherwise {
            self.check_targets(name, targets, &part("else"));
        }
        let path = field.from_file.as_ref().map(|path| self.flow.resolve(path));
        let (source, to) = match (&path, &field.from_env) {
            (None, None) => ("to", Ok(field.to.iter().map(|(value, to)| (value.to_owned(), to.0.clone())).collect())),
            (Some(path), None) if field.to.is_empty() => ("from_file", routes::from_file(path)),
            (None, Some(variable)) if field.to.is_empty() => ("from_env", routes::from_env(variable)),
            _ => {
                self.problem("the routes are in `to`, `from_file` or `from_env`; keep one of them", at);
                return None;
            }
        };
        let to: BTreeMap<_, _> = to.map_err(|message| self.problem(message, &part(source))).ok()?;
        if self.problems.len() > before {
            return None;
        }
        let successors = self.links.iter().filter(|link| link.from == name).map(|link| link.to.as_str());
        let otherwise = field.otherwise.as_ref().map(|targets| targets.0.clone());
        let table = RoutingTable::new(successors, Routes { to: to.clone(), otherwise });
        let table = table.map_err(|message| self.problem(message, &part(source))).ok()?;
        let node = format!("{}{name}", self.within);
        self.tables.insert(node.clone(), table.clone());
        Some(match path {
            Some(path) => Arc::new(FileRouter::new(node, path, key?, table, to)),
            None => Arc::new(Router::table(key?, table)),
        })
    }

    fn rule(&mut self, name: &str, rule: &RuleConfig, last: bool, at: &[Step]) -> Option<Rule> {
        let part = |key: &str| [at, &[Step::from(key)]].concat();
        match (&rule.when, &rule.to, &rule.otherwise) {
            (Some(when), Some(to), None) => {
                self.check_targets(name, to, &part("to"));
                Rule::when(when, to.0.clone()).map_err(|message| self.problem(message, &part("when"))).ok()
            }
            (None, None, Some(otherwise)) => {
                self.check_targets(name, otherwise, &part("else"));
                if !last {
                    self.problem("`else` takes all that is left, so it comes last", &part("else"));
                }
                Some(Rule::otherwise(otherwise.0.clone()))
            }
            _ => {
                self.problem("a rule is `{ when: CEL, to: NODE }` or, as the last one, `{ else: NODE }`", at);
                None
            }
        }
    }

    /// A router sends along edges; a target that is no successor would fail every message.
    fn check_targets(&mut self, name: &str, targets: &OneOrMany, at: &[Step]) {
        let successors: BTreeSet<&str> =
            self.links.iter().filter(|link| link.from == name).map(|link| link.to.as_str()).collect();
        for target in &targets.0 {
            if successors.contains(target.as_str()) {
                continue;
            }
            let nodes = &self.flow.file.nodes;
            let message = if nodes.get(target).is_some() {
                format!("there is no edge `{name} -> {target}`; add it under `edges`")
            } else {
                format!("there is no node `{target}`{}", did_you_mean(target, nodes.names()))
            };
            self.problem(message, at);
        }
    }
}
