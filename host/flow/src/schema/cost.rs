//! How much work a schema can ask for, at compiling and at each value that it is used on.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::{Below, MAX_DEPTH, Part, Parts};
use super::{MAX_SCHEMA_FRAMES, MAX_SCHEMA_LINKS, MAX_SCHEMA_NESTED, MAX_SCHEMA_WORK};

/// What one look of a schema at a value takes; comparing with one value takes 1.
const LOOK: u64 = 8;
/// The most that any single value of a payload takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Steps.
    pub(super) value: u64,
    /// How often a text is read from end to end.
    pub(super) text: u64,
    /// How often the items of a list are compared with each other.
    pub(super) unique: u64,
}

impl Cost {
    fn add(&mut self, other: Self, times: u64) {
        self.value = self.value.saturating_add(other.value.saturating_mul(times));
        self.text = self.text.saturating_add(other.text.saturating_mul(times));
        self.unique = self.unique.saturating_add(other.unique.saturating_mul(times));
    }

    fn max(self, other: Self) -> Self {
        Self { value: self.value.max(other.value), text: self.text.max(other.text), unique: self.unique.max(other.unique) }
    }
}

/// Counts the most that one value takes; refuses what grows out of hand.
pub(super) fn of(parts: &Parts<'_>) -> Result<Cost, String> {
    let mut counter =
        Counter { parts: &parts.list, reached: BTreeMap::new(), order: Vec::new(), links: 0, compiled: BTreeMap::new() };
    for part in 0..parts.list.len() {
        counter.reach(part, false, 0)?;
    }
    counter.check_compiling()?;
    counter.check_frames()?;
    counter.heaviest()
}

/// Parts that look at one value, and how often each.
type Reached = BTreeMap<usize, u64>;

/// Parts and how often each is looked at.
type Links = Vec<(usize, u64)>;

/// What one look at a value takes, and where it leads.
struct Look {
    own: Cost,
    items: Children,
    entries: Children,
}

struct Children {
    every: Links,
    /// For each child that has a name.
    named: Vec<Links>,
    /// For a child without one.
    others: Links,
}

struct Counter<'a> {
    parts: &'a [Part<'a>],
    /// None while it is being counted.
    reached: BTreeMap<(usize, bool), Option<Reached>>,
    /// Parts, each after all that look at the same value for it.
    order: Vec<usize>,
    links: usize,
    compiled: BTreeMap<(usize, bool), Option<u64>>,
}

fn multiplies() -> String {
    format!(
        "its references multiply: checking one value could take more than {MAX_SCHEMA_WORK} steps; refer to each definition once"
    )
}

impl Counter<'_> {
    fn follow(&mut self, links: usize) -> Result<(), String> {
        self.links += links;
        if self.links > MAX_SCHEMA_LINKS {
            return Err(format!("its references make more than {MAX_SCHEMA_LINKS} links; use fewer"));
        }
        Ok(())
    }

    /// All parts that look at a value when `part` does. `again` is what the unevaluated keywords do: they ask each part once
    /// more, and what it asked, to learn what it has looked at.
    fn reach(&mut self, part: usize, again: bool, depth: usize) -> Result<(), String> {
        match self.reached.get(&(part, again)) {
            Some(Some(_)) => return Ok(()),
            Some(None) => return Err(multiplies()),
            None if depth > MAX_SCHEMA_NESTED => {
                return Err(format!("more than {MAX_SCHEMA_NESTED} of its references follow upon each other; shorten the chain"));
            }
            None => self.reached.insert((part, again), None),
        };
        let mut reached = Reached::from([(part, 1)]);
        let mut next: Vec<(usize, bool)> = self.parts[part].here.iter().map(|here| (*here, false)).collect();
        if again {
            next.extend(self.parts[part].here.iter().map(|here| (*here, true)));
        } else if self.parts[part].unevaluated {
            next.push((part, true));
        }
        for key in next {
            self.reach(key.0, key.1, depth + 1)?;
            let more = self.reached.get(&key).and_then(Option::as_ref).into_iter().flatten();
            let mut links = 0;
            for (&other, times) in more {
                links += 1;
                let sum = reached.entry(other).or_insert(0);
                *sum = sum.saturating_add(*times);
                if *sum > MAX_SCHEMA_WORK {
                    return Err(multiplies());
                }
            }
            self.follow(links)?;
        }
        if !again {
            self.order.push(part);
        }
        self.reached.insert((part, again), Some(reached));
        Ok(())
    }

    /// Bounds the validator's recursion: the longest way down through a value of [`MAX_DEPTH`] levels.
    fn check_frames(&self) -> Result<(), String> {
        let mut above = vec![0; self.parts.len()];
        for _ in 0..=MAX_DEPTH {
            let mut frames = vec![0; self.parts.len()];
            for &part in &self.order {
                let Part { here, items, entries, .. } = &self.parts[part];
                let here = here.iter().map(|other| frames[*other]);
                let below = items.all().chain(entries.all()).map(|child| above[child]);
                frames[part] = 1 + here.chain(below).max().unwrap_or(0);
            }
            if frames[0] > MAX_SCHEMA_FRAMES {
                return Err(format!(
                    "its references follow upon each other at every level: a value of {MAX_DEPTH} levels would take more than \
                     {MAX_SCHEMA_FRAMES} calls within each other; shorten the chain of references"
                ));
            }
            if frames == above {
                break;
            }
            above = frames;
        }
        Ok(())
    }

    /// The heaviest value at any level.
    fn heaviest(&mut self) -> Result<Cost, String> {
        let looks: Vec<Look> = (0..self.parts.len()).map(|part| self.look(part)).collect::<Result<_, _>>()?;
        let mut costs: Vec<Cost> = looks.iter().map(|look| look.own).collect();
        let mut heaviest = costs[0];
        for _ in 0..MAX_DEPTH {
            let deeper: Vec<Cost> =
                looks.iter().map(|look| look.items.heaviest(&costs).max(look.entries.heaviest(&costs))).collect();
            heaviest = heaviest.max(deeper[0]);
            if heaviest.value > MAX_SCHEMA_WORK || deeper == costs {
                break;
            }
            costs = deeper;
        }
        if heaviest.value > MAX_SCHEMA_WORK { Err(multiplies()) } else { Ok(heaviest) }
    }

    fn look(&mut self, part: usize) -> Result<Look, String> {
        let parts = self.parts;
        let reached = self.reached.get(&(part, false)).cloned().flatten().unwrap_or_default();
        let mut own = Cost::default();
        for (&other, &times) in &reached {
            own.add(own_cost(&parts[other]), times);
        }
        let items = self.children(&reached, |part| &parts[part].items)?;
        let entries = self.children(&reached, |part| &parts[part].entries)?;
        Ok(Look { own, items, entries })
    }

    fn children<'p>(&mut self, reached: &Reached, below: impl Fn(usize) -> &'p Below) -> Result<Children, String> {
        let mut children = Children { every: Links::new(), named: Vec::new(), others: Links::new() };
        let mut named: BTreeMap<&str, Links> = BTreeMap::new();
        for (&part, &times) in reached {
            children.every.extend(below(part).every.iter().map(|child| (*child, times)));
            children.others.extend(below(part).others.iter().map(|child| (*child, times)));
            for (name, child) in &below(part).named {
                named.entry(name).or_default().push((*child, times));
            }
            self.follow(1 + below(part).all().count())?;
        }
        // A named child is also one of the others to each part that does not name it.
        let others: Vec<usize> = reached.keys().copied().filter(|part| !below(*part).others.is_empty()).collect();
        let names: Vec<BTreeSet<&str>> =
            others.iter().map(|part| below(*part).named.iter().map(|(name, _)| name.as_str()).collect()).collect();
        for (name, mut links) in named {
            self.follow(others.len())?;
            for (part, _) in others.iter().zip(&names).filter(|(_, names)| !names.contains(name)) {
                links.extend(below(*part).others.iter().map(|child| (*child, reached[part])));
            }
            children.named.push(links);
        }
        Ok(children)
    }

    /// The unevaluated keywords compile anew all that they ask, and again for each way to it.
    fn check_compiling(&mut self) -> Result<(), String> {
        let mut sum = 0u64;
        for part in (0..self.parts.len()).filter(|part| self.parts[*part].unevaluated) {
            sum = sum.saturating_add(self.compiling(part, true, 0).unwrap_or(u64::MAX));
        }
        if sum > MAX_SCHEMA_WORK {
            return Err(format!(
                "compiling it could take more than {MAX_SCHEMA_WORK} steps; use fewer `unevaluatedProperties` and `unevaluatedItems`"
            ));
        }
        Ok(())
    }

    /// Schemas that are compiled for `part`; none: without end.
    fn compiling(&mut self, part: usize, again: bool, depth: usize) -> Option<u64> {
        if let Some(known) = self.compiled.get(&(part, again)) {
            return *known;
        }
        if depth > MAX_SCHEMA_NESTED {
            return None;
        }
        self.compiled.insert((part, again), None);
        let Part { here, items, entries, holds, unevaluated, .. } = &self.parts[part];
        let mut next: Vec<(usize, bool)> = Vec::new();
        if again {
            next.extend(here.iter().flat_map(|here| [(*here, false), (*here, true)]));
            next.extend(items.all().chain(entries.all()).map(|child| (child, false)));
        } else {
            next.extend(holds.iter().map(|child| (*child, false)));
            next.extend(unevaluated.then_some((part, true)));
        }
        let mut sum = 1u64;
        for (other, again) in next {
            sum = sum.saturating_add(self.compiling(other, again, depth + 1)?);
        }
        self.compiled.insert((part, again), Some(sum));
        Some(sum)
    }
}

impl Children {
    fn heaviest(&self, costs: &[Cost]) -> Cost {
        let sum = |links: &Links| {
            let mut cost = Cost::default();
            links.iter().for_each(|(child, times)| cost.add(costs[*child], *times));
            cost
        };
        let mut cost = self.named.iter().map(sum).fold(sum(&self.others), Cost::max);
        cost.add(sum(&self.every), 1);
        cost
    }
}

/// What the keywords of one part take, those that hold schemas aside.
fn own_cost(part: &Part<'_>) -> Cost {
    let patterns = part.patterns.len() as u64;
    Cost {
        value: LOOK * (1 + patterns) + part.compares as u64,
        text: patterns + u64::from(part.measures_text),
        unique: u64::from(part.unique_items),
    }
}
