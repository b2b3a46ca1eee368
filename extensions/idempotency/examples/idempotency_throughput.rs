//! Calls a second through the block, beside the same statements written by hand on the same kind of file.
//!
//! `cargo run --release -p mcp-ext-idempotency --features server --example idempotency_throughput [-- DIRECTORY]`
//!
//! Both sides: write-ahead log, `synchronous = FULL`, the same pragmas, one call after the other, on disk. Rounds of both
//! sides alternate; the figure is the median of the rounds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Incoming, Params, Target};
use mcp_ext_core::{ExtensionError, ExtensionSet, Route, ToolCx, extension, handlers};
use mcp_ext_idempotency::Idempotency;
use mcp_ext_store::Store;
use mcp_ext_store::rusqlite::{Connection, OptionalExtension as _, params};
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

/// The same statements in the same transactions.
struct ByHand(Connection);

impl ByHand {
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
        Self(db)
    }

    fn run(&self, sql: &str) {
        self.0.prepare_cached(sql).unwrap().execute([]).unwrap();
    }

    fn find(&self, key: &str) -> Option<(i64, Option<String>)> {
        self.0
            .prepare_cached(
                "SELECT digest, state, first_at, lease_until, expires_at, outcome FROM idempotency
                 WHERE scope = ?1 AND key = ?2 AND item = ?3",
            )
            .unwrap()
            .query_row(params!["[]", key, "com.example/orders/place"], |row| {
                Ok((row.get(1)?, row.get(5)?))
            })
            .optional()
            .unwrap()
    }

    fn reserve(&self, key: &str) {
        let item = "com.example/orders/place";
        self.run("BEGIN IMMEDIATE");
        assert!(self.find(key).is_none());
        let insert = "INSERT INTO idempotency (scope, key, item, operations, digest, state, owner, first_at, lease_until)
                      VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)";
        let now = 1_700_000_000_000_i64;
        let values = params![
            "[]",
            key,
            item,
            "[\"place_order\"]",
            [7u8; 32],
            7,
            now,
            now + 75_000
        ];
        self.0
            .prepare_cached(insert)
            .unwrap()
            .execute(values)
            .unwrap();
        let erase = "UPDATE idempotency SET outcome = NULL WHERE rowid IN
                     (SELECT rowid FROM idempotency WHERE outcome IS NOT NULL AND expires_at <= ?1 LIMIT ?2)";
        self.0
            .prepare_cached(erase)
            .unwrap()
            .execute([now, 16])
            .unwrap();
        self.run("COMMIT");
    }

    fn give_back(&self, key: &str) {
        self.reserve(key);
        self.run("BEGIN IMMEDIATE");
        let delete = "DELETE FROM idempotency WHERE scope = ?1 AND key = ?2 AND item = ?3 AND owner = ?4 AND state = 0";
        let values = params!["[]", key, "com.example/orders/place", 7];
        self.0
            .prepare_cached(delete)
            .unwrap()
            .execute(values)
            .unwrap();
        self.run("COMMIT");
    }

    fn call(&self, key: &str) {
        self.reserve(key);
        let item = "com.example/orders/place";
        let now = 1_700_000_000_000_i64;
        self.run("BEGIN IMMEDIATE");
        self.0
            .prepare_cached("INSERT INTO orders (what) VALUES (?1)")
            .unwrap()
            .execute(["tea"])
            .unwrap();
        let number = self.0.last_insert_rowid();
        let complete =
            "UPDATE idempotency SET state = 1, ended_at = ?5, expires_at = ?6, outcome = ?7
                        WHERE scope = ?1 AND key = ?2 AND item = ?3 AND owner = ?4 AND state = 0";
        let outcome = format!("{{\"ok\":{{\"number\":{number}}}}}");
        let values = params!["[]", key, item, 7, now, now + 604_800_000, outcome];
        self.0
            .prepare_cached(complete)
            .unwrap()
            .execute(values)
            .unwrap();
        self.run("COMMIT");
    }
}

/// Time of one call, by ours and by hand.
fn rounds(mut ours: impl FnMut(usize), mut by_hand: impl FnMut(usize)) -> (Duration, Duration) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for (times, run) in [
            (&mut a, &mut ours as &mut dyn FnMut(usize)),
            (&mut b, &mut by_hand),
        ] {
            let began = Instant::now();
            for i in 0..CALLS {
                run(round * CALLS + i);
            }
            times.push(began.elapsed() / CALLS as u32);
        }
    }
    a.sort();
    b.sort();
    (a[ROUNDS / 2], b[ROUNDS / 2])
}

fn tell(what: &str, (ours, by_hand): (Duration, Duration)) {
    let ratio = ours.as_secs_f64() / by_hand.as_secs_f64();
    let rate = |time: Duration| 1.0 / time.as_secs_f64();
    println!(
        "{what}: {:.0} a second, by hand {:.0}; {ratio:.2} times the time",
        rate(ours),
        rate(by_hand)
    );
}

fn main() {
    let directory = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("mcp-ext-throughput-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();

    let store = Store::open(directory.join("ours.db")).unwrap();
    store.migrate("orders", &[ORDERS]).unwrap();
    let block = Idempotency::new(&store)
        .unwrap()
        .effects_in_store(|_, _| true);
    let set = ExtensionSet::builder()
        .enable(OrdersExtension::provide(Shop(store)))
        .enable(block.enable())
        .build()
        .unwrap();
    let by_hand = ByHand::open(&directory.join("by-hand.db"));

    let key = |i: usize| format!("key-{i}");
    tell(
        "a new call: reserve, act, record",
        rounds(|i| call(&set, &key(i)), |i| by_hand.call(&key(i))),
    );
    let other = |i: usize| format!("other-{i}");
    tell(
        "a call that did nothing: reserve, give back",
        rounds(
            |i| give_back(&set, &other(i)),
            |i| by_hand.give_back(&other(i)),
        ),
    );
    let began = Instant::now();
    (0..ROUNDS * CALLS).for_each(|i| call(&set, &key(i)));
    let each = began.elapsed() / (ROUNDS * CALLS) as u32;
    println!(
        "a replay, which writes nothing: {:.0} a second",
        1.0 / each.as_secs_f64()
    );
    std::fs::remove_dir_all(&directory).unwrap();
}
