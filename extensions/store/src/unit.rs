//! The unit of work of one call.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_ext_core::cx::Facts;
use rusqlite::Connection;

use crate::error::StoreError;
use crate::store::Store;
use crate::transaction::{Attempt, Transaction};

/// The units of one call, one for each store that a block has joined.
#[derive(Clone, Default)]
struct Units(Arc<Mutex<Vec<Arc<Shared>>>>);

/// What handler and blocks of one call have written to one store, to be committed together.
///
/// A block joins in its `before`, as the last thing before it lets the call proceed, and finishes in its `after`. The first
/// that joins is the outermost, and owns the unit: when it finishes, all is committed. The transaction begins with the
/// first thing that is written, and from then on nobody else writes to the store: write late, and do nothing slow between.
///
/// Where no block has joined, each [`execute`](Self::execute) is a transaction of its own.
///
/// ```
/// use mcp_ext_core::cx::Facts;
/// use mcp_ext_store::Store;
///
/// # futures_lite::future::block_on(async {
/// let store = Store::in_memory()?;
/// store.migrate("t", &["CREATE TABLE t (x)"])?;
/// let facts = Facts::default(); // of the call: `cx.facts()`
///
/// store.join(&facts, "com.example/record"); // the block's before
/// store.unit(&facts).execute(|db| db.execute("INSERT INTO t VALUES (1)", [])).await?; // the handler
/// store
///     .unit(&facts)
///     .finish("com.example/record", true, |db| db.execute("INSERT INTO t VALUES (2)", []))
///     .await?; // the block's after
/// # Ok::<(), mcp_ext_store::StoreError>(())
/// # })?;
/// # Ok::<(), mcp_ext_store::StoreError>(())
/// ```
#[derive(Clone)]
pub struct Unit {
    store: Store,
    shared: Option<Arc<Shared>>,
}

struct Shared {
    store: Store,
    owner: &'static str,
    state: async_lock::Mutex<State>,
    abandoned: AtomicBool,
}

enum State {
    /// Nothing has been written.
    Idle,
    /// Something has been written.
    Open {
        transaction: Transaction,
        /// Whether all that was written is the handler's, and can be taken back.
        handler: bool,
    },
    /// What was written is rolled back, or will be by the thread that has it.
    RolledBack,
    /// Committed, or given up.
    Finished,
}

impl Store {
    /// Joins the call's unit of work: for a block's `before`, with the block's name.
    pub fn join(&self, facts: &Facts, block: &'static str) -> Unit {
        let units = facts.get::<Units>().unwrap_or_else(|| {
            let units = Units::default();
            facts.put(units.clone());
            units
        });
        if self.shared(&units).is_none() {
            let shared = Arc::new(Shared {
                store: self.clone(),
                owner: block,
                state: async_lock::Mutex::new(State::Idle),
                abandoned: AtomicBool::new(false),
            });
            units
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(shared);
        }
        self.unit(facts)
    }

    /// The call's unit of work on this store: `store.unit(cx.facts())`.
    #[must_use]
    pub fn unit(&self, facts: &Facts) -> Unit {
        Unit {
            store: self.clone(),
            shared: facts.get::<Units>().and_then(|units| self.shared(&units)),
        }
    }

    fn shared(&self, units: &Units) -> Option<Arc<Shared>> {
        let units = units.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = |shared: &&Arc<Shared>| Arc::ptr_eq(&shared.store.0, &self.0);
        units.iter().find(mine).cloned()
    }
}

impl Unit {
    /// Whether a block has joined, so that what is executed is committed with what the blocks record.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.shared.is_some()
    }

    /// Writes as a part of the call: done as a whole, or not at all. It sees what the call has written before.
    ///
    /// What is committed in the end depends on the handler: when it fails, everything it executed is rolled back.
    ///
    /// For the few statements of a call: where a block has joined they run on the thread that asks, since to go to another
    /// and back costs more than they do. What takes longer goes through [`execute_long`](Self::execute_long).
    ///
    /// # Errors
    /// [`StoreError`]: what the closure gave, its turn did not come, or the unit is over.
    pub async fn execute<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let Some(shared) = &self.shared else {
            return self.store.write(f).await;
        };
        shared.hold().await?.step(Place::Here, f).await
    }

    /// As [`execute`](Self::execute), on the thread of the store: for much work, such as a bulk import.
    ///
    /// When this future is dropped half-way, the call as a whole can no longer succeed.
    ///
    /// # Errors
    /// As there.
    pub async fn execute_long<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let Some(shared) = &self.shared else {
            return self.store.write(f).await;
        };
        shared.hold().await?.step(Place::Thread, f).await
    }

    /// Reads what the call sees: its own writes, once there are any, and else what is committed.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        if let Some(shared) = &self.shared {
            let held = shared.hold().await?;
            if matches!(&*held.state, State::Open { .. }) {
                return held.step(Place::Thread, f).await;
            }
        }
        self.store.read(f).await
    }

    /// For a block's `after`: takes back what the handler wrote unless it `acted`, writes what the block has to say, and
    /// commits all if the block was the first to join. Whoever finishes first settles whether the handler acted.
    ///
    /// The closure is for a few statements: that of an inner block runs on the thread that asks.
    ///
    /// On an error nothing of the call is in the store: the block must then answer with a failure. It may finish again,
    /// with `acted` false, to record that.
    ///
    /// # Errors
    /// [`StoreError`]: what the closure gave, the commit failed, or an inner block's part had failed before.
    pub async fn finish<T, F>(
        &self,
        block: &'static str,
        acted: bool,
        f: F,
    ) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let Some(shared) = &self.shared else {
            return self.store.write(f).await;
        };
        let held = shared.hold().await?;
        held.finish(shared.owner == block, acted, f).await
    }

    /// For a block's `abandoned`: rolls back, and lets nothing more be written. Without it that happens when the last
    /// handle to the call is gone, which a task that outlives the call can put off.
    pub fn abandon(&self) {
        if let Some(shared) = &self.shared {
            shared.abandoned.store(true, Ordering::SeqCst);
            shared.give_up();
        }
    }
}

impl Shared {
    async fn hold(&self) -> Result<Held<'_>, StoreError> {
        let held = Held {
            state: self.state.lock().await,
            shared: self,
            _after: GiveUpIfAbandoned(self),
        };
        if self.abandoned.load(Ordering::SeqCst) || matches!(&*held.state, State::Finished) {
            return Err(StoreError::Finished);
        }
        Ok(held)
    }

    async fn run<T, F>(&self, place: Place, job: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match place {
            Place::Here => job(),
            Place::Thread => self.store.0.thread.run(job).await,
        }
    }

    /// Begins the transaction: here, unless another process must be waited for.
    async fn begin(&self) -> Result<Transaction, StoreError> {
        let turn = self.store.turn().await?;
        let inner = self.store.0.clone();
        match Transaction::begin_now(turn, &inner)? {
            Ok(transaction) => Ok(transaction),
            Err(turn) => {
                let begin = move || Transaction::begin(turn, &inner);
                self.run(Place::Thread, begin).await
            }
        }
    }

    /// Takes back all that was written, and begins anew.
    async fn begin_again(&self, transaction: Transaction) -> Result<Transaction, StoreError> {
        let inner = self.store.0.clone();
        if transaction.begin_again_now(&inner)? {
            return Ok(transaction);
        }
        let begin = move || transaction.begin_again(&inner);
        self.run(Place::Thread, begin).await
    }

    /// Rolls back, unless someone is at work; who then gives up when done.
    fn give_up(&self) {
        if let Some(mut state) = self.state.try_lock() {
            *state = State::Finished;
        }
    }
}

/// The unit, while one part of the call works on it.
struct Held<'a> {
    // Dropped in this order: the state is free when it is looked at once more.
    state: async_lock::MutexGuard<'a, State>,
    shared: &'a Shared,
    _after: GiveUpIfAbandoned<'a>,
}

/// Whoever abandons while the state is held leaves the giving up to the holder.
struct GiveUpIfAbandoned<'a>(&'a Shared);

impl Drop for GiveUpIfAbandoned<'_> {
    fn drop(&mut self) {
        if self.0.abandoned.load(Ordering::SeqCst) {
            self.0.give_up();
        }
    }
}

/// What work gives back.
struct Worked<T> {
    state: State,
    result: Attempt<T>,
}

/// Where work is done.
#[derive(Clone, Copy)]
enum Place {
    /// On the thread that asks.
    Here,
    /// On the thread of the store.
    Thread,
}

impl Held<'_> {
    async fn step<T, F>(mut self, place: Place, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let shared = self.shared;
        let inner = shared.store.0.clone();
        let worked = match std::mem::replace(&mut *self.state, State::RolledBack) {
            State::Open {
                transaction,
                handler,
            } => {
                // If this future is dropped, the thread rolls back.
                let work = move || {
                    let result = transaction.step(&inner, f);
                    let state = match transaction.db().is_autocommit() {
                        true => State::RolledBack,
                        false => State::Open {
                            transaction,
                            handler,
                        },
                    };
                    Worked { state, result }
                };
                shared.run(place, work).await
            }
            State::Idle => {
                // If this future is dropped, nothing has been lost.
                *self.state = State::Idle;
                let transaction = shared.begin().await?;
                let work = move || {
                    let result = transaction.attempt(&inner, f).unwrap_or_else(Err);
                    // What failed is all there was: the transaction is dropped, and with it rolled back.
                    let state = match &result {
                        Ok(Ok(_)) => State::Open {
                            transaction,
                            handler: true,
                        },
                        _ => State::Idle,
                    };
                    Worked { state, result }
                };
                shared.run(place, work).await
            }
            State::RolledBack => return Err(StoreError::RolledBack),
            State::Finished => {
                *self.state = State::Finished;
                return Err(StoreError::Finished);
            }
        };
        *self.state = worked.state;
        drop(self);
        worked.result?.map_err(|panic| resume_unwind(panic))
    }

    async fn finish<T, F>(mut self, owner: bool, acted: bool, f: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let shared = self.shared;
        let (transaction, handler) = match std::mem::replace(&mut *self.state, State::RolledBack) {
            State::Open {
                transaction,
                handler,
            } => (transaction, handler),
            State::RolledBack if acted => return Err(StoreError::RolledBack),
            State::Finished => {
                *self.state = State::Finished;
                return Err(StoreError::Finished);
            }
            State::Idle | State::RolledBack => (shared.begin().await?, false),
        };
        let inner = shared.store.0.clone();
        let transaction = match handler && !acted {
            true => shared.begin_again(transaction).await?,
            false => transaction,
        };
        let work = move || -> Result<(State, std::thread::Result<T>), StoreError> {
            let value = match transaction.attempt(&inner, f)?? {
                Ok(value) => value,
                // The transaction is dropped, and with it rolled back.
                Err(panic) => return Ok((State::RolledBack, Err(panic))),
            };
            if owner {
                transaction.commit(&inner)?;
                return Ok((State::Finished, Ok(value)));
            }
            let state = State::Open {
                transaction,
                handler: false,
            };
            Ok((state, Ok(value)))
        };
        // To commit is to wait for the disk.
        let place = match owner && !shared.store.0.in_place {
            true => Place::Thread,
            false => Place::Here,
        };
        let (state, result) = match shared.run(place, work).await {
            Ok((state, result)) => (state, Ok(result)),
            Err(error) => (State::RolledBack, Err(error)),
        };
        *self.state = state;
        drop(self);
        result?.map_err(|panic| resume_unwind(panic))
    }
}
