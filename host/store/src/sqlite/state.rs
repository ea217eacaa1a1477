//! Values that outlive a call, beside the records: written by the thread that writes these, in the same transactions, so that they
//! share the cost of a commit; read by connections that see what was answered. Removing traces removes none of them.

use std::mem;
use std::sync::Arc;

use floe_flow::journal::{JournalError, Pending};
use floe_flow::state::{Entry, Owner, Place, Put, StateStore, Usage, Written};
use sqlx::query::QueryAs;
use sqlx::sqlite::SqliteArguments;
use sqlx::{FromRow, SqliteConnection, query, query_as};
use tokio::sync::oneshot;

use super::{Reader, Sqlite, signed, unsigned};
use crate::Error;

/// What is to be written.
#[derive(Debug)]
pub(super) struct Write {
    place: Place,
    key: String,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// What became of it is kept until it is on the disk.
    Put(Put, Option<Written>, oneshot::Sender<Result<Written, JournalError>>),
    Delete(bool, oneshot::Sender<Result<bool, JournalError>>),
}

/// A value that is there: its row, version and bytes.
type Found = (i64, i64, i64);

impl StateStore for Sqlite {
    fn get(&self, place: &Place, key: &str) -> Pending<Option<Entry>> {
        let (reader, place, key) = (self.reader().clone(), place.clone(), key.to_owned());
        Box::pin(async move { reader.state(&place, &key).await.map_err(JournalError::from) })
    }

    fn put(&self, place: &Place, key: &str, put: Put) -> Pending<Written> {
        let (answer, answered) = oneshot::channel();
        let change = Change::Put(put, None, answer);
        self.writer.write(Write { place: place.clone(), key: key.to_owned(), change }, answered)
    }

    fn delete(&self, place: &Place, key: &str) -> Pending<bool> {
        let (answer, answered) = oneshot::channel();
        let change = Change::Delete(false, answer);
        self.writer.write(Write { place: place.clone(), key: key.to_owned(), change }, answered)
    }

    fn keys(&self, place: &Place, prefix: &str, after: Option<&str>, limit: u32) -> Pending<Vec<String>> {
        let (reader, place, prefix) = (self.reader().clone(), place.clone(), prefix.to_owned());
        let after = after.map(str::to_owned);
        Box::pin(async move { reader.state_keys(&place, &prefix, after.as_deref(), limit).await.map_err(JournalError::from) })
    }
}

// === impl Write ===

impl Write {
    /// Makes the change, within the transaction.
    pub(super) async fn write(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let select =
            query_as::<_, (i64, i64, i64, i64)>("SELECT id, version, keys, bytes FROM spaces WHERE tenant = ? AND name = ?");
        let select = select.bind(Arc::clone(&self.place.tenant)).bind(Arc::clone(&self.place.space));
        let space = select.fetch_optional(&mut *connection).await?;
        let usage = space.map_or_else(Usage::default, |(_, version, keys, bytes)| Usage {
            version: unsigned(version),
            keys: unsigned(keys),
            bytes: unsigned(bytes),
        });
        let space = space.map(|(id, ..)| id);
        let found = match space {
            Some(space) => self.find(connection, space).await?,
            None => None,
        };
        match &mut self.change {
            Change::Put(put, done, _) => {
                let before = found.map(|(_, version, bytes)| (unsigned(version), unsigned(bytes)));
                let usage = match usage.put(&self.key, put, before) {
                    Ok(usage) => usage,
                    Err(refused) => {
                        *done = Some(refused);
                        return Ok(());
                    }
                };
                *done = Some(Written::Done(usage.version));
                let value = mem::take(&mut put.value);
                let space = self.keep_usage(connection, usage).await?;
                self.keep(connection, space, found, usage.version, value).await
            }
            Change::Delete(done, _) => {
                let Some((row, _, bytes)) = found else { return Ok(()) };
                *done = true;
                query("DELETE FROM state WHERE id = ?").bind(row).execute(&mut *connection).await?;
                self.keep_usage(connection, usage.without(&self.key, unsigned(bytes))).await?;
                Ok(())
            }
        }
    }

    async fn find(&self, connection: &mut SqliteConnection, space: i64) -> Result<Option<Found>, sqlx::Error> {
        let select = "SELECT id, version, octet_length(value) FROM state
            WHERE space = ? AND scope = ? AND user IS ? AND session IS ? AND key = ?";
        let select = owned_by(query_as::<_, Found>(select).bind(space), &self.place.owner);
        select.bind(self.key.clone().into_bytes()).fetch_optional(connection).await
    }

    /// Notes what the tenant has in the space now, and returns the space's row.
    async fn keep_usage(&self, connection: &mut SqliteConnection, usage: Usage) -> Result<i64, sqlx::Error> {
        let upsert = "INSERT INTO spaces (tenant, name, version, keys, bytes) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET version = excluded.version, keys = excluded.keys, bytes = excluded.bytes RETURNING id";
        let upsert = query_as::<_, (i64,)>(upsert).bind(Arc::clone(&self.place.tenant)).bind(Arc::clone(&self.place.space));
        let upsert = upsert.bind(signed(usage.version)).bind(signed(usage.keys)).bind(signed(usage.bytes));
        Ok(upsert.fetch_one(connection).await?.0)
    }

    async fn keep(
        &self,
        connection: &mut SqliteConnection,
        space: i64,
        found: Option<Found>,
        version: u64,
        value: Arc<str>,
    ) -> Result<(), sqlx::Error> {
        if let Some((row, ..)) = found {
            let update = query("UPDATE state SET version = ?, value = ? WHERE id = ?");
            update.bind(signed(version)).bind(value).bind(row).execute(connection).await?;
            return Ok(());
        }
        let insert = "INSERT INTO state (space, scope, user, session, key, version, value) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let (scope, user, session) = columns(&self.place.owner);
        let insert = query(insert).bind(space).bind(scope).bind(user).bind(session);
        insert.bind(self.key.clone().into_bytes()).bind(signed(version)).bind(value).execute(connection).await?;
        Ok(())
    }

    /// It is on the disk. Whoever dropped the future does not care.
    pub(super) fn answer(self) {
        match self.change {
            Change::Put(_, done, answer) => drop(answer.send(Ok(done.expect("a write that was made has come to something")))),
            Change::Delete(done, answer) => drop(answer.send(Ok(done))),
        }
    }

    pub(super) fn refuse(self, error: JournalError) {
        match self.change {
            Change::Put(_, _, answer) => drop(answer.send(Err(error))),
            Change::Delete(_, answer) => drop(answer.send(Err(error))),
        }
    }
}

// === impl Reader ===

impl Reader {
    /// As [`StateStore::get`].
    pub async fn state(&self, place: &Place, key: &str) -> Result<Option<Entry>, Error> {
        let select = "SELECT state.value, state.version FROM state JOIN spaces ON spaces.id = state.space
            WHERE tenant = ? AND name = ? AND scope = ? AND user IS ? AND session IS ? AND key = ?";
        let select = in_space(query_as::<_, (String, i64)>(select), place).bind(key.as_bytes().to_vec());
        let row = select.fetch_optional(&mut *self.connection.lock().await).await;
        let row = row.map_err(|error| self.file.failed(&error))?;
        Ok(row.map(|(value, version)| Entry { value: value.into(), version: unsigned(version) }))
    }

    /// As [`StateStore::keys`].
    pub async fn state_keys(&self, place: &Place, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        let select = "SELECT key FROM state JOIN spaces ON spaces.id = state.space
            WHERE tenant = ? AND name = ? AND scope = ? AND user IS ? AND session IS ?
            AND key >= ? AND (? IS NULL OR key < ?) AND (? IS NULL OR key > ?) ORDER BY key LIMIT ?";
        let (end, after) = (after_prefix(prefix), after.map(|after| after.as_bytes().to_vec()));
        let select = in_space(query_as::<_, (Vec<u8>,)>(select), place).bind(prefix.as_bytes().to_vec());
        let select = select.bind(end.clone()).bind(end).bind(after.clone()).bind(after).bind(limit);
        let rows = select.fetch_all(&mut *self.connection.lock().await).await;
        let rows = rows.map_err(|error| self.file.failed(&error))?;
        Ok(rows.into_iter().map(|(key,)| String::from_utf8_lossy(&key).into_owned()).collect())
    }
}

/// The first bytes after all that begin with the prefix. No byte of UTF-8 is the largest, so the last can always be one more.
fn after_prefix(prefix: &str) -> Option<Vec<u8>> {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// Scope, user and session.
fn columns(owner: &Owner) -> (&'static str, Option<Arc<str>>, Option<Arc<str>>) {
    match owner {
        Owner::Tenant => ("tenant", None, None),
        Owner::User(user) => ("user", Some(Arc::clone(user)), None),
        Owner::Session { user, session } => ("session", user.clone(), Some(Arc::clone(session))),
    }
}

type Select<R> = QueryAs<'static, sqlx::Sqlite, R, SqliteArguments>;

fn owned_by<R>(select: Select<R>, owner: &Owner) -> Select<R>
where
    R: for<'r> FromRow<'r, sqlx::sqlite::SqliteRow>,
{
    let (scope, user, session) = columns(owner);
    select.bind(scope).bind(user).bind(session)
}

fn in_space<R>(select: Select<R>, place: &Place) -> Select<R>
where
    R: for<'r> FromRow<'r, sqlx::sqlite::SqliteRow>,
{
    owned_by(select.bind(Arc::clone(&place.tenant)).bind(Arc::clone(&place.space)), &place.owner)
}
