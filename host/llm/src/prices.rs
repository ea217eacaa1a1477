//! What tokens cost. A table comes with the crate; what a caller adds goes before it. A model that is in neither costs nobody knows
//! what: `None`, not nothing.

use serde::Deserialize;

use crate::{Error, Usage};

/// The table that comes with the crate.
const TABLE: &str = include_str!("prices.toml");
/// Bytes of a table: thousands of models.
pub const MAX_TABLE: usize = 1 << 20;
/// Tokens to which a price refers.
const PER: u128 = 1_000_000;

/// Prices by provider and model.
///
/// An entry's `model` is a whole name, which also stands for its dated releases (`gpt-4.1` for `gpt-4.1-2025-04-14`, `-001` and
/// `-latest`), but not for its smaller sisters (`gpt-4.1-mini`); or it ends in `*` and stands for every name that begins so. Of several
/// entries the longest name counts, and of equally long ones the first; the caller's entries count before those of the crate.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    entries: Vec<Price>,
}

/// What one model costs, in micro-dollars for a million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Whose model, such as `openai`; none: anybody's.
    pub provider: Option<String>,
    /// Its name, whole or ending in `*`.
    pub model: String,
    /// What the messages cost.
    pub input: u64,
    /// What the answer costs.
    pub output: u64,
    /// What messages cost that the provider had read before; none: as much as others.
    pub cached: Option<u64>,
    /// Up to how many tokens of input these prices hold; beyond, the cost is not known.
    pub up_to: Option<u64>,
}

/// A file of prices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// When they were noted.
    #[serde(rename = "as_of")]
    _as_of: Option<String>,
    #[serde(default)]
    price: Vec<Price>,
}

impl Prices {
    /// The prices that come with the crate.
    pub fn shipped() -> Self {
        Self { entries: parse(TABLE).expect("a test reads the table") }
    }

    /// These prices, and before them those of a TOML text of the form of `prices.toml`.
    pub fn with(mut self, text: &str) -> Result<Self, Error> {
        let mut entries = parse(text)?;
        entries.append(&mut self.entries);
        Ok(Self { entries })
    }

    /// What a call cost, in micro-dollars, rounded up to the next whole one, so that a sum of costs is never less than the bill.
    /// `None` if the price or one of the counts is not known.
    pub fn cost(&self, provider: &str, model: &str, usage: &Usage) -> Option<u64> {
        let price = self.find(provider, model)?;
        let (input, output) = (usage.input?, usage.output?);
        if price.up_to.is_some_and(|up_to| input > up_to) {
            return None;
        }
        let cached = usage.cached.unwrap_or(0).min(input);
        let product = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = product(input - cached, price.input)
            + product(cached, price.cached.unwrap_or(price.input))
            + product(output, price.output);
        u64::try_from(sum.div_ceil(PER)).ok()
    }

    /// The entry that counts for a model.
    pub fn find(&self, provider: &str, model: &str) -> Option<&Price> {
        let is_meant = |price: &&Price| price.provider.as_deref().is_none_or(|of| of == provider) && matches(&price.model, model);
        self.entries.iter().find(is_meant)
    }
}

/// The entries of a table, in the order in which they count.
fn parse(text: &str) -> Result<Vec<Price>, Error> {
    let bad = |why: String| Error::Invalid(format!("the table of prices cannot be read: {why}"));
    if text.len() > MAX_TABLE {
        return Err(bad(format!("it has {} bytes, and a table has at most {MAX_TABLE}", text.len())));
    }
    let mut entries = toml::from_str::<Table>(text).map_err(|error| bad(error.to_string()))?.price;
    entries.sort_by_key(|price| std::cmp::Reverse(price.model.trim_end_matches('*').len()));
    Ok(entries)
}

/// Whether a model's name is the pattern's, or that of a release of it.
fn matches(pattern: &str, model: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix('*') {
        return model.starts_with(prefix);
    }
    let Some(rest) = model.strip_prefix(pattern) else { return false };
    let is_date = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    rest.is_empty() || rest == "-latest" || rest.strip_prefix(['-', '@']).is_some_and(is_date)
}
