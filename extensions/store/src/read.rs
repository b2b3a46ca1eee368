//! Reading, on connections of their own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_lock::Semaphore;
use rusqlite::{Connection, InterruptHandle};

use crate::builder::{connect, prepare};
use crate::error::{BusyWith, StoreError};
use crate::wait::within;

/// Steps of SQLite's machine after which a read is a long one.
const LONG: i32 = 20_000;

/// Connections that read, and how many may at once.
pub(crate) struct Readers {
    path: PathBuf,
    wait: Duration,
    seats: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Reader>>>,
}

/// A connection that reads.
struct Reader {
    db: Connection,
    /// Whether what it read was much.
    long: Arc<AtomicBool>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, seats: usize, wait: Duration) -> Self {
        Self {
            path,
            wait,
            seats: Arc::new(Semaphore::new(seats)),
            idle: Arc::default(),
        }
    }

    pub(crate) async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let seat = match self.seats.try_acquire_arc() {
            Some(seat) => seat,
            None => within(self.wait, self.seats.acquire_arc())
                .await
                .ok_or(StoreError::Busy {
                    with: BusyWith::ThisProcess,
                    waited: self.wait,
                })?,
        };
        let (path, wait) = (self.path.clone(), self.wait);
        let idle = self.take_idle();
        let state = Arc::new(Mutex::new(Reading::NotYet));
        let mut end = EndOnDrop(Some(state.clone()));
        let (reader, result) = blocking::unblock(move || {
            // Held until the work has ended, also when nobody waits for it any more.
            let _seat = seat;
            let reader = match idle.map_or_else(|| Reader::open(&path, wait), Ok) {
                Ok(reader) => reader,
                Err(error) => return (None, Err(error)),
            };
            match &mut *state.lock().unwrap_or_else(PoisonError::into_inner) {
                Reading::Unwanted => return (Some(reader), Err(StoreError::Finished)),
                state => *state = Reading::Now(reader.db.get_interrupt_handle()),
            }
            let result = snapshot(&reader.db, f, wait);
            reader.leave_room();
            (Some(reader), result)
        })
        .await;
        end.0 = None;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(reader);
        result
    }

    pub(crate) fn read_blocking<T>(
        &self,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let reader = Reader::open(&self.path, self.wait)?;
        snapshot(&reader.db, f, self.wait)
    }

    fn take_idle(&self) -> Option<Reader> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }
}

/// Runs `f` on one state of the store.
pub(crate) fn snapshot<T>(
    db: &Connection,
    f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    wait: Duration,
) -> Result<T, StoreError> {
    let transaction = db
        .unchecked_transaction()
        .map_err(|e| StoreError::of(e, wait))?;
    // Rolled back when dropped: there is nothing to commit.
    f(&transaction).map_err(|e| StoreError::of(e, wait))
}

impl Reader {
    fn open(path: &PathBuf, wait: Duration) -> Result<Self, StoreError> {
        let db = connect(path)?;
        prepare(&db, wait)?;
        let long = Arc::new(AtomicBool::new(false));
        let found = long.clone();
        db.execute_batch("PRAGMA query_only = ON")
            .and_then(|()| {
                db.progress_handler(
                    LONG,
                    Some(move || {
                        found.store(true, Ordering::Relaxed);
                        false
                    }),
                )
            })
            .map_err(|e| StoreError::of(e, wait))?;
        Ok(Self { db, long })
    }

    /// SQLite keeps the pages of all connections under one bound. After a long read they are all this one's, which keeps
    /// them, and the connection that writes would read each of its pages again for each statement, for good.
    fn leave_room(&self) {
        if self.long.swap(false, Ordering::Relaxed) {
            // Without it things are slower, and no less right.
            let _ = self.db.release_memory();
        }
    }
}

/// How far a reading is.
enum Reading {
    NotYet,
    Now(InterruptHandle),
    Unwanted,
}

/// Ends the reading when whoever asked is gone.
struct EndOnDrop(Option<Arc<Mutex<Reading>>>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let Some(state) = self.0.take() else {
            return;
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Reading::Now(handle) = std::mem::replace(&mut *state, Reading::Unwanted) {
            handle.interrupt();
        }
    }
}
