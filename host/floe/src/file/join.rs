//! Joins in the flow file.

use floe_flow::{Join, Late, Members};
use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{FromMillisecond, Time};

/// Makes one message of many.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinNode {
    /// Which messages belong together.
    pub join: JoinConfig,
    /// What happens if the join can no longer fill (fail); `release` is short for `quorum: 0`.
    #[serde(default)]
    pub on_incomplete: Option<OnIncompleteConfig>,
}

/// `{ all: NODE }`, `{ count: N }` or `{ from: [NODE, …] }`, and how long it waits for how many.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinConfig {
    /// Every message that came of one call of this node, in emission order.
    #[serde(default)]
    pub all: Option<String>,
    /// This many messages of the trace, by sender in the order of the file, then as they arrived.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub count: Option<usize>,
    /// One message of each of these nodes, in this order. A second one of a node waits for the next round.
    #[serde(default)]
    pub from: Option<Vec<String>>,
    /// With `count` and `from`: gathers only messages with the same value here, a dotted path in the payload.
    #[serde(default)]
    pub by: Option<String>,
    /// How long it waits (for ever): with `all` from the call of the node, else from the first message.
    #[serde(default)]
    #[schemars(with = "Option<FromMillisecond>")]
    pub within: Option<Time>,
    /// How many messages are enough when the time is up or no more can come (all of them).
    #[serde(default)]
    pub quorum: Option<usize>,
    /// With `all` and `within`: what happens to a message that comes when the others have gone on (drop).
    #[serde(default)]
    pub late: Option<LateConfig>,
}

/// What happens to a message that comes to a join too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LateConfig {
    /// Its branch ends.
    Drop,
    /// The trace fails.
    Fail,
    /// It goes on by itself, as an array of one.
    Pass,
}

/// What happens if a join can no longer fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnIncompleteConfig {
    /// The trace fails.
    Fail,
    /// What has arrived goes on.
    Release,
}

impl JoinNode {
    /// The join, and what is wrong with how it is written: the keys that lead to it and a message.
    pub(crate) fn join(&self) -> (Option<Join>, Vec<(&'static [&'static str], &'static str)>) {
        let config = &self.join;
        let mut wrong: Vec<(&'static [&'static str], _)> = Vec::new();
        if config.by.as_ref().is_some_and(|by| by.split('.').any(str::is_empty)) {
            wrong.push((&["join", "by"], "`by` is the name of a field, or names with a `.` between them"));
        }
        if config.late.is_some() && config.within.is_none() {
            wrong.push((&["join", "late"], "without `within` the join waits for every message, so that none is late; add it"));
        }
        if config.quorum.is_some() && self.on_incomplete.is_some() {
            wrong.push((&["on_incomplete"], "`on_incomplete` and `quorum` say the same; keep `quorum`"));
        }
        let members = match (&config.all, config.count, &config.from) {
            (Some(of), None, None) => Members::AllOf(of.clone()),
            (None, Some(count), None) => Members::Count(count),
            (None, None, Some(nodes)) => Members::EachOf(nodes.clone()),
            _ => {
                wrong.push((&["join"], "a join is `{ all: NODE }`, `{ count: N }` or `{ from: [NODE, NODE] }`"));
                return (None, wrong);
            }
        };
        let released = (self.on_incomplete == Some(OnIncompleteConfig::Release)).then_some(0);
        let join = Join {
            members,
            by: config.by.as_ref().map(|by| by.split('.').map(str::to_owned).collect()),
            within: config.within.map(|time| time.0),
            quorum: config.quorum.or(released),
            late: config.late.map_or(Late::Drop, Into::into),
        };
        (Some(join), wrong)
    }
}

impl From<LateConfig> for Late {
    fn from(config: LateConfig) -> Self {
        match config {
            LateConfig::Drop => Self::Drop,
            LateConfig::Fail => Self::Fail,
            LateConfig::Pass => Self::Pass,
        }
    }
}
