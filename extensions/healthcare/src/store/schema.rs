//! The tables of a store.

use rusqlite::Connection;

use super::StoreError;

/// Tells our files from other SQLite files.
const APPLICATION_ID: i32 = 0x4648_4952;
/// Grows with every change of the tables or of what is indexed.
const VERSION: i32 = 1;

const TABLES: &str = "
CREATE TABLE resource (
    pk INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, version TEXT NOT NULL, last_updated TEXT,
    title TEXT NOT NULL, synthetic INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (type, id)
) STRICT;
CREATE TABLE compartment (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE, patient TEXT NOT NULL,
    PRIMARY KEY (resource, patient)
) STRICT, WITHOUT ROWID;
CREATE TABLE ix_present (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE, param TEXT NOT NULL,
    PRIMARY KEY (resource, param)
) STRICT, WITHOUT ROWID;
CREATE TABLE ix_token (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE, param TEXT NOT NULL,
    code TEXT NOT NULL, system TEXT NOT NULL
) STRICT;
CREATE INDEX ix_token_key ON ix_token (resource, param, code, system);
CREATE TABLE ix_date (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE, param TEXT NOT NULL,
    low INTEGER NOT NULL, high INTEGER NOT NULL
) STRICT;
CREATE INDEX ix_date_key ON ix_date (resource, param, low, high);
CREATE TABLE ix_reference (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE, param TEXT NOT NULL,
    type TEXT, id TEXT, url TEXT
) STRICT;
CREATE INDEX ix_reference_key ON ix_reference (resource, param, id, type);
CREATE TABLE ix_text (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE, param TEXT NOT NULL,
    normal TEXT NOT NULL, exact TEXT NOT NULL
) STRICT;
CREATE INDEX ix_text_key ON ix_text (resource, param);
CREATE TABLE ix_quantity (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE, param TEXT NOT NULL,
    low TEXT NOT NULL, high TEXT NOT NULL, system TEXT NOT NULL, code TEXT NOT NULL, unit TEXT NOT NULL
) STRICT;
CREATE INDEX ix_quantity_key ON ix_quantity (resource, param, low, high);
";

/// Makes the tables of a new file, and refuses a file that is not a store of this version.
pub(super) fn prepare(db: &mut Connection) -> Result<(), StoreError> {
    db.pragma_update(None, "foreign_keys", true)?;
    let tx = db.transaction()?;
    let number = |name: &str| tx.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let empty: bool = tx.query_row(
        "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)",
        [],
        |row| row.get(0),
    )?;
    if empty && application == 0 {
        tx.execute_batch(TABLES)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", VERSION)?;
    } else if application != APPLICATION_ID || version != VERSION {
        return Err(StoreError::Foreign { version: VERSION });
    }
    tx.commit()?;
    Ok(())
}
