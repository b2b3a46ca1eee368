//! An open transaction, which is rolled back unless it is committed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use rusqlite::Connection;

use crate::error::StoreError;
use crate::probe::Point;
use crate::store::{Inner, Turn};

/// The transaction of the connection that writes, and the right to write.
pub(crate) struct Transaction {
    turn: Turn,
}

impl Transaction {
    pub(crate) fn begin(turn: Turn, inner: &Inner) -> Result<Self, StoreError> {
        let transaction = Self { turn };
        // IMMEDIATE: another process is waited for here, and never later.
        transaction.run("BEGIN IMMEDIATE", inner)?;
        if let Some(probe) = &inner.probe {
            probe.at(Point::Begun);
        }
        Ok(transaction)
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
    ) -> Result<thread::Result<T>, StoreError> {
        self.run("SAVEPOINT step", inner)?;
        let outcome = match catch_unwind(AssertUnwindSafe(|| f(&self.turn))) {
            Ok(Ok(value)) => Ok(Ok(value)),
            Ok(Err(error)) => Err(StoreError::of(error, inner.wait)),
            Err(panic) => Ok(Err(panic)),
        };
        if self.gone() {
            return Err(outcome.err().unwrap_or(StoreError::RolledBack));
        }
        if !matches!(outcome, Ok(Ok(_))) {
            self.run("ROLLBACK TO step", inner)?;
        }
        self.run("RELEASE step", inner)?;
        outcome
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
