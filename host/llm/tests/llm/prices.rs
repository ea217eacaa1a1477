//! What tokens cost.

use floe_llm::{Prices, Usage};

fn usage(input: u64, output: u64, cached: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), cached: Some(cached) }
}

#[test]
fn the_table_that_is_shipped_can_be_read_and_says_what_is_known() {
    let prices = Prices::shipped();
    let cost = |provider, model| prices.cost(provider, model, &usage(1_000_000, 1_000_000, 0));
    assert_eq!(cost("openai", "gpt-4o"), Some(12_500_000));
    assert_eq!(cost("openai", "gpt-4o-2024-08-06"), Some(12_500_000), "a dated release costs as much");
    assert_eq!(cost("openai", "gpt-4o-2024-05-13"), Some(20_000_000), "unless it is listed");
    assert_eq!(cost("openai", "gpt-4o-mini"), Some(750_000));
    assert_eq!(cost("openai", "gpt-4o-audio-preview"), None, "a sister costs something else");
    assert_eq!(cost("anthropic", "claude-haiku-4-5-20251001"), Some(6_000_000));
    assert_eq!(cost("anthropic", "claude-opus-4-5@20251101"), Some(30_000_000));
    assert_eq!(cost("gemini", "gemini-2.5-flash-001"), Some(2_800_000));
    assert_eq!(cost("ollama", "anything"), Some(0));
    assert_eq!(cost("openai", "no-such-model"), None);
    assert_eq!(cost("custom", "gpt-4o"), None, "the same name at another server is another model");
}

#[test]
fn what_is_not_known_costs_nobody_knows_what() {
    let prices = Prices::shipped();
    let cost = |usage| prices.cost("openai", "gpt-4o", &usage);
    assert_eq!(cost(Usage { output: None, ..usage(1, 1, 0) }), None);
    assert_eq!(cost(Usage { input: None, ..usage(1, 1, 0) }), None);
    assert_eq!(cost(Usage { cached: None, ..usage(1_000_000, 0, 0) }), Some(2_500_000));
    let long = prices.cost("gemini", "gemini-2.5-pro", &usage(200_001, 1, 0));
    assert_eq!(long, None, "long messages have another price");
}

#[test]
fn costs_are_rounded_up_and_cached_tokens_cost_less() {
    let prices = Prices::shipped();
    let cost = |usage| prices.cost("openai", "gpt-4o", &usage);
    assert_eq!(cost(usage(0, 0, 0)), Some(0));
    assert_eq!(cost(usage(1, 0, 0)), Some(3), "two and a half");
    assert_eq!(cost(usage(2, 0, 0)), Some(5));
    assert_eq!(cost(usage(1_000_000, 0, 400_000)), Some(1_500_000 + 500_000));
    assert_eq!(cost(usage(1_000_000, 0, 2_000_000)), Some(1_250_000), "no more is cached than there is");
    assert_eq!(cost(usage(u64::MAX, u64::MAX, 0)), None, "more than can be counted");
}

#[test]
fn a_callers_prices_go_first() {
    let own = r#"
        [[price]]
        model = "gpt-4o*"
        input = 1000000
        output = 0

        [[price]]
        provider = "custom"
        model = "llama*"
        input = 0
        output = 2000000

        [[price]]
        provider = "custom"
        model = "llama-70b*"
        input = 0
        output = 3000000
    "#;
    let prices = Prices::shipped().with(own).unwrap();
    let cost = |provider, model| prices.cost(provider, model, &usage(1_000_000, 1_000_000, 0));
    assert_eq!(cost("openai", "gpt-4o-mini"), Some(1_000_000), "also before a longer name of the shipped table");
    assert_eq!(cost("custom", "llama-8b"), Some(2_000_000));
    assert_eq!(cost("custom", "llama-70b-instruct"), Some(3_000_000), "the longest counts");
    assert_eq!(cost("openai", "llama-8b"), None);
    assert_eq!(cost("openai", "gpt-4.1"), Some(10_000_000));
}

#[test]
fn a_table_that_is_none_is_refused() {
    for text in [
        "price = 1",
        "[[price]]\nmodel = \"a\"\ninput = -1\noutput = 0",
        "[[price]]\nmodel = \"a\"\ninput = 1\noutput = 0\nx = 1",
    ] {
        assert!(Prices::default().with(text).unwrap_err().to_string().starts_with("the table of prices cannot be read"));
    }
    let long = format!("#{}", " ".repeat(floe_llm::MAX_TABLE));
    assert!(Prices::default().with(&long).unwrap_err().to_string().contains("at most 1048576"));
}
