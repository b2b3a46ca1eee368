//! The unit of work of one call: what is committed when, and what never is.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::Scratch;
use futures_lite::future::{block_on, poll_once, yield_now, zip};
use mcp_ext_core::cx::Facts;
use mcp_ext_store::{BusyWith, Store, StoreError};

const OUTER: &str = "com.example/outer";
const INNER: &str = "com.example/inner";

fn store(scratch: &Scratch) -> Store {
    let store = Store::builder()
        .wait(Duration::from_millis(300))
        .open(scratch.file())
        .unwrap();
    store
        .migrate("test", &["CREATE TABLE t (x TEXT NOT NULL UNIQUE)"])
        .unwrap();
    store
}

async fn add(unit: &mcp_ext_store::Unit, x: &'static str) -> Result<usize, StoreError> {
    unit.execute(move |db| db.execute("INSERT INTO t VALUES (?1)", [x]))
        .await
}

fn insert(x: &'static str) -> impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<usize> + Send {
    move |db| db.execute("INSERT INTO t VALUES (?1)", [x])
}

use mcp_ext_store::rusqlite;

/// What is committed.
fn rows(store: &Store) -> String {
    store
        .read_blocking(|db| {
            db.prepare("SELECT x FROM t ORDER BY rowid")?
                .query_map([], |row| row.get::<_, String>(0))?
                .collect::<Result<Vec<_>, _>>()
        })
        .unwrap()
        .join(" ")
}

#[test]
fn handler_and_blocks_commit_together_when_the_owner_finishes() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        store.join(&facts, OUTER);
        store.join(&facts, INNER);
        let unit = store.unit(&facts);
        assert!(unit.is_joined());
        add(&unit, "handler").await.unwrap();
        assert_eq!(rows(&store), "");
        store
            .unit(&facts)
            .finish(INNER, true, insert("inner"))
            .await
            .unwrap();
        assert_eq!(rows(&store), "", "the owner has not finished");
        store
            .unit(&facts)
            .finish(OUTER, true, insert("outer"))
            .await
            .unwrap();
        assert_eq!(rows(&store), "handler inner outer");
        assert!(matches!(
            add(&unit, "late").await,
            Err(StoreError::Finished)
        ));
        store.write(insert("next")).await.unwrap();
        assert_eq!(rows(&store), "handler inner outer next");
    });
}

#[test]
fn what_a_failed_handler_wrote_is_taken_back_and_the_record_of_it_stays() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        store.join(&facts, OUTER);
        store.join(&facts, INNER);
        let unit = store.unit(&facts);
        add(&unit, "one").await.unwrap();
        add(&unit, "two").await.unwrap();
        unit.finish(INNER, false, insert("inner: failed"))
            .await
            .unwrap();
        unit.finish(OUTER, false, insert("outer: failed"))
            .await
            .unwrap();
        assert_eq!(rows(&store), "inner: failed outer: failed");
    });
}

#[test]
fn who_finishes_first_settles_whether_the_handler_acted() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        store.join(&facts, OUTER);
        let unit = store.join(&facts, INNER);
        add(&unit, "handler").await.unwrap();
        unit.finish(INNER, true, insert("inner: done"))
            .await
            .unwrap();
        // A block between them has refused the result: what was done stays done.
        unit.finish(OUTER, false, insert("outer: refused"))
            .await
            .unwrap();
        assert_eq!(rows(&store), "handler inner: done outer: refused");
    });
}

#[test]
fn without_a_block_each_part_commits_by_itself() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let unit = store.unit(&facts);
        assert!(!unit.is_joined());
        add(&unit, "one").await.unwrap();
        assert_eq!(rows(&store), "one");
        assert!(matches!(
            add(&unit, "one").await,
            Err(StoreError::Sqlite(_))
        ));
        unit.finish(OUTER, true, insert("two")).await.unwrap();
        assert_eq!(rows(&store), "one two");
    });
}

#[test]
fn a_part_that_fails_is_undone_alone() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        let twice = unit
            .execute(|db| {
                db.execute("INSERT INTO t VALUES ('half')", [])?;
                db.execute("INSERT INTO t VALUES ('one')", [])
            })
            .await;
        assert!(matches!(twice, Err(StoreError::Sqlite(_))), "{twice:?}");
        add(&unit, "two").await.unwrap();
        unit.finish(OUTER, true, insert("outer")).await.unwrap();
        assert_eq!(rows(&store), "one two outer");
    });
}

#[test]
fn a_panic_in_a_part_undoes_it_alone_and_goes_on() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        for finished in [false, true] {
            let unit = unit.clone();
            let work = async move {
                let f = |db: &rusqlite::Connection| -> rusqlite::Result<()> {
                    db.execute("INSERT INTO t VALUES ('half')", [])?;
                    panic!("planned");
                };
                match finished {
                    false => unit.execute(f).await,
                    true => unit.finish(INNER, true, f).await,
                }
            };
            let panicked = std::thread::spawn(|| block_on(work)).join();
            assert!(panicked.is_err());
        }
        // A block's own part panicked: nothing of the call can be committed any more, but the failure can be recorded.
        let lost = unit.finish(OUTER, true, insert("outer: done")).await;
        assert!(matches!(lost, Err(StoreError::RolledBack)), "{lost:?}");
        unit.finish(OUTER, false, insert("outer: failed"))
            .await
            .unwrap();
        assert_eq!(rows(&store), "outer: failed");
        let direct = store.clone();
        let panicked = std::thread::spawn(move || {
            block_on(direct.write(|db| -> rusqlite::Result<()> {
                db.execute("INSERT INTO t VALUES ('half')", [])?;
                panic!("planned")
            }))
        })
        .join();
        assert!(panicked.is_err());
        store.write(insert("goes on")).await.unwrap();
        assert_eq!(rows(&store), "outer: failed goes on");
    });
}

#[test]
fn when_a_blocks_record_fails_nothing_of_the_call_is_committed() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        store.write(insert("taken")).await.unwrap();
        let facts = Facts::default();
        store.join(&facts, OUTER);
        let unit = store.join(&facts, INNER);
        add(&unit, "handler").await.unwrap();
        let failed = unit.finish(INNER, true, insert("taken")).await;
        assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
        let outer = unit.finish(OUTER, true, insert("outer: done")).await;
        assert!(matches!(outer, Err(StoreError::RolledBack)), "{outer:?}");
        unit.finish(OUTER, false, insert("outer: failed"))
            .await
            .unwrap();
        assert_eq!(rows(&store), "taken outer: failed");
    });
}

#[test]
fn a_dropped_call_is_rolled_back_and_frees_the_store() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        let busy = store.write(insert("other")).await;
        assert!(
            matches!(
                busy,
                Err(StoreError::Busy {
                    with: BusyWith::ThisProcess,
                    ..
                })
            ),
            "{busy:?}"
        );
        assert!(busy.unwrap_err().retryable());
        drop((unit, facts));
        store.write(insert("other")).await.unwrap();
        assert_eq!(rows(&store), "other");
    });
}

#[test]
fn an_abandoned_call_is_rolled_back_though_a_task_outlives_it() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let outlives = store.join(&facts, OUTER);
        add(&outlives, "one").await.unwrap();
        store.unit(&facts).abandon();
        store.write(insert("other")).await.unwrap();
        assert!(matches!(
            add(&outlives, "two").await,
            Err(StoreError::Finished)
        ));
        let finish = outlives.finish(OUTER, true, insert("outer")).await;
        assert!(matches!(finish, Err(StoreError::Finished)));
        assert_eq!(rows(&store), "other");
    });
}

#[test]
fn a_call_abandoned_while_it_works_is_rolled_back_when_the_work_ends() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    let facts = Facts::default();
    let unit = store.join(&facts, OUTER);
    let (began, begun) = std::sync::mpsc::channel();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let working = {
        let unit = unit.clone();
        std::thread::spawn(move || {
            block_on(unit.execute(move |db| {
                db.execute("INSERT INTO t VALUES ('one')", [])?;
                began.send(()).unwrap();
                gone.recv().unwrap();
                Ok(())
            }))
        })
    };
    begun.recv().unwrap();
    unit.abandon();
    go.send(()).unwrap();
    working.join().unwrap().unwrap();
    block_on(store.write(insert("other"))).unwrap();
    assert_eq!(rows(&store), "other");
}

#[test]
fn a_part_dropped_half_way_lets_the_call_no_longer_succeed() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        let mut part = Box::pin(unit.execute_long(|db| {
            std::thread::sleep(Duration::from_millis(50));
            db.execute("INSERT INTO t VALUES ('two')", [])
        }));
        assert!(poll_once(&mut part).await.is_none());
        drop(part);
        assert!(matches!(
            add(&unit, "three").await,
            Err(StoreError::RolledBack)
        ));
        let lost = unit.finish(OUTER, true, insert("outer: done")).await;
        assert!(matches!(lost, Err(StoreError::RolledBack)), "{lost:?}");
        unit.finish(OUTER, false, insert("outer: failed"))
            .await
            .unwrap();
        assert_eq!(rows(&store), "outer: failed");
    });
}

#[test]
fn the_first_part_dropped_loses_nothing() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        // It has not ended when it is dropped.
        let (dropped, gone) = std::sync::mpsc::channel::<()>();
        let mut part = Box::pin(unit.execute_long(move |db| {
            let _ = gone.recv();
            db.execute("INSERT INTO t VALUES ('one')", [])
        }));
        assert!(poll_once(&mut part).await.is_none());
        drop(part);
        drop(dropped);
        add(&unit, "two").await.unwrap();
        unit.finish(OUTER, true, insert("outer")).await.unwrap();
        assert_eq!(rows(&store), "two outer");
    });
}

#[test]
fn a_part_that_commits_behind_our_back_is_found_out() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        let sly = unit.execute(|db| db.execute_batch("COMMIT")).await;
        assert!(matches!(sly, Err(StoreError::RolledBack)), "{sly:?}");
        let finish = unit.finish(OUTER, true, insert("outer")).await;
        assert!(finish.is_err());
    });
}

#[test]
fn a_unit_reads_what_it_wrote_and_others_do_not() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    let count = |db: &rusqlite::Connection| {
        db.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0))
    };
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        assert_eq!(unit.read(count).await.unwrap(), 0);
        // Reading has not begun to write.
        store.write(insert("other")).await.unwrap();
        add(&unit, "one").await.unwrap();
        assert_eq!(unit.read(count).await.unwrap(), 2);
        assert_eq!(store.read(count).await.unwrap(), 1);
        assert!(
            store
                .read(|db| db.execute("DELETE FROM t", []))
                .await
                .is_err()
        );
    });
}

#[test]
fn units_of_two_stores_are_two() {
    let (one, two) = (Scratch::new("units"), Scratch::new("units"));
    let (one, two) = (store(&one), store(&two));
    block_on(async {
        let facts = Facts::default();
        one.join(&facts, OUTER);
        two.join(&facts, INNER);
        add(&one.unit(&facts), "one").await.unwrap();
        add(&two.unit(&facts), "two").await.unwrap();
        two.unit(&facts)
            .finish(INNER, true, insert("inner"))
            .await
            .unwrap();
        assert_eq!(
            (rows(&one), rows(&two)),
            (String::new(), "two inner".into())
        );
        one.unit(&facts)
            .finish(OUTER, true, insert("outer"))
            .await
            .unwrap();
        assert_eq!(rows(&one), "one outer");
    });
}

#[test]
fn parts_that_run_at_once_are_one_after_the_other() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    let facts = Arc::new(Facts::default());
    let unit = store.join(&facts, OUTER);
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let unit = unit.clone();
            std::thread::spawn(move || {
                block_on(async {
                    for i in 0..10 {
                        let x = format!("{thread}-{i}");
                        unit.execute(move |db| db.execute("INSERT INTO t VALUES (?1)", [x]))
                            .await
                            .unwrap();
                        yield_now().await;
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    block_on(unit.finish(OUTER, true, insert("outer"))).unwrap();
    assert_eq!(rows(&store).split(' ').count(), 81);
}

#[test]
fn waiting_writers_get_their_turn_and_wait_without_a_thread() {
    let scratch = Scratch::new("units");
    let store = Store::builder()
        .wait(Duration::from_secs(30))
        .open(scratch.file())
        .unwrap();
    store
        .migrate("test", &["CREATE TABLE t (x TEXT NOT NULL UNIQUE)"])
        .unwrap();
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "first").await.unwrap();
        // More than the pool has threads: were each of them to hold one, the unit could not go on.
        let mut waiting: Vec<_> = (0..1_000)
            .map(|i| {
                let x = i.to_string();
                Box::pin(store.write(move |db| db.execute("INSERT INTO t VALUES (?1)", [x])))
            })
            .collect();
        for write in &mut waiting {
            assert!(poll_once(write).await.is_none());
        }
        unit.finish(OUTER, true, insert("outer")).await.unwrap();
        for write in waiting.iter_mut().take(20) {
            write.await.unwrap();
        }
        drop(waiting);
        assert!(rows(&store).starts_with("first outer 0 1 2 "));
    });
}

#[test]
fn a_read_that_nobody_waits_for_ends() {
    let scratch = Scratch::new("units");
    let store = Store::builder().readers(1).open(scratch.file()).unwrap();
    block_on(async {
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let mut read = Box::pin(store.read(move |db| db.query_row(endless, [], |_| Ok(()))));
        for _ in 0..100 {
            assert!(poll_once(&mut read).await.is_none());
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(read);
        // The only seat is free again.
        store
            .read(|db| db.query_row("SELECT 1", [], |_| Ok(())))
            .await
            .unwrap();
    });
}

#[test]
fn a_store_in_memory_waits_for_the_unit_that_is_open() {
    let store = Store::builder()
        .wait(Duration::from_millis(100))
        .in_memory()
        .unwrap();
    store.migrate("test", &["CREATE TABLE t (x TEXT)"]).unwrap();
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        let read = store.read(|_| Ok(())).await;
        assert!(matches!(read, Err(StoreError::Busy { .. })));
        unit.finish(OUTER, true, insert("two")).await.unwrap();
        assert_eq!(rows(&store), "one two");
    });
}

#[test]
fn a_detached_write_waits_for_its_turn() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    let (done, is_done) = std::sync::mpsc::channel();
    block_on(async {
        let facts = Facts::default();
        let unit = store.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        store.write_detached(insert("detached"), move |result| {
            done.send(result.is_ok()).unwrap()
        });
        unit.finish(OUTER, true, insert("outer")).await.unwrap();
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(true));
    assert_eq!(rows(&store), "one outer detached");
}

#[test]
fn detached_writes_leave_threads_to_whoever_has_the_turn() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    let (done, is_done) = std::sync::mpsc::channel();
    let (finished, is_finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        block_on(async {
            let facts = Facts::default();
            let unit = store.join(&facts, OUTER);
            add(&unit, "one").await.unwrap();
            // More than there are threads for blocking work, as when a client leaves that had many calls open.
            for _ in 0..600 {
                let done = done.clone();
                store.write_detached(|_| Ok(()), move |result| done.send(result.is_ok()).unwrap());
            }
            let result = unit.finish(OUTER, true, insert("outer")).await;
            finished.send((result, store)).unwrap();
        });
    });
    let (result, store) = is_finished.recv_timeout(Duration::from_secs(20)).unwrap();
    result.unwrap();
    for _ in 0..600 {
        assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(true));
    }
    assert_eq!(rows(&store), "one outer");
}

#[test]
fn a_detached_write_that_panics_does_not_hold_up_the_next() {
    let scratch = Scratch::new("units");
    let store = store(&scratch);
    let (done, is_done) = std::sync::mpsc::channel();
    store.write_detached(
        |_| -> rusqlite::Result<()> { panic!("in a detached write") },
        |_| {},
    );
    store.write_detached(insert("next"), move |result| {
        done.send(result.is_ok()).unwrap()
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(true));
    assert_eq!(rows(&store), "next");
}

#[test]
fn who_waits_for_another_connection_holds_no_thread_of_the_caller() {
    let scratch = Scratch::new("units");
    let (one, other) = (store(&scratch), store(&scratch));
    let (facts, others) = (Facts::default(), Facts::default());
    block_on(async {
        let unit = one.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        let waiting = other.join(&others, OUTER);
        // Both on this thread: were it held, the first could not finish.
        let (added, finished) = zip(add(&waiting, "other"), async {
            unit.finish(OUTER, true, |_| Ok(())).await
        })
        .await;
        added.unwrap();
        finished.unwrap();
        waiting.finish(OUTER, true, |_| Ok(())).await.unwrap();
    });
    assert_eq!(rows(&one), "one other");
}

/// Fails once, as it is told of the first transaction.
struct Failing(std::sync::atomic::AtomicBool);

impl mcp_ext_store::Probe for Failing {
    fn at(&self, point: mcp_ext_store::Point<'_>) {
        let begun = point == mcp_ext_store::Point::Begun;
        assert!(!begun || self.0.swap(true, std::sync::atomic::Ordering::SeqCst));
    }
}

#[test]
fn a_probe_that_panics_leaves_no_transaction_open() {
    let scratch = Scratch::new("units");
    let plain = store(&scratch);
    let probed = Store::builder()
        .probe(Failing(false.into()))
        .open(scratch.file())
        .unwrap();
    let failed = probed.clone();
    let panicked =
        std::thread::spawn(move || block_on(add(&failed.join(&Facts::default(), OUTER), "one")));
    assert!(panicked.join().is_err());
    block_on(plain.write(insert("two"))).unwrap();
    block_on(probed.write(insert("three"))).unwrap();
    assert_eq!(rows(&plain), "two three");
}

#[test]
fn in_place_all_but_what_is_long_runs_where_it_is_asked_for() {
    let here = std::thread::current().id();
    let place = || move |_: &rusqlite::Connection| Ok(std::thread::current().id() == here);
    for in_place in [false, true] {
        let scratch = Scratch::new("units");
        store(&scratch);
        let builder = Store::builder();
        let store = match in_place {
            true => builder.commit_in_place(),
            false => builder,
        };
        let store = store.open(scratch.file()).unwrap();
        block_on(async {
            assert_eq!(store.write(place()).await.unwrap(), in_place);
            let facts = Facts::default();
            let unit = store.join(&facts, OUTER);
            assert!(!unit.execute_long(place()).await.unwrap());
            assert!(unit.execute(place()).await.unwrap());
            assert_eq!(unit.finish(OUTER, true, place()).await.unwrap(), in_place);
            store.write(insert("one")).await.unwrap();
            let failed = store.write(|db| {
                db.execute("INSERT INTO t VALUES ('two')", [])?;
                db.execute("INSERT INTO t VALUES ('one')", [])
            });
            assert!(failed.await.is_err());
            assert_eq!(rows(&store), "one");
        });
    }
}

#[test]
fn in_place_who_waits_for_another_connection_holds_no_thread_of_the_caller() {
    let scratch = Scratch::new("units");
    let one = store(&scratch);
    let other = Store::builder().commit_in_place();
    let other = other.open(scratch.file()).unwrap();
    let facts = Facts::default();
    block_on(async {
        let unit = one.join(&facts, OUTER);
        add(&unit, "one").await.unwrap();
        // Both on this thread: were it held, the first could not finish.
        let (written, finished) = zip(other.write(insert("other")), async {
            unit.finish(OUTER, true, |_| Ok(())).await
        })
        .await;
        written.unwrap();
        finished.unwrap();
    });
    assert_eq!(rows(&one), "one other");
}

#[test]
fn calls_that_fail_leave_their_records_alone_whoever_else_writes() {
    let scratch = Scratch::new("units");
    store(&scratch);
    std::thread::scope(|scope| {
        for who in ["a", "b"] {
            // A connection of its own, as another process has.
            let store = Store::open(scratch.file()).unwrap();
            scope.spawn(move || {
                for i in 0..40 {
                    let facts = Facts::default();
                    let unit = store.join(&facts, OUTER);
                    let (effect, record) = (format!("{who} did {i}"), format!("{who} record {i}"));
                    let insert = |x: String| {
                        move |db: &rusqlite::Connection| {
                            db.execute("INSERT INTO t VALUES (?1)", [x])
                        }
                    };
                    block_on(async {
                        unit.execute(insert(effect)).await.unwrap();
                        unit.finish(OUTER, i % 2 == 0, insert(record))
                            .await
                            .unwrap();
                    });
                }
            });
        }
    });
    let counted = store(&scratch).read_blocking(|db| {
        db.query_row(
            "SELECT sum(x LIKE '% did %'), sum(x LIKE '% record %') FROM t",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    });
    assert_eq!(counted.unwrap(), (40, 80));
}
