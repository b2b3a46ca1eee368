//! Files: what is refused when a store is opened, and what is left in it.

mod common;

use common::Scratch;
#[cfg(target_os = "linux")]
use mcp_ext_store::rusqlite::Connection;
use mcp_ext_store::{Store, StoreError};

#[test]
fn a_file_that_is_no_database_is_refused() {
    let scratch = Scratch::new("files");
    std::fs::write(scratch.file(), vec![b'x'; 4096]).unwrap();
    let error = Store::open(scratch.file()).unwrap_err();
    assert_eq!(error.kind(), "store_damaged", "{error:?}");
    assert!(error.to_string().contains("backup"), "{error}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let scratch = Scratch::new("files");
    let error = Store::open(scratch.path().join("missing/store.sqlite")).unwrap_err();
    assert!(matches!(&error, StoreError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let scratch = Scratch::new("files");
    let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x)"];
    Store::open(scratch.file())
        .unwrap()
        .migrate("m", &steps)
        .unwrap();
    let store = Store::open(scratch.file()).unwrap();
    store.migrate("m", &steps).unwrap();
    store.migrate("other", &[]).unwrap();
    let error = store.migrate("m", &steps[..1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "schema `m` of the store has version 2, this program knows up to 1; run the newer program, or use another file"
    );
}

#[test]
fn a_migration_that_fails_leaves_nothing() {
    let scratch = Scratch::new("files");
    let store = Store::open(scratch.file()).unwrap();
    store
        .migrate("m", &["CREATE TABLE a (x)", "NOT SQL"])
        .unwrap_err();
    store.migrate("m", &["CREATE TABLE a (x)"]).unwrap();
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("files");
    let store = Store::open(scratch.file()).unwrap();
    store.migrate("m", &["CREATE TABLE a (x)"]).unwrap();
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{entry:?}"
        );
    }
}

#[test]
fn what_is_deleted_is_gone_from_the_files() {
    let scratch = Scratch::new("files");
    let secret = "a-secret-that-must-go-0123456789";
    let store = Store::open(scratch.file()).unwrap();
    store.migrate("m", &["CREATE TABLE a (x TEXT)"]).unwrap();
    store
        .write_blocking(|db| db.execute("INSERT INTO a VALUES (?1)", [secret]))
        .unwrap();
    let holds = || {
        std::fs::read_dir(scratch.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(secret.len()).any(|w| w == secret.as_bytes())
        })
    };
    assert!(holds());
    store
        .write_blocking(|db| db.execute("DELETE FROM a", []))
        .unwrap();
    store.checkpoint().unwrap();
    assert!(!holds());
}

#[test]
fn the_pragmas_hold_on_every_connection() {
    let scratch = Scratch::new("files");
    let store = Store::open(scratch.file()).unwrap();
    let pragmas = |db: &mcp_ext_store::rusqlite::Connection| {
        let get = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0));
        Ok((
            get("synchronous")?,
            get("foreign_keys")?,
            get("secure_delete")?,
        ))
    };
    assert_eq!(store.write_blocking(pragmas).unwrap(), (2, 1, 1));
    assert_eq!(store.read_blocking(pragmas).unwrap(), (2, 1, 1));
    let mode: String = store
        .read_blocking(|db| db.query_row("PRAGMA journal_mode", [], |r| r.get(0)))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_released_step_that_changed_and_a_step_that_is_refused_are_named() {
    let store = Store::in_memory().unwrap();
    let first = "CREATE TABLE notes (text TEXT)";
    store.migrate("notes", &[first]).unwrap();
    store.migrate("notes", &[first]).unwrap();
    let changed = store
        .migrate("notes", &["CREATE TABLE notes (text TEXT, at INTEGER)"])
        .unwrap_err();
    assert!(
        matches!(
            changed,
            StoreError::Changed {
                name: "notes",
                version: 1
            }
        ),
        "{changed}"
    );
    let refused = store
        .migrate("notes", &[first, "ALTER TABLE note ADD COLUMN at INTEGER"])
        .unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::Migration {
                name: "notes",
                step: 2,
                ..
            }
        ),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("no such table: note"),
        "{refused}"
    );
    // Nothing of it was done.
    store
        .migrate("notes", &[first, "ALTER TABLE notes ADD COLUMN at INTEGER"])
        .unwrap();
}

/// What this process has read from files so far, in bytes.
#[cfg(target_os = "linux")]
fn read_so_far() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn after_a_long_read_the_pages_of_who_writes_stay_in_memory() {
    use futures_lite::future::block_on;
    let scratch = Scratch::new("files");
    let store = Store::open(scratch.file()).unwrap();
    store
        .migrate(
            "m",
            &[
                "CREATE TABLE a (x)",
                "CREATE TABLE b (id INTEGER PRIMARY KEY, x UNIQUE)",
            ],
        )
        .unwrap();
    // More than all connections together may keep.
    store
        .write_blocking(|db| {
            db.execute_batch(
                "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
                 INSERT INTO a SELECT randomblob(3000) FROM n",
            )
        })
        .unwrap();
    let write = |i: u32| {
        block_on(store.write(move |db| db.execute("INSERT INTO b (x) VALUES (?1)", [i]))).unwrap()
    };
    let of_a_hundred_writes = |from: u32| {
        let before = read_so_far();
        (from..from + 100).for_each(|i| {
            write(i);
        });
        read_so_far() - before
    };
    let usual = of_a_hundred_writes(0);
    let sum = |db: &Connection| {
        db.query_row("SELECT sum(length(x)) FROM a", [], |row| {
            row.get::<_, i64>(0)
        })
    };
    assert_eq!(block_on(store.read(sum)).unwrap(), 36_000_000);
    write(1000);
    let after = of_a_hundred_writes(2000);
    assert!(
        after < usual + 200_000,
        "{after} bytes read, {usual} before the long read"
    );
}
