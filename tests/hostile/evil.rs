//! Each node of `evil` attacks in its own way; each module here is for the guest's module of the same name.

mod compute;
mod emit;
mod exact;
mod outcome;
mod payload;
mod world;

use crate::support::{limits, load, sandbox};

pub(crate) const GUEST: &str = floe_tests::EVIL;

#[tokio::test]
async fn every_node_has_a_test() {
    let evil = load(&sandbox(1, 1), (GUEST, "evil"), &limits()).await.unwrap();
    let nodes: Vec<&str> = evil.nodes.iter().map(|node| node.name.as_str()).collect();
    let tested = [compute::NODES, payload::NODES, emit::NODES, outcome::NODES, world::NODES, exact::NODES].concat();
    assert_eq!(nodes, tested);
}
