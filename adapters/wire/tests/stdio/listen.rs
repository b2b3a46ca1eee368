//! Listen streams over stdio, alone and together with those of the server.

use std::time::Duration;

use mcp_ext_core::Limits;
use mcp_ext_wire::{Ended, RelayOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::board::*;
use crate::common::{initialize, modern, plain_server};
use crate::rig::*;

/// Waits until the set has so many streams.
async fn streams(set: &mcp_ext_core::ExtensionSet, count: usize) {
    for _ in 0..400 {
        if set.subscriptions() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} streams, not {count}", set.subscriptions());
}

/// Acts as the server for the question which era it serves.
async fn discovered(bench: &mut Bench) {
    let question = bench.server.recv().await;
    assert_eq!(question["method"], "server/discover");
    let answer = plain_server(&question).unwrap();
    bench.server.send(&answer).await;
}

/// The server's acknowledgement.
fn theirs(id: impl Into<Value>, filter: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": {
        "notifications": filter, "_meta": { SUBSCRIPTION: id.into() },
    }})
}

/// A stream that both sides send on.
async fn together(set: mcp_ext_core::ExtensionSet) -> Bench {
    let mut bench = bench(set);
    let filter = json!({ "toolsListChanged": true, BOARD: { "wiped": true }, "resourceSubscriptions": ["a:b"] });
    bench.client.send(&listen(7, filter)).await;
    discovered(&mut bench).await;
    let asked = bench.server.recv().await;
    assert_eq!(asked["id"], 7);
    assert_eq!(
        asked["params"]["notifications"],
        json!({ "toolsListChanged": true, "resourceSubscriptions": ["a:b"] }),
        "ours is taken out"
    );
    bench
}

#[tokio::test]
async fn sub_01_02_04_the_acknowledgement_comes_first_and_says_what_is_honoured() {
    let (set, publisher) = board();
    let mut rig = rig(set.clone(), plain_server);
    for id in [json!(40), json!("forty"), json!("40")] {
        let filter = json!({
            BOARD: { "pinned": { "topics": ["a"], "colour": 1 }, "wiped": false, "moved": true },
        });
        rig.client.send(&listen(id.clone(), filter)).await;
        let acknowledged = rig.client.recv().await;
        assert_eq!(acknowledged["method"], ACKNOWLEDGED);
        assert_eq!(subscription(&acknowledged), &id, "same value, same type");
        assert_eq!(
            acknowledged["params"]["notifications"],
            json!({ BOARD: { "pinned": { "topics": ["a"] } } }),
            "what is not known or not asked for is left out"
        );
    }
    assert_eq!(publisher.wiped(), Ok(0), "nobody asked for it");
    assert_eq!(publisher.pinned(note("b", 1)), Ok(0));
    assert_eq!(publisher.pinned(note("a", 2)), Ok(3));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let pinned = rig.client.recv().await;
        assert_eq!(pinned["method"], PINNED);
        assert_eq!(pinned["params"]["number"], 2);
        assert_eq!(pinned["params"]["topic"], "a");
        ids.push(subscription(&pinned).to_string());
    }
    ids.sort();
    assert_eq!(ids, ["\"40\"", "\"forty\"", "40"]);
    assert!(
        !rig.methods().iter().any(|m| m == LISTEN),
        "the server is not asked for what it does not have"
    );
}

#[tokio::test]
async fn sub_03_a_handler_publishes_to_those_who_listen_and_not_to_its_caller() {
    let (set, _publisher) = board();
    let mut rig = rig(set, plain_server);
    rig.client.send(&listen(1, all())).await;
    assert_eq!(rig.client.recv().await["method"], ACKNOWLEDGED);
    let mut pin = modern(2, PIN, json!({ "topic": "a", "number": 5 }));
    pin["params"]["_meta"] = listen(0, json!({}))["params"]["_meta"].clone();
    rig.client.send(&pin).await;
    let (mut answers, mut pinned) = (0, 0);
    for _ in 0..2 {
        let frame = rig.client.recv().await;
        if frame["id"] == 2 {
            answers += 1;
        } else {
            assert_eq!(subscription(&frame), &json!(1));
            pinned += 1;
        }
    }
    assert_eq!((answers, pinned), (1, 1));
    assert!(rig.client.silent().await);
}

#[tokio::test]
async fn sub_08_tk_08_who_does_not_declare_it_is_told_what_to_declare() {
    let (set, _publisher) = board();
    let mut rig = rig(set.clone(), plain_server);
    let filter = json!({ "toolsListChanged": true, BOARD: { "pinned": 5 } });
    let refused = rig.client.call(&listen_as(false, 1, filter)).await;
    assert_eq!(refused["error"]["code"], -32021);
    assert!(refused["error"]["data"]["requiredCapabilities"]["extensions"][BOARD].is_object());
    assert!(
        !rig.methods().iter().any(|m| m == LISTEN),
        "all of it is refused"
    );
    // What is malformed is said to those alone who may ask.
    for (bad, pointer) in [
        (
            json!({ "pinned": 5 }),
            "/notifications/com.example~1board/pinned",
        ),
        (
            json!({ "pinned": { "topics": "a" } }),
            "/notifications/com.example~1board/pinned/topics",
        ),
        (
            json!({ "wiped": {} }),
            "/notifications/com.example~1board/wiped",
        ),
        (json!(true), "/notifications/com.example~1board"),
        (Value::Null, "/notifications/com.example~1board"),
    ] {
        let refused = rig.client.call(&listen(2, json!({ BOARD: bad }))).await;
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
        assert_eq!(
            refused["error"]["data"]["faults"][0]["pointer"], pointer,
            "{refused}"
        );
    }
    assert_eq!(set.subscriptions(), 0);
}

#[tokio::test]
async fn sub_02_the_servers_acknowledgement_and_ours_are_one() {
    let (set, publisher) = board();
    let mut bench = together(set.clone()).await;
    // Published before the acknowledgement: it comes after it.
    assert_eq!(publisher.wiped(), Ok(1));
    assert!(bench.client.silent().await);
    bench
        .server
        .send(&theirs(7, json!({ "toolsListChanged": true })))
        .await;
    let acknowledged = bench.client.recv().await;
    assert_eq!(acknowledged["method"], ACKNOWLEDGED);
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({ "toolsListChanged": true, BOARD: { "wiped": true } })
    );
    assert_eq!(bench.client.recv().await["method"], WIPED);
    let changed = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": { "_meta": { SUBSCRIPTION: 7 } } });
    bench.server.send(&changed).await;
    assert_eq!(bench.client.recv().await, changed);
    publisher.wiped().unwrap();
    assert_eq!(subscription(&bench.client.recv().await), &json!(7));
    // The server ends it, and with it all of it ends; once.
    let result = json!({ "jsonrpc": "2.0", "id": 7, "result": { "resultType": "complete",
        "_meta": { SUBSCRIPTION: 7 } } });
    bench.server.send(&result).await;
    assert_eq!(bench.client.recv().await, result);
    streams(&set, 0).await;
    publisher.wiped().unwrap();
    assert!(bench.client.silent().await);
}

#[tokio::test]
async fn a_server_without_listen_streams_leaves_ours_alone() {
    let (set, publisher) = board();
    let mut bench = together(set).await;
    let error = json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32601, "message": "no" } });
    bench.server.send(&error).await;
    let acknowledged = bench.client.recv().await;
    assert_eq!(
        acknowledged["params"]["notifications"],
        json!({ BOARD: { "wiped": true } })
    );
    publisher.wiped().unwrap();
    assert_eq!(bench.client.recv().await["method"], WIPED);
    // It is ours alone now, so the server hears nothing of its end.
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    bench.client.send(&cancel).await;
    assert!(bench.server.silent().await);
}

#[tokio::test]
async fn another_error_of_the_server_is_the_answer() {
    let (set, publisher) = board();
    let mut bench = together(set.clone()).await;
    let error = json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32602, "message": "no" } });
    bench.server.send(&error).await;
    assert_eq!(bench.client.recv().await, error);
    streams(&set, 0).await;
    assert_eq!(publisher.wiped(), Ok(0));
}

#[tokio::test]
async fn sub_10_a_cancelled_stream_gets_nothing_more() {
    let (set, publisher) = board();
    let mut rig = rig(set.clone(), plain_server);
    rig.client.send(&listen("x", all())).await;
    rig.client.send(&listen("y", all())).await;
    rig.client.recv().await;
    rig.client.recv().await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "x" } });
    rig.client.send(&cancel).await;
    streams(&set, 1).await;
    publisher.wiped().unwrap();
    assert_eq!(subscription(&rig.client.recv().await), &json!("y"));
    assert!(rig.client.silent().await);
    // Its id may be used again.
    rig.client.send(&listen("x", all())).await;
    assert_eq!(rig.client.recv().await["method"], ACKNOWLEDGED);
    assert!(!rig.methods().iter().any(|m| m.ends_with("cancelled")));
    // A client that goes away frees all of them.
    drop(rig.client);
    rig.relay.abort();
    streams(&set, 0).await;
}

#[tokio::test]
async fn req_26_a_stream_that_the_server_has_too_is_cancelled_there() {
    let (set, _publisher) = board();
    let mut bench = together(set.clone()).await;
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    bench.client.send(&cancel).await;
    assert_eq!(bench.server.recv().await, cancel);
    streams(&set, 0).await;
}

#[tokio::test]
async fn an_id_that_is_under_way_is_refused() {
    let (set, publisher) = board();
    let mut rig = rig(set.clone(), plain_server);
    rig.client.send(&listen(1, all())).await;
    assert_eq!(rig.client.recv().await["method"], ACKNOWLEDGED);
    for frame in [listen(1, all()), modern(1, PIN, json!({}))] {
        let refused = rig.client.call(&frame).await;
        assert_eq!(refused["error"]["data"]["kind"], "duplicate_id");
    }
    publisher.wiped().unwrap();
    assert_eq!(
        rig.client.recv().await["method"],
        WIPED,
        "the first one goes on"
    );
}

#[tokio::test]
async fn a_filter_has_a_bound_and_so_has_the_number_of_streams() {
    let limits = Limits {
        max_listen_streams: 2,
        ..Default::default()
    };
    let (set, _publisher) = board_with(limits);
    let mut rig = rig(set.clone(), plain_server);
    let topics: Vec<_> = (0..10_000).map(|n| format!("topic-{n}")).collect();
    let filter = json!({ BOARD: { "pinned": { "topics": topics } } });
    let refused = rig.client.call(&listen(1, filter)).await;
    assert_eq!(refused["error"]["code"], -32602);
    assert_eq!(refused["error"]["data"]["kind"], "too_large");
    assert_eq!(set.subscriptions(), 0);
    for id in [2, 3] {
        rig.client.send(&listen(id, all())).await;
        assert_eq!(rig.client.recv().await["method"], ACKNOWLEDGED);
    }
    let refused = rig.client.call(&listen(4, all())).await;
    assert_eq!(refused["error"]["data"]["kind"], "busy");
}

#[tokio::test]
async fn sub_09_a_full_queue_ends_the_stream_with_its_result() {
    let limits = Limits {
        max_listen_queue: 4,
        ..Default::default()
    };
    let (set, publisher) = board_with(limits);
    // A pipe that holds little, and a client that does not read.
    let mut bench = bench_with(set.clone(), RelayOptions::default(), 512);
    bench.client.send(&listen(1, all())).await;
    discovered(&mut bench).await;
    assert_eq!(bench.client.recv().await["method"], ACKNOWLEDGED);
    let mut queued = 0;
    for number in 0..1000 {
        queued += publisher.pinned(note("a", number)).unwrap();
    }
    assert!(queued < 1000, "the queue has a bound");
    for number in 0..queued {
        let pinned = bench.client.recv().await;
        assert_eq!(
            pinned["params"]["number"], number,
            "what was queued comes, in order"
        );
    }
    let end = bench.client.recv().await;
    assert_eq!(end["id"], 1);
    assert_eq!(end["result"]["resultType"], "complete");
    assert_eq!(subscription(&end), &json!(1));
    assert_eq!(
        end["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "plain"
    );
    // Result first, then the cancellation, which a client that took the result passes over.
    let cancelled = bench.client.recv().await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], 1);
    streams(&set, 0).await;
    // And it listens again.
    bench.client.send(&listen(1, all())).await;
    assert_eq!(bench.client.recv().await["method"], ACKNOWLEDGED);
}

#[tokio::test]
async fn a_stream_that_ends_here_ends_at_the_server_and_hides_what_still_comes() {
    let (set, publisher) = board();
    let mut bench = together(set.clone()).await;
    bench
        .server
        .send(&theirs(7, json!({ "toolsListChanged": true })))
        .await;
    assert_eq!(bench.client.recv().await["method"], ACKNOWLEDGED);
    set.end_subscriptions();
    assert_eq!(
        bench.client.recv().await["result"]["resultType"],
        "complete"
    );
    assert_eq!(
        bench.client.recv().await["method"],
        "notifications/cancelled"
    );
    let cancelled = bench.server.recv().await;
    assert_eq!(cancelled["method"], "notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], 7);
    let late = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": { "_meta": { SUBSCRIPTION: 7 } } });
    bench.server.send(&late).await;
    bench
        .server
        .send(&json!({ "jsonrpc": "2.0", "id": 7, "result": {} }))
        .await;
    assert!(bench.client.silent().await);
    assert_eq!(publisher.wiped(), Ok(0));
    // Of other streams everything passes.
    let other = json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": { "_meta": { SUBSCRIPTION: 8 } } });
    bench.server.send(&other).await;
    assert_eq!(bench.client.recv().await, other);
}

#[tokio::test]
async fn a_server_that_ends_ends_the_streams_at_once() {
    let (set, _publisher) = board();
    let mut bench = bench(set.clone());
    bench.client.send(&listen(1, all())).await;
    discovered(&mut bench).await;
    assert_eq!(bench.client.recv().await["method"], ACKNOWLEDGED);
    let at = std::time::Instant::now();
    drop(bench.server);
    assert_eq!(
        bench.client.recv().await["result"]["resultType"],
        "complete"
    );
    assert_eq!(
        bench.client.recv().await["method"],
        "notifications/cancelled"
    );
    assert!(matches!(bench.relay.await.unwrap(), Ended::Server));
    assert!(at.elapsed() < Duration::from_secs(3), "within the grace");
    streams(&set, 0).await;
}

#[tokio::test]
async fn what_is_the_servers_passes_as_it_comes() {
    let (set, _publisher) = board();
    let mut bench = bench(set);
    let line = br#"{"jsonrpc":"2.0", "id":1.0e0,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true}}}
"#;
    bench.client.send_raw(line).await;
    assert_eq!(bench.server.line().await, line);
    // Ours in the legacy era: there are no listen streams there.
    let legacy = format!(
        "{}\n",
        json!({ "jsonrpc": "2.0", "id": 2, "method": LISTEN, "params": { "notifications": { BOARD: {} } } })
    );
    bench.client.send_raw(legacy.as_bytes()).await;
    assert_eq!(bench.server.line().await, legacy.as_bytes());
}

#[tokio::test]
async fn an_extension_that_the_server_has_itself_is_listened_to_there() {
    let (set, _publisher) = board();
    let mut bench = bench(set);
    let request = listen(1, all());
    bench.client.send(&request).await;
    let question = bench.server.recv().await;
    let mut answer = plain_server(&question).unwrap();
    answer["result"]["capabilities"]["extensions"][BOARD] = json!({});
    bench.server.send(&answer).await;
    assert_eq!(bench.server.recv().await, request, "as it came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sub_05_a_storm_from_eight_threads_comes_whole_or_the_stream_ends() {
    let (set, publisher) = board();
    let mut rig = rig(set.clone(), plain_server);
    for id in 0..4 {
        rig.client.send(&listen(id, all())).await;
        assert_eq!(rig.client.recv().await["method"], ACKNOWLEDGED);
    }
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let publisher = publisher.clone();
            std::thread::spawn(move || {
                let mut queued = 0;
                for number in 0..500 {
                    let topic = thread.to_string();
                    queued += publisher.pinned(note(&topic, number)).unwrap();
                    // Now and then the reader gets a moment.
                    if number % 7 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                queued
            })
        })
        .collect();
    let mut heard = 0;
    let mut last = std::collections::HashMap::new();
    let mut ended = std::collections::HashSet::new();
    loop {
        let frame = match tokio::time::timeout(Duration::from_millis(500), rig.client.recv()).await
        {
            Ok(frame) => frame,
            Err(_) => break,
        };
        if frame.get("result").is_some() {
            assert!(ended.insert(subscription(&frame).as_u64().unwrap()));
            continue;
        }
        if frame["method"] == "notifications/cancelled" {
            continue;
        }
        let id = subscription(&frame).as_u64().unwrap();
        assert!(!ended.contains(&id), "nothing after the result");
        let key = (id, frame["params"]["topic"].as_str().unwrap().to_owned());
        let number = frame["params"]["number"].as_u64().unwrap();
        let before = last.insert(key, number);
        assert_eq!(
            number,
            before.map_or(0, |b| b + 1),
            "of each thread each once, in order"
        );
        heard += 1;
    }
    let queued: usize = threads.into_iter().map(|t| t.join().unwrap()).sum();
    assert_eq!(heard, queued);
    let open = 4 - ended.len();
    assert!(heard >= open * 8 * 500);
    assert_eq!(set.subscriptions(), open);
}

/// What may happen on one connection.
#[derive(Clone, Debug)]
enum Step {
    Listen(u8, Vec<u8>),
    Cancel(u8),
    Publish(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4u8, proptest::collection::vec(0..3u8, 0..3)).prop_map(|(id, t)| Step::Listen(id, t)),
        (0..4u8).prop_map(Step::Cancel),
        (0..3u8).prop_map(Step::Publish),
        (0..3u8).prop_map(Step::Publish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Against a model: who listens hears exactly what was published on its topics while it listened.
    #[test]
    fn sub_05_events_land_on_the_right_stream_each_once(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (set, publisher) = board();
            let mut rig = rig(set.clone(), plain_server);
            let mut open: std::collections::BTreeMap<u8, Vec<u8>> = Default::default();
            for (number, step) in steps.iter().enumerate() {
                match step {
                    Step::Listen(id, topics) => {
                        let names: Vec<_> = topics.iter().map(u8::to_string).collect();
                        let filter = json!({ BOARD: { "pinned": { "topics": names } } });
                        let first = rig.client.call(&listen(*id, filter)).await;
                        if open.contains_key(id) {
                            assert_eq!(first["error"]["data"]["kind"], "duplicate_id");
                        } else {
                            assert_eq!(first["method"], ACKNOWLEDGED);
                            assert_eq!(subscription(&first), &json!(id));
                            open.insert(*id, topics.clone());
                        }
                    }
                    Step::Cancel(id) => {
                        let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
                        rig.client.send(&cancel).await;
                        open.remove(id);
                        streams(&set, open.len()).await;
                    }
                    Step::Publish(topic) => {
                        let mut expected: Vec<u64> = open
                            .iter()
                            .filter(|(_, topics)| topics.is_empty() || topics.contains(topic))
                            .map(|(id, _)| u64::from(*id))
                            .collect();
                        let queued = publisher.pinned(note(&topic.to_string(), number as u64)).unwrap();
                        assert_eq!(queued, expected.len());
                        let mut heard = Vec::new();
                        for _ in 0..queued {
                            let frame = rig.client.recv().await;
                            assert_eq!(frame["params"]["number"], number);
                            heard.push(subscription(&frame).as_u64().unwrap());
                        }
                        heard.sort_unstable();
                        expected.sort_unstable();
                        assert_eq!(heard, expected);
                    }
                }
            }
            // Nothing is left over: the next thing is the answer to a question.
            let pong = rig.client.call(&modern(99, "ping", json!({}))).await;
            assert_eq!(pong["id"], 99);
        });
    }
}

#[tokio::test]
async fn an_element_of_a_batch_opens_no_stream_and_takes_no_id() {
    let (set, _publisher) = board();
    let mut rig = rig(set.clone(), |request| match request.as_array() {
        Some(batch) => Some(batch.iter().filter_map(plain_server).collect()),
        None => plain_server(request),
    });
    rig.client.call(&initialize(0, "2025-03-26")).await;
    rig.client.send(&json!([listen(7, all())])).await;
    let answers = rig.client.recv().await;
    assert_eq!(answers[0]["error"]["code"], -32601, "{answers}");
    assert_eq!(set.subscriptions(), 0);
    // The id is free, and the era is still asked for.
    rig.client.send(&listen(7, all())).await;
    assert_eq!(rig.client.recv().await["method"], ACKNOWLEDGED);
}
