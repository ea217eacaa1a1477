//! Requests of those who do not wait for credit.

use std::sync::Arc;

use tokio::sync::TryAcquireError;

use super::{Error, Flow, Offered, Seat, Shared, Submission};
use crate::handle::Handle;

impl Flow {
    /// As [`Flow::submit`], for whoever would rather do without: if there is no credit now, the request is refused as
    /// [`Error::Busy`]. With a journal, it still waits until the request is in there.
    pub async fn try_submit(&self, submission: Submission) -> Result<Handle, Error> {
        self.try_offer(submission)?.accepted().await
    }

    /// As [`Flow::offer`], but it never waits: without credit, the request is refused as [`Error::Busy`].
    pub fn try_offer(&self, submission: Submission) -> Result<Offered, Error> {
        self.check_size(&submission)?;
        self.shared.check_quota(&submission.origin.tenant)?;
        let seat = self.shared.free_seat(&submission.origin.tenant)?;
        self.enter(submission, seat)
    }
}

impl Shared {
    /// Counts a request of the tenant; whoever waits for credit has been counted.
    pub(super) fn check_quota(&self, tenant: &Arc<str>) -> Result<(), Error> {
        let Some(quotas) = &self.config.quotas else { return Ok(()) };
        let quota = quotas.of(tenant).ok_or_else(|| Error::UnknownTenant(Arc::clone(tenant)))?;
        self.rates.admit(tenant, quota.requests)
    }

    /// Takes credit if there is some. Nobody who waits is passed: what is given back goes to them first.
    fn free_seat(&self, tenant: &Arc<str>) -> Result<Seat, Error> {
        let tenant = self.tenant(tenant);
        let refused = |error, limit, max| match error {
            TryAcquireError::Closed => Error::Stopped,
            TryAcquireError::NoPermits => Error::Busy { limit, max },
        };
        let own = Arc::clone(&tenant.credit).try_acquire_owned();
        let own = own.map_err(|error| refused(error, "in_flight_per_tenant", tenant.max))?;
        let common = Arc::clone(&self.credit).try_acquire_owned();
        let common = common.map_err(|error| refused(error, "in_flight", self.config.in_flight))?;
        Ok(Seat { tenant, credit: Some([own, common]), caller: None, release: None })
    }
}
