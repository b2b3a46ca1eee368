//! The table of keys.
//!
//! A row is made, and committed, before the handler runs, and gets its outcome in the transaction of the call. `owner` is
//! the fencing token: whoever takes a key over writes another one, and only the owner's statements find their row.

use mcp_ext_core::request::Principal;
use mcp_ext_store::rusqlite::{self, Connection, OptionalExtension as _, Row, params};

use crate::state::{Decision, Digest, Record, State, decide};

/// The name of the schema in the store.
pub(crate) const SCHEMA: &str = "idempotency";

pub(crate) const STEPS: &[&str] = &["
    CREATE TABLE idempotency (
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        item TEXT NOT NULL,
        operations TEXT NOT NULL,
        digest BLOB NOT NULL,
        state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),
        owner INTEGER NOT NULL,
        first_at INTEGER NOT NULL,
        lease_until INTEGER NOT NULL,
        ended_at INTEGER,
        expires_at INTEGER,
        outcome TEXT,
        PRIMARY KEY (scope, key, item)
    ) STRICT;
    CREATE INDEX idempotency_kept ON idempotency (expires_at) WHERE outcome IS NOT NULL;
"];

const IN_PROGRESS: i64 = 0;
const COMPLETED: i64 = 1;

/// Which key of whom, for what.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Tenant and principal; see [`scope`].
    pub(crate) scope: String,
    pub(crate) key: String,
    /// Extension and item.
    pub(crate) item: String,
}

/// Tenant and principal as one text, so that no two callers share one and nobody is everybody.
pub(crate) fn scope(principal: Option<&Principal>) -> String {
    match principal {
        None => "[]".to_owned(),
        Some(principal) => serde_json::json!([principal.tenant(), principal.id()]).to_string(),
    }
}

/// What a reservation is made of.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) slot: Slot,
    /// The names under which the item can be called, as a JSON array.
    pub(crate) operations: String,
    pub(crate) digest: Digest,
    pub(crate) owner: i64,
    pub(crate) now: i64,
    pub(crate) lease_until: i64,
    pub(crate) rerun: bool,
}

/// What is to be done with the call, without reserving anything.
pub(crate) fn look(db: &Connection, claim: &Claim) -> rusqlite::Result<Decision> {
    let record = find(db, &claim.slot)?;
    Ok(decide(
        record.as_ref(),
        &claim.digest,
        claim.now,
        claim.rerun,
    ))
}

/// Reserves the key if that is to be done.
pub(crate) fn reserve(db: &Connection, claim: &Claim) -> rusqlite::Result<Decision> {
    let decision = look(db, claim)?;
    let Claim { slot, .. } = claim;
    match decision {
        Decision::Run => db
            .prepare_cached(
                "INSERT INTO idempotency (scope, key, item, operations, digest, state, owner, first_at, lease_until)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)",
            )?
            .execute(params![
                slot.scope,
                slot.key,
                slot.item,
                claim.operations,
                claim.digest,
                claim.owner,
                claim.now,
                claim.lease_until,
            ])?,
        Decision::TakeOver => db
            .prepare_cached(
                "UPDATE idempotency SET owner = ?4, lease_until = ?5 WHERE scope = ?1 AND key = ?2 AND item = ?3",
            )?
            .execute(params![
                slot.scope,
                slot.key,
                slot.item,
                claim.owner,
                claim.lease_until
            ])?,
        _ => return Ok(decision),
    };
    erase_expired(db, claim.now)?;
    Ok(decision)
}

fn find(db: &Connection, slot: &Slot) -> rusqlite::Result<Option<Record>> {
    db.prepare_cached(
        "SELECT digest, state, first_at, lease_until, expires_at, outcome FROM idempotency
         WHERE scope = ?1 AND key = ?2 AND item = ?3",
    )?
    .query_row(params![slot.scope, slot.key, slot.item], record)
    .optional()
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let state = match row.get::<_, i64>(1)? {
        IN_PROGRESS => State::InProgress {
            lease_until: row.get(3)?,
        },
        COMPLETED => State::Completed {
            expires_at: row.get(4)?,
            outcome: row.get(5)?,
        },
        _ => State::Unknown,
    };
    Ok(Record {
        digest: row.get(0)?,
        first_at: row.get(2)?,
        state,
    })
}

/// How many keys of a caller are kept; no more than `most` are counted.
pub(crate) fn count(db: &Connection, scope: &str, most: u64) -> rusqlite::Result<u64> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    db.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM idempotency WHERE scope = ?1 LIMIT ?2)")?
        .query_row(params![scope, most], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

/// Writes the outcome of a call. Whether the call still held its key.
pub(crate) fn complete(
    db: &Connection,
    slot: &Slot,
    owner: i64,
    outcome: Option<&str>,
    now: i64,
    expires_at: i64,
) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "UPDATE idempotency SET state = 1, ended_at = ?5, expires_at = ?6, outcome = ?7
             WHERE scope = ?1 AND key = ?2 AND item = ?3 AND owner = ?4 AND state = 0",
        )?
        .execute(params![
            slot.scope, slot.key, slot.item, owner, now, expires_at, outcome
        ])?;
    Ok(rows == 1)
}

/// Writes down that nobody knows what came of a call.
pub(crate) fn mark_unknown(
    db: &Connection,
    slot: &Slot,
    owner: i64,
    now: i64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE idempotency SET state = 2, ended_at = ?5
         WHERE scope = ?1 AND key = ?2 AND item = ?3 AND owner = ?4 AND state = 0",
    )?
    .execute(params![slot.scope, slot.key, slot.item, owner, now])
    .map(drop)
}

/// Gives the key of a call back that certainly did nothing.
pub(crate) fn release(db: &Connection, slot: &Slot, owner: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM idempotency WHERE scope = ?1 AND key = ?2 AND item = ?3 AND owner = ?4 AND state = 0",
    )?
    .execute(params![slot.scope, slot.key, slot.item, owner])
    .map(drop)
}

/// Erases some answers that have expired; that they were given stays known.
///
/// Mostly there are none, and to look for one costs a tenth of the statement that erases. The bound is written out: SQLite
/// prepares a statement anew each time the parameter of a `LIMIT` is bound.
fn erase_expired(db: &Connection, now: i64) -> rusqlite::Result<()> {
    let any = db
        .prepare_cached(
            "SELECT 1 FROM idempotency WHERE outcome IS NOT NULL AND expires_at <= ?1 LIMIT 1",
        )?
        .exists([now])?;
    if any {
        db.prepare_cached(
            "UPDATE idempotency SET outcome = NULL WHERE rowid IN
             (SELECT rowid FROM idempotency WHERE outcome IS NOT NULL AND expires_at <= ?1 LIMIT 16)",
        )?
        .execute([now])?;
    }
    Ok(())
}

/// Erases every answer that a caller was given.
pub(crate) fn erase_answers(db: &Connection, scope: &str) -> rusqlite::Result<usize> {
    db.execute(
        "UPDATE idempotency SET outcome = NULL WHERE scope = ?1 AND outcome IS NOT NULL",
        [scope],
    )
}

/// Forgets calls that ended before a time.
pub(crate) fn forget(db: &Connection, before: i64) -> rusqlite::Result<usize> {
    db.execute(
        "DELETE FROM idempotency WHERE state <> 0 AND ended_at < ?1",
        [before],
    )
}

/// A call as [`reconcile`](crate::Reconciling::reconcile) finds it.
pub(crate) struct Found {
    pub(crate) operations: String,
    pub(crate) state: i64,
    pub(crate) first_at: i64,
    pub(crate) lease_until: i64,
    pub(crate) ended_at: Option<i64>,
    pub(crate) kept_until: Option<i64>,
}

impl Found {
    pub(crate) fn completed(&self) -> bool {
        self.state == COMPLETED
    }

    /// Whether it runs now, as far as one can know.
    pub(crate) fn running(&self, now: i64) -> bool {
        self.state == IN_PROGRESS && now < self.lease_until
    }
}

/// The calls of one caller with one key, oldest first; 64 at most.
pub(crate) fn calls(db: &Connection, scope: &str, key: &str) -> rusqlite::Result<Vec<Found>> {
    db.prepare_cached(
        "SELECT operations, state, first_at, lease_until, ended_at, CASE WHEN outcome IS NULL THEN NULL ELSE expires_at END
         FROM idempotency WHERE scope = ?1 AND key = ?2 ORDER BY first_at, item LIMIT 64",
    )?
    .query_map([scope, key], |row| {
        Ok(Found {
            operations: row.get(0)?,
            state: row.get(1)?,
            first_at: row.get(2)?,
            lease_until: row.get(3)?,
            ended_at: row.get(4)?,
            kept_until: row.get(5)?,
        })
    })?
    .collect()
}
