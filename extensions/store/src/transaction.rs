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

/// Begins a transaction, unless another process must be waited for.
fn begins(db: &Connection, inner: &Inner) -> Result<bool, StoreError> {
    let timeout = |wait| db.busy_timeout(wait);
    let begun = timeout(Duration::ZERO).and_then(|()| {
        db.prepare_cached(BEGIN)
            .and_then(|mut statement| statement.execute([]))
    });
    let restored = timeout(inner.wait);
    match begun {
        Ok(_) => restored.map(|()| true),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            restored.map(|()| false)
        }
        Err(error) => Err(error),
    }
    .map_err(|e| StoreError::of(e, inner.wait))
}

impl Transaction {
    pub(crate) fn begin(turn: Turn, inner: &Inner) -> Result<Self, StoreError> {
        Self { turn }.begin_again(inner)
    }

    /// As [`begin`](Self::begin), where another process is not waited for: the turn comes back instead.
    pub(crate) fn begin_now(turn: Turn, inner: &Inner) -> Result<Result<Self, Turn>, StoreError> {
        if begins(&turn, inner)? {
            // From here on it is rolled back when dropped.
            let transaction = Self { turn };
            transaction.tell_begun(inner);
            return Ok(Ok(transaction));
        }
        Ok(Err(turn))
    }

    /// Takes everything back and begins anew. Whether it has: another process is not waited for.
    pub(crate) fn begin_again_now(&self, inner: &Inner) -> Result<bool, StoreError> {
        if !self.gone() {
            self.run("ROLLBACK", inner)?;
        }
        let begun = begins(&self.turn, inner)?;
        if begun {
            self.tell_begun(inner);
        }
        Ok(begun)
    }

    /// Begins anew after [`begin_again_now`](Self::begin_again_now) has not.
    pub(crate) fn begin_again(self, inner: &Inner) -> Result<Self, StoreError> {
        self.run(BEGIN, inner)?;
        self.tell_begun(inner);
        Ok(self)
    }

    fn tell_begun(&self, inner: &Inner) {
        if let Some(probe) = &inner.probe {
            probe.at(Point::Begun);
        }
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
