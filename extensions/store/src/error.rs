//! Why a store failed.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;

/// Who had the store while a caller waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusyWith {
    /// Another call of this process.
    ThisProcess,
    /// Another process that has the same file open.
    AnotherProcess,
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file could not be opened as a store.
    #[error("the store {} cannot be opened; check that its directory exists and may be written", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite or the system says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLite did not enter write-ahead-log mode, without which nothing here holds.
    #[error(
        "the store is in journal mode `{mode}`, expected `wal`; put the file on a local disk, since network file systems lack what it needs"
    )]
    NotWal {
        /// The mode SQLite is in.
        mode: String,
    },
    /// The store holds a newer schema than this program knows.
    #[error(
        "schema `{name}` of the store has version {version}, this program knows up to {known}; run the newer program, or use another file"
    )]
    Newer {
        /// The schema.
        name: &'static str,
        /// Its version in the file.
        version: i64,
        /// The newest version known here.
        known: i64,
    },
    /// A step that the file has had is not the one this program has.
    #[error(
        "the steps of schema `{name}` that the store has had (version {version}) are not these; a released step must not change: restore it, and add another"
    )]
    Changed {
        /// The schema.
        name: &'static str,
        /// Its version in the file.
        version: i64,
    },
    /// A step of a schema is refused by SQLite. Nothing was done.
    #[error("step {step} of schema `{name}` is refused: {source}")]
    Migration {
        /// The schema.
        name: &'static str,
        /// The step, counted from one.
        step: usize,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// Its turn did not come in time. Nothing was done.
    #[error("{}", busy(*with, *waited))]
    Busy {
        /// Who had it.
        with: BusyWith,
        /// How long this waited.
        waited: Duration,
    },
    /// What the unit of work had written was rolled back; nothing of it is in the store.
    #[error(
        "what this call had written was rolled back, since a part of it failed or was given up; repeat the whole call"
    )]
    RolledBack,
    /// The unit of work is finished: the call was answered, cancelled or timed out. Nothing was done.
    #[error(
        "the call this work belongs to is over; begin the work within the call, or use a transaction of its own"
    )]
    Finished,
    /// There is no room on the disk. Nothing was done.
    #[error("the disk of the store is full; make room and repeat")]
    Full,
    /// The file is damaged, or no SQLite database.
    #[error("the store is damaged or not an SQLite database; restore it from a backup")]
    Damaged(#[source] rusqlite::Error),
    /// The store cannot be written.
    #[error("the store cannot be written; check the rights of its file and directory")]
    ReadOnly(#[source] rusqlite::Error),
    /// Anything else that SQLite refuses, such as a constraint that is not met.
    #[error("the store refused a statement")]
    Sqlite(#[source] rusqlite::Error),
}

fn busy(with: BusyWith, waited: Duration) -> String {
    match with {
        BusyWith::ThisProcess => format!(
            "the store was busy with other calls for {waited:?}; repeat later, and inside a call write through its unit of work"
        ),
        BusyWith::AnotherProcess => format!(
            "another process was writing to the store for {waited:?}; repeat later, and keep transactions short"
        ),
    }
}

impl StoreError {
    /// A name for the kind of error that does not change.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Open { .. } => "store_not_opened",
            Self::NotWal { .. } => "store_not_wal",
            Self::Newer { .. } => "store_newer",
            Self::Changed { .. } => "store_schema_changed",
            Self::Migration { .. } => "store_migration_failed",
            Self::Busy { .. } => "store_busy",
            Self::RolledBack => "store_rolled_back",
            Self::Finished => "store_unit_finished",
            Self::Full => "store_full",
            Self::Damaged(_) => "store_damaged",
            Self::ReadOnly(_) => "store_read_only",
            Self::Sqlite(_) => "store_failed",
        }
    }

    /// Whether the same work may succeed later without anyone mending anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::RolledBack)
    }

    /// What SQLite's error means for a caller that had set out to wait so long.
    pub(crate) fn of(error: rusqlite::Error, wait: Duration) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy {
                with: BusyWith::AnotherProcess,
                waited: wait,
            },
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::ReadOnly(error)
            }
            _ => Self::Sqlite(error),
        }
    }
}
