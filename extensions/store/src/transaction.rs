//! An open transaction, which is rolled back unless it is committed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::error::StoreError;
use crate::probe::Point;
use crate::store::{Inner, Turn};

/// IMMEDIATE: another process is waited for here, and never later.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// What came of work: a value, a panic, or an error.
pub(crate) type Attempt<T> = Result<thread::Result<T>, StoreError>;

/// The transaction of the connection that writes, and the right to write.
pub(crate) struct Transaction {
    turn: Turn,
}

impl Transaction {
    pub(crate) fn begin(turn: Turn, inner: &Inner) -> Result<Self, StoreError> {
        turn.prepare_cached(BEGIN)
            .and_then(|mut statement| statement.execute([]))
            .map_err(|e| StoreError::of(e, inner.wait))?;
        Ok(Self { turn }.begun(inner))
    }

    /// As [`begin`](Self::begin), where another process is not waited for: the turn comes back instead.
    pub(crate) fn begin_now(turn: Turn, inner: &Inner) -> Result<Result<Self, Turn>, StoreError> {
        let timeout = |wait| {
            turn.busy_timeout(wait)
                .map_err(|e| StoreError::of(e, inner.wait))
        };
        timeout(Duration::ZERO)?;
        let begun = turn
            .prepare_cached(BEGIN)
            .and_then(|mut statement| statement.execute([]));
        let restored = timeout(inner.wait);
        match begun {
            Ok(_) => {
                // From here on it is rolled back when dropped.
                let transaction = Self { turn };
                restored?;
                Ok(Ok(transaction.begun(inner)))
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                restored?;
                Ok(Err(turn))
            }
            Err(error) => Err(StoreError::of(error, inner.wait)),
        }
    }

    fn begun(self, inner: &Inner) -> Self {
        if let Some(probe) = &inner.probe {
            probe.at(Point::Begun);
        }
        self
    }

    pub(crate) fn db(&self) -> &Connection {
        &self.turn
    }

    pub(crate) fn run(&self, sql: &'static str, inner: &Inner) -> Result<(), StoreError> {
        self.turn
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(|e| StoreError::of(e, inner.wait))
    }

    /// Whether SQLite has ended the transaction by itself, as it does when the disk fails.
    fn gone(&self) -> bool {
        self.turn.is_autocommit()
    }

    /// The first thing that a handler writes: as [`step`](Self::step), and all that the handler wrote can be taken back.
    pub(crate) fn first_step<T>(
        &self,
        inner: &Inner,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Attempt<T> {
        self.run("SAVEPOINT handler", inner)?;
        let outcome = self.attempt(inner, f)?;
        if !matches!(outcome, Ok(Ok(_))) {
            self.run("ROLLBACK TO handler", inner)?;
        }
        outcome
    }

    /// One step: done as a whole, or not at all. A panic is handed on when the step is undone.
    pub(crate) fn step<T>(
        &self,
        inner: &Inner,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Attempt<T> {
        self.run("SAVEPOINT step", inner)?;
        let outcome = self.attempt(inner, f)?;
        if !matches!(outcome, Ok(Ok(_))) {
            self.run("ROLLBACK TO step", inner)?;
        }
        self.run("RELEASE step", inner)?;
        outcome
    }

    /// Nothing is undone here. The outer error says that SQLite has rolled back all.
    pub(crate) fn attempt<T>(
        &self,
        inner: &Inner,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Attempt<T>, StoreError> {
        let outcome = match catch_unwind(AssertUnwindSafe(|| f(&self.turn))) {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(error)) => Err(StoreError::of(error, inner.wait)),
            Err(panic) => Ok(Err(panic)),
        };
        if self.gone() {
            return Err(outcome.err().unwrap_or(StoreError::RolledBack));
        }
        Ok(outcome)
    }

    pub(crate) fn commit(self, inner: &Inner) -> Result<(), StoreError> {
        if self.gone() {
            return Err(StoreError::RolledBack);
        }
        self.run("COMMIT", inner)?;
        if let Some(probe) = &inner.probe {
            probe.at(Point::Committed);
        }
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.gone() {
            // Nothing can be done about a failure here: the next BEGIN on the connection would report it.
            let _ = self.turn.execute_batch("ROLLBACK");
        }
    }
}
