//! Named schemas in one file, each brought up to date once.

use rusqlite::OptionalExtension as _;

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
    /// [`StoreError::Newer`] when the file has had more steps than these; else what SQLite says.
    pub fn migrate(&self, name: &'static str, steps: &[&str]) -> Result<(), StoreError> {
        let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
        let version = self.write_blocking(|db| {
            db.execute_batch(
                "CREATE TABLE IF NOT EXISTS mcp_ext_schema (name TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL)",
            )?;
            let version: i64 = db
                .query_row(
                    "SELECT version FROM mcp_ext_schema WHERE name = ?1",
                    [name],
                    |row| row.get(0),
                )
                .optional()?
                .unwrap_or(0);
            let done = usize::try_from(version).unwrap_or(usize::MAX);
            for step in steps.iter().skip(done) {
                db.execute_batch(step)?;
            }
            if version < known {
                db.execute(
                    "INSERT INTO mcp_ext_schema (name, version) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET version = excluded.version",
                    (name, known),
                )?;
            }
            Ok(version)
        })?;
        if version > known {
            return Err(StoreError::Newer {
                name,
                version,
                known,
            });
        }
        Ok(())
    }
}
