//! What durable operations cost beside the same SQLite statements by hand: same pragmas, same machine, taking turns.
//!
//! `cargo run --release -p mcp-ext-store --example store-rate [ROUNDS] [DIRECTORY [SIDE CALLS]]`
//!
//! By hand the thread that asks waits for the disk. Ours goes to the store's thread for that, or stays where it is with
//! `commit_in_place`: both are measured.
//!
//! With a side (`ours`, `in-place` or `hand`) only that many units of that side are made, for a profiler:
//! (I(500) - I(100)) / 400. Count in place: the store's thread looks for its next job for a while, which is no work.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use mcp_ext_core::cx::Facts;
use mcp_ext_store::Store;
use mcp_ext_store::rusqlite::{self, Connection};

const SCHEMA: &str = "
    CREATE TABLE effect (id INTEGER PRIMARY KEY, item TEXT NOT NULL);
    CREATE TABLE record (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
    CREATE TABLE keyed (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL);";

/// Grows the log to its full size, so that both sides write into a file that no longer grows. The pages are given back:
/// SQLite keeps those of all connections under one bound, and who came first would have none left.
const WARM_UP: &str = "CREATE TABLE warm_up (x); INSERT INTO warm_up VALUES (zeroblob(8000000)); DELETE FROM warm_up;";

/// Operations in one turn.
const TURN: u32 = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(40), |n| n.parse())?;
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = directory.join(format!("store-rate-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let alone = arguments.next().zip(arguments.next());
    let result = run(&directory, rounds, alone);
    std::fs::remove_dir_all(&directory)?;
    result
}

fn run(
    directory: &Path,
    rounds: usize,
    alone: Option<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    let store = Store::open(directory.join("ours.sqlite"))?;
    store.migrate("rate", &[SCHEMA])?;
    let in_place = Store::builder().commit_in_place();
    let in_place = in_place.open(directory.join("in-place.sqlite"))?;
    in_place.migrate("rate", &[SCHEMA])?;
    let hand = by_hand(&directory.join("hand.sqlite"))?;
    store.write_blocking(|db| db.execute_batch(WARM_UP))?;
    in_place.write_blocking(|db| db.execute_batch(WARM_UP))?;
    hand.execute_batch(&format!("BEGIN; {WARM_UP} COMMIT; PRAGMA shrink_memory"))?;
    if let Some((side, calls)) = alone {
        for _ in 0..calls.parse()? {
            match side.as_str() {
                "ours" => block_on(unit(&store))?,
                "in-place" => block_on(unit(&in_place))?,
                _ => unit_by_hand(&hand)?,
            }
        }
        return Ok(());
    }
    println!("{rounds} rounds of {TURN} operations, each side in turn; medians");
    println!(
        "{:<66} {:>10} {:>6} {:>10} {:>6} {:>10}",
        "", "ours", "ratio", "in place", "ratio", "by hand"
    );

    let stores = [&store, &in_place];
    compare(
        "write: one insert",
        rounds,
        stores.map(|store| move || Ok(block_on(store.write(insert_effect)).map(drop)?)),
        || Ok(transaction(&hand, insert_effect)?),
    )?;
    compare(
        "unit: a handler's insert and two blocks' records",
        rounds,
        stores.map(|store| move || Ok(block_on(unit(store))?)),
        || Ok(unit_by_hand(&hand)?),
    )?;
    compare(
        "reservation and unit: insert a key; effect, record, update the key",
        rounds,
        stores.map(|store| {
            let mut n = 0_u64;
            move || {
                n += 1;
                Ok(block_on(reservation_and_unit(store, n))?)
            }
        }),
        {
            let mut n = 0_u64;
            let hand = &hand;
            move || {
                n += 1;
                let key = n.to_string();
                transaction(hand, |db| reserve_key(db, &key))?;
                Ok(transaction(hand, |db| {
                    insert_effect(db)?;
                    settle_key(db, &key)?;
                    insert_record(db)
                })?)
            }
        },
    )?;
    compare(
        "read: one row by its key (no fsync on either side)",
        rounds,
        stores.map(|store| move || Ok(block_on(store.read(get)).map(drop)?)),
        || {
            let transaction = hand.unchecked_transaction()?;
            get(&transaction)?;
            Ok(())
        },
    )?;
    Ok(())
}

async fn reservation_and_unit(store: &Store, n: u64) -> Result<(), mcp_ext_store::StoreError> {
    let key = n.to_string();
    let (reserve, settle) = (key.clone(), key);
    store.write(move |db| reserve_key(db, &reserve)).await?;
    let facts = Facts::default();
    store.join(&facts, "outer");
    store.join(&facts, "inner");
    store.unit(&facts).execute(insert_effect).await?;
    store
        .unit(&facts)
        .finish("inner", true, move |db| settle_key(db, &settle))
        .await?;
    store
        .unit(&facts)
        .finish("outer", true, insert_record)
        .await?;
    Ok(())
}

async fn unit(store: &Store) -> Result<(), mcp_ext_store::StoreError> {
    let facts = Facts::default();
    store.join(&facts, "outer");
    store.join(&facts, "inner");
    store.unit(&facts).execute(insert_effect).await?;
    store
        .unit(&facts)
        .finish("inner", true, insert_record)
        .await?;
    store
        .unit(&facts)
        .finish("outer", true, insert_record)
        .await?;
    Ok(())
}

fn unit_by_hand(hand: &Connection) -> rusqlite::Result<()> {
    transaction(hand, |db| {
        insert_effect(db)?;
        insert_record(db)?;
        insert_record(db)
    })
}

fn insert_effect(db: &Connection) -> rusqlite::Result<usize> {
    db.prepare_cached("INSERT INTO effect (item) VALUES (?1)")?
        .execute(["an item of the usual length"])
}

fn insert_record(db: &Connection) -> rusqlite::Result<usize> {
    db.prepare_cached("INSERT INTO record (text) VALUES (?1)")?
        .execute([RECORD])
}

fn reserve_key(db: &Connection, key: &str) -> rusqlite::Result<usize> {
    db.prepare_cached("INSERT INTO keyed (key, state) VALUES (?1, 'running')")?
        .execute([key])
}

fn settle_key(db: &Connection, key: &str) -> rusqlite::Result<usize> {
    db.prepare_cached("UPDATE keyed SET state = ?2 WHERE key = ?1")?
        .execute([key, RECORD])
}

fn get(db: &Connection) -> rusqlite::Result<String> {
    db.prepare_cached("SELECT item FROM effect WHERE id = ?1")?
        .query_row([17], |row| row.get(0))
}

/// About as long as an audit record.
const RECORD: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn transaction(
    db: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
) -> rusqlite::Result<()> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    work(db)?;
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

fn by_hand(path: &Path) -> Result<Connection, Box<dyn Error>> {
    let db = Connection::open(path)?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    db.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
         PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -16384;",
    )?;
    db.execute_batch(SCHEMA)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn compare(
    name: &str,
    rounds: usize,
    [mut ours, mut in_place]: [impl FnMut() -> Result<(), Box<dyn Error>>; 2],
    mut hand: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    fn turn(
        work: &mut impl FnMut() -> Result<(), Box<dyn Error>>,
    ) -> Result<Duration, Box<dyn Error>> {
        let began = Instant::now();
        for _ in 0..TURN {
            work()?;
        }
        Ok(began.elapsed() / TURN)
    }
    let mut times = [const { Vec::new() }; 3];
    for round in 0..rounds {
        for side in 0..3 {
            // Whoever goes first takes turns too.
            let side = (round + side) % 3;
            let took = match side {
                0 => turn(&mut ours)?,
                1 => turn(&mut in_place)?,
                _ => turn(&mut hand)?,
            };
            times[side].push(took);
        }
    }
    let [ours, in_place, hand] = times.map(|mut times| {
        times.sort_unstable();
        times[rounds / 2].as_secs_f64() * 1e6
    });
    println!(
        "{name:<66} {ours:>7.0} us {:>6.2} {in_place:>7.0} us {:>6.2} {hand:>7.0} us",
        ours / hand,
        in_place / hand
    );
    Ok(())
}
