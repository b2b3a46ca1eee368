//! The store: its connections, and transactions of their own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_lock::{Mutex, MutexGuardArc};
use mcp_ext_values::{Clock, Random};
use rusqlite::Connection;

use crate::builder::Builder;
use crate::error::{BusyWith, StoreError};
use crate::probe::Probe;
use crate::read::Readers;
use crate::thread::Thread;
use crate::transaction::Transaction;
use crate::wait::within;

/// The connection that writes, while it is held.
pub(crate) type Turn = MutexGuardArc<Connection>;

/// How often blocking callers look whether it is their turn.
const LOOK: Duration = Duration::from_millis(2);

/// A durable SQLite store that blocks and handlers share. Clones are the same store.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    path: Option<PathBuf>,
    writer: Arc<Mutex<Connection>>,
    /// `None` in memory, where there is one connection.
    readers: Option<Readers>,
    pub(crate) wait: Duration,
    /// Whether commits are waited for on the thread that asks.
    pub(crate) in_place: bool,
    pub(crate) thread: Thread,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pub(crate) probe: Option<Arc<dyn Probe>>,
    detached: std::sync::Mutex<Detached>,
}

/// A write that nobody waits for, once it has its turn.
type Job = Box<dyn FnOnce(&Inner, Turn) + Send>;

/// The writes that nobody waits for.
#[derive(Default)]
struct Detached {
    waiting: VecDeque<Job>,
    /// Whether a thread works them off. Never more than one: whoever has the turn needs a thread to give it back, and many
    /// that wait for the turn could take all there are.
    worked_off: bool,
}

impl Store {
    /// Opens the store in a file with the usual settings, and makes the file if it is not there.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder().open(path)
    }

    /// A store in memory; see [`Builder::in_memory`].
    ///
    /// # Errors
    /// [`StoreError`], if SQLite fails.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::builder().in_memory()
    }

    /// Settings to change before a store is opened.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(db: Connection, path: Option<PathBuf>, builder: Builder) -> Self {
        db.set_prepared_statement_cache_capacity(64);
        Self(Arc::new(Inner {
            readers: path
                .clone()
                .map(|path| Readers::new(path, builder.readers, builder.wait)),
            path,
            writer: Arc::new(Mutex::new(db)),
            wait: builder.wait,
            in_place: builder.in_place,
            thread: Thread::default(),
            clock: builder.clock,
            random: builder.random,
            probe: builder.probe,
            detached: Default::default(),
        }))
    }

    /// The file, `None` in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The clock that whoever uses the store asks.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The randomness that whoever uses the store asks.
    #[must_use]
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.0.random
    }

    /// Reads. All statements see one snapshot, which holds what was committed before.
    ///
    /// The work ends soon when the future is dropped.
    ///
    /// # Errors
    /// [`StoreError`]: what the closure gave, or too many were reading for too long.
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        if let Some(readers) = &self.0.readers {
            return readers.read(f).await;
        }
        let turn = self.turn().await?;
        let wait = self.0.wait;
        self.0
            .thread
            .run(move || crate::read::snapshot(&turn, f, wait))
            .await
    }

    /// As [`read`](Self::read), on this thread: for start-up and commands, never in a handler.
    ///
    /// # Errors
    /// As there.
    pub fn read_blocking<T>(
        &self,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        match &self.0.readers {
            Some(readers) => readers.read_blocking(f),
            None => crate::read::snapshot(&*self.turn_blocking()?, f, self.0.wait),
        }
    }

    /// Writes in a transaction of its own, which is committed when this returns `Ok`, and else rolled back.
    ///
    /// Dropped before it has begun, it does nothing; dropped later, it is done or not done as a whole.
    ///
    /// # Errors
    /// [`StoreError`]: what the closure gave, or its turn did not come.
    pub async fn write<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let mut turn = self.turn().await?;
        let inner = self.0.clone();
        if inner.in_place {
            match Transaction::begin_now(turn, &inner)? {
                Ok(transaction) => return inner.work(transaction, f),
                // Another process must be waited for.
                Err(back) => turn = back,
            }
        }
        self.0.thread.run(move || inner.transact(turn, f)).await
    }

    /// As [`write`](Self::write), on this thread: for start-up and commands, never in a handler.
    ///
    /// # Errors
    /// As there.
    pub fn write_blocking<T>(
        &self,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let turn = self.turn_blocking()?;
        self.0.transact(turn, f)
    }

    /// As [`write`](Self::write), without anyone who waits: for [`Block::abandoned`](mcp_ext_core::block::Block). It waits
    /// for its turn as long as that takes; `then` is told what came of it.
    pub fn write_detached<T, F, G>(&self, f: F, then: G)
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        G: FnOnce(Result<T, StoreError>) + Send + 'static,
        T: Send + 'static,
    {
        let mut detached = self.0.detached();
        detached
            .waiting
            .push_back(Box::new(move |inner, turn| then(inner.transact(turn, f))));
        if !std::mem::replace(&mut detached.worked_off, true) {
            let inner = self.0.clone();
            blocking::unblock(move || inner.work_off()).detach();
        }
    }

    /// Whether somebody in this process writes, so that a write would have to wait for its turn.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        self.0.writer.try_lock().is_none()
    }

    /// Moves the log into the file and empties it, so that nothing deleted is left in it.
    ///
    /// # Errors
    /// [`StoreError::Busy`] while anyone, in any process, still reads an older state.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        let turn = self.turn_blocking()?;
        let busy: bool = turn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|e| StoreError::of(e, self.0.wait))?;
        if busy {
            return Err(StoreError::Busy {
                with: BusyWith::AnotherProcess,
                waited: self.0.wait,
            });
        }
        Ok(())
    }

    /// The connection that writes, when it is this caller's turn.
    pub(crate) async fn turn(&self) -> Result<Turn, StoreError> {
        if let Some(turn) = self.0.writer.try_lock_arc() {
            return Ok(turn);
        }
        within(self.0.wait, self.0.writer.lock_arc())
            .await
            .ok_or_else(|| self.0.busy())
    }

    fn turn_blocking(&self) -> Result<Turn, StoreError> {
        let end = Instant::now() + self.0.wait;
        loop {
            if let Some(turn) = self.0.writer.try_lock_arc() {
                return Ok(turn);
            }
            if Instant::now() >= end {
                return Err(self.0.busy());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Inner {
    fn busy(&self) -> StoreError {
        StoreError::Busy {
            with: BusyWith::ThisProcess,
            waited: self.wait,
        }
    }

    fn detached(&self) -> std::sync::MutexGuard<'_, Detached> {
        self.detached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_off(&self) {
        loop {
            let mut detached = self.detached();
            let Some(job) = detached.waiting.pop_front() else {
                detached.worked_off = false;
                return;
            };
            drop(detached);
            let turn = self.writer.lock_arc_blocking();
            // Nobody is there to be told of a panic, and the next one must still be written.
            let _ = catch_unwind(AssertUnwindSafe(|| job(self, turn)));
        }
    }

    pub(crate) fn transact<T>(
        &self,
        turn: Turn,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.work(Transaction::begin(turn, self)?, f)
    }

    fn work<T>(
        &self,
        transaction: Transaction,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let value = f(transaction.db()).map_err(|e| StoreError::of(e, self.wait))?;
        transaction.commit(self)?;
        Ok(value)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}
