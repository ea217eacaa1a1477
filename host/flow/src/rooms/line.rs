//! Traces that wait, and whose turn it is: by priority and arrival within a tenant, tenants one after the other.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Tenant;
use crate::trace::Trace;

/// Where a trace stands in a line: the highest priority first, among equals whoever came first. The trace keeps it, to be moved
/// up or taken out. No number is given twice, so that a ticket that was called finds nobody else's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    priority: Reverse<i32>,
    number: u64,
}

impl Ticket {
    pub(super) fn new(priority: i32, number: u64) -> Self {
        Self { priority: Reverse(priority), number }
    }

    pub(super) fn priority(self) -> i32 {
        self.priority.0
    }
}

/// Traces of one tenant that wait, in their order.
pub(super) type Line = BTreeMap<Ticket, Arc<Trace>>;

/// Moves a trace up, behind those of its new priority that came before it. One that was called just now stays called.
pub(super) fn raise(line: &mut Line, ticket: &mut Ticket, priority: i32) {
    if let Some(trace) = line.remove(ticket) {
        ticket.priority = Reverse(priority);
        line.insert(*ticket, trace);
    }
}

/// Tenants whose traces wait, by weighted round-robin in the order of arrival: each is served as often in a row as its weight
/// says, then the next. Who may not be served just now is passed over, and keeps its turn.
///
/// A tenant that was served stays where it is, also with nothing waiting, until the turn passes on: a trace whose next message gets
/// in line meanwhile goes on with what is left of its tenant's turn. No other tenant is here with nothing waiting.
#[derive(Debug, Default)]
pub(super) struct Ring {
    /// By a number that grows with each turn: the first one is the one whose turn it is.
    turns: BTreeMap<u64, Turn>,
    /// Each tenant's number.
    numbers: BTreeMap<Arc<str>, u64>,
    next: u64,
}

#[derive(Debug)]
struct Turn {
    tenant: Arc<Tenant>,
    /// How often it may still be served before it is the next one's turn.
    left: u32,
    line: Line,
}

impl Ring {
    /// Nobody waits, and nobody was served last.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether a trace waits whose tenant may be served.
    pub(super) fn has(&self, may: impl Fn(&Tenant) -> bool) -> bool {
        self.turns.values().any(|turn| !turn.line.is_empty() && may(&turn.tenant))
    }

    pub(super) fn push(&mut self, trace: &Arc<Trace>, priority: i32) -> Ticket {
        let ticket = Ticket::new(priority, self.number());
        let tenant = &trace.tenant;
        match self.turn(&tenant.name) {
            Some(turn) => {
                turn.line.insert(ticket, Arc::clone(trace));
            }
            None => {
                let line = Line::from([(ticket, Arc::clone(trace))]);
                self.append(Turn { tenant: Arc::clone(tenant), left: tenant.weight.get(), line });
            }
        }
        ticket
    }

    /// Calls the next trace whose tenant may be served. With none, only those are left afterwards who may not.
    pub(super) fn pop(&mut self, may: impl Fn(&Tenant) -> bool) -> Option<Arc<Trace>> {
        loop {
            let (&number, turn) = self.turns.iter_mut().find(|(_, turn)| may(&turn.tenant))?;
            if turn.left > 0
                && let Some((_, trace)) = turn.line.pop_first()
            {
                turn.left -= 1;
                return Some(trace);
            }
            let turn = self.turns.remove(&number)?;
            if turn.line.is_empty() {
                self.numbers.remove(&turn.tenant.name);
            } else {
                self.append(Turn { left: turn.tenant.weight.get(), ..turn });
            }
        }
    }

    pub(super) fn raise(&mut self, tenant: &str, ticket: &mut Ticket, priority: i32) {
        if let Some(turn) = self.turn(tenant) {
            raise(&mut turn.line, ticket, priority);
        }
    }

    /// Takes a trace out of the line, unless it was called just now.
    pub(super) fn remove(&mut self, tenant: &str, ticket: Ticket) {
        let Some(number) = self.numbers.get(tenant).copied() else { return };
        let Some(turn) = self.turns.get_mut(&number) else { return };
        turn.line.remove(&ticket);
        if turn.line.is_empty() {
            self.turns.remove(&number);
            self.numbers.remove(tenant);
        }
    }

    fn turn(&mut self, tenant: &str) -> Option<&mut Turn> {
        self.turns.get_mut(self.numbers.get(tenant)?)
    }

    /// Puts a tenant behind all others.
    fn append(&mut self, turn: Turn) {
        let number = self.number();
        self.numbers.insert(Arc::clone(&turn.tenant.name), number);
        self.turns.insert(number, turn);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
