//! Processes that die by SIGKILL: at every point around every write of every transaction, and at random under load; and
//! processes that share a store.
#![cfg(unix)]
#![allow(missing_docs)]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::model::{Op, Response, admits};
use common::{Outside, Rig, START, ann, call, kind, response};
use futures_lite::future::{block_on, poll_once};
use mcp_ext_core::request::Target;
use mcp_ext_store::{ManualClock, Point, Probe, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Told to a child in its environment.
const TASK: &str = "MCP_EXT_IDEMPOTENCY_CHILD";

/// What a child does.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Task {
    directory: PathBuf,
    now: i64,
    journal: bool,
    /// Dies at this point, counted from 1.
    die_at: Option<usize>,
    calls: Vec<(String, Value)>,
    /// Instead of the calls: random ones, from this seed.
    random: Option<u64>,
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
        if self.die_at.is_none() {
            println!("@point {name}");
        }
    }
}

impl Probe for Fatal {
    fn at(&self, point: Point<'_>) {
        self.at_point(&point.to_string());
    }
}

fn open(directory: &Path, now: i64, journal: bool, fatal: Fatal) -> Rig {
    let clock = ManualClock::at(now);
    let store = Store::builder()
        .clock(clock.clone())
        .wait(Duration::from_secs(30))
        .probe(fatal.clone())
        .open(directory.join("store.db"))
        .unwrap();
    let outside = Outside {
        file: directory.join("letters"),
        at: Box::new(move |name| fatal.at_point(name)),
    };
    Rig::build(store, clock, |block| block, Some(outside), journal)
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
    let rig = open(&task.directory, task.now, task.journal, fatal.clone());
    fatal.armed.store(task.random.is_none(), Ordering::SeqCst);
    for (tool, arguments) in task.calls {
        if arguments["what"] == "hang" {
            cancelled(&rig, &tool, arguments);
            continue;
        }
        println!("@answer {}", answer(&rig, &tool, arguments));
    }
    if let Some(seed) = task.random {
        println!("@ready");
        // The parent says go, so that all begin at once.
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        at_random(&rig, seed);
    }
}

/// A call that is dropped in its handler, and time for what is then written behind its back.
fn cancelled(rig: &Rig, tool: &str, arguments: Value) {
    let running = call(&rig.set, Target::Tool(tool), arguments, ann(), false);
    block_on(async {
        let mut running = Box::pin(running);
        while rig.entered() == 0 {
            assert!(poll_once(running.as_mut()).await.is_none());
        }
        for _ in 0..100 {
            assert!(poll_once(running.as_mut()).await.is_none());
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    std::thread::sleep(Duration::from_millis(150));
}

/// An answer, or an error with its kind.
fn answer(rig: &Rig, tool: &str, arguments: Value) -> Value {
    block_on(call(&rig.set, Target::Tool(tool), arguments, ann(), false))
        .unwrap_or_else(|error| json!({"rpc": error.data.unwrap_or_default()["kind"]}))
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

/// What a child printed before its end.
struct Printed {
    points: Vec<String>,
    answers: Vec<Value>,
    killed: bool,
}

fn run(task: &Task) -> Printed {
    let output = spawn(task).wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = |mark: &str| {
        text.lines()
            .filter_map(|line| Some(line.split_once(mark)?.1.to_owned()))
            .collect::<Vec<_>>()
    };
    Printed {
        points: lines("@point "),
        answers: lines("@answer ")
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        killed: std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9),
    }
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!(
            "mcp-ext-idempotency-{name}-{}-{number}",
            std::process::id()
        ));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn letters(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("letters")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is in the store after a restart.
#[derive(Debug, PartialEq)]
struct Found {
    /// 0 in progress, 1 completed, 2 unknown.
    states: Vec<i64>,
    orders: i64,
    journal: Vec<String>,
}

fn look(rig: &Rig, journal: bool) -> Found {
    rig.store
        .read_blocking(|db| {
            Ok(Found {
                states: db
                    .prepare("SELECT state FROM idempotency")?
                    .query_map([], |row| row.get(0))?
                    .collect::<Result<_, _>>()?,
                orders: db.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?,
                journal: if journal {
                    db.prepare("SELECT what FROM journal")?
                        .query_map([], |row| row.get(0))?
                        .collect::<Result<_, _>>()?
                } else {
                    Vec::new()
                },
            })
        })
        .unwrap()
}

/// One call that is killed at every point, and what must hold after the restart.
struct Scene {
    name: &'static str,
    tool: &'static str,
    what: Value,
    /// What a call is answered that was not killed.
    answer: &'static str,
    /// What it is answered when it was begun before, and nothing is known of its end.
    lost: &'static str,
    /// What the outermost block writes.
    journal: &'static str,
    /// Orders it leaves.
    orders: i64,
    /// The state it leaves; none: the key is given back.
    state: Option<i64>,
}

const SCENES: [Scene; 7] = [
    Scene {
        name: "an order",
        tool: "place_order",
        what: Value::Null,
        answer: "ok",
        lost: "ok",
        journal: "ok",
        orders: 1,
        state: Some(1),
    },
    Scene {
        name: "a letter",
        tool: "send_letter",
        what: Value::Null,
        answer: "ok",
        lost: "unknown_outcome",
        journal: "ok",
        orders: 1,
        state: Some(1),
    },
    Scene {
        name: "an order that fails",
        tool: "place_order",
        what: Value::Bool(true),
        answer: "sold_out",
        lost: "sold_out",
        journal: "error",
        orders: 0,
        state: Some(1),
    },
    Scene {
        name: "a letter that fails",
        tool: "send_letter",
        what: Value::Bool(true),
        answer: "sold_out",
        lost: "unknown_outcome",
        journal: "error",
        orders: 0,
        state: Some(1),
    },
    Scene {
        name: "an order that does not fit",
        tool: "place_order",
        what: Value::Bool(false),
        answer: "invalid_params",
        lost: "invalid_params",
        journal: "other",
        orders: 0,
        state: None,
    },
    Scene {
        name: "a letter of unknown fate",
        tool: "send_letter",
        what: Value::String(String::new()),
        answer: "no_answer",
        lost: "unknown_outcome",
        journal: "error",
        orders: 0,
        state: Some(2),
    },
    Scene {
        name: "a letter that does not fit",
        tool: "send_letter",
        what: Value::Bool(false),
        answer: "invalid_params",
        lost: "unknown_outcome",
        journal: "other",
        orders: 0,
        state: None,
    },
];

impl Scene {
    fn arguments(&self) -> Value {
        let what = match &self.what {
            Value::Null => json!("tea"),
            Value::Bool(true) => json!("sold out"),
            Value::Bool(false) => json!(7),
            _ => json!("unknown"),
        };
        json!({"idempotencyKey": "k", "what": what})
    }

    fn task(&self, directory: &Directory, journal: bool, die_at: Option<usize>) -> Task {
        Task {
            directory: directory.0.clone(),
            now: START,
            journal,
            die_at,
            calls: vec![(self.tool.to_owned(), self.arguments())],
            random: None,
        }
    }
}

/// Whether the answer was given before.
fn is_replay(answer: &Value) -> bool {
    let content = &answer["structuredContent"];
    let error = &content["error"]["details"]["idempotency"]["replayed"];
    content["idempotency"]["replayed"] == true || *error == true
}

#[test]
fn killed_at_every_point_of_every_transaction_nothing_is_lost_or_doubled() {
    let mut deaths = 0;
    for scene in &SCENES {
        for journal in [false, true] {
            let whole = Directory::new("whole");
            let printed = run(&scene.task(&whole, journal, None));
            assert_eq!(kind(&printed.answers[0]), scene.answer, "{}", scene.name);
            assert!(printed.points.len() >= 7, "{:?}", printed.points);
            for die_at in 1..=printed.points.len() {
                let directory = Directory::new("killed");
                let died = run(&scene.task(&directory, journal, Some(die_at)));
                let point = &printed.points[die_at - 1];
                let place = format!("{}, journal {journal}, {die_at}: {point}", scene.name);
                assert!(died.killed, "{place}");
                deaths += 1;
                after_a_death(scene, &directory, journal, &place);
            }
        }
    }
    eprintln!("{deaths} deaths");
}

fn after_a_death(scene: &Scene, directory: &Directory, journal: bool, place: &str) {
    // After the lease; the state of an earlier moment is in the other tests.
    let rig = open(&directory.0, START + 75_000, journal, Fatal::default());
    let found = look(&rig, journal);
    let letter = scene.tool == "send_letter";
    let sent = directory.letters().len();
    // Effect, record and journal: all of them, or none.
    let ended = match found.states.as_slice() {
        [] | [0] => false,
        [1 | 2] => true,
        other => panic!("{place}: {other:?}"),
    };
    if scene.state.is_some() {
        assert_eq!(
            found.orders,
            if ended { scene.orders } else { 0 },
            "{place}: {found:?}"
        );
        if journal {
            let expected: &[&str] = if ended { &[scene.journal] } else { &[] };
            assert_eq!(found.journal, expected, "{place}");
        }
    }
    if ended {
        assert_eq!(found.states, [scene.state.unwrap()], "{place}");
    }
    // The repeated call.
    let begun = found.states == [0];
    let expected = match found.states.as_slice() {
        [0] => scene.lost,
        [2] => "unknown_outcome",
        _ => scene.answer,
    };
    let again = answer(&rig, scene.tool, scene.arguments());
    assert_eq!(kind(&again), expected, "{place}: {again}");
    assert_eq!(is_replay(&again), found.states == [1], "{place}: {again}");
    let orders = match expected {
        "ok" => 1,
        _ => found.orders,
    };
    assert_eq!(look(&rig, journal).orders, orders, "{place}");
    if letter {
        let now = directory.letters().len();
        assert!(now <= 1, "{place}: {now} letters");
        // Nothing is sent again once the call had begun.
        assert_eq!(
            now == sent,
            begun || ended || scene.answer == "invalid_params",
            "{place}"
        );
    }
    // And once more: nothing changes any further.
    let third = answer(&rig, scene.tool, scene.arguments());
    let expected = match (expected, scene.state) {
        ("no_answer", _) => "unknown_outcome",
        (expected, _) => expected,
    };
    assert_eq!(kind(&third), expected, "{place}");
    assert_eq!(look(&rig, journal).orders, orders, "{place}");
    if expected == "ok" {
        assert!(is_replay(&third), "{place}");
        let number = |answer: &Value| answer["structuredContent"]["number"].clone();
        assert_eq!(number(&third), number(&again), "{place}");
    }
}

#[test]
fn killed_while_it_takes_over_nothing_is_doubled() {
    let scene = &SCENES[0];
    let whole = Directory::new("whole");
    // Begun and lost: killed after the reservation is committed.
    let begin = |directory: &Directory| {
        let died = run(&scene.task(directory, false, Some(5)));
        assert!(died.killed);
    };
    let later = |directory: &Directory, die_at| Task {
        now: START + 75_000,
        ..scene.task(directory, false, die_at)
    };
    begin(&whole);
    let printed = run(&later(&whole, None));
    assert_eq!(kind(&printed.answers[0]), "ok");
    assert!(
        printed.points.contains(&"updated idempotency".to_owned()),
        "{:?}",
        printed.points
    );
    for die_at in 1..=printed.points.len() {
        let directory = Directory::new("taken");
        begin(&directory);
        assert!(run(&later(&directory, Some(die_at))).killed);
        let rig = open(&directory.0, START + 150_000, false, Fatal::default());
        for _ in 0..2 {
            assert_eq!(kind(&answer(&rig, scene.tool, scene.arguments())), "ok");
        }
        assert_eq!(look(&rig, false).orders, 1, "{die_at}");
    }
}

#[test]
fn killed_while_a_dropped_call_is_given_up_nothing_is_doubled() {
    for (tool, expected) in [("send_letter", "unknown_outcome"), ("place_order", "")] {
        let hang = json!({"idempotencyKey": "k", "what": "hang"});
        let task = |directory: &Directory, die_at| Task {
            directory: directory.0.clone(),
            now: START,
            journal: false,
            die_at,
            calls: vec![(tool.to_owned(), hang.clone())],
            random: None,
        };
        let whole = Directory::new("whole");
        let points = run(&task(&whole, None)).points;
        let written = if tool == "send_letter" {
            "updated idempotency"
        } else {
            "deleted from idempotency"
        };
        assert!(points.contains(&written.to_owned()), "{points:?}");
        for die_at in 1..=points.len() {
            let directory = Directory::new("given-up");
            assert!(run(&task(&directory, Some(die_at))).killed);
            let rig = open(&directory.0, START + 75_000, false, Fatal::default());
            let place = format!("{tool} {die_at}: {}", points[die_at - 1]);
            let found = look(&rig, false);
            assert_eq!(found.orders, 0, "{place}");
            let sent = directory.letters().len();
            let begun = !found.states.is_empty();
            // It would hang once more: what may run is seen without running it.
            if tool == "send_letter" {
                assert!(sent <= usize::from(begun), "{place}");
                if begun {
                    let again = answer(&rig, tool, hang.clone());
                    assert_eq!(kind(&again), expected, "{place}");
                    assert_eq!(directory.letters().len(), sent, "{place}");
                }
            } else {
                let other = json!({"idempotencyKey": "k", "what": "tea"});
                let other = answer(&rig, tool, other);
                assert_eq!(
                    kind(&other),
                    if begun { "conflict" } else { "ok" },
                    "{place}"
                );
            }
        }
    }
}

// ---- several processes -------------------------------------------------------------------------------------------

const KEYS: usize = 3;

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    number: u64,
    letter: bool,
    key: usize,
    args: usize,
    at: u64,
    /// Absent at the beginning.
    answer: Option<Value>,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

fn at_random(rig: &Rig, seed: u64) {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below
    };
    for number in 0..12 {
        let mut line = Line {
            number,
            letter: random(2) == 0,
            key: random(KEYS),
            args: usize::from(random(6) == 0),
            at: now(),
            answer: None,
        };
        println!("@line {}", serde_json::to_string(&line).unwrap());
        let tool = if line.letter {
            "send_letter"
        } else {
            "place_order"
        };
        let what = format!("{}-{}", line.key, line.args);
        let arguments = json!({"idempotencyKey": format!("key-{}", line.key), "what": what});
        line.answer = Some(answer(rig, tool, arguments));
        line.at = now();
        println!("@line {}", serde_json::to_string(&line).unwrap());
    }
}

/// Runs processes at once on one store and gives what they did; some are killed at a random moment.
fn together(
    directory: &Directory,
    seed: u64,
    processes: usize,
    kill: bool,
) -> Vec<(bool, usize, Op)> {
    // The store is made first, so that nobody waits for that.
    drop(open(&directory.0, START, false, Fatal::default()));
    let mut children: Vec<Child> = (0..processes)
        .map(|i| {
            spawn(&Task {
                directory: directory.0.clone(),
                now: START,
                journal: false,
                die_at: None,
                calls: Vec::new(),
                random: Some(seed * 100 + i as u64),
            })
        })
        .collect();
    let mut readers: Vec<_> = children
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
    if kill {
        std::thread::sleep(Duration::from_micros(500 + seed * 1777 % 20_000));
        children[0].kill().unwrap();
    }
    let mut ops = Vec::new();
    for (child, reader) in children.iter_mut().zip(readers.drain(..)) {
        let mut open: Option<Line> = None;
        for line in reader.lines() {
            let line = line.unwrap();
            let Some(Ok(line)) = line
                .split_once("@line ")
                .map(|(_, line)| serde_json::from_str::<Line>(line))
            else {
                continue;
            };
            match (open.take(), line.answer.as_ref()) {
                (Some(began), Some(answer)) => ops.push((
                    line.letter,
                    line.key,
                    Op {
                        args: line.args,
                        began: began.at,
                        ended: line.at,
                        response: response(answer),
                    },
                )),
                _ => open = Some(line),
            }
        }
        if let Some(began) = open {
            ops.push((
                began.letter,
                began.key,
                Op {
                    args: began.args,
                    began: began.at,
                    ended: u64::MAX,
                    response: Response::Killed,
                },
            ));
        }
        child.wait().unwrap();
    }
    ops
}

fn rounds(kill: bool, count: u64) {
    let mut killed = 0;
    for seed in 0..count {
        let directory = Directory::new("together");
        let ops = together(&directory, seed, 3, kill);
        for letter in [false, true] {
            for key in 0..KEYS {
                let history: Vec<Op> = ops
                    .iter()
                    .filter(|(l, k, _)| (*l, *k) == (letter, key))
                    .map(|(_, _, op)| *op)
                    .collect();
                killed += history
                    .iter()
                    .filter(|op| op.response == Response::Killed)
                    .count();
                assert!(
                    admits(&history, !letter),
                    "{seed} {letter} {key}: {history:#?}"
                );
            }
        }
        if !kill {
            assert!(ops.iter().all(|(_, _, op)| op.response != Response::Killed));
        }
        // After the lease of whoever was killed.
        let rig = open(&directory.0, START + 75_000, false, Fatal::default());
        for key in 0..KEYS {
            for (tool, letter) in [("place_order", false), ("send_letter", true)] {
                let mut answers = Vec::new();
                for args in 0..2 {
                    let arguments = json!({"idempotencyKey": format!("key-{key}"), "what": format!("{key}-{args}")});
                    answers.push(answer(&rig, tool, arguments));
                }
                let kinds: Vec<&str> = answers.iter().map(kind).collect();
                let fits = match kinds.as_slice() {
                    ["ok", "conflict"] | ["conflict", "ok"] => true,
                    ["unknown_outcome", "conflict"] | ["conflict", "unknown_outcome"] => letter,
                    _ => false,
                };
                assert!(fits, "{seed}, {tool}: {kinds:?}");
            }
            let letters = directory.letters();
            let of_key = letters.iter().filter(|l| l.starts_with(&format!("{key}-")));
            assert!(of_key.count() <= 1, "{letters:?}");
        }
        let orders: i64 = rig.orders();
        let unknown = look(&rig, false).states.iter().filter(|s| **s != 1).count() as i64;
        assert_eq!(
            orders,
            2 * KEYS as i64 - unknown,
            "one for each key that is completed"
        );
    }
    eprintln!("{count} rounds, {killed} calls killed");
    if kill {
        assert!(killed > 0, "nobody was killed in a call");
    }
}

#[test]
fn processes_on_one_store_are_as_one() {
    rounds(false, 6);
}

#[test]
fn killed_at_random_every_history_is_still_one_the_model_admits() {
    rounds(true, 12);
}
