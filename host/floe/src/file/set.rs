//! `--set PATH=VALUE`: replaces one value of the tree before it is read, so that the new value is checked like any other.

use floe_flow::graph::did_you_mean;

use super::problem::Problem;
use super::tree::{Entry, Origin, Shape, Span, Tree};

/// Maps whose keys are names that the file chooses: an override does not add one.
const NAMED: [&str; 3] = ["nodes", "plugins", "subflows"];
/// Steps of a path: as deep as a file may be. What is read is walked through level by level, on the stack.
const MAX_STEPS: usize = 64;

/// Puts one override in. All that comes of it has its place in the override's own text.
pub(crate) fn apply(root: &mut Tree, index: usize, set: &str) -> Result<(), Box<Problem>> {
    let span = |start: usize, end: usize| Span { origin: Origin::Set(index), start, end };
    let Some((path, text)) = set.split_once('=') else {
        let problem = Problem::new("`--set` takes PATH=VALUE", Some(span(0, set.len())));
        return Err(Box::new(problem.with_help("for example --set nodes.split.config.words=100")));
    };
    let mut value = Tree::parse(text).map_err(|error| {
        let place = span(path.len() + 1, set.len());
        Box::new(Problem::new(format!("the value is not valid YAML: {}", error.message), Some(place)))
    })?;
    value.move_to(span(path.len() + 1, set.len()));

    let steps = path.split('.').count();
    if steps > MAX_STEPS {
        let message = format!("the path has {steps} steps; the limit is {MAX_STEPS}, for a flow is not deeper");
        return Err(Box::new(Problem::new(message, Some(span(0, path.len())))));
    }
    let mut here = root;
    let mut start = 0;
    let mut above = "";
    for step in path.split('.') {
        let end = start + step.len();
        here = enter(here, step, above, span(start, end))?;
        above = step;
        start = end + 1;
    }
    *here = value;
    Ok(())
}

/// The value under `step`. A key that is not there is added with nothing under it, unless it would be a new name.
fn enter<'t>(here: &'t mut Tree, step: &str, above: &str, span: Span) -> Result<&'t mut Tree, Box<Problem>> {
    if matches!(here.shape, Shape::Null) {
        here.shape = Shape::Map(Vec::new());
    }
    let described = here.describe();
    match &mut here.shape {
        _ if step.is_empty() => Err(Box::new(Problem::new("a path is keys and positions with a `.` between them", Some(span)))),
        Shape::Map(entries) => {
            let position = entries.iter().position(|entry| entry.key == step);
            let position = match position {
                Some(position) => position,
                None if NAMED.contains(&above) => {
                    let names: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
                    let message = format!("there is no `{step}` under `{above}`{}", did_you_mean(step, &names));
                    let problem = Problem::new(message, Some(span)).with_help(format!("there are: {}", names.join(", ")));
                    return Err(Box::new(problem));
                }
                None => {
                    let value = Tree { shape: Shape::Null, span };
                    entries.push(Entry { key: step.to_owned(), key_span: span, value });
                    entries.len() - 1
                }
            };
            Ok(&mut entries[position].value)
        }
        Shape::List(items) => {
            let count = items.len();
            let found = step.parse::<usize>().ok().and_then(|position| items.get_mut(position));
            found.ok_or_else(|| {
                let message = format!("`{above}` is a list of {count}; there is no position `{step}` in it");
                Box::new(Problem::new(message, Some(span)).with_help("positions count from 0"))
            })
        }
        Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) | Shape::Null => {
            Err(Box::new(Problem::new(format!("`{above}` is {described}; there is no `{step}` in it"), Some(span))))
        }
    }
}
