//! What the numbers are called, in which order they come, and what they mean.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{NodeNumbers, Numbers, TIME_BOUNDS_US, TenantNumbers, Times};

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Of what; a histogram's end in `_bucket`, `_sum` and `_count`.
    pub name: Cow<'static, str>,
    /// `node`, `tenant`, and one more where there is more than one number for these.
    pub labels: Vec<(&'static str, Arc<str>)>,
    /// Times are in seconds.
    pub value: f64,
}

/// Samples of one name.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "prometheus"), expect(dead_code, reason = "only Prometheus' text has kinds and help"))]
pub(super) struct Family {
    pub(super) name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    read: Read,
}

/// Where a family's numbers are.
#[derive(Clone, Copy)]
enum Read {
    Nodes(fn(&NodeNumbers) -> Value<'_>),
    Tenants(fn(&TenantNumbers) -> Value<'_>),
    All(fn(&Numbers) -> Value<'_>),
}

enum Value<'a> {
    One(u64),
    /// By a label with this name.
    By(&'static str, &'a BTreeMap<&'static str, u64>),
    Times(&'a Times),
}

/// Every family: of nodes, of tenants, of the observers.
pub(super) fn families() -> impl Iterator<Item = Family> {
    use Read::{All, Nodes, Tenants};
    use Value::{By, One, Times};
    let counter = |name, help, read| Family { name, kind: "counter", help, read };
    let gauge = |name, help, read| Family { name, kind: "gauge", help, read };
    let histogram = |name, help, read| Family { name, kind: "histogram", help, read };
    [
        counter("floe_attempts_total", "Attempts that ended, by outcome.", Nodes(|node| By("outcome", &node.attempts))),
        histogram("floe_attempt_seconds", "From start to end of an attempt.", Nodes(|node| Times(&node.time))),
        counter("floe_retries_total", "Failed attempts that are tried again.", Nodes(|node| One(node.retries))),
        counter("floe_given_up_total", "Messages for which no attempt is left.", Nodes(|node| One(node.given_up))),
        counter("floe_fuel_total", "Units of guest computation.", Nodes(|node| One(node.fuel))),
        counter("floe_outputs_total", "Payloads that left the flow.", Nodes(|node| One(node.outputs))),
        counter("floe_chunks_total", "Pieces of streams that went to readers.", Nodes(|node| One(node.chunks))),
        gauge("floe_queued", "Messages that wait at the node for a slot.", Nodes(|node| One(node.queued))),
        gauge("floe_waiting", "Emissions of the node that wait for room further on.", Nodes(|node| One(node.waiting))),
        counter(
            "floe_traces_accepted_total",
            "Traces that the flow took on, without those of subflows.",
            Tenants(|tenant| One(tenant.accepted)),
        ),
        counter("floe_traces_ended_total", "Traces that ended.", Tenants(|tenant| By("terminal", &tenant.ended))),
        histogram("floe_trace_seconds", "From acceptance to the end of a trace.", Tenants(|tenant| Times(&tenant.time))),
        gauge("floe_traces_in_flight", "Traces that have not ended.", Tenants(|tenant| One(tenant.in_flight))),
        gauge("floe_messages_pending", "Messages on their way.", Tenants(|tenant| One(tenant.pending))),
        gauge("floe_attempts_running", "Attempts under way.", Tenants(|tenant| One(tenant.running))),
        counter("floe_events_dropped_total", "Events that observers did not get.", All(|all| By("cause", &all.dropped))),
        counter("floe_observer_panics_total", "Panics of observers.", All(|all| One(all.panics))),
    ]
    .into_iter()
}

impl Family {
    /// Its samples, in the order of their labels.
    pub(super) fn samples(&self, numbers: &Numbers) -> Vec<Sample> {
        let mut samples = Vec::new();
        match self.read {
            Read::Nodes(read) => {
                for (node, tenants) in &numbers.nodes {
                    for (tenant, of) in tenants {
                        let labels = [("node", Arc::clone(node)), ("tenant", Arc::clone(tenant))];
                        self.push(&mut samples, &labels, &read(of));
                    }
                }
            }
            Read::Tenants(read) => {
                for (tenant, of) in &numbers.tenants {
                    self.push(&mut samples, &[("tenant", Arc::clone(tenant))], &read(of));
                }
            }
            Read::All(read) => self.push(&mut samples, &[], &read(numbers)),
        }
        samples
    }

    fn push(&self, samples: &mut Vec<Sample>, labels: &[(&'static str, Arc<str>)], value: &Value<'_>) {
        let with = |label, value: &str| labels.iter().cloned().chain([(label, value.into())]).collect();
        match value {
            Value::One(value) => {
                samples.push(Sample { name: self.name.into(), labels: labels.into(), value: *value as f64 });
            }
            Value::By(label, values) => samples.extend(values.iter().map(|(key, value)| Sample {
                name: self.name.into(),
                labels: with(*label, key),
                value: *value as f64,
            })),
            Value::Times(times) => {
                let part = |part| Cow::from(format!("{}_{part}", self.name));
                let mut up_to = 0;
                for (bound, count) in TIME_BOUNDS_US.iter().zip(&times.classes) {
                    up_to += count;
                    let bound = seconds(*bound).to_string();
                    samples.push(Sample { name: part("bucket"), labels: with("le", &bound), value: up_to as f64 });
                }
                samples.push(Sample { name: part("bucket"), labels: with("le", "+Inf"), value: times.count as f64 });
                samples.push(Sample { name: part("sum"), labels: labels.into(), value: seconds(times.sum_us) });
                samples.push(Sample { name: part("count"), labels: labels.into(), value: times.count as f64 });
            }
        }
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
