//! A confirmation commits at most once: under random concurrent use, dropped calls, several processes, and processes that
//! die by SIGKILL at every point around every write.
#![cfg(unix)]
#![allow(missing_docs)]

mod common;

use std::future::{Future, poll_fn};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use common::{Ask, Rig, START, accept, kind, state_of};
use futures_lite::future::block_on;
use mcp_ext_store::{ManualClock, Point, Probe, Store};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!(
            "mcp-ext-confirm-{name}-{}-{number}",
            std::process::id()
        ));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Effects that cannot be rolled back.
    fn effects(&self) -> usize {
        let text = std::fs::read_to_string(self.0.join("effects")).unwrap_or_default();
        text.lines().count()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counts points, and ends the process at one.
#[derive(Clone, Default)]
struct Fatal {
    armed: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    die_at: Option<usize>,
}

impl Fatal {
    fn at_point(&self, name: &str) {
        if !self.armed.load(Ordering::SeqCst) {
            return;
        }
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if self.die_at == Some(number) {
            let me = rustix::process::getpid();
            rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
            // The signal ends all threads; this one must not go on meanwhile.
            loop {
                std::thread::park();
            }
        }
        println!("@point {name}");
    }
}

impl Probe for Fatal {
    fn at(&self, point: Point<'_>) {
        self.at_point(&point.to_string());
    }
}

fn open(directory: &Path, fatal: Fatal) -> Rig {
    let clock = ManualClock::at(START);
    let store = Store::builder()
        .clock(clock.clone())
        .wait(Duration::from_secs(30))
        .probe(fatal.clone())
        .open(directory.join("store.db"))
        .unwrap();
    let outside = Some(directory.join("effects"));
    Rig::build(
        store,
        clock,
        |confirm| confirm,
        move |name| fatal.at_point(name),
        outside,
    )
}

/// A confirmed call: the tool, its arguments, and what confirms it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Confirmed {
    tool: String,
    params: Value,
    /// Of a form; else the token is among the params.
    state: Option<String>,
}

impl Confirmed {
    fn ask(&self) -> Ask<'_> {
        let ask = Ask::tool(&self.tool, self.params.clone());
        match &self.state {
            Some(state) => ask.form().back(state, accept()),
            None => ask,
        }
    }
}

/// Confirms calls as a user would.
fn confirmed(rig: &Rig, tool: &str, params: &Value, form: bool) -> Confirmed {
    let ask = Ask::tool(tool, params.clone());
    let mut confirmed = Confirmed {
        tool: tool.to_owned(),
        params: params.clone(),
        state: None,
    };
    if form {
        confirmed.state = Some(state_of(&block_on(rig.ask(ask.form())).unwrap()));
    } else {
        let refused = block_on(rig.ask(ask)).unwrap();
        confirmed.params["confirmationToken"] = json!(common::token_of(&refused));
    }
    confirmed
}

// ---- threads -----------------------------------------------------------------------------------------------------

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

fn holds(threads: &[Vec<(usize, Option<usize>)>]) -> Result<(), TestCaseError> {
    let directory = Directory::new("threads");
    // Two stores on one file, as two processes have them.
    let rigs = [0, 1].map(|_| open(&directory.0, Fatal::default()));
    let calls: Vec<Confirmed> = (0..3)
        .map(|i| {
            confirmed(
                &rigs[i % 2],
                "release_grades",
                &json!({ "course": format!("course {i}") }),
                i == 2,
            )
        })
        .collect();
    let answers: Mutex<Vec<(usize, Option<String>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for (i, uses) in threads.iter().enumerate() {
            let (rig, calls, answers) = (&rigs[i % 2], &calls, &answers);
            scope.spawn(move || {
                for (call, drop_at) in uses {
                    let answer = block_on(dropped_at(rig.ask(calls[*call].ask()), *drop_at));
                    let kind = answer.map(|answer| kind(&answer.unwrap()).to_owned());
                    answers.lock().unwrap().push((*call, kind));
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    let effects = std::fs::read_to_string(directory.0.join("effects")).unwrap_or_default();
    for call in 0..calls.len() {
        let of = |kind: Option<&str>| {
            answers
                .iter()
                .filter(|(c, k)| *c == call && k.as_deref() == kind)
                .count()
        };
        let (ok, used, dropped) = (of(Some("ok")), of(Some("confirmation_used")), of(None));
        let done = effects
            .lines()
            .filter(|line| *line == format!("course {call}"))
            .count();
        prop_assert!(ok <= 1 && done <= 1, "{ok} answers, {done} effects");
        prop_assert!(done >= ok);
        // Someone is refused only when someone else used it.
        prop_assert!(used == 0 || ok + dropped > 0);
        prop_assert_eq!(
            ok + used + dropped,
            answers.iter().filter(|(c, _)| *c == call).count()
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_confirmation_commits_at_most_once(
        threads in prop::collection::vec(
            prop::collection::vec((0..3usize, prop::option::weighted(0.4, 1..10usize)), 1..4),
            2..5,
        )
    ) {
        holds(&threads)?;
    }
}

// ---- processes ---------------------------------------------------------------------------------------------------

/// Told to a child in its environment.
const TASK: &str = "MCP_EXT_CONFIRM_CHILD";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Task {
    directory: PathBuf,
    /// Dies at this point, counted from 1.
    die_at: Option<usize>,
    /// Waits for a line before it begins.
    wait: bool,
    calls: Vec<Confirmed>,
}

/// What a child runs. As a test of its own it does nothing.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let task: Task = serde_json::from_str(&task).unwrap();
    let fatal = Fatal {
        die_at: task.die_at,
        ..Fatal::default()
    };
    let rig = open(&task.directory, fatal.clone());
    if task.wait {
        println!("@ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
    }
    fatal.armed.store(!task.wait, Ordering::SeqCst);
    for call in &task.calls {
        let answer = block_on(rig.ask(call.ask())).unwrap();
        println!("@answer {}", kind(&answer));
    }
}

fn spawn(task: &Task) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(TASK, serde_json::to_string(task).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Points, answers, and whether the child was killed.
fn run(task: &Task) -> (Vec<String>, Vec<String>, bool) {
    let output = spawn(task).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = |mark: &str| {
        text.lines()
            .filter_map(|line| Some(line.split_once(mark)?.1.to_owned()))
            .collect::<Vec<_>>()
    };
    let killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
    (lines("@point "), lines("@answer "), killed)
}

#[test]
fn killed_at_every_point_a_confirmation_still_commits_at_most_once() {
    let mut deaths = 0;
    for (tool, params) in [
        ("release_grades", json!({"course": "maths"})),
        ("release_grades", json!({"course": "none"})),
        (
            "erase_course",
            json!({"course": "maths", "idempotencyKey": "k"}),
        ),
    ] {
        for form in [false, true] {
            let task = |directory: &Directory, die_at| {
                let rig = open(&directory.0, Fatal::default());
                Task {
                    directory: directory.0.clone(),
                    die_at,
                    wait: false,
                    calls: vec![confirmed(&rig, tool, &params, form)],
                }
            };
            let whole = Directory::new("whole");
            let (points, answers, _) = run(&task(&whole, None));
            let expected = if params["course"] == "none" {
                "unknown_course"
            } else {
                "ok"
            };
            assert_eq!(answers, [expected]);
            assert!(
                points.contains(&"inserted into confirm_used".to_owned()),
                "{points:?}"
            );
            assert!(points.len() >= 6, "{points:?}");
            for die_at in 1..=points.len() {
                let place = format!("{tool} {params} {form} {die_at}: {}", points[die_at - 1]);
                let directory = Directory::new("killed");
                let task = task(&directory, Some(die_at));
                let (_, answers, killed) = run(&task);
                assert!(killed && answers.is_empty(), "{place}");
                deaths += 1;
                let before = directory.effects();
                let rig = open(&directory.0, Fatal::default());
                let used = rig.count("confirm_used");
                // An effect without a used confirmation cannot be.
                assert!(used == 1 || before == 0, "{place}");
                // The reservation of a key that the dead process held: after its lease.
                rig.clock.advance(75_000);
                let again = block_on(rig.ask(task.calls[0].ask())).unwrap();
                let third = block_on(rig.ask(task.calls[0].ask())).unwrap();
                assert!(directory.effects() <= 1, "{place}: {again}");
                match (used, tool) {
                    // It was not used: it works, once.
                    (0, _) => assert_eq!(kind(&again), expected, "{place}"),
                    (_, "release_grades") => {
                        assert_eq!(kind(&again), "confirmation_used", "{place}")
                    }
                    // With a key: the answer if there is one, and else it is used.
                    _ => assert!(
                        ["ok", "confirmation_used"].contains(&kind(&again)),
                        "{place}"
                    ),
                }
                let replayed = third["structuredContent"]["idempotency"]["replayed"] == true;
                assert!(
                    replayed || kind(&third) == "confirmation_used",
                    "{place}: {third}"
                );
                // What is in the store was committed once or not at all, and the user can confirm anew.
                assert!(rig.count("releases") <= 1, "{place}");
                let mut fresh = params.clone();
                fresh["idempotencyKey"] = json!("another");
                if tool == "release_grades" {
                    fresh = params.clone();
                }
                let fresh = confirmed(&rig, tool, &fresh, form);
                assert_eq!(
                    kind(&block_on(rig.ask(fresh.ask())).unwrap()),
                    expected,
                    "{place}"
                );
            }
        }
    }
    eprintln!("{deaths} deaths");
}

#[test]
fn of_several_processes_one_gets_through() {
    for round in 0..8 {
        let directory = Directory::new("race");
        let rig = open(&directory.0, Fatal::default());
        let calls: Vec<Confirmed> = (0..4)
            .map(|i| {
                let params = json!({ "course": format!("course {i}") });
                confirmed(&rig, "release_grades", &params, i % 2 == 0)
            })
            .collect();
        let mut children: Vec<Child> = (0..3)
            .map(|_| {
                spawn(&Task {
                    directory: directory.0.clone(),
                    die_at: None,
                    wait: true,
                    calls: calls.clone(),
                })
            })
            .collect();
        let readers: Vec<_> = children
            .iter_mut()
            .map(|child| {
                let mut reader = BufReader::new(child.stdout.take().unwrap());
                let mut line = String::new();
                while !line.contains("@ready") {
                    line.clear();
                    assert!(reader.read_line(&mut line).unwrap() > 0, "the child ended");
                }
                reader
            })
            .collect();
        for child in &mut children {
            use std::io::Write as _;
            child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        }
        // In half of the rounds one of them dies.
        if round % 2 == 1 {
            std::thread::sleep(Duration::from_micros(300 + round * 700));
            children[0].kill().unwrap();
        }
        let mut through = vec![0; calls.len()];
        for reader in readers {
            let answers = reader
                .lines()
                .map_while(Result::ok)
                .filter_map(|line| Some(line.split_once("@answer ")?.1.to_owned()));
            for (i, answer) in answers.enumerate() {
                match answer.as_str() {
                    "ok" => through[i] += 1,
                    "confirmation_used" => {}
                    other => panic!("{other}"),
                }
            }
        }
        for child in &mut children {
            child.wait().unwrap();
        }
        let effects = std::fs::read_to_string(directory.0.join("effects")).unwrap_or_default();
        for (i, through) in through.iter().enumerate() {
            let done = effects
                .lines()
                .filter(|l| *l == format!("course {i}"))
                .count();
            assert!(
                done <= 1 && *through <= done,
                "{round} {i}: {done} effects, {through} answers"
            );
            // Who died may have used it up without an effect; nobody else may.
            assert!(round % 2 == 1 || (done, *through) == (1, 1), "{round} {i}");
        }
    }
}
