//! `wrap` as a process, in front of a server that is another: killed, stopped, cut off, closed on one side.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::common::*;
use crate::leaks::{self, Before};
use crate::peer::{self, Fault};
use crate::runs;

const RUNS: u64 = 400;

/// How long whoever waits is patient, on a machine that does other work too.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outside {
    Nothing,
    /// The server is killed after so many milliseconds.
    Kill(u64),
    /// The server is stopped again and again, and goes on.
    Stop(u64),
    /// The wrapper itself is killed.
    KillWrap(u64),
    /// The wrapper is asked to end.
    Terminate(u64),
    /// The client stops sending, and waits for what is still to come.
    Ends,
    /// The same, in the middle of a frame.
    EndsInAFrame,
    /// The client closes both ends.
    Leaves(u64),
}

impl Outside {
    fn of(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x0e7);
        let millis = random.below(40);
        match random.below(100) {
            0..=24 => Self::Nothing,
            25..=42 => Self::Kill(millis),
            43..=60 => Self::Stop(millis),
            61..=68 => Self::KillWrap(millis),
            69..=74 => Self::Terminate(millis),
            75..=82 => Self::Ends,
            83..=90 => Self::EndsInAFrame,
            _ => Self::Leaves(millis),
        }
    }
}

/// What runs came to.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// Cancelled, and therefore without an answer.
    cancelled: usize,
    /// Without an answer when the connection closed.
    cut: usize,
    clean: usize,
    killed: usize,
    stopped: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.answered += other.answered;
        self.cancelled += other.cancelled;
        self.cut += other.cut;
        self.clean += other.clean;
        self.killed += other.killed;
        self.stopped += other.stopped;
    }
}

/// What must be found in the result of each request.
#[derive(Default)]
struct Sent {
    expected: HashMap<u64, Value>,
    cancelled: HashSet<u64>,
    done: bool,
}

type Shared = Arc<Mutex<Sent>>;

async fn nap(random: &mut Random) {
    if random.chance(25) {
        sleep(Duration::from_millis(random.below(4))).await;
    }
}

/// Sends requests and cancels some; gives back its end of the pipe.
async fn write(mut to: ChildStdin, seed: u64, shared: Shared) -> Option<ChildStdin> {
    let mut random = Random::new(seed ^ 0x1234);
    let is_modern = random.chance(30);
    let count = 5 + random.below(25);
    for id in 0..count {
        nap(&mut random).await;
        // Whoever gets the answer to another request sees it by this.
        let mark = format!("R{seed}-{id}");
        let text = if random.chance(5) {
            format!("{mark} {}", "X".repeat(800))
        } else {
            mark
        };
        let make = |method: &str, params: Value| {
            if is_modern {
                modern(id, method, params)
            } else {
                legacy(id, method, params)
            }
        };
        let (frame, expected) = if id == 0 && !is_modern {
            (initialize(id, "2025-11-25"), json!("2025-11-25"))
        } else {
            match random.below(7) {
                0 => (make("ping", json!({})), json!({})),
                1 => (make("tools/list", json!({})), json!("add")),
                2 => {
                    let millis = random.below(20) * 1000 + id;
                    let (asked, late) = if random.chance(50) {
                        (millis, true)
                    } else {
                        (id, false)
                    };
                    let frame = make(WAIT, json!({"millis": asked}));
                    if late {
                        shared.lock().await.cancelled.insert(id);
                    }
                    (frame, json!(asked))
                }
                3 => {
                    let count = random.below(4);
                    (make(ANNOUNCE, json!({"count": count})), json!(count))
                }
                4 => (
                    make(
                        "tools/call",
                        json!({"name": TOOL, "arguments": {"text": text}}),
                    ),
                    json!(text),
                ),
                5 => {
                    // Now and then more than a pipe holds.
                    let text = if random.chance(10) {
                        format!("{text}{}", "y".repeat(100_000))
                    } else {
                        text
                    };
                    let arguments = json!({"name": "add", "arguments": {"text": text}});
                    (make("tools/call", arguments), json!(text))
                }
                _ => (make(ECHO, json!({"text": text})), json!(text)),
            }
        };
        shared.lock().await.expected.insert(id, expected);
        let mut lines = format!("{frame}\n");
        // What waits for seconds is cancelled sooner or later; others now and then, perhaps too late.
        let late = shared.lock().await.cancelled.contains(&id);
        if late || random.chance(10) {
            shared.lock().await.cancelled.insert(id);
            let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
            if random.chance(50) {
                to.write_all(lines.as_bytes()).await.ok()?;
                sleep(Duration::from_millis(random.below(5))).await;
                lines.clear();
            }
            lines.push_str(&format!("{cancel}\n"));
        }
        to.write_all(lines.as_bytes()).await.ok()?;
    }
    shared.lock().await.done = true;
    Some(to)
}

fn holds(result: &Value, expected: &Value) -> bool {
    match (result, expected) {
        (_, Value::Object(empty)) if empty.is_empty() => true,
        (Value::String(text), Value::String(part)) => {
            text.contains(&**part) || text.contains(&part.to_uppercase())
        }
        (Value::Number(number), Value::Number(other)) => number == other,
        (Value::Array(all), _) => all.iter().any(|one| holds(one, expected)),
        (Value::Object(all), _) => all.values().any(|one| holds(one, expected)),
        _ => false,
    }
}

/// The first line on standard error says who the server is; the rest is kept.
async fn server_of(errors: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Pid> {
    let mut line = String::new();
    timeout(PATIENCE, errors.read_line(&mut line))
        .await
        .ok()?
        .ok()?;
    Pid::from_raw(line.strip_prefix("pid ")?.trim().parse().ok()?)
}

fn signal(pid: Option<Pid>, signal: Signal) {
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()?).ok()?)
}

async fn run(seed: u64, token: Arc<str>) -> Tally {
    let fault = Fault::of(seed);
    let outside = Outside::of(seed);
    let what = format!("FAULTS_SEED={seed} ({fault:?}, {outside:?})");
    let mut wrap = peer::command()
        .args(["wrap", "server", &seed.to_string(), &token])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(wrap.stderr.take().unwrap());
    let to = wrap.stdin.take().unwrap();
    let mut from = BufReader::new(wrap.stdout.take().unwrap());
    let server = server_of(&mut errors).await;
    let said = tokio::spawn(async move {
        let mut rest = String::new();
        let _ = errors.read_to_string(&mut rest).await;
        rest
    });
    let shared = Shared::default();
    let mut writer = Some(tokio::spawn(write(to, seed, shared.clone())));
    let mut random = Random::new(seed ^ 0xbeef);
    let mut tally = Tally::default();

    let wrapper = pid_of(&wrap);
    let meddler = tokio::spawn(async move {
        let mut random = Random::new(seed ^ 0x570b);
        match outside {
            Outside::Kill(millis) => {
                sleep(Duration::from_millis(millis)).await;
                signal(server, Signal::KILL);
            }
            Outside::Stop(millis) => {
                for _ in 0..=random.below(3) {
                    sleep(Duration::from_millis(millis / 2)).await;
                    signal(server, Signal::STOP);
                    sleep(Duration::from_millis(5 + random.below(80))).await;
                    signal(server, Signal::CONT);
                }
            }
            Outside::KillWrap(millis) => {
                sleep(Duration::from_millis(millis)).await;
                signal(wrapper, Signal::KILL);
            }
            Outside::Terminate(millis) => {
                sleep(Duration::from_millis(millis)).await;
                signal(wrapper, Signal::TERM);
            }
            _ => {}
        }
    });

    // The client reads until all is answered, or the connection closes.
    let start = Instant::now();
    let slow = random.chance(20);
    // A server that only falls silent is nobody's fault but its own: the client gives up.
    let silent = matches!(fault, Fault::Sleeps(_) | Fault::ClosesInput(_));
    let leave = match outside {
        Outside::Leaves(millis) => start + Duration::from_millis(millis),
        _ if silent => start + Duration::from_millis(400),
        _ => start + PATIENCE,
    };
    let mut to = None;
    let mut answers: HashMap<u64, usize> = HashMap::new();
    let mut line = Vec::new();
    let mut closed = false;
    let mut ended_in_a_frame = false;
    let ends = matches!(outside, Outside::Ends | Outside::EndsInAFrame);
    loop {
        if writer
            .as_ref()
            .is_some_and(tokio::task::JoinHandle::is_finished)
            && let Some(done) = writer.take()
        {
            to = done.await.unwrap();
            if outside == Outside::EndsInAFrame
                && let Some(to) = &mut to
            {
                ended_in_a_frame = to.write_all(br#"{"jsonrpc":"2.0","id":"#).await.is_ok();
            }
            if ends {
                to = None;
            }
        }
        {
            let sent = shared.lock().await;
            let open = sent
                .expected
                .keys()
                .filter(|id| !answers.contains_key(id) && !sent.cancelled.contains(id))
                .count();
            if sent.done && writer.is_none() && open == 0 && !ends {
                break;
            }
        }
        if slow {
            nap(&mut random).await;
        }
        // Now and then it is looked whether the writer is done.
        let read = timeout(Duration::from_millis(20), from.read_until(b'\n', &mut line)).await;
        let now = Instant::now();
        if now >= leave {
            assert!(
                silent || matches!(outside, Outside::Leaves(_)),
                "{what}: hangs; {}",
                {
                    let sent = shared.lock().await;
                    let open: Vec<_> = sent
                        .expected
                        .keys()
                        .filter(|id| !answers.contains_key(id))
                        .collect();
                    format!(
                        "open: {open:?}, cancelled: {:?}, writer done: {}",
                        sent.cancelled, sent.done
                    )
                }
            );
            break;
        }
        let Ok(read) = read else { continue };
        if read.unwrap() == 0 {
            closed = true;
            break;
        }
        if !line.ends_with(b"\n") {
            closed = true;
            break;
        }
        if line == b"{\"jsonrpc\":\"2.0\",\"id\":\n" && matches!(fault, Fault::Killed(_)) {
            // Half a frame is all that came of this one.
            line.clear();
            continue;
        }
        let frame: Value = serde_json::from_slice(&line)
            .unwrap_or_else(|e| panic!("{what}: {e}: {}", String::from_utf8_lossy(&line)));
        line.clear();
        if frame.get("method").is_some() {
            continue;
        }
        let Some(id) = frame["id"].as_u64() else {
            panic!("{what}: nobody asked for {frame}");
        };
        *answers.entry(id).or_default() += 1;
        let sent = shared.lock().await;
        let Some(expected) = sent.expected.get(&id) else {
            panic!("{what}: nobody asked for {frame}");
        };
        match frame.get("result") {
            Some(result) => assert!(
                holds(result, expected),
                "{what}: {expected} was asked for: {frame}"
            ),
            // Where the server is gone before it has said what it serves, ours are refused.
            None => assert!(
                matches!(frame["error"]["code"].as_i64(), Some(-32601 | -32602)),
                "{what}: {frame}"
            ),
        }
        if frame.get("error").is_some() && fault == Fault::None {
            let expected = !matches!(outside, Outside::Nothing | Outside::Stop(_));
            assert!(expected, "{what}: {frame}");
        }
    }
    if let Some(writer) = writer {
        writer.abort();
        let _ = writer.await;
    }
    drop((to, from));
    // A server that does not end by itself is asked to, as clients do.
    let stubborn = silent || matches!(fault, Fault::ClosesOutput(at) if at % 2 == 1);
    if stubborn
        && timeout(Duration::from_millis(100), wrap.wait())
            .await
            .is_err()
    {
        signal(wrapper, Signal::TERM);
    }
    let status = timeout(PATIENCE, wrap.wait())
        .await
        .unwrap_or_else(|_| panic!("{what}: the wrapper does not end"))
        .unwrap();
    meddler.abort();
    let _ = meddler.await;
    signal(server, Signal::CONT);
    // Whoever is killed can end nobody: a server that does not look at its input stays.
    if matches!(outside, Outside::KillWrap(_)) && stubborn {
        signal(server, Signal::KILL);
    }
    let said = timeout(PATIENCE, said)
        .await
        .unwrap_or_else(|_| panic!("{what}: the server outlives its wrapper"))
        .unwrap();
    assert!(
        !said.contains("broken frame") || ended_in_a_frame,
        "{what}: {said}"
    );
    assert!(!said.contains("panicked"), "{what}: {said}");

    let sent = shared.lock().await;
    for (id, count) in &answers {
        assert_eq!(*count, 1, "{what}: request {id} was answered {count} times");
    }
    let open: Vec<_> = sent
        .expected
        .keys()
        .filter(|id| !answers.contains_key(id))
        .collect();
    let clean = fault == Fault::None
        && matches!(outside, Outside::Nothing | Outside::Stop(_) | Outside::Ends);
    if clean {
        let lost: Vec<_> = open
            .iter()
            .filter(|id| !sent.cancelled.contains(id))
            .collect();
        assert!(
            lost.is_empty(),
            "{what}: no answer to {lost:?} although nothing failed"
        );
        assert!(sent.done, "{what}: not everything was taken");
        assert_eq!(status.code(), Some(0), "{what}: {said}");
        tally.clean = 1;
    }
    if let Fault::Ends(_) = fault
        && outside == Outside::Nothing
        && closed
    {
        assert_eq!(status.code(), Some(peer::EXIT_CODE), "{what}");
    }
    tally.answered = answers.len();
    tally.cancelled = open.iter().filter(|id| sent.cancelled.contains(id)).count();
    tally.cut = open.len() - tally.cancelled;
    tally.killed = usize::from(
        matches!(outside, Outside::Kill(_) | Outside::KillWrap(_))
            || matches!(fault, Fault::Killed(_)),
    );
    tally.stopped = usize::from(matches!(outside, Outside::Stop(_)));
    tally
}

pub fn test() {
    let token: Arc<str> = format!("faults-{}", std::process::id()).into();
    // What tokio opens once for all processes, and keeps.
    runs::runtime().block_on(async {
        let mut first = peer::command().args(["nothing"]).spawn().unwrap();
        first.wait().await.unwrap();
    });
    let before = Before::now();
    let runtime = runs::runtime();
    let work = runs::all(RUNS, 12, |seed| run(seed, token.clone()));
    let total = runtime.block_on(work);
    drop(runtime);
    leaks::until(
        || format!("processes are left: {:?}", leaks::processes(&token)),
        || leaks::processes(&token).is_empty(),
    );
    before.assert_nothing_left();
    eprintln!("{total:?}");
    // The faults did happen, and did not swallow everything.
    if runs::usual() {
        assert!(
            total.answered > 3000 && total.cancelled > 100 && total.cut > 100,
            "{total:?}"
        );
        assert!(
            total.clean > 100 && total.killed > 80 && total.stopped > 50,
            "{total:?}"
        );
    }
}
