//! What an audited call costs beside the same rows written by hand: same tables, triggers and pragmas, taking turns.
//!
//! By hand they run on the thread that asks, which then waits for the disk. A server's async handlers cannot do that, so they
//! are also run on another, once a transaction; ours goes to the store's thread for that, or stays where it is with
//! `commit_in_place`. By hand there is what a record is made of: a salted digest of what was sent and
//! answered, the line, and its hash, which goes over that of the record before.
//!
//! `cargo run --release -p mcp-ext-audit --features server --example audit-durable [ROUNDS] [DIRECTORY [SIDE CALLS]]`
//!
//! With a side (`ours`, `in-place` or `hand`) only that many calls of that side are made, for a profiler:
//! (I(500) - I(100)) / 400. Count in place: the store's thread looks for its next job for a while, which is no work.

use std::convert::Infallible;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_lite::future::block_on;
use hmac::{Hmac, KeyInit as _, Mac as _};
use mcp_ext_audit::Audit;
use mcp_ext_core::protocol::Era;
use mcp_ext_core::request::{Incoming, Params, Target};
use mcp_ext_core::{ExtensionSet, Route, ToolCx, extension, handlers};
use mcp_ext_store::rusqlite::{self, Connection};
use mcp_ext_store::{Clock as _, Random as _, Store, SystemClock, SystemRandom};
use mcp_ext_values::timestamp::rfc3339;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Grows the log to its full size, so that both sides write into a file that no longer grows. The pages are given back:
/// SQLite keeps those of all connections under one bound, and who came first would have none left.
const WARM_UP: &str = "CREATE TABLE warm_up (x); INSERT INTO warm_up VALUES (zeroblob(8000000)); DELETE FROM warm_up;";

/// Calls in one turn.
const TURN: u32 = 50;

/// What to order.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Order {
    item: String,
}

/// Sells things.
#[extension(id = "com.example/shop", needs(Audit))]
pub trait Shop {
    /// Places an order.
    #[tool]
    async fn place_order(
        &self,
        cx: &ToolCx<ShopExtension>,
        order: Order,
    ) -> Result<Order, Infallible>;
}

struct Till(Store);

#[handlers]
impl Shop for Till {
    async fn place_order(
        &self,
        cx: &ToolCx<ShopExtension>,
        order: Order,
    ) -> Result<Order, Infallible> {
        let item = order.item.clone();
        let written = self
            .0
            .unit(cx.facts())
            .execute(move |db| insert(db, &item))
            .await;
        if let Err(error) = written {
            eprintln!("{error}");
        }
        Ok(order)
    }
}

fn insert(db: &Connection, item: &str) -> rusqlite::Result<usize> {
    db.prepare_cached("INSERT INTO orders (item) VALUES (?1)")?
        .execute([item])
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(20), |n| n.parse())?;
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("audit-durable-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let alone = arguments.next().zip(arguments.next());
    let result = run(&directory, rounds, alone);
    std::fs::remove_dir_all(&directory)?;
    result
}

/// A store with the tables of the log and of the shop.
fn store(file: &Path, in_place: bool) -> Result<(Store, Audit), Box<dyn Error>> {
    let mut builder = Store::builder();
    if in_place {
        builder = builder.commit_in_place();
    }
    let store = builder.open(file)?;
    store.migrate(
        "shop",
        &["CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)"],
    )?;
    let audit = Audit::new(&store)?;
    Ok((store, audit))
}

/// A store of ours, and the set that writes to it.
fn ours(file: &Path, in_place: bool) -> Result<(Store, ExtensionSet), Box<dyn Error>> {
    let (store, audit) = store(file, in_place)?;
    store.write_blocking(|db| db.execute_batch(WARM_UP))?;
    let set = ExtensionSet::builder()
        .enable(ShopExtension::provide(Till(store.clone())))
        .enable(audit.enable())
        .build()?;
    Ok((store, set))
}

fn run(
    directory: &Path,
    rounds: usize,
    alone: Option<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    let (ours_store, set) = ours(&directory.join("ours.sqlite"), false)?;
    let (_, in_place) = ours(&directory.join("in-place.sqlite"), true)?;
    let file = directory.join("hand.sqlite");
    drop(store(&file, false)?);
    let hand = Connection::open(&file)?;
    hand.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
         PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -16384;
         INSERT INTO audit_segment (name, tenant) VALUES ('seg_hand', '-');
         INSERT INTO audit_subject (kind, tenant, name, pseudonym) VALUES ('principal', '-', '-', 'sub_hand');",
    )?;
    hand.execute_batch(&format!("BEGIN; {WARM_UP} COMMIT; PRAGMA shrink_memory"))?;
    let hand = Arc::new(Mutex::new(hand));
    if let Some((side, calls)) = alone {
        for _ in 0..calls.parse()? {
            match side.as_str() {
                "ours" => call(&set)?,
                "in-place" => call(&in_place)?,
                _ => by_hand(&hand, false)?,
            }
        }
        return Ok(());
    }
    let mut times = [const { Vec::new() }; 4];
    for round in 0..rounds {
        for turn in 0..4 {
            // Whoever goes first takes turns too.
            let side = (round + turn) % 4;
            let began = Instant::now();
            for _ in 0..TURN {
                match side {
                    0 => call(&set)?,
                    1 => call(&in_place)?,
                    2 => by_hand(&hand, false)?,
                    _ => by_hand(&hand, true)?,
                }
            }
            if let Some(times) = times.get_mut(side) {
                times.push(began.elapsed() / TURN);
            }
        }
    }
    let [ours, in_place, by_hand_took, from_async] = times.map(|mut times| {
        times.sort_unstable();
        times
            .get(times.len() / 2)
            .map_or(0.0, |time| time.as_secs_f64() * 1e6)
    });
    println!(
        "an audited call with an effect, two transactions: ours {ours:.0} us, in place {in_place:.0} us\n  \
         by hand {by_hand_took:.0} us: {:.2} times the time, in place {:.2}\n  \
         by hand from async code {from_async:.0} us: {:.2} times",
        ours / by_hand_took,
        in_place / by_hand_took,
        ours / from_async,
    );
    ours_store.checkpoint()?;
    (0..TURN).try_for_each(|_| call(&set))?;
    checkpoint(&hand)?;
    (0..TURN).try_for_each(|_| by_hand(&hand, false))?;
    // A frame is a page with a header of 24 bytes. So few calls do not empty the log.
    let pages = |file: &str| {
        std::fs::metadata(directory.join(file))
            .map(|log| (log.len() / (4096 + 24)) as f64 / f64::from(TURN))
    };
    println!(
        "pages written by an audited call: {:.1}; by hand {:.1}",
        pages("ours.sqlite-wal")?,
        pages("hand.sqlite-wal")?
    );
    Ok(())
}

fn checkpoint(hand: &Arc<Mutex<Connection>>) -> rusqlite::Result<()> {
    hand.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn call(set: &ExtensionSet) -> Result<(), Box<dyn Error>> {
    let incoming = Incoming::new(Era::Modern, Target::Tool("place_order")).params(Params::Value(
        json!({"item": "an item of the usual length"}),
    ));
    match set.route(incoming) {
        Route::Call(pending) => block_on(pending.run()).map(drop).map_err(Into::into),
        other => Err(format!("{other:?}").into()),
    }
}

/// The same statements: on the thread that asks, or as an async handler has to, on another.
fn by_hand(hand: &Arc<Mutex<Connection>>, from_async: bool) -> rusqlite::Result<()> {
    let name = name();
    let mut salt = [0; 32];
    fill(&mut salt);
    let item = "an item of the usual length";
    let evidence = evidence(&salt, "params", &json!({ "item": item }));
    let called = name.clone();
    let (segment, principal) = transaction(hand, from_async, move |db| {
        let principal = principal(db)?;
        let segment: (i64, String) = db
            .prepare_cached("SELECT id, name FROM audit_segment WHERE tenant = ?1")?
            .query_row(["-"], |row| Ok((row.get(0)?, row.get(1)?)))?;
        db.prepare_cached("INSERT INTO audit_call (name, principal, salt) VALUES (?1, ?2, ?3)")?
            .execute((&called, &principal, salt))?;
        append(db, segment.0, &principal, &called, false, &evidence)?;
        Ok((segment.0, principal))
    })?;
    transaction(hand, from_async, move |db| {
        insert(db, item)?;
        let there = db
            .prepare_cached("SELECT 1 FROM audit_record WHERE call = ?1 AND stage = ?2")?
            .exists((&name, "outcome"))?;
        if there {
            return Ok(());
        }
        let evidence = self::evidence(&salt, "result", &json!({ "item": item }));
        append(db, segment, &principal, &name, true, &evidence)
    })
}

/// A name that begins with the time, such as a UUID of version 7.
fn name() -> String {
    let mut random = [0; 12];
    fill(&mut random);
    format!("{:012x}{}", SystemClock.now_ms(), hex(&random))
}

fn fill(bytes: &mut [u8]) {
    if let Err(error) = SystemRandom.fill(bytes) {
        eprintln!("{error}");
    }
}

/// A salted digest of what was sent or answered.
fn evidence(salt: &[u8], label: &str, payload: &Value) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt) else {
        return String::new();
    };
    mac.update(label.as_bytes());
    mac.update(&[0]);
    mac.update(&serde_json_canonicalizer::to_vec(payload).unwrap_or_default());
    format!("hmac-sha256:{}", hex(&mac.finalize().into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    let digits = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| digits.get(usize::from(digit)).copied().map(char::from))
        .collect()
}

fn transaction<T: Send + 'static>(
    hand: &Arc<Mutex<Connection>>,
    from_async: bool,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
) -> rusqlite::Result<T> {
    let hand = hand.clone();
    let work = move || {
        let db = hand.lock().unwrap_or_else(PoisonError::into_inner);
        let run = |sql| db.prepare_cached(sql)?.execute([]);
        run("BEGIN IMMEDIATE")?;
        let value = work(&db)?;
        run("COMMIT").map(|_| value)
    };
    if from_async {
        block_on(blocking::unblock(work))
    } else {
        work()
    }
}

fn principal(db: &Connection) -> rusqlite::Result<String> {
    db.prepare_cached(
        "SELECT pseudonym FROM audit_subject WHERE kind = ?1 AND tenant = ?2 AND name = ?3",
    )?
    .query_row(("principal", "-", "-"), |row| row.get(0))
}

fn append(
    db: &Connection,
    segment: i64,
    principal: &str,
    name: &str,
    ended: bool,
    evidence: &str,
) -> rusqlite::Result<()> {
    let (seq, previous): (i64, Option<String>) = db
        .prepare_cached(
            "SELECT seq, event_hash FROM audit_record WHERE segment = ?1 ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([segment], |row| Ok((row.get(0)?, row.get(1)?)))
        .or_else(|e| match e {
            rusqlite::Error::QueryReturnedNoRows => Ok((0, None)),
            e => Err(e),
        })?;
    let stage = if ended { "outcome" } else { "intent" };
    let event = self::name();
    let (disposition, sensitivity, sources, decision, outcome) = match ended {
        false => ("null", "", "", "hold", "deferred"),
        true => (
            r#""returned""#,
            r#""sensitivity_encountered":null,"#,
            r#","sources_touched":null"#,
            "release",
            "allowed",
        ),
    };
    let previous_hash = match &previous {
        None => "null".to_owned(),
        Some(hash) => format!("\"{hash}\""),
    };
    let time = rfc3339(SystemClock.now_ms());
    let body = format!(
        r#""event_id":"{event}","event_type":"tool_call","extensions":{{"caller-governance":{{"flagged":false,"output_disposition":{disposition},"purpose_declared":"unspecified",{sensitivity}"session_id":"{name}"{sources}}},"runtime-security":{{"drift_status":"none","evidence_hash":"{evidence}","policy_id":"io.github.mcp-ext/audit@1","quarantine_decision":"{decision}","severity":"info"}}}},"occurred_at":"{time}","outcome":"{outcome}","previous_hash":{previous_hash},"principal_id":"{principal}","tool_name":"place_order"}}"#
    );
    let digest = hex(&Sha256::new()
        .chain_update("{")
        .chain_update(&body)
        .finalize());
    let line = format!(r#"{{"event_hash":"{digest}",{body}"#);
    db.prepare_cached(
        "INSERT INTO audit_record (segment, seq, event_id, principal, call, stage, event_hash, previous_hash, line)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((segment, seq + 1, event, principal, name, stage, digest, previous, line))
    .map(drop)
}
