//! Taking out of a journal what nobody needs any more. Only traces whose end has been delivered go, and then those that they
//! called; their ids are forgotten with them.

use sqlx::{Connection, SqliteConnection, query, query_as, query_scalar};

use super::{Sqlite, signed};
use crate::Error;

/// Traces that go in one transaction: records wait for it to end.
const AT_ONCE: u32 = 500;

/// What is kept of the traces whose end has been delivered; those that ran last are the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retain {
    /// Those delivered at this time or later, in milliseconds since 1970-01-01T00:00:00Z; none: of any age.
    pub since_ms: Option<u64>,
    /// At most so many; none: any number.
    pub count: Option<u32>,
}

/// What went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Traces, with those that they called.
    pub traces: u64,
    /// Nothing of them is left in the file or in its log. If not, a reader held the log open: remove again once it has ended.
    pub wiped: bool,
}

impl Sqlite {
    /// Removes all of a tenant's traces whose end has been delivered, and overwrites where they stood.
    pub async fn purge(&self, tenant: &str) -> Result<Removed, Error> {
        self.remove(Some(tenant), i64::MAX, i64::MAX).await
    }

    /// Removes the delivered traces beyond what is to be kept.
    pub async fn retain(&self, retain: Retain) -> Result<Removed, Error> {
        let before = retain.since_ms.map_or(i64::MIN, signed);
        let last = match retain.count {
            None => Ok(None),
            Some(count) => {
                let select = "SELECT id FROM traces WHERE delivered_ms IS NOT NULL AND caller IS NULL
                    ORDER BY id DESC LIMIT 1 OFFSET ?";
                let select = query_scalar::<_, i64>(select).bind(count);
                select.fetch_optional(&mut *self.writer.connection().await).await
            }
        };
        let last = last.map_err(|error| self.file.failed(&error))?.unwrap_or(0);
        self.remove(None, before, last).await
    }

    /// Removes what was delivered before a time or is not newer than a trace.
    async fn remove(&self, tenant: Option<&str>, before: i64, last: i64) -> Result<Removed, Error> {
        let roots = "DELETE FROM traces WHERE id IN (SELECT id FROM traces WHERE delivered_ms IS NOT NULL AND caller IS NULL
            AND (?1 IS NULL OR tenant = ?1) AND (delivered_ms < ?2 OR id <= ?3) LIMIT ?4) RETURNING id";
        let called = "DELETE FROM traces WHERE id IN (SELECT id FROM traces AS t WHERE caller IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM traces WHERE name = t.caller) LIMIT ?4) RETURNING id";
        let tenant = tenant.map(str::to_owned);
        let mut removed = Removed { traces: 0, wiped: false };
        for delete in [roots, called] {
            loop {
                // Taken anew each time, so that records do not wait for all of it.
                let mut connection = self.writer.connection().await;
                let delete = query_scalar(delete).bind(tenant.clone()).bind(before).bind(last).bind(AT_ONCE);
                let gone = take_out(&mut connection, delete).await.map_err(|error| self.file.failed(&error))?;
                removed.traces += gone;
                if gone == 0 {
                    break;
                }
            }
        }
        let mut connection = self.writer.connection().await;
        removed.wiped = shrink(&mut connection).await.map_err(|error| self.file.failed(&error))?;
        Ok(removed)
    }
}

type Delete = sqlx::query::QueryScalar<'static, sqlx::Sqlite, i64, sqlx::sqlite::SqliteArguments>;

/// Deletes some traces and their records.
async fn take_out(connection: &mut SqliteConnection, delete: Delete) -> Result<u64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let traces = delete.fetch_all(&mut *transaction).await?;
    for trace in &traces {
        query("DELETE FROM records WHERE trace = ?").bind(*trace).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(traces.len() as u64)
}

/// Gives free pages back and empties the log; false if a reader holds it.
async fn shrink(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    query("PRAGMA incremental_vacuum").execute(&mut *connection).await?;
    let checkpoint = query_as::<_, (i64, i64, i64)>("PRAGMA wal_checkpoint(TRUNCATE)");
    let (busy, _, _) = checkpoint.fetch_one(connection).await?;
    Ok(busy == 0)
}
