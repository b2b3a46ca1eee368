//! Calls a second through the block, beside the same statements written by hand on the same kind of file.
//!
//! `cargo run --release -p mcp-ext-idempotency --features server --example idempotency_throughput [-- DIRECTORY [SIDE CALLS]]`
//!
//! All sides: write-ahead log, `synchronous = FULL`, the same pragmas, one call after the other, on disk. Rounds of all
//! sides alternate; the figure is the median of the rounds. By hand the statements run on the thread that asks, which then
//! waits for the disk; most async handlers cannot do that, so they are also run on another, once a transaction. Ours goes to the
//! store's thread for that, or stays where it is with `commit_in_place`: both are measured. By hand
//! there is what the operation is made of: the time, a token that no other call has, a digest of the arguments, and the
//! outcome as text.
//!
//! With a side (`ours`, `in-place` or `hand`) only that many new calls of that side are made, for a profiler:
//! (I(500) - I(100)) / 400. Count in place: the store's thread looks for its next job for a while, which is no work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Incoming, Params, Target};
use mcp_ext_core::{ExtensionError, ExtensionSet, Route, ToolCx, extension, handlers};
use mcp_ext_idempotency::Idempotency;
use mcp_ext_store::rusqlite::{self, Connection, params};
use mcp_ext_store::{Clock as _, Random as _, Store, SystemClock, SystemRandom};
use mcp_ext_values::digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const ROUNDS: usize = 61;
const CALLS: usize = 20;

/// An order.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Of what.
    pub what: String,
}

/// Its number.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    /// It grows.
    pub number: i64,
}

/// The store failed.
#[derive(Debug, ExtensionError)]
pub enum OrderError {
    /// The store failed.
    #[error(code = 4100, "the store failed")]
    Store,
}

/// Orders.
#[extension(id = "com.example/orders")]
pub trait Orders {
    /// Places an order.
    #[tool(name = "place_order", needs(Idempotency))]
    async fn place(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError>;
}

struct Shop(Store);

#[handlers]
impl Orders for Shop {
    async fn place(
        &self,
        cx: &ToolCx<OrdersExtension>,
        params: Order,
    ) -> Result<Placed, OrderError> {
        let order = move |db: &Connection| {
            db.prepare_cached("INSERT INTO orders (what) VALUES (?1)")?
                .execute([&params.what])?;
            Ok(db.last_insert_rowid())
        };
        let number = self.0.unit(cx.facts()).execute(order).await;
        number
            .map(|number| Placed { number })
            .map_err(|_| OrderError::Store)
    }
}

const ORDERS: &str = "CREATE TABLE orders (number INTEGER PRIMARY KEY, what TEXT NOT NULL)";

fn call(set: &ExtensionSet, key: &str) {
    assert!(!is_error(
        set,
        json!({"idempotencyKey": key, "what": "tea"})
    ));
}

/// Arguments that do not fit: the key is reserved and given back.
fn give_back(set: &ExtensionSet, key: &str) {
    assert!(is_error(set, json!({"idempotencyKey": key, "what": 7})));
}

fn is_error(set: &ExtensionSet, params: Value) -> bool {
    let incoming =
        Incoming::new(Era::Modern, Target::Tool("place_order")).params(Params::Value(params));
    let Route::Call(pending) = set.route(incoming) else {
        unreachable!("the tool is ours")
    };
    let answer = block_on(pending.run()).map(|reply| reply.into_object().unwrap());
    answer.unwrap().contains_key("isError")
}

/// The same statements in the same transactions, on the thread that asks, or as an async handler has to: on another.
#[derive(Clone)]
struct ByHand {
    db: Arc<Mutex<Connection>>,
    from_async: bool,
}

impl ByHand {
    fn transaction(&self, work: impl FnOnce(&Connection) + Send + 'static) {
        let db = self.db.clone();
        let work = move || {
            let db = db.lock().unwrap();
            run(&db, "BEGIN IMMEDIATE", []);
            work(&db);
            run(&db, "COMMIT", []);
        };
        if self.from_async {
            block_on(blocking::unblock(work));
        } else {
            work();
        }
    }

    fn open(path: &Path) -> Self {
        let db = Connection::open(path).unwrap();
        db.set_prepared_statement_cache_capacity(64);
        db.busy_timeout(Duration::from_secs(5)).unwrap();
        let mode: String = db
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .unwrap();
        assert_eq!(mode, "wal");
        db.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
             PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -16384;
             CREATE TABLE idempotency (
                scope TEXT NOT NULL, key TEXT NOT NULL, item TEXT NOT NULL, operations TEXT NOT NULL,
                digest BLOB NOT NULL, state INTEGER NOT NULL CHECK (state IN (0, 1, 2)), owner INTEGER NOT NULL,
                first_at INTEGER NOT NULL, lease_until INTEGER NOT NULL, ended_at INTEGER, expires_at INTEGER,
                outcome TEXT, PRIMARY KEY (scope, key, item)) STRICT;
             CREATE INDEX idempotency_kept ON idempotency (expires_at) WHERE outcome IS NOT NULL;",
        )
        .unwrap();
        db.execute_batch(ORDERS).unwrap();
        Self {
            db: Arc::new(Mutex::new(db)),
            from_async: false,
        }
    }

    fn checkpoint(&self) {
        let db = self.db.lock().unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
    }

    /// Gives the token of the call.
    fn reserve(&self, key: String, arguments: &Value) -> i64 {
        let digest = digest::of(arguments);
        let mut owner = [0; 8];
        SystemRandom.fill(&mut owner).unwrap();
        let owner = i64::from_le_bytes(owner);
        let now = SystemClock.now_ms();
        self.transaction(move |db| {
            let find = "SELECT digest, state, first_at, lease_until, expires_at, outcome FROM idempotency
                        WHERE scope = ?1 AND key = ?2 AND item = ?3";
            let found = db
                .prepare_cached(find)
                .unwrap()
                .exists(params!["[]", key, ITEM])
                .unwrap();
            assert!(!found);
            let insert = "INSERT INTO idempotency (scope, key, item, operations, digest, state, owner, first_at, lease_until)
                          VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)";
            let operations = "[\"place_order\"]";
            let values = params!["[]", key, ITEM, operations, digest, owner, now, now + 75_000];
            run(db, insert, values);
            let expired = "SELECT 1 FROM idempotency WHERE outcome IS NOT NULL AND expires_at <= ?1 LIMIT 1";
            assert!(!db.prepare_cached(expired).unwrap().exists([now]).unwrap());
        });
        owner
    }

    fn give_back(&self, i: usize) {
        let key = format!("other-{i}");
        let owner = self.reserve(key.clone(), &json!({"what": 7}));
        self.transaction(move |db| {
            let delete = "DELETE FROM idempotency WHERE scope = ?1 AND key = ?2 AND item = ?3 AND owner = ?4 AND state = 0";
            run(db, delete, params!["[]", key, ITEM, owner]);
        });
    }

    fn call(&self, i: usize) {
        let key = format!("key-{i}");
        let owner = self.reserve(key.clone(), &json!({"what": "tea"}));
        let now = SystemClock.now_ms();
        self.transaction(move |db| {
            run(db, "INSERT INTO orders (what) VALUES (?1)", ["tea"]);
            let outcome = format!("{{\"ok\":{{\"number\":{}}}}}", db.last_insert_rowid());
            let complete = "UPDATE idempotency SET state = 1, ended_at = ?5, expires_at = ?6, outcome = ?7
                            WHERE scope = ?1 AND key = ?2 AND item = ?3 AND owner = ?4 AND state = 0";
            run(db, complete, params!["[]", key, ITEM, owner, now, now + 604_800_000, outcome]);
        });
    }
}

const ITEM: &str = "com.example/orders/place";

/// Executes a statement that is kept.
fn run(db: &Connection, sql: &str, values: impl rusqlite::Params) -> usize {
    db.prepare_cached(sql).unwrap().execute(values).unwrap()
}

/// Time of one call: by ours, by ours in place, by hand, and by hand from async code. Its number is that of no other call of
/// the same file.
fn rounds(
    mut ours: impl FnMut(usize),
    mut in_place: impl FnMut(usize),
    by_hand: &ByHand,
    call: impl Fn(&ByHand, usize),
) -> [Duration; 4] {
    let from_async = ByHand {
        from_async: true,
        ..by_hand.clone()
    };
    let mut times = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        for (side, times) in times.iter_mut().enumerate() {
            let began = Instant::now();
            for i in round * CALLS..(round + 1) * CALLS {
                match side {
                    0 => ours(i),
                    1 => in_place(i),
                    2 => call(by_hand, i),
                    _ => call(&from_async, i + ROUNDS * CALLS),
                }
            }
            times.push(began.elapsed() / CALLS as u32);
        }
    }
    times.map(|mut times| {
        times.sort();
        times[ROUNDS / 2]
    })
}

fn tell(what: &str, times: [Duration; 4]) {
    let [ours, in_place, by_hand, from_async] = times.map(|time| time.as_secs_f64() * 1e6);
    println!(
        "{what}: ours {ours:.0} us, in place {in_place:.0} us\n  \
         by hand {by_hand:.0} us: {:.2} times the time, in place {:.2}\n  \
         by hand from async code {from_async:.0} us: {:.2} times",
        ours / by_hand,
        in_place / by_hand,
        ours / from_async,
    );
}

fn set(store: &Store) -> ExtensionSet {
    store.migrate("orders", &[ORDERS]).unwrap();
    let block = Idempotency::new(store)
        .unwrap()
        .effects_in_store(|_, _| true);
    ExtensionSet::builder()
        .enable(OrdersExtension::provide(Shop(store.clone())))
        .enable(block.enable())
        .build()
        .unwrap()
}

/// Pages that one call writes to the log of a store. Few enough calls that the log is not emptied meanwhile.
fn pages(log: &Path, checkpoint: impl Fn(), mut call: impl FnMut(usize)) -> f64 {
    checkpoint();
    (0..CALLS).for_each(|i| call(i + 3 * ROUNDS * CALLS));
    // A frame is a page with a header of 24 bytes.
    let frames = std::fs::metadata(log).unwrap().len() / (4096 + 24);
    frames as f64 / CALLS as f64
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("mcp-ext-throughput-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();

    let store = Store::open(directory.join("ours.db")).unwrap();
    let in_place = Store::builder().commit_in_place();
    let in_place = in_place.open(directory.join("in-place.db")).unwrap();
    let set = set(&store);
    let in_place = self::set(&in_place);
    let by_hand = ByHand::open(&directory.join("by-hand.db"));

    let key = |i: usize| format!("key-{i}");
    if let (Some(side), Some(calls)) = (arguments.next(), arguments.next()) {
        for i in 0..calls.parse().unwrap() {
            match side.as_str() {
                "ours" => call(&set, &key(i)),
                "in-place" => call(&in_place, &key(i)),
                _ => by_hand.call(i),
            }
        }
        std::fs::remove_dir_all(&directory).unwrap();
        return;
    }
    tell(
        "a new call: reserve, act, record",
        rounds(
            |i| call(&set, &key(i)),
            |i| call(&in_place, &key(i)),
            &by_hand,
            ByHand::call,
        ),
    );
    tell(
        "a call that did nothing: reserve, give back",
        rounds(
            |i| give_back(&set, &format!("other-{i}")),
            |i| give_back(&in_place, &format!("other-{i}")),
            &by_hand,
            ByHand::give_back,
        ),
    );
    let began = Instant::now();
    (0..ROUNDS * CALLS).for_each(|i| call(&set, &key(i)));
    let each = began.elapsed() / (ROUNDS * CALLS) as u32;
    println!(
        "a replay, which writes nothing: {:.0} a second",
        1.0 / each.as_secs_f64()
    );
    println!(
        "pages written by a new call: {:.1}; by hand {:.1}",
        pages(
            &directory.join("ours.db-wal"),
            || store.checkpoint().unwrap(),
            |i| call(&set, &key(i)),
        ),
        pages(
            &directory.join("by-hand.db-wal"),
            || by_hand.checkpoint(),
            |i| by_hand.call(i),
        ),
    );
    std::fs::remove_dir_all(&directory).unwrap();
}
