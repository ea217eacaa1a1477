//! Code that is replaced while a flow runs: a trace keeps what it began with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{Config, End, Error, Graph, Outcome, Release, Releases, SubflowNode, native};
use serde_json::json;

use crate::notebook::Notebook;
use crate::support::{Slow, policy, start_with, submit};

/// The newest release, and the oldest that is still here.
#[derive(Debug)]
struct Line {
    newest: AtomicU64,
    oldest: u64,
}

impl Releases for Line {
    fn current(&self) -> Release {
        let number = self.newest.load(Ordering::SeqCst);
        Release { number, code: Arc::new(format!("code {number}")) }
    }

    fn numbered(&self, number: u64) -> Option<Release> {
        (number >= self.oldest).then(|| Release { number, code: Arc::new(format!("code {number}")) })
    }
}

fn line(newest: u64, oldest: u64) -> Arc<Line> {
    Arc::new(Line { newest: AtomicU64::new(newest), oldest })
}

/// A pause, and then a node of a subflow that says which code the trace runs.
fn graph() -> Builder {
    let says = native(|call| {
        let release = call.ctx.release().expect("the flow has releases");
        Ok(Outcome::one(json!([release.number, release.code.downcast_ref::<String>()]).into()))
    });
    let mut inner = Graph::builder("inner");
    inner.run("says", says, policy());
    let mut graph = Graph::builder("outer");
    graph.subflow("inner", inner.build().unwrap(), Config::on_current_runtime().budget);
    graph.run("pause", Slow::new(Duration::from_secs(1)), policy());
    graph.run("sub", Arc::new(SubflowNode::new("inner")), policy());
    graph.chain(&["pause", "sub"]);
    graph
}

#[tokio::test(start_paused = true)]
async fn a_trace_keeps_what_it_began_with() {
    let releases = line(3, 3);
    let flow = start_with(graph(), |config| config.releases = Some(Arc::clone(&releases) as _));
    let before = submit(&flow, "before", json!(1)).await;
    releases.newest.store(4, Ordering::SeqCst);
    let after = submit(&flow, "after", json!(1)).await;
    assert_eq!(before.finish().await.0[0].text(), r#"[3,"code 3"]"#);
    assert_eq!(after.finish().await.0[0].text(), r#"[4,"code 4"]"#);
}

#[tokio::test(start_paused = true)]
async fn what_must_not_run_any_more_ends_and_nothing_else() {
    let releases = line(1, 0);
    let flow = start_with(graph(), |config| config.releases = Some(Arc::clone(&releases) as _));
    let before = submit(&flow, "before", json!(1)).await;
    releases.newest.store(2, Ordering::SeqCst);
    let after = submit(&flow, "after", json!(1)).await;
    assert_eq!(flow.fail_release(1, "revoked", "it must not run"), 1);
    let terminal = before.finish().await.1;
    assert_eq!((terminal.end, terminal.error.unwrap().code.as_str()), (End::Failed, "revoked"));
    assert_eq!(after.finish().await.1.end, End::Completed);
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_with_that_after_a_crash() {
    let (journal, releases) = (Notebook::new(), line(7, 0));
    let flow = start_with(graph(), |config| {
        (config.releases, config.journal) = (Some(Arc::clone(&releases) as _), Some(Arc::clone(&journal) as _));
    });
    drop(submit(&flow, "trace", json!(1)).await);
    flow.stop(Duration::ZERO).await;
    let resumed = |oldest| {
        let journal = Notebook::with(journal.entries());
        start_with(graph(), |config| (config.releases, config.journal) = (Some(line(9, oldest) as _), Some(journal as _)))
    };
    let (outputs, _) = resumed(7).resume("trace").await.unwrap().finish().await;
    assert_eq!(outputs[0].text(), r#"[7,"code 7"]"#);
    let refused = resumed(8).resume("trace").await.unwrap_err();
    assert!(matches!(refused, Error::Unfit { .. }));
    assert_eq!(refused.to_string(), "trace `trace` cannot go on: it began with release 7 of the flow's code, which is not here");
}
