//! The confirmations that were used.

use mcp_ext_store::rusqlite::{self, Connection, params};

/// The name of the schema in the store.
pub(crate) const SCHEMA: &str = "confirm";

// A row is needed until its confirmation has expired, and then no more.
pub(crate) const STEPS: &[&str] = &["
    CREATE TABLE confirm_used (
        nonce BLOB NOT NULL PRIMARY KEY,
        scope TEXT NOT NULL,
        expires_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX confirm_used_expiry ON confirm_used (expires_at);
"];

/// How long a row is kept after its confirmation has expired, in milliseconds: clocks may be set back, or differ between
/// processes.
const MARGIN: i64 = 24 * 60 * 60 * 1000;

/// Uses a confirmation up, and removes some rows that are needed no more. Whether it was still unused.
///
/// Mostly there are none of those, and to look for one costs a tenth of the statement that removes. The bound is written
/// out: SQLite prepares a statement anew each time the parameter of a `LIMIT` is bound.
pub(crate) fn spend(
    db: &Connection,
    nonce: &[u8; 16],
    scope: &str,
    expires_at: i64,
    now: i64,
) -> rusqlite::Result<bool> {
    let rows = db
        .prepare_cached(
            "INSERT INTO confirm_used (nonce, scope, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![nonce, scope, expires_at])?;
    let kept_from = now.saturating_sub(MARGIN);
    let any = db
        .prepare_cached("SELECT 1 FROM confirm_used WHERE expires_at < ?1 LIMIT 1")?
        .exists([kept_from])?;
    if any {
        db.prepare_cached(
            "DELETE FROM confirm_used WHERE rowid IN
             (SELECT rowid FROM confirm_used WHERE expires_at < ?1 LIMIT 16)",
        )?
        .execute([kept_from])?;
    }
    Ok(rows == 1)
}

/// Whether a confirmation was used, as far as that is still known.
pub(crate) fn used(db: &Connection, nonce: &[u8; 16]) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM confirm_used WHERE nonce = ?1")?
        .exists([nonce])
}

/// Makes a confirmation usable again.
pub(crate) fn release(db: &Connection, nonce: &[u8; 16]) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM confirm_used WHERE nonce = ?1")?
        .execute([nonce])
        .map(drop)
}
