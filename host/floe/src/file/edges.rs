//! Edges as the file writes them, one by one.

use floe_flow::graph::DEFAULT_QUEUE;

use super::Flow;
use super::problem::Problem;
use super::tree::{Origin, Span, Step};
use super::types::Edge;

/// One edge between two nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// Messages of one tenant that may wait on it.
    pub queue: usize,
    /// Where it stands.
    pub at: Option<Span>,
}

impl Flow {
    /// Every edge in declaration order, and what is wrong with how they are written.
    pub fn links(&self) -> (Vec<Link>, Vec<Problem>) {
        let mut links = Vec::new();
        let mut problems = Vec::new();
        for (position, edge) in self.file.edges.iter().enumerate() {
            let at = self.value_span(&[Step::from("edges"), Step::from(position)]);
            match edge {
                Edge::Chain(chain) => {
                    if let Err(message) = self.chain(chain, at, &mut links) {
                        problems.push(Problem::new(message, at));
                    }
                }
                Edge::Long(long) => {
                    if long.from.0.is_empty() || long.to.0.is_empty() {
                        problems.push(Problem::new("an edge has a node on each side; `from` or `to` is an empty list", at));
                    }
                    let queue = long.queue.unwrap_or(DEFAULT_QUEUE);
                    for from in &long.from.0 {
                        links.extend(long.to.0.iter().map(|to| Link { from: from.clone(), to: to.clone(), queue, at }));
                    }
                }
            }
        }
        (links, problems)
    }

    fn chain(&self, chain: &str, at: Option<Span>, links: &mut Vec<Link>) -> Result<(), String> {
        let names: Vec<&str> = chain.split("->").map(str::trim).collect();
        if names.len() < 2 || names.iter().any(|name| name.is_empty()) {
            return Err(format!("`{chain}` is no edge; write `a -> b` or `a -> b -> c`"));
        }
        let places = at.map(|at| self.pair_spans(at, names.len()));
        for (position, pair) in names.windows(2).enumerate() {
            let at = places.as_ref().and_then(|places| places.get(position).copied()).or(at);
            links.push(Link { from: pair[0].to_owned(), to: pair[1].to_owned(), queue: DEFAULT_QUEUE, at });
        }
        Ok(())
    }

    /// The places of `a -> b` and `b -> c` in `a -> b -> c`, where the text stands in the file as it was read.
    fn pair_spans(&self, at: Span, names: usize) -> Vec<Span> {
        let text = match at.origin {
            Origin::File => self.text().get(at.start..at.end).unwrap_or_default(),
            Origin::Set(_) => "",
        };
        let mut parts = Vec::new();
        let mut offset = at.start;
        for part in text.split("->") {
            let quoted = |c: char| c.is_whitespace() || c == '"' || c == '\'';
            let start = offset + (part.len() - part.trim_start_matches(quoted).len());
            parts.push((start, start + part.trim_matches(quoted).len()));
            offset += part.len() + "->".len();
        }
        if parts.len() != names {
            return Vec::new();
        }
        parts.windows(2).map(|pair| Span { origin: at.origin, start: pair[0].0, end: pair[1].1 }).collect()
    }
}
