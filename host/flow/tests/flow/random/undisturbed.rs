//! Flows that nothing disturbs.

use std::collections::BTreeSet;
use std::time::Duration;

use floe_flow::End;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::crashes::{Life, Run};
use super::plan::{Plan, plans};
use super::world::World;
use super::{Way, check_outputs, model, paused, read_all, stop_at_once, story};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_of_a_graph_is_what_its_nodes_say(plan in plans()) {
        paused().block_on(async {
            let world = World::new(&plan, None);
            let flow = world.start(0);
            let ways = (0..plan.requests.len()).map(Way::Submit).collect();
            for (trace, read) in read_all(&world, &flow, &plan, ways).await {
                let request: usize = trace[1..].parse().unwrap();
                let expected = model::expect(&plan, plan.requests[request].1);
                let terminal = read.end.unwrap();
                assert!(expected.ends.contains(&terminal.end), "{terminal:?} instead of {:?}", expected.ends);
                if terminal.end == End::Completed {
                    check_outputs(&expected, &read.outputs, &terminal);
                }
                assert_eq!(terminal.outputs, read.outputs.len() as u64);
                let told = world.story(&trace);
                story::check(&plan, &expected, &told, &terminal);
                story::check_order(&plan, &told, &world.calls_of(&trace));
            }
            stop_at_once(&world, &flow).await;
        });
    }
}

/// The plans are worth their name: among a few there is all that can happen, and most of what happens is known for certain.
#[test]
fn plans_lead_to_all_that_can_happen() {
    let mut runner = TestRunner::deterministic();
    let (mut exact, mut sums, mut loose, mut seen) = (0, 0, 0, BTreeSet::new());
    for _ in 0..250 {
        let plan: Plan = plans().new_tree(&mut runner).unwrap().current();
        let expected = model::expect(&plan, plan.requests[0].1);
        loose += u32::from(expected.loose);
        exact += u32::from(expected.exact && !expected.loose);
        sums += u32::from(!expected.exact && !expected.loose);
        paused().block_on(async {
            let run = Run::new(vec![Duration::from_millis(1)]);
            let mut life = Life::new(&plan);
            let mut entries = life.run(Vec::new(), &run).await;
            entries.truncate(entries.len() / 2);
            let entries = life.run(entries, &run).await;
            life.check(&entries);
            seen.append(&mut life.seen);
        });
    }
    assert!(exact > 100 && sums > 25 && loose > 25, "{exact} exact, {sums} by weight, {loose} loose");
    let events = ["accepted", "resumed", "queued", "blocked", "started", "succeeded", "failed", "retry", "gave_up", "discarded"];
    let more = ["joined", "late", "output", "ending", "ended"];
    let records = ["accepted", "started", "done", "failed", "retry", "time_up", "ended", "delivered"];
    let ends = ["completed", "failed", "budget_exhausted", "in_doubt"];
    let wanted = events.iter().chain(&more).map(|name| format!("event {name}"));
    let wanted = wanted.chain(records.map(|name| format!("record {name}"))).chain(ends.map(|name| format!("end {name}")));
    assert_eq!(seen, wanted.collect());
}
