//! Several processes on one file, and processes that are ended at every point of a transaction.
#![cfg(unix)]

mod common;

use std::time::Duration;

use common::{KillAt, Scratch, child, was_killed};
use futures_lite::future::block_on;
use mcp_ext_core::cx::Facts;
use mcp_ext_store::{BusyWith, Store, StoreError};

const FILE: &str = "MCP_EXT_STORE_FILE";
const KILL: &str = "MCP_EXT_STORE_KILL_AT";
const IN_PLACE: &str = "MCP_EXT_STORE_IN_PLACE";
const SCHEMA: &[&str] = &[
    "CREATE TABLE accounts (name TEXT PRIMARY KEY NOT NULL, balance INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE transfers (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL)",
    "CREATE TABLE records (id INTEGER PRIMARY KEY, transfer INTEGER NOT NULL REFERENCES transfers (id))",
    "INSERT INTO accounts VALUES ('a', 1000), ('b', 0)",
];

/// One call: a handler that moves money in two parts, an inner and an outer block that record it.
async fn transfer(store: &Store, amount: i64) -> Result<i64, StoreError> {
    let facts = Facts::default();
    store.join(&facts, "com.example/outer");
    store.join(&facts, "com.example/inner");
    let unit = store.unit(&facts);
    unit.execute(move |db| {
        db.execute(
            "UPDATE accounts SET balance = balance - ?1 WHERE name = 'a'",
            [amount],
        )?;
        db.execute(
            "UPDATE accounts SET balance = balance + ?1 WHERE name = 'b'",
            [amount],
        )
    })
    .await?;
    let id = unit
        .execute(move |db| {
            db.execute("INSERT INTO transfers (amount) VALUES (?1)", [amount])?;
            Ok(db.last_insert_rowid())
        })
        .await?;
    let record = move |db: &mcp_ext_store::rusqlite::Connection| {
        db.execute("INSERT INTO records (transfer) VALUES (?1)", [id])
    };
    unit.finish("com.example/inner", true, record).await?;
    unit.finish("com.example/outer", true, record).await?;
    Ok(id)
}

/// Transfers committed, after checking that every one of them is whole.
fn check(store: &Store) -> i64 {
    let (a, b, moved, transfers, records): (i64, i64, i64, i64, i64) = store
        .read_blocking(|db| {
            db.query_row(
                "SELECT (SELECT balance FROM accounts WHERE name = 'a'), (SELECT balance FROM accounts WHERE name = 'b'),
                    (SELECT coalesce(sum(amount), 0) FROM transfers), (SELECT count(*) FROM transfers),
                    (SELECT count(*) FROM records)",
                [],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)),
            )
        })
        .unwrap();
    assert_eq!((a, b, records), (1000 - moved, moved, 2 * transfers));
    let healthy: String = store
        .read_blocking(|db| db.query_row("PRAGMA integrity_check", [], |r| r.get(0)))
        .unwrap();
    assert_eq!(healthy, "ok");
    transfers
}

#[test]
fn child_that_is_killed() {
    let (Ok(file), Ok(at)) = (std::env::var(FILE), std::env::var(KILL)) else {
        return;
    };
    let mut builder = Store::builder().probe(KillAt::new(at.parse().unwrap()));
    if std::env::var(IN_PLACE).is_ok_and(|place| place == "true") {
        builder = builder.commit_in_place();
    }
    let store = builder.open(file).unwrap();
    store.migrate("bank", SCHEMA).unwrap();
    block_on(transfer(&store, 10)).unwrap();
    block_on(store.write(|db| db.execute("DELETE FROM records WHERE 0", []))).unwrap();
}

#[test]
fn crash_killed_at_every_point_nothing_is_half_done() {
    killed_at_every_point(false);
}

#[test]
fn crash_killed_at_every_point_nothing_is_half_done_in_place() {
    killed_at_every_point(true);
}

fn killed_at_every_point(in_place: bool) {
    let mut points = Vec::new();
    loop {
        let at = points.len();
        assert!(at < 100, "the child never came to its end");
        let scratch = Scratch::new("crash");
        let variables = [
            (FILE, scratch.file().display().to_string()),
            (KILL, at.to_string()),
            (IN_PLACE, in_place.to_string()),
        ];
        let output = child("child_that_is_killed", &variables).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let killed = was_killed(output.status);
        assert!(killed || output.status.success(), "{told}");

        let store = Store::open(scratch.file()).unwrap();
        store.migrate("bank", SCHEMA).unwrap();
        let committed = check(&store);
        let point = told
            .split("killed at: ")
            .nth(1)
            .unwrap_or("end")
            .trim()
            .to_owned();
        // What is committed is there, what is not has left no trace, and the store goes on.
        let before = points
            .iter()
            .filter(|p: &&String| *p == "committed")
            .count();
        let expected = i64::from(before >= 2 || (before == 1 && point == "committed"));
        assert_eq!(committed, expected, "killed at {at}: {point}");
        block_on(transfer(&store, 5)).unwrap();
        assert_eq!(check(&store), expected + 1);
        if !killed {
            break;
        }
        points.push(point);
    }
    let named = |name: &str| points.iter().any(|p| p == name);
    assert!(
        named("begun") && named("inserted into transfers") && named("inserted into records"),
        "{points:?}"
    );
    assert!(named("before commit") && named("committed"), "{points:?}");
}

#[test]
fn child_that_transfers() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let store = Store::builder()
        .wait(Duration::from_secs(30))
        .open(file)
        .unwrap();
    store.migrate("bank", SCHEMA).unwrap();
    for _ in 0..50 {
        block_on(transfer(&store, 1)).unwrap();
    }
}

#[test]
fn processes_on_one_file_behave_as_one() {
    let scratch = Scratch::new("processes");
    let variables = [(FILE, scratch.file().display().to_string())];
    // They even race to make the schema.
    let children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = child("child_that_transfers", &variables);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = Store::open(scratch.file()).unwrap();
    store.migrate("bank", SCHEMA).unwrap();
    assert_eq!(check(&store), 150);
}

#[test]
fn child_that_holds() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let store = Store::open(file).unwrap();
    store
        .write_blocking(|_| {
            eprintln!("holding");
            let mut line = String::new();
            let _ = std::io::stdin().read_line(&mut line);
            Ok(())
        })
        .unwrap();
}

#[test]
fn another_process_is_waited_for_and_then_named() {
    use std::io::BufRead as _;
    let scratch = Scratch::new("busy");
    let store = Store::builder()
        .wait(Duration::from_millis(200))
        .open(scratch.file())
        .unwrap();
    store.migrate("bank", SCHEMA).unwrap();
    let mut holder = child(
        "child_that_holds",
        &[(FILE, scratch.file().display().to_string())],
    )
    .stdin(std::process::Stdio::piped())
    .stdout(std::process::Stdio::null())
    .stderr(std::process::Stdio::piped())
    .spawn()
    .unwrap();
    let mut told = std::io::BufReader::new(holder.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains("holding")));
    let busy = block_on(transfer(&store, 1)).unwrap_err();
    assert!(
        matches!(busy, StoreError::Busy { with: BusyWith::AnotherProcess, waited } if waited == Duration::from_millis(200)),
        "{busy:?}"
    );
    assert!(busy.to_string().contains("repeat later"), "{busy}");
    // Reading goes on.
    assert_eq!(check(&store), 0);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    block_on(transfer(&store, 1)).unwrap();
    assert_eq!(check(&store), 1);
}
