//! Random calls of several threads, through two stores on one file as two processes have them, dropped at random moments:
//! every history is one that the sequential model admits, and nothing takes effect twice.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::model::{Op, Response, Rules, admits, admits_by};
use common::{Rig, START, response};
use futures_lite::future::block_on;
use mcp_ext_store::{ManualClock, Store};
use proptest::prelude::*;
use serde_json::json;

/// One call of a thread.
#[derive(Clone, Copy, Debug)]
struct Plan {
    key: usize,
    args: usize,
    letter: bool,
    /// Dropped when it is polled so many times.
    drop_at: Option<usize>,
    /// Before it the clock is moved, so that every lease is over.
    leases_end: bool,
}

fn plans() -> impl Strategy<Value = Vec<Vec<Plan>>> {
    let plan = |leases: f64| {
        let drop_at = prop::option::weighted(0.4, 1..14usize);
        let leases_end = prop::bool::weighted(leases);
        (0..5usize, 0..10usize, 0..3usize, drop_at, leases_end).prop_map(
            |(key, args, letter, drop_at, leases_end)| Plan {
                // Mostly the same call.
                key: usize::from(key == 0),
                args: usize::from(args == 0),
                letter: letter == 0,
                drop_at,
                leases_end,
            },
        )
    };
    let threads =
        move |leases| prop::collection::vec(prop::collection::vec(plan(leases), 1..5), 2..5);
    prop_oneof![threads(0.0), threads(0.3)]
}

/// `None` when the future is dropped before its end.
async fn dropped_at<F: Future>(future: F, polls: Option<usize>) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == Some(0) {
            return Poll::Ready(None);
        }
        left = left.map(|n| n - 1);
        future.as_mut().poll(cx).map(Some)
    })
    .await
}

type Histories = BTreeMap<(bool, usize), Vec<Op>>;

struct Recorder {
    time: AtomicU64,
    histories: Mutex<Histories>,
}

impl Recorder {
    fn run(&self, rig: &Rig, plan: Plan) {
        if plan.leases_end {
            rig.clock.advance(75_000);
        }
        let what = format!("{}-{}", plan.key, plan.args);
        let tool = if plan.letter {
            "send_letter"
        } else {
            "place_order"
        };
        let arguments = json!({"idempotencyKey": format!("key-{}", plan.key), "what": what});
        let began = self.time.fetch_add(1, Ordering::SeqCst);
        let answer = block_on(dropped_at(rig.tool(tool, arguments), plan.drop_at));
        let ended = self.time.fetch_add(1, Ordering::SeqCst);
        let op = Op {
            args: plan.args,
            began,
            ended,
            response: answer.as_ref().map_or(Response::Dropped, response),
        };
        let mut histories = self.histories.lock().unwrap();
        histories
            .entry((plan.letter, plan.key))
            .or_default()
            .push(op);
    }
}

static CASES: AtomicUsize = AtomicUsize::new(0);

fn holds(threads: Vec<Vec<Plan>>) -> Result<(), TestCaseError> {
    let leases_end = threads.iter().flatten().any(|plan| plan.leases_end);
    let number = CASES.fetch_add(1, Ordering::SeqCst);
    let file = std::env::temp_dir().join(format!(
        "mcp-ext-histories-{}-{number}.db",
        std::process::id()
    ));
    let clock = ManualClock::at(START);
    let rigs = [0, 1].map(|_| {
        let store = Store::builder().clock(clock.clone()).open(&file).unwrap();
        Rig::on(store, clock.clone(), |block| block)
    });
    let recorder = Recorder {
        time: AtomicU64::new(0),
        histories: Mutex::default(),
    };
    let together = std::sync::Barrier::new(threads.len());
    std::thread::scope(|scope| {
        for (i, plans) in threads.into_iter().enumerate() {
            let (rig, recorder, together) = (&rigs[i % 2], &recorder, &together);
            scope.spawn(move || {
                together.wait();
                plans.into_iter().for_each(|plan| recorder.run(rig, plan));
            });
        }
    });
    // What was dropped is given up behind everyone's back.
    std::thread::sleep(Duration::from_millis(30));
    for letter in [false, true] {
        for key in 0..2 {
            let plan = Plan {
                key,
                args: 0,
                letter,
                drop_at: None,
                leases_end: false,
            };
            recorder.run(&rigs[0], plan);
        }
    }
    for ((letter, key), history) in &*recorder.histories.lock().unwrap() {
        let rules = Rules {
            rerun: !letter,
            leases_end,
        };
        prop_assert!(admits_by(history, rules), "{letter} {key}: {history:#?}");
        if *letter {
            let sent: usize = rigs
                .iter()
                .flat_map(|rig| rig.shop.letters.lock().unwrap().clone())
                .filter(|(what, _)| what.starts_with(&format!("{key}-")))
                .map(|(_, times)| times)
                .sum();
            let free = history
                .iter()
                .filter(|op| op.response == Response::Dropped)
                .count();
            // A call that was dropped before it entered the handler gave the key back; each other one entered once.
            prop_assert!(sent <= 1, "key {key}: {sent} letters, {free} dropped");
        }
    }
    let orders: Vec<(String, i64)> = rigs[0]
        .store
        .read_blocking(|db| {
            db.prepare("SELECT what, count(*) FROM orders GROUP BY what")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .unwrap();
    // At most one of each item.
    for key in 0..2 {
        let of_key = orders
            .iter()
            .filter(|(what, _)| what.starts_with(&format!("{key}-")));
        let count: i64 = of_key.map(|(_, n)| n).sum();
        prop_assert!(count <= 2, "{orders:?}");
        let numbers: std::collections::BTreeSet<(bool, i64)> = recorder
            .histories
            .lock()
            .unwrap()
            .iter()
            .filter(|((_, k), _)| *k == key)
            .flat_map(|((letter, _), ops)| {
                ops.iter().filter_map(|op| match op.response {
                    Response::Ran(n) | Response::Replayed(n) => Some((*letter, n)),
                    _ => None,
                })
            })
            .collect();
        prop_assert!(numbers.len() as i64 <= count, "{numbers:?} {orders:?}");
    }
    drop(rigs);
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", file.display()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn every_history_is_one_the_sequential_model_admits(threads in plans()) {
        holds(threads)?;
    }
}

/// The model itself can say no.
#[test]
fn the_model_admits_and_refuses() {
    let op = |args, began, ended, response| Op {
        args,
        began,
        ended,
        response,
    };
    use Response::{Conflict, Dropped, InProgress, Killed, Ran, Replayed, Superseded, Unknown};
    let yes = |history: &[Op]| assert!(admits(history, false), "{history:?}");
    let no = |history: &[Op]| assert!(!admits(history, false), "{history:?}");
    yes(&[
        op(0, 1, 2, Ran(1)),
        op(0, 3, 4, Replayed(1)),
        op(1, 5, 6, Conflict),
    ]);
    yes(&[
        op(0, 1, 6, Ran(1)),
        op(0, 2, 3, InProgress),
        op(1, 4, 5, Conflict),
    ]);
    yes(&[op(0, 1, 9, Replayed(1)), op(0, 2, 3, Ran(1))]);
    // Run twice, one after the other or at once.
    no(&[op(0, 1, 2, Ran(1)), op(0, 3, 4, Ran(2))]);
    no(&[op(0, 1, 4, Ran(1)), op(0, 2, 3, Ran(2))]);
    // An answer before there was one, another number, an answer that goes back in time.
    no(&[op(0, 1, 2, Replayed(1)), op(0, 3, 4, Ran(1))]);
    no(&[op(0, 1, 2, Ran(1)), op(0, 3, 4, Replayed(2))]);
    no(&[op(0, 1, 2, Ran(1)), op(0, 3, 4, InProgress)]);
    no(&[op(0, 1, 2, Ran(1)), op(1, 3, 4, Replayed(1))]);
    no(&[op(0, 1, 2, Ran(1)), op(0, 3, 4, Conflict)]);
    no(&[op(0, 1, 2, InProgress), op(0, 3, 4, Ran(1))]);
    no(&[op(0, 1, 2, Ran(1)), op(0, 3, 4, Unknown)]);
    // Lost calls: done, free again, or unknown.
    yes(&[
        op(0, 1, 0, Dropped),
        op(0, 3, 4, Replayed(7)),
        op(0, 5, 6, Replayed(7)),
    ]);
    no(&[
        op(0, 1, 0, Dropped),
        op(0, 3, 4, Replayed(7)),
        op(0, 5, 6, Replayed(8)),
    ]);
    yes(&[op(0, 1, 0, Dropped), op(0, 3, 4, Unknown)]);
    yes(&[op(0, 1, 0, Dropped), op(1, 3, 4, Ran(1))]);
    no(&[
        op(0, 1, 0, Dropped),
        op(0, 3, 4, Unknown),
        op(0, 5, 6, Ran(1)),
    ]);
    yes(&[op(0, 1, 0, Killed), op(0, 3, 4, InProgress)]);
    no(&[op(0, 1, 0, Killed), op(0, 3, 4, Unknown)]);
    no(&[
        op(0, 1, 0, Killed),
        op(0, 3, 4, InProgress),
        op(0, 5, 6, Ran(1)),
    ]);
    assert!(!admits(&[op(0, 1, 0, Dropped), op(0, 3, 4, Unknown)], true));
    // Where leases end: taken over, and the first is told so; never both.
    let by = |rerun, history: &[Op]| {
        let leases_end = true;
        admits_by(history, Rules { rerun, leases_end })
    };
    let (first, late) = (op(0, 1, 9, Superseded), op(0, 4, 5, Replayed(1)));
    assert!(by(true, &[first, op(0, 2, 3, Ran(1)), late]));
    assert!(!by(true, &[op(0, 1, 9, Ran(1)), op(0, 2, 3, Ran(2))]));
    assert!(!by(true, &[op(0, 1, 2, Superseded), op(0, 3, 4, Ran(1))]));
    assert!(!by(false, &[first, op(0, 2, 3, Ran(1))]));
    let later = op(0, 10, 11, Replayed(1));
    assert!(by(
        false,
        &[op(0, 1, 9, Ran(1)), op(0, 2, 3, Unknown), later]
    ));
    assert!(!by(false, &[op(0, 1, 2, Ran(1)), op(0, 3, 4, Unknown)]));
}
