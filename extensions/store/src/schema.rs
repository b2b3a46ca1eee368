//! Named schemas in one file, each brought up to date once.

use std::cell::Cell;

use rusqlite::OptionalExtension as _;
use sha2::{Digest as _, Sha256};

use crate::error::StoreError;
use crate::store::Store;

impl Store {
    /// Brings the schema `name` up to date: runs the steps the file has not had, in one transaction. A step that was ever
    /// released must not change; add another. For start-up: it waits on this thread.
    ///
    /// ```
    /// let store = mcp_ext_store::Store::in_memory()?;
    /// let steps = ["CREATE TABLE notes (text TEXT)", "ALTER TABLE notes ADD COLUMN at INTEGER"];
    /// store.migrate("notes", &steps[..1])?;
    /// store.migrate("notes", &steps)?;
    /// assert!(store.migrate("notes", &steps[..1]).is_err(), "the file is newer than the program");
    /// # Ok::<(), mcp_ext_store::StoreError>(())
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Newer`] when the file has had more steps than these, [`StoreError::Changed`] when those it has had are
    /// not these, [`StoreError::Migration`] when SQLite refuses a step; else what SQLite says.
    pub fn migrate(&self, name: &'static str, steps: &[&str]) -> Result<(), StoreError> {
        let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
        let step = Cell::new(0);
        let migrated = self.write_blocking(|db| {
            db.execute_batch(
                "CREATE TABLE IF NOT EXISTS mcp_ext_schema
                     (name TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, steps BLOB NOT NULL)",
            )?;
            let had: Option<(i64, Vec<u8>)> = db
                .query_row(
                    "SELECT version, steps FROM mcp_ext_schema WHERE name = ?1",
                    [name],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let (version, had) = had.unwrap_or_else(|| (0, digest(&[])));
            let done = usize::try_from(version).unwrap_or(usize::MAX);
            let same = steps.get(..done).is_none_or(|steps| digest(steps) == had);
            if !same {
                return Ok((version, same));
            }
            for (at, sql) in steps.iter().enumerate().skip(done) {
                step.set(at + 1);
                db.execute_batch(sql)?;
            }
            if version < known {
                db.execute(
                    "INSERT INTO mcp_ext_schema (name, version, steps) VALUES (?1, ?2, ?3)
                     ON CONFLICT (name) DO UPDATE SET version = excluded.version, steps = excluded.steps",
                    (name, known, digest(steps)),
                )?;
            }
            Ok((version, same))
        });
        match migrated {
            Ok((version, _)) if version > known => Err(StoreError::Newer {
                name,
                version,
                known,
            }),
            Ok((version, false)) => Err(StoreError::Changed { name, version }),
            Ok(_) => Ok(()),
            Err(StoreError::Sqlite(source)) if step.get() > 0 => Err(StoreError::Migration {
                name,
                step: step.get(),
                source,
            }),
            Err(error) => Err(error),
        }
    }
}

/// What a file remembers of the steps it has had.
fn digest(steps: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for step in steps {
        // With its length, so that no two lists of steps run together to the same bytes.
        hash.update((step.len() as u64).to_be_bytes());
        hash.update(step);
    }
    hash.finalize().to_vec()
}
