//! Randomised faults: killed servers, cut connections, slow peers, interleaved cancellation. Each run is repeatable by
//! its seed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mcp_ext_wire::RelayOptions;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

use crate::common::*;
use crate::rig::*;

const RUNS: u64 = 1000;

/// What one run came to.
#[derive(Default)]
struct Tally {
    answered: usize,
    cancelled: usize,
    closed: usize,
    clean: usize,
}

async fn nap(random: &mut Random) {
    if random.chance(30) {
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
    }
}

/// A server that answers late, out of order or not at all, and may die. Whether it answered everything it was asked
/// until its input ended.
async fn server(mut side: Side, mut random: Random) -> bool {
    let lifetime = if random.chance(40) {
        random.below(40)
    } else {
        u64::MAX
    };
    let forgets = random.chance(20);
    let Some(mut write) = side.write.take() else {
        return false;
    };
    let mut input_ended = false;
    let mut held: Vec<Value> = Vec::new();
    for _ in 0..lifetime {
        let mut line = Vec::new();
        if side.read.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
            input_ended = true;
            break;
        }
        if !line.ends_with(b"\n") {
            // The client was cut off in the middle of a frame.
            return false;
        }
        nap(&mut random).await;
        let frame: Value = serde_json::from_slice(&line).expect("the server gets whole frames");
        if let Some(answer) = plain_server(&frame) {
            held.push(answer);
        }
        if random.chance(10) {
            held.push(json!({"jsonrpc": "2.0", "id": random.below(50), "method": "roots/list"}));
        }
        while !held.is_empty() && random.chance(70) {
            let at = usize::try_from(random.below(held.len() as u64)).unwrap();
            let answer = held.swap_remove(at);
            if write
                .write_all(format!("{answer}\n").as_bytes())
                .await
                .is_err()
            {
                return false;
            }
        }
    }
    if forgets {
        return false;
    }
    for answer in held {
        let line = format!("{answer}\n");
        input_ended &= write.write_all(line.as_bytes()).await.is_ok();
    }
    input_ended
}

async fn run(seed: u64) -> Tally {
    let mut random = Random::new(seed);
    let (seen, builder) = builder();
    let options = RelayOptions {
        grace: Duration::from_secs(2),
        ..Default::default()
    };
    let pipe = usize::try_from(64 + random.below(4000)).unwrap();
    let Bench {
        mut client,
        server: far,
        relay,
    } = bench_with(builder.build().unwrap(), options, pipe);
    let server = tokio::spawn(server(far, Random::new(seed ^ 0xabcd)));

    let sent = Arc::new(Mutex::new((HashSet::new(), HashSet::new())));
    let mut write = client.write.take().unwrap();
    let record = sent.clone();
    let mut choose = Random::new(seed ^ 0x1234);
    let modern_only = choose.chance(30);
    let writer = tokio::spawn(async move {
        let mut first = true;
        for id in 0..choose.below(60) {
            nap(&mut choose).await;
            let frame = if first && !modern_only {
                initialize(id, "2025-11-25")
            } else {
                let is_modern = modern_only || choose.chance(20);
                let make = |id: u64, method: &str, params: Value| {
                    if is_modern {
                        modern(id, method, params)
                    } else {
                        legacy(id, method, params)
                    }
                };
                match choose.below(6) {
                    0 => make(id, "ping", json!({})),
                    1 => make(id, "tools/list", json!({})),
                    2 => make(id, WAIT, json!({"millis": choose.below(50)})),
                    3 => make(id, ANNOUNCE, json!({"count": choose.below(4)})),
                    4 => make(
                        id,
                        "tools/call",
                        json!({"name": TOOL, "arguments": {"text": "x"}}),
                    ),
                    _ => make(
                        id,
                        ECHO,
                        json!({"text": "x".repeat(usize::try_from(choose.below(900)).unwrap())}),
                    ),
                }
            };
            first = false;
            record.lock().await.0.insert(id);
            if write
                .write_all(format!("{frame}\n").as_bytes())
                .await
                .is_err()
            {
                return;
            }
            if choose.chance(20) {
                let target = choose.below(id + 1);
                record.lock().await.1.insert(target);
                let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": target}});
                if write
                    .write_all(format!("{cancel}\n").as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
        let _ = write.shutdown().await;
    });

    // The client reads slowly, and may hang up.
    let patience = if random.chance(15) {
        random.below(30)
    } else {
        u64::MAX
    };
    let mut answers: HashMap<u64, usize> = HashMap::new();
    let mut hung_up = true;
    for _ in 0..patience {
        let mut line = Vec::new();
        let read = client.read.read_until(b'\n', &mut line);
        let got = tokio::time::timeout(Duration::from_secs(120), read)
            .await
            .unwrap_or_else(|_| panic!("seed {seed}: hangs"));
        if got.unwrap_or(0) == 0 {
            hung_up = false;
            break;
        }
        let frame: Value = serde_json::from_slice(&line)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}: {}", String::from_utf8_lossy(&line)));
        if frame.get("method").is_none() {
            *answers.entry(frame["id"].as_u64().unwrap()).or_default() += 1;
        }
        nap(&mut random).await;
    }
    if hung_up {
        // Both halves of its connection go.
        writer.abort();
    }
    drop(client);
    tokio::time::timeout(Duration::from_secs(120), relay)
        .await
        .unwrap_or_else(|_| panic!("seed {seed}: the relay does not end"))
        .unwrap();
    let clean = server.await.unwrap() && !hung_up;
    let (requests, cancelled) = &*sent.lock().await;
    for (id, count) in &answers {
        assert_eq!(
            *count, 1,
            "seed {seed}: request {id} was answered {count} times"
        );
        assert!(requests.contains(id), "seed {seed}: nobody asked for {id}");
    }
    for id in requests.iter().filter(|_| clean) {
        assert!(
            answers.contains_key(id) || cancelled.contains(id),
            "seed {seed}: request {id} has no answer although nothing failed"
        );
    }
    // The connection is closed by now, one way or the other, so whoever has no answer knows.
    let started = seen.started.load(Ordering::SeqCst);
    let ended = seen.finished.load(Ordering::SeqCst) + seen.dropped.load(Ordering::SeqCst);
    assert_eq!(
        started, ended,
        "seed {seed}: a call outlives its connection"
    );
    let open = requests.iter().filter(|id| !answers.contains_key(id));
    Tally {
        answered: answers.len(),
        cancelled: open.filter(|id| cancelled.contains(id)).count(),
        closed: usize::from(hung_up),
        clean: usize::from(clean),
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_is_answered_once_or_its_connection_closes() {
    let mut total = Tally::default();
    for seed in 0..RUNS {
        let tally = run(seed).await;
        total.answered += tally.answered;
        total.cancelled += tally.cancelled;
        total.closed += tally.closed;
        total.clean += tally.clean;
    }
    eprintln!(
        "{RUNS} runs: {} answers, {} cancelled without one, {} clients hung up, {} runs without a fault",
        total.answered, total.cancelled, total.closed, total.clean
    );
    // The faults did happen, and did not swallow everything.
    assert!(
        total.answered > 5000 && total.cancelled > 100 && total.closed > 50 && total.clean > 200
    );
}

/// Where nothing fails and nothing is cancelled, everything is answered.
#[tokio::test(start_paused = true)]
async fn without_faults_every_request_is_answered() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let mut rig = rig(set(), plain_server);
        rig.client.call(&initialize(1000, "2025-11-25")).await;
        let mut expected = HashSet::new();
        for id in 0..100 {
            let frame = match random.below(4) {
                0 => legacy(id, "ping", json!({})),
                1 => legacy(id, WAIT, json!({"millis": random.below(20)})),
                2 => modern(id, ECHO, json!({"text": "x"})),
                _ => legacy(id, "tools/list", json!({})),
            };
            expected.insert(id);
            rig.client.send(&frame).await;
        }
        while !expected.is_empty() {
            let frame = rig.client.recv().await;
            let id = i32::try_from(frame["id"].as_i64().unwrap()).unwrap();
            assert!(expected.remove(&id), "seed {seed}: {frame}");
        }
    }
}
