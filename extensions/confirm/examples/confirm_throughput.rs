//! Confirmed calls a second through the block, beside the same statements written by hand on the same kind of file.
//!
//! `cargo run --release -p mcp-ext-confirm --features server --example confirm_throughput [-- DIRECTORY [SIDE CALLS]]`
//!
//! All sides: write-ahead log, `synchronous = FULL`, the same pragmas, one call after the other, on disk. Rounds of all
//! sides alternate; the figure is the median of the rounds. By hand the statements run on the thread that asks, which then
//! waits for the disk; most async handlers cannot do that, so they are also run on another, once a transaction. Ours goes to the
//! store's thread for that, or stays where it is with `commit_in_place`: both are measured. By hand
//! there is what the operation is made of: a sealed token is opened and compared with what is called and what was shown.
//!
//! With a side (`ours`, `in-place` or `hand`) only that many calls of that side are made, for a profiler:
//! (I(500) - I(100)) / 400. Count in place: the store's thread looks for its next job for a while, which is no work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use mcp_ext_confirm::{Confirm, ConfirmKey};
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Incoming, Params, Target};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{ExtensionError, ExtensionSet, Route, ToolCx, extension, handlers};
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
    #[tool(name = "place_order", needs(Confirm))]
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

fn send(set: &ExtensionSet, params: Value) -> JsonObject {
    let incoming =
        Incoming::new(Era::Modern, Target::Tool("place_order")).params(Params::Value(params));
    let Route::Call(pending) = set.route(incoming) else {
        unreachable!("the tool is ours")
    };
    block_on(pending.run()).unwrap().into_object().unwrap()
}

/// A token for one order; nothing is written.
fn token(set: &ExtensionSet) -> Value {
    let refused = send(set, json!({"what": "tea"}));
    refused["structuredContent"]["error"]["details"]["confirmationToken"].clone()
}

fn call(set: &ExtensionSet, token: &Value) {
    let done = send(set, json!({"what": "tea", "confirmationToken": token}));
    assert!(done.get("isError").is_none());
}

/// The same statements in the same transactions, on the thread that asks, or as an async handler has to: on another.
#[derive(Clone)]
struct ByHand {
    db: Arc<Mutex<Connection>>,
    key: Arc<ConfirmKey>,
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
             CREATE TABLE confirm_used (
                nonce BLOB NOT NULL PRIMARY KEY, scope TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT;
             CREATE INDEX confirm_used_expiry ON confirm_used (expires_at);",
        )
        .unwrap();
        db.execute_batch(ORDERS).unwrap();
        Self {
            db: Arc::new(Mutex::new(db)),
            key: Arc::new(ConfirmKey::random().unwrap()),
            from_async: false,
        }
    }

    fn checkpoint(&self) {
        let db = self.db.lock().unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
    }

    /// What a token says: of which arguments, of what was shown, once, and until when.
    fn token(&self) -> String {
        let mut nonce = [0; 16];
        SystemRandom.fill(&mut nonce).unwrap();
        let expires_at = SystemClock.now_ms() + 300_000;
        let (arguments, shown) = asked();
        let plain = [&arguments[..], &shown, &nonce, &expires_at.to_le_bytes()].concat();
        self.key
            .seal_bytes(&SystemRandom, b"token", &plain)
            .unwrap()
    }

    fn call(&self, token: &str) {
        let plain = self.key.open_bytes(token, b"token").unwrap();
        let (arguments, shown) = asked();
        let now = SystemClock.now_ms();
        let expires_at = i64::from_le_bytes(plain[80..88].try_into().unwrap());
        assert!(plain[..32] == arguments && plain[32..64] == shown && now < expires_at);
        let nonce: [u8; 16] = plain[64..80].try_into().unwrap();
        self.transaction(move |db| {
            let insert = "INSERT INTO confirm_used (nonce, scope, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            run(db, insert, params![nonce, "[]", expires_at]);
            let old = "SELECT 1 FROM confirm_used WHERE expires_at < ?1 LIMIT 1";
            let found = db.prepare_cached(old).unwrap().exists([now - 86_400_000]);
            assert!(!found.unwrap());
        });
        self.transaction(|db| {
            run(db, "INSERT INTO orders (what) VALUES (?1)", ["tea"]);
        });
    }
}

/// Digests of a call's arguments, and of what would be shown for it.
fn asked() -> ([u8; 32], [u8; 32]) {
    let arguments = json!({"what": "tea"});
    let effect = format!("what: {}", arguments["what"]);
    let rendered = format!("place_order, with these arguments?\n- {effect}");
    (
        digest::of(&arguments),
        digest::of(&json!([rendered, [effect]])),
    )
}

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
    let block = Confirm::new(store, ConfirmKey::random().unwrap()).unwrap();
    ExtensionSet::builder()
        .enable(OrdersExtension::provide(Shop(store.clone())))
        .enable(block.enable())
        .build()
        .unwrap()
}

/// Pages that one call writes to the log of a store. Few enough calls that the log is not emptied meanwhile.
fn pages(log: &Path, checkpoint: impl Fn(), mut call: impl FnMut(usize)) -> f64 {
    checkpoint();
    (0..CALLS).for_each(&mut call);
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

    // By hand on both threads, and what is counted.
    let tokens: Vec<Value> = (0..(ROUNDS + 1) * CALLS).map(|_| token(&set)).collect();
    let tokens_in_place: Vec<Value> = (0..ROUNDS * CALLS).map(|_| token(&in_place)).collect();
    let hand_tokens: Vec<String> = (0..(2 * ROUNDS + 1) * CALLS)
        .map(|_| by_hand.token())
        .collect();
    if let (Some(side), Some(calls)) = (arguments.next(), arguments.next()) {
        for i in 0..calls.parse().unwrap() {
            match side.as_str() {
                "ours" => call(&set, &tokens[i]),
                "in-place" => call(&in_place, &tokens_in_place[i]),
                _ => by_hand.call(&hand_tokens[i]),
            }
        }
        std::fs::remove_dir_all(&directory).unwrap();
        return;
    }
    tell(
        "a confirmed call: use up, act",
        rounds(
            |i| call(&set, &tokens[i]),
            |i| call(&in_place, &tokens_in_place[i]),
            &by_hand,
            |by_hand, i| by_hand.call(&hand_tokens[i]),
        ),
    );
    let began = Instant::now();
    (0..ROUNDS * CALLS).for_each(|_| drop(token(&set)));
    let each = began.elapsed() / (ROUNDS * CALLS) as u32;
    println!(
        "a preview, which writes nothing: {:.0} a second",
        1.0 / each.as_secs_f64()
    );
    println!(
        "pages written by a confirmed call: {:.1}; by hand {:.1}",
        pages(
            &directory.join("ours.db-wal"),
            || store.checkpoint().unwrap(),
            |i| call(&set, &tokens[i + ROUNDS * CALLS]),
        ),
        pages(
            &directory.join("by-hand.db-wal"),
            || by_hand.checkpoint(),
            |i| by_hand.call(&hand_tokens[i + 2 * ROUNDS * CALLS]),
        ),
    );
    std::fs::remove_dir_all(&directory).unwrap();
}
