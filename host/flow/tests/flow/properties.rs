//! Random graphs and failures: one end per trace, nothing lost, nothing left behind.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::{End, Failure, FailureKind, Flow, Graph, Invoke, OnFailure, Outcome, Output, Policy, Submission, native};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Recorder, payload, start_with, submit};

#[derive(Debug, Clone)]
struct Plan {
    /// For each node: copies that it emits, attempts that fail, whether a last failure is dropped, slots, order.
    nodes: Vec<(usize, u32, bool, usize, bool)>,
    /// Edges go from lower to higher numbers.
    edges: Vec<(usize, usize, usize)>,
    reader: usize,
}

fn plans() -> impl Strategy<Value = Plan> {
    let node = (0usize..4, 0u32..3, any::<bool>(), 1usize..4, any::<bool>());
    (proptest::collection::vec(node, 2..7), proptest::collection::vec((0usize..7, 0usize..7, 1usize..4), 0..12), 1usize..5)
        .prop_map(|(nodes, pairs, reader)| {
            let mut edges: Vec<(usize, usize, usize)> = Vec::new();
            for (a, b, queue) in pairs {
                let (from, to) = (a.min(b) % nodes.len(), a.max(b) % nodes.len());
                if from < to && !edges.iter().any(|edge| (edge.0, edge.1) == (from, to)) {
                    edges.push((from, to, queue));
                }
            }
            Plan { nodes, edges, reader }
        })
}

fn node(copies: usize, failures: u32) -> Arc<dyn Invoke> {
    native(move |call| {
        if call.attempt <= failures {
            return Err(Failure::new(FailureKind::Internal, "planned"));
        }
        let output = |n: usize| {
            let priority = i32::try_from(n % 3).ok();
            Output { priority, ..Output::new(json!([n, call.message.id.to_string()]).into()) }
        };
        Ok(Outcome::Outputs((0..copies).map(output).collect()))
    })
}

fn build(plan: &Plan, recorder: &Arc<Recorder>) -> Flow {
    let mut graph = Graph::builder("random");
    for (index, (copies, failures, drop, concurrency, ordered)) in plan.nodes.iter().enumerate() {
        let on_failure = if *drop { OnFailure::Drop } else { OnFailure::Fail };
        let policy = Policy { retries: 1, on_failure, ordered: *ordered, ..Policy::with_concurrency(*concurrency) };
        graph.run(&format!("n{index}"), node(*copies, *failures), policy);
    }
    for (from, to, queue) in &plan.edges {
        graph.edge(&format!("n{from}"), &format!("n{to}"), *queue);
    }
    start_with(graph, |config| {
        config.observer = Some(recorder.clone());
        config.reader = plan.reader;
        config.in_flight = 2;
    })
}

/// What must come out: each node's copies, multiplied along every path; none if a node fails for good without `drop`.
fn expected(plan: &Plan) -> Option<usize> {
    let mut arriving = vec![0usize; plan.nodes.len()];
    let mut outputs = 0;
    for (index, (copies, failures, drop, ..)) in plan.nodes.iter().enumerate() {
        if !plan.edges.iter().any(|edge| edge.1 == index) {
            arriving[index] += 1;
        }
        let fails = *failures > 1;
        if fails && arriving[index] > 0 && !drop {
            return None;
        }
        let emitted = if fails { 0 } else { arriving[index] * copies };
        let successors: Vec<usize> = plan.edges.iter().filter(|edge| edge.0 == index).map(|edge| edge.1).collect();
        if successors.is_empty() {
            outputs += emitted;
        }
        for to in successors {
            arriving[to] += emitted;
        }
    }
    Some(outputs)
}

fn count(recorder: &Recorder, trace: &str, name: &str) -> usize {
    let events = recorder.0.lock().unwrap();
    events.iter().filter(|event| &*event.trace == trace && json!(event)["event"] == json!(name)).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_trace_ends_once_and_nothing_is_lost(plan in plans()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let recorder = Arc::new(Recorder::default());
            let flow = build(&plan, &recorder);
            let mut results: Vec<(String, Vec<Value>)> = Vec::new();
            for trace in ["one", "two", "three"] {
                let handle = submit(&flow, trace, json!(null)).await;
                let (outputs, terminal) = tokio::time::timeout(Duration::from_secs(3600), handle.finish()).await.expect("no trace hangs");
                match expected(&plan) {
                    Some(wanted) => {
                        prop_assert_eq!(terminal.end, End::Completed);
                        prop_assert_eq!((outputs.len(), terminal.outputs), (wanted, wanted as u64));
                    }
                    None => prop_assert_eq!(terminal.end, End::Failed),
                }
                let mut outputs: Vec<Value> = outputs.iter().map(|payload| payload.value().into_owned()).collect();
                outputs.sort_by_key(ToString::to_string);
                results.push((terminal.end.name().to_owned(), outputs));
                prop_assert_eq!(count(&recorder, trace, "ended"), 1);
                prop_assert_eq!(count(&recorder, trace, "started"), count(&recorder, trace, "succeeded") + count(&recorder, trace, "failed")
                    + if terminal.end == End::Completed { 0 } else { count(&recorder, trace, "started") - count(&recorder, trace, "succeeded") - count(&recorder, trace, "failed") });
                recorder.story(trace);
            }
            if expected(&plan).is_some() {
                // Ids follow from the graph alone, so every run gives the same.
                prop_assert_eq!(&results[0], &results[1]);
                prop_assert_eq!(&results[0], &results[2]);
            }
            flow.stop(Duration::ZERO).await;
            prop_assert_eq!(flow.in_flight(), 0);
            Ok(())
        })?;
    }

    #[test]
    fn a_cancel_at_any_moment_ends_the_trace(plan in plans(), at in 0u64..400, tenant in prop_oneof!["tenant", "another"]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let recorder = Arc::new(Recorder::default());
            let flow = build(&plan, &recorder);
            let doomed = submit(&flow, "doomed", json!(null)).await;
            let other = flow.submit(Submission::new("other", &tenant, payload(json!(null)))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(at)).await;
            doomed.cancel();
            let (_, terminal) = tokio::time::timeout(Duration::from_secs(3600), doomed.finish()).await.expect("no trace hangs");
            prop_assert!(terminal.end == End::Cancelled || terminal.end == End::Completed || terminal.end == End::Failed);
            let (outputs, terminal) = tokio::time::timeout(Duration::from_secs(3600), other.finish()).await.expect("no trace hangs");
            match expected(&plan) {
                Some(wanted) => prop_assert_eq!((terminal.end, outputs.len()), (End::Completed, wanted)),
                None => prop_assert_eq!(terminal.end, End::Failed),
            }
            flow.stop(Duration::ZERO).await;
            Ok(())
        })?;
    }
}
