//! Flows that nothing disturbs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{End, Flow};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::runtime::Builder;

use super::crashes::{Life, Run};
use super::plan::{Plan, plans};
use super::world::World;
use super::{Way, check_outputs, model, paused, read_all, stop, stop_at_once, story};
use crate::notebook::Notebook;

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_of_a_graph_is_what_its_nodes_say(plan in plans()) {
        paused().block_on(async {
            let world = World::new(&plan, None);
            let flow = world.start(0);
            run(&plan, &world, &flow).await;
            stop_at_once(&world, &flow).await;
        });
    }
}

/// Reads all requests at once, and compares what is seen with what must come of them.
async fn run(plan: &Plan, world: &Arc<World>, flow: &Flow) {
    let ways = (0..plan.requests.len()).map(Way::Submit).collect();
    for (trace, read) in read_all(world, flow, plan, ways).await {
        let request: usize = trace[1..].parse().unwrap();
        let expected = model::expect(plan, plan.requests[request].1);
        let terminal = read.end.unwrap();
        assert!(expected.ends.contains(&terminal.end), "{terminal:?} instead of {:?}", expected.ends);
        if terminal.end == End::Completed {
            check_outputs(&expected, &read.outputs, &terminal);
        }
        assert_eq!(terminal.outputs, read.outputs.len() as u64);
        let told = world.story(&trace);
        story::check(plan, &expected, &told, &terminal);
        story::check_order(plan, &told, &world.calls_of(&trace));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// No virtual time here: threads that meet anywhere are what this is about.
    #[test]
    fn many_threads_make_no_difference(plan in plans(), durable in any::<bool>()) {
        let mut plan = plan;
        plan.room.reading = 0;
        for node in &mut plan.nodes {
            (node.pause, node.within) = (node.pause.min(1), None);
        }
        Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap().block_on(async {
            let world = World::on_threads(&plan, durable.then(Notebook::new));
            let flow = world.start(0);
            run(&plan, &world, &flow).await;
            stop(&world, &flow).await;
        });
    }
}

/// The plans are worth their name: among a few there is all that can happen, and most of what happens is known for certain.
#[test]
fn plans_lead_to_all_that_can_happen() {
    let mut runner = TestRunner::deterministic();
    let (mut exact, mut sums, mut loose, mut seen) = (0, 0, 0, BTreeSet::new());
    for _ in 0..400 {
        let plan: Plan = plans().new_tree(&mut runner).unwrap().current();
        let expected = model::expect(&plan, plan.requests[0].1);
        loose += u32::from(expected.loose);
        exact += u32::from(expected.exact && !expected.loose);
        sums += u32::from(!expected.exact && !expected.loose);
        paused().block_on(async {
            let how = Run::new(vec![Duration::from_millis(1)]);
            let mut life = Life::new(&plan);
            let mut entries = life.run(Vec::new(), &how).await;
            entries.truncate(entries.len() / 2);
            let entries = life.run(entries, &how).await;
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
