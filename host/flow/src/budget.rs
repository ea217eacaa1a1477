//! What a trace may use, and the account that is kept of it.
//!
//! A call takes what it may need before it begins ([`Context::hold`](crate::Context::hold)): as much as its own limits say, or as
//! little as is left in the accounts of its trace and of all that called it. What it did use is booked when it ends. So calls that
//! run at once never use more in sum than their trace had left, and neither do the calls that they make.

use std::fmt;
use std::iter;
use std::ops::{Index, IndexMut};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::context::Context;
use crate::rooms::lock;
use crate::trace::Trace;

/// What one trace may use; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Invocations of nodes.
    pub hops: u64,
    /// Messages on their way at once.
    pub messages: u64,
    /// Bytes of one payload's text.
    pub payload: usize,
    /// Units of guest computation.
    pub fuel: Option<u64>,
    /// Bytes of guest memory of all calls that run at once.
    pub memory: Option<u64>,
    /// Calls of guests to the host.
    pub host_calls: Option<u64>,
    /// Log lines of guests.
    pub log_lines: Option<u64>,
    /// Emissions of guests.
    pub emits: Option<u64>,
    /// Calls of guests to subflows and tools.
    pub calls: Option<u64>,
    /// Values that guests set or delete.
    pub state_writes: Option<u64>,
    /// Requests to the network.
    pub requests: Option<u64>,
    /// Bytes sent to the network.
    pub egress_bytes: Option<u64>,
    /// Tokens that a controller says it used.
    pub tokens: Option<u64>,
    /// From acceptance to the end.
    pub deadline: Option<Duration>,
}

impl Budget {
    /// Without any limit but these three, which bound what the host holds of a trace.
    pub const fn new(hops: u64, messages: u64, payload: usize) -> Self {
        Self {
            hops,
            messages,
            payload,
            fuel: None,
            memory: None,
            host_calls: None,
            log_lines: None,
            emits: None,
            calls: None,
            state_writes: None,
            requests: None,
            egress_bytes: None,
            tokens: None,
            deadline: None,
        }
    }

    /// The account of a trace; none where there is nothing to keep account of.
    pub(crate) fn account(&self, is_called: bool) -> Option<Box<Account>> {
        let mut limits = Amounts::UNLIMITED;
        let given = [
            (Resource::Fuel, self.fuel),
            (Resource::Memory, self.memory),
            (Resource::HostCalls, self.host_calls),
            (Resource::LogLines, self.log_lines),
            (Resource::Emits, self.emits),
            (Resource::Calls, self.calls),
            (Resource::StateWrites, self.state_writes),
            (Resource::Requests, self.requests),
            (Resource::EgressBytes, self.egress_bytes),
        ];
        for (resource, limit) in given {
            limits[resource] = limit.unwrap_or(u64::MAX);
        }
        // What a called trace uses is told to its caller.
        (is_called || limits != Amounts::UNLIMITED).then(|| Box::new(Account::new("budget".into(), limits)))
    }
}

/// What is counted of a call and of all that it causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Units of computation.
    Fuel,
    /// Bytes of guest memory; given back when the call ends.
    Memory,
    /// Calls to the host.
    HostCalls,
    /// Lines in the log.
    LogLines,
    /// Emissions.
    Emits,
    /// Calls of subflows and tools.
    Calls,
    /// Values set or deleted.
    StateWrites,
    /// Requests to the network.
    Requests,
    /// Bytes sent to the network.
    EgressBytes,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 9] = [
        Self::Fuel,
        Self::Memory,
        Self::HostCalls,
        Self::LogLines,
        Self::Emits,
        Self::Calls,
        Self::StateWrites,
        Self::Requests,
        Self::EgressBytes,
    ];

    /// The one with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.name() == name)
    }

    /// The name under `budget` and under a plugin's `limits`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::HostCalls => "host_calls",
            Self::LogLines => "log_lines",
            Self::Emits => "emits",
            Self::Calls => "calls",
            Self::StateWrites => "state_writes",
            Self::Requests => "requests",
            Self::EgressBytes => "egress_bytes",
        }
    }
}

/// An amount of each resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts([u64; Resource::ALL.len()]);

impl Amounts {
    /// Nothing of anything.
    pub const NONE: Self = Self([0; Resource::ALL.len()]);
    /// As much as anybody likes.
    pub const UNLIMITED: Self = Self([u64::MAX; Resource::ALL.len()]);

    fn each(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|index| combine(self.0[index], other.0[index])))
    }

    /// The lesser of each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.each(other, u64::min)
    }

    /// The sum of each.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// What is left of each.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }
}

impl Index<Resource> for Amounts {
    type Output = u64;

    fn index(&self, resource: Resource) -> &u64 {
        &self.0[resource as usize]
    }
}

impl IndexMut<Resource> for Amounts {
    fn index_mut(&mut self, resource: Resource) -> &mut u64 {
        &mut self.0[resource as usize]
    }
}

/// What somebody may use, has used, and has handed out to calls that run.
#[derive(Debug)]
pub struct Account {
    /// What stands before a resource's name in the line that raises its limit.
    whose: Box<str>,
    limits: Amounts,
    books: Mutex<Books>,
    /// Something was given back.
    changed: Notify,
}

#[derive(Debug)]
struct Books {
    used: Amounts,
    held: Amounts,
    holders: u32,
}

impl Account {
    /// An account of its own: what a call still has, for those that it calls. `whose` is the place of its limits in the
    /// configuration, without the resource.
    pub fn new(whose: Box<str>, limits: Amounts) -> Self {
        let books = Books { used: Amounts::NONE, held: Amounts::NONE, holders: 0 };
        Self { whose, limits, books: Mutex::new(books), changed: Notify::new() }
    }

    /// What has been booked.
    pub fn used(&self) -> Amounts {
        lock(&self.books).used
    }

    /// What has been booked, and what calls that run now may still use: for whoever cuts them off and does not learn what they used.
    pub fn committed(&self) -> Amounts {
        let books = lock(&self.books);
        books.used.plus(books.held)
    }

    /// The line of the configuration that raises a limit.
    pub fn line(&self, resource: Resource) -> String {
        format!("`{}.{}`", self.whose, resource.name())
    }

    fn left(&self) -> Amounts {
        let books = lock(&self.books);
        self.limits.less(books.used).less(books.held)
    }

    fn book(&self, used: Amounts) {
        let mut books = lock(&self.books);
        books.used = books.used.plus(used);
    }

    /// Used and allowed, if nothing is left.
    fn exhausted(&self, resource: Resource) -> Option<(u64, u64)> {
        let (used, max) = (lock(&self.books).used[resource], self.limits[resource]);
        (used >= max).then_some((used, max))
    }
}

/// The accounts that a call's use is booked in: of its trace, of the call that this is a subflow of, and so on. A call that has
/// taken what it hands on answers for it, and those above it see only its own use.
fn accounts<'a>(trace: &'a Trace, allowance: Option<&'a Arc<Account>>) -> impl Iterator<Item = &'a Account> {
    let next = |(trace, allowance): &(Option<&'a Trace>, Option<&'a Arc<Account>>)| {
        let caller = trace.filter(|_| allowance.is_none()).and_then(|trace| trace.caller.as_deref())?;
        Some((Some(&*caller.trace), caller.allowance.as_ref()))
    };
    iter::successors(Some((Some(trace), allowance)), next).filter_map(|(trace, allowance)| match allowance {
        Some(allowance) => Some(&**allowance),
        None => trace.and_then(|trace| trace.account.as_deref()),
    })
}

impl Trace {
    /// Books what was used.
    pub(crate) fn book(&self, used: Amounts) {
        accounts(self, None).for_each(|account| account.book(used));
    }

    /// How much of a resource is used, its limit and the line that raises it, if nothing is left.
    pub(crate) fn exhausted(&self, resource: Resource) -> Option<(u64, u64, String)> {
        accounts(self, None).find_map(|account| {
            let (used, max) = account.exhausted(resource)?;
            Some((used, max, account.line(resource)))
        })
    }
}

impl Context {
    /// The same call, for those that it calls: they live on this account.
    #[must_use]
    pub fn within(&self, allowance: Arc<Account>) -> Self {
        Self { allowance: Some(allowance), ..self.clone() }
    }

    /// Books what was used for this call.
    pub(crate) fn book(&self, used: Amounts) {
        accounts(&self.trace, self.allowance.as_ref()).for_each(|account| account.book(used));
    }

    /// What is left to this call, of what is limited at all.
    pub fn left(&self) -> Amounts {
        accounts(&self.trace, self.allowance.as_ref()).fold(Amounts::UNLIMITED, |left, account| left.min(account.left()))
    }

    /// Takes what a call may use, at most `want`; less where less is left. As long as others hold what this call would need, it
    /// waits for them: what they do not use is for it.
    pub async fn hold(&self, want: Amounts) -> (Amounts, Option<Box<Hold>>) {
        if accounts(&self.trace, self.allowance.as_ref()).next().is_none() {
            return (want, None);
        }
        loop {
            let short = match self.take(want) {
                Ok(hold) => return (hold.given, Some(Box::new(hold))),
                Err(account) => account,
            };
            let changed = short.changed.notified();
            let mut changed = pin!(changed);
            // Whatever is given back from here on is noticed; before, it is found.
            changed.as_mut().enable();
            match self.take(want) {
                Ok(hold) => return (hold.given, Some(Box::new(hold))),
                Err(account) if std::ptr::eq(account, short) => changed.await,
                Err(_) => {}
            }
        }
    }

    /// Takes `want`, or what is left; the error is an account of which others hold what this call would need.
    fn take(&self, want: Amounts) -> Result<Hold, &Account> {
        let all: Vec<&Account> = accounts(&self.trace, self.allowance.as_ref()).collect();
        // Always from the inner to the outer account: no two calls wait for each other.
        let mut books: Vec<_> = all.iter().map(|account| lock(&account.books)).collect();
        let mut given = want;
        for (account, books) in all.iter().zip(&books) {
            let left = account.limits.less(books.used).less(books.held);
            if want.min(left) != want && books.holders > 0 {
                return Err(account);
            }
            given = given.min(left);
        }
        for books in &mut books {
            books.held = books.held.plus(given);
            books.holders += 1;
        }
        drop(books);
        Ok(Hold { ctx: self.clone(), given, spent: Amounts::NONE })
    }
}

/// What a call has taken; given back when it is dropped, which is to be when the call's use has been booked.
pub struct Hold {
    ctx: Context,
    given: Amounts,
    spent: Amounts,
}

impl Hold {
    /// Of a call that is cut off and leaves no report: what it had used, booked when this is dropped.
    pub fn spend(&mut self, used: Amounts) {
        self.spent = used;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for account in accounts(&self.ctx.trace, self.ctx.allowance.as_ref()) {
            let mut books = lock(&account.books);
            books.used = books.used.plus(self.spent);
            books.held = books.held.less(self.given);
            books.holders -= 1;
            drop(books);
            account.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("given", &self.given).finish_non_exhaustive()
    }
}
