//! How a store is opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mcp_ext_values::{Clock, Random, SystemClock, SystemRandom};
use rusqlite::hooks::Action;
use rusqlite::{Connection, OpenFlags};

use crate::error::StoreError;
use crate::probe::{Point, Probe};
use crate::store::Store;

/// How long a caller waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// Pages that the connection which writes may keep: what it touches again and again stays there beside what it goes
/// through once. SQLite has these pages of all connections under one bound, and takes them from whoever has more than 2 MB
/// of its own when not told otherwise.
const CACHE: &str = "PRAGMA cache_size = -16384";

/// Connections for reading.
const READERS: usize = 4;

/// Settings of a store before it is opened.
///
/// ```
/// use mcp_ext_store::{ManualClock, Store};
///
/// let clock = ManualClock::at(1_700_000_000_000);
/// let store = Store::builder().clock(clock.clone()).in_memory()?;
/// clock.advance(1);
/// assert_eq!(store.clock().now_ms(), 1_700_000_000_001);
/// # Ok::<(), mcp_ext_store::StoreError>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    pub(crate) wait: Duration,
    pub(crate) readers: usize,
    pub(crate) in_place: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) probe: Option<Arc<dyn Probe>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            wait: WAIT,
            readers: READERS,
            in_place: false,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            probe: None,
        }
    }
}

impl Builder {
    /// How long a write waits for its turn: once for the calls of this process, once for other processes. Five seconds
    /// when not set.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        // What SQLite can count, in milliseconds; and no overflow in sums of times.
        self.wait = wait.min(Duration::from_secs(24 * 60 * 60));
        self
    }

    /// How many reads run at once. Four when not set; at least one.
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Writes and commits on the thread that asks, which then waits for the disk, instead of on the store's own.
    ///
    /// It saves two changes of threads with each transaction, as long as a quick disk takes. It is for programs whose
    /// executor has nothing better to do meanwhile: a server on standard input and output with its one client, or a command.
    /// Other processes, [`execute_long`](crate::Unit::execute_long) and reads are waited for as ever.
    #[must_use]
    pub fn commit_in_place(mut self) -> Self {
        self.in_place = true;
        self
    }

    /// The clock that whoever uses the store asks. The system's when not set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The randomness that whoever uses the store asks. The system's when not set.
    #[must_use]
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// For crash tests: who is told of every point around every write.
    #[must_use]
    pub fn probe(mut self, probe: impl Probe + 'static) -> Self {
        self.probe = Some(Arc::new(probe));
        self
    }

    /// Opens the store in a file, which is made if it is not there, readable by its owner alone.
    ///
    /// # Errors
    /// [`StoreError`], if the file cannot be opened, is no SQLite database, or lies where a write-ahead log cannot be.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store, StoreError> {
        let path = std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_owned());
        create(&path).map_err(|source| StoreError::Open {
            path: path.clone(),
            source: Box::new(source),
        })?;
        let db = connect(&path)?;
        prepare(&db, self.wait)?;
        let mode: String = db
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(|e| StoreError::of(e, self.wait))?;
        if mode != "wal" {
            return Err(StoreError::NotWal { mode });
        }
        db.execute_batch(CACHE)
            .map_err(|e| StoreError::of(e, self.wait))?;
        self.watch(&db)?;
        Ok(Store::new(db, Some(path), self))
    }

    /// A store in memory, for tests and for what may be lost. It has one connection: a read waits for a unit of work that
    /// is open.
    ///
    /// # Errors
    /// [`StoreError`], if SQLite fails.
    pub fn in_memory(self) -> Result<Store, StoreError> {
        let db = Connection::open_in_memory().map_err(|e| StoreError::of(e, self.wait))?;
        prepare(&db, self.wait)?;
        self.watch(&db)?;
        Ok(Store::new(db, None, self))
    }

    /// Has SQLite tell the probe of every row and every commit.
    fn watch(&self, db: &Connection) -> Result<(), StoreError> {
        let Some(probe) = &self.probe else {
            return Ok(());
        };
        let rows = probe.clone();
        let commits = probe.clone();
        db.update_hook(Some(move |action: Action, _: &str, table: &str, _: i64| {
            rows.at(match action {
                Action::SQLITE_INSERT => Point::Inserted { table },
                Action::SQLITE_DELETE => Point::Deleted { table },
                _ => Point::Updated { table },
            });
        }))
        .and_then(|()| {
            db.commit_hook(Some(move || {
                commits.at(Point::Committing);
                false
            }))
        })
        .map_err(|e| StoreError::of(e, self.wait))
    }
}

/// A connection to the file, which must be there.
pub(crate) fn connect(path: &PathBuf) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(|source| StoreError::Open {
        path: path.clone(),
        source: Box::new(source),
    })
}

/// What holds on every connection.
pub(crate) fn prepare(db: &Connection, wait: Duration) -> Result<(), StoreError> {
    // FULL: a commit is on the disk when it returns. The two of macOS make its fsync mean that. Deleted content is
    // overwritten, since blocks keep keys here whose deletion must hold.
    db.busy_timeout(wait)
        .and_then(|()| {
            db.execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
                 PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;",
            )
        })
        .map_err(|e| StoreError::of(e, wait))
}

/// Makes the file, readable by its owner alone: SQLite gives its log and index the same rights.
fn create(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
