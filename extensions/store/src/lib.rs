//! One durable SQLite store for the blocks and handlers of a server, with a unit of work for each call.
//!
//! A [`Store`] is a file in write-ahead-log mode with `synchronous = FULL`: what was committed survives the process and
//! the machine. Any number of processes may have it open. Nothing here needs an async runtime: a store writes and commits
//! on a thread of its own and reads on those of the crate `blocking`, and whoever waits for its turn waits without a
//! thread. The few statements of a unit run where they are asked for.
//!
//! | call | transaction |
//! |---|---|
//! | [`Store::read`] | a snapshot, on a connection of its own |
//! | [`Store::write`] | its own, committed when the future is ready |
//! | [`Unit::execute`] | the call's: what handler and blocks write is committed together, or not at all |
//!
//! ```
//! use mcp_ext_store::Store;
//!
//! # futures_lite::future::block_on(async {
//! let store = Store::in_memory()?;
//! store.migrate("orders", &["CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)"])?;
//! store.write(|db| db.execute("INSERT INTO orders (item) VALUES (?1)", ["tea"])).await?;
//! let count: i64 = store.read(|db| db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))).await?;
//! assert_eq!(count, 1);
//! # Ok::<(), mcp_ext_store::StoreError>(())
//! # })?;
//! # Ok::<(), mcp_ext_store::StoreError>(())
//! ```

mod builder;
mod error;
mod probe;
mod read;
mod schema;
mod store;
mod thread;
mod transaction;
mod unit;
mod wait;

pub use builder::Builder;
pub use error::{BusyWith, StoreError};
pub use mcp_ext_values::{Clock, ManualClock, Random, RandomError, SeededRandom};
pub use mcp_ext_values::{SystemClock, SystemRandom};
pub use probe::{Point, Probe};
pub use rusqlite;
pub use store::Store;
pub use unit::Unit;
