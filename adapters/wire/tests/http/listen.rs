//! Listen streams over HTTP, alone and together with those of the server.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mcp_ext_core::{ExtensionSet, Limits};
use mcp_ext_wire::{Auth, HttpOptions, ProxyOptions, WireBody};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::board::*;
use crate::common::modern;
use crate::rig::*;
use crate::server::*;

type Feed = mpsc::Sender<Result<Bytes, std::io::Error>>;

async fn streams(set: &ExtensionSet, count: usize) {
    for _ in 0..800 {
        if set.subscriptions() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} streams, not {count}", set.subscriptions());
}

/// A stream of events as a client reads it.
struct Heard {
    body: Incoming,
    text: String,
}

impl Heard {
    async fn open(address: SocketAddr, frame: &Value) -> Result<Self, Answer> {
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", LISTEN),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        let response = open(
            address,
            Method::POST,
            "/mcp",
            &headers,
            frame.to_string().into(),
        )
        .await;
        if response.status() != 200 || response.headers()["content-type"] != "text/event-stream" {
            return Err(Answer::of(response).await);
        }
        Ok(Self {
            body: response.into_body(),
            text: String::new(),
        })
    }

    /// The next message; `None` at the end. Comments are passed over.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let data = event.lines().find_map(|line| line.strip_prefix("data:"));
                if let Some(data) = data {
                    return Some(serde_json::from_str(data).unwrap());
                }
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame());
            let bytes = frame
                .await
                .expect("nothing came")?
                .ok()?
                .into_data()
                .unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn must(&mut self) -> Value {
        self.next().await.expect("the stream has ended")
    }

    async fn silent(&mut self) -> bool {
        let next = tokio::time::timeout(Duration::from_millis(100), self.next());
        next.await.is_err()
    }
}

async fn acknowledged(address: SocketAddr, frame: &Value) -> (Heard, Value) {
    let mut heard = Heard::open(address, frame).await.unwrap();
    let first = heard.must().await;
    assert_eq!(first["method"], ACKNOWLEDGED);
    assert_eq!(subscription(&first), &frame["id"]);
    (heard, first["params"]["notifications"].clone())
}

fn event(frame: &Value) -> Result<Bytes, std::io::Error> {
    Ok(format!("data: {frame}\n\n").into())
}

/// A server that has listen streams of its own, fed by the test.
async fn together(set: ExtensionSet, options: HttpOptions) -> (Rig, Feed) {
    let (feed, receive) = mpsc::channel(4);
    let stream = Mutex::new(Some(receive));
    let rig = rig_with(set, options, move |got| match got.rpc_method().as_str() {
        LISTEN => Response::builder()
            .header("content-type", "text/event-stream")
            .header("x-mine", "1")
            .body(WireBody::new(Pieces(
                stream.lock().unwrap().take().unwrap(),
            )))
            .unwrap(),
        _ => plain(got),
    })
    .await;
    (rig, feed)
}

fn theirs(id: impl Into<Value>, filter: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": {
        "notifications": filter, "_meta": { SUBSCRIPTION: id.into() },
    }})
}

fn changed(id: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": { "_meta": { SUBSCRIPTION: id.into() } } })
}

fn both() -> Value {
    json!({ "toolsListChanged": true, BOARD: { "wiped": true } })
}

#[tokio::test]
async fn sub_01_02_04_05_streams_of_the_sets_own() {
    let (set, publisher) = board();
    let rig = rig(set.clone(), plain).await;
    let filter = json!({ BOARD: { "pinned": { "topics": ["a"] }, "moved": true } });
    let (mut a, honoured) = acknowledged(rig.address, &listen("1", filter)).await;
    assert_eq!(
        honoured,
        json!({ BOARD: { "pinned": { "topics": ["a"] } } })
    );
    // Ids are a client's own: another may use the same.
    let (mut b, _) = acknowledged(rig.address, &listen("1", all())).await;
    let (mut c, honoured) =
        acknowledged(rig.address, &listen(7, json!({ BOARD: { "wiped": true } }))).await;
    assert_eq!(honoured, json!({ BOARD: { "wiped": true } }));
    assert_eq!(publisher.pinned(note("a", 1)), Ok(2));
    assert_eq!(publisher.pinned(note("b", 2)), Ok(1));
    assert_eq!(publisher.wiped(), Ok(2));
    for (heard, id, expected) in [
        (&mut a, json!("1"), vec![(PINNED, json!(1))]),
        (
            &mut b,
            json!("1"),
            vec![(PINNED, json!(1)), (PINNED, json!(2)), (WIPED, Value::Null)],
        ),
        (&mut c, json!(7), vec![(WIPED, Value::Null)]),
    ] {
        for (method, number) in expected {
            let frame = heard.must().await;
            assert_eq!(
                (frame["method"].as_str(), &frame["params"]["number"]),
                (Some(method), &number)
            );
            assert_eq!(subscription(&frame), &id);
        }
        assert!(heard.silent().await);
    }
    assert!(!rig.methods().iter().any(|m| m == LISTEN));
    // SUB-10: whoever goes away is forgotten.
    drop(a);
    streams(&set, 2).await;
    drop((b, c));
    streams(&set, 0).await;
}

#[tokio::test]
async fn sub_08_tk_08_undeclared_is_400_before_any_stream() {
    let (set, _publisher) = board();
    let rig = rig(set.clone(), plain).await;
    let refused = Heard::open(rig.address, &listen_as(false, 1, both()))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (400, &json!(-32021))
    );
    assert!(
        refused.json()["error"]["data"]["requiredCapabilities"]["extensions"][BOARD].is_object()
    );
    assert!(
        !rig.methods().iter().any(|m| m == LISTEN),
        "all of it is refused"
    );
    let bad = listen(1, json!({ BOARD: { "pinned": 5 } }));
    let refused = Heard::open(rig.address, &bad).await.err().unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (200, &json!(-32602))
    );
    // Headers and `_meta` are checked as for a method of ours.
    let mut bad = listen(1, all());
    bad["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    let refused = Heard::open(rig.address, &bad).await.err().unwrap();
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (400, &json!(-32602))
    );
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "ping"),
    ];
    let refused = post(rig.address, &headers, &listen(1, all())).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (400, &json!(-32020))
    );
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", LISTEN),
        ("accept", "application/json"),
    ];
    let response = open(
        rig.address,
        Method::POST,
        "/mcp",
        &headers,
        listen(1, all()).to_string().into(),
    )
    .await;
    assert_eq!(response.status(), 406);
    assert_eq!(set.subscriptions(), 0);
}

#[tokio::test]
async fn who_the_server_does_not_take_does_not_listen() {
    let (set, _publisher) = board();
    let rig = rig(set.clone(), |_| status(401)).await;
    let refused = Heard::open(rig.address, &listen(1, all()))
        .await
        .err()
        .unwrap();
    assert_eq!(refused.status, 401);
    assert_eq!(set.subscriptions(), 0);
}

#[tokio::test]
async fn what_is_for_one_principal_reaches_no_other() {
    let (set, publisher) = board();
    let rig = rig(set.clone(), plain).await;
    let named = |name: &'static str| {
        let address = rig.address;
        async move {
            let headers = [
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", LISTEN),
                ("accept", "application/json, text/event-stream"),
                ("authorization", name),
            ];
            let body = listen(1, all()).to_string().into();
            let response = open(address, Method::POST, "/mcp", &headers, body).await;
            let mut heard = Heard {
                body: response.into_body(),
                text: String::new(),
            };
            assert_eq!(heard.must().await["method"], ACKNOWLEDGED);
            heard
        }
    };
    let (mut a, mut nobody) = (
        named("a").await,
        acknowledged(rig.address, &listen(1, all())).await.0,
    );
    assert_eq!(publisher.wiped(), Ok(2));
    let stranger = mcp_ext_core::Principal::new("someone");
    assert_eq!(publisher.only_to(stranger).wiped(), Ok(0));
    assert_eq!(a.must().await["method"], WIPED);
    assert_eq!(nobody.must().await["method"], WIPED);
    assert!(a.silent().await && nobody.silent().await);
}

#[tokio::test]
async fn sub_02_both_sides_send_on_one_stream() {
    let (set, publisher) = board();
    let (rig, feed) = together(set.clone(), HttpOptions::default()).await;
    let address = rig.address;
    let opening =
        tokio::spawn(async move { Heard::open(address, &listen(7, both())).await.unwrap() });
    streams(&set, 1).await;
    publisher.wiped().unwrap();
    // In pieces, to be put together again; and a comment before the first event.
    for piece in [
        ": hello\n\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/ackno",
        "wledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":7},\"notifications\":{\"toolsListChanged\":true}}}\n",
        "\n",
    ] {
        feed.send(Ok(piece.into())).await.unwrap();
    }
    let mut heard = opening.await.unwrap();
    let first = heard.must().await;
    assert_eq!(first["method"], ACKNOWLEDGED);
    assert_eq!(subscription(&first), &json!(7));
    assert_eq!(first["params"]["notifications"], both());
    assert_eq!(
        heard.must().await["method"],
        WIPED,
        "what was published before comes after it"
    );
    // Half an event of theirs holds ours up no longer than it must, and is never split.
    let half = format!("data: {}\n\n", changed(7));
    let (front, back) = half.split_at(20);
    feed.send(Ok(front.to_owned().into())).await.unwrap();
    publisher.wiped().unwrap();
    assert_eq!(heard.must().await["method"], WIPED);
    feed.send(Ok(back.to_owned().into())).await.unwrap();
    assert_eq!(heard.must().await, changed(7));
    let asked = rig
        .got
        .lock()
        .unwrap()
        .iter()
        .find(|g| g.rpc_method() == LISTEN)
        .unwrap()
        .clone();
    assert_eq!(
        asked.json()["params"]["notifications"],
        json!({ "toolsListChanged": true })
    );
    assert_eq!(
        asked.headers["content-length"],
        asked.body.len().to_string()
    );
    // One result, the server's, and nothing of ours behind it.
    let result = json!({ "jsonrpc": "2.0", "id": 7, "result": { "resultType": "complete", "_meta": { SUBSCRIPTION: 7 } } });
    feed.send(event(&result)).await.unwrap();
    assert_eq!(heard.must().await, result);
    streams(&set, 0).await;
    drop(feed);
    assert_eq!(heard.next().await, None);
}

#[tokio::test]
async fn req_26_a_client_that_leaves_ends_the_servers_stream_too() {
    let (set, _publisher) = board();
    let (rig, feed) = together(set.clone(), HttpOptions::default()).await;
    feed.send(event(&theirs(7, json!({ "toolsListChanged": true }))))
        .await
        .unwrap();
    let (heard, _) = acknowledged(rig.address, &listen(7, both())).await;
    drop(heard);
    streams(&set, 0).await;
    tokio::time::timeout(Duration::from_secs(5), feed.closed())
        .await
        .expect("the server's stream is closed");
}

#[tokio::test]
async fn a_server_that_breaks_off_ends_the_stream_without_a_result() {
    let (set, publisher) = board();
    let (rig, feed) = together(set.clone(), HttpOptions::default()).await;
    feed.send(event(&theirs(7, json!({})))).await.unwrap();
    let (mut heard, _) = acknowledged(rig.address, &listen(7, both())).await;
    feed.send(Err(std::io::Error::other("gone"))).await.unwrap();
    assert_eq!(heard.next().await, None);
    streams(&set, 0).await;
    assert_eq!(publisher.wiped(), Ok(0));
}

#[tokio::test]
async fn a_server_without_listen_streams_leaves_ours_alone() {
    let (set, publisher) = board();
    let error = json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32601, "message": "no" } });
    let as_event = error.clone();
    for answer in [
        Box::new(move || json(404, &error)) as Box<dyn Fn() -> Response<WireBody> + Send + Sync>,
        Box::new(move || events(format!("data: {as_event}\n\n"))),
    ] {
        let rig = rig(set.clone(), move |got| match got.rpc_method().as_str() {
            LISTEN => answer(),
            _ => plain(got),
        })
        .await;
        let (mut heard, honoured) = acknowledged(rig.address, &listen(7, both())).await;
        assert_eq!(honoured, json!({ BOARD: { "wiped": true } }));
        publisher.wiped().unwrap();
        assert_eq!(heard.must().await["method"], WIPED);
        drop(heard);
        streams(&set, 0).await;
    }
}

#[tokio::test]
async fn another_answer_of_the_server_is_the_answer() {
    let (set, _publisher) = board();
    let rig = rig(set.clone(), |got| match got.rpc_method().as_str() {
        LISTEN => json(
            400,
            &json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32602, "message": "no" } }),
        ),
        _ => plain(got),
    })
    .await;
    let answer = Heard::open(rig.address, &listen(7, both()))
        .await
        .err()
        .unwrap();
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (400, &json!(-32602))
    );
    streams(&set, 0).await;
}

#[tokio::test]
async fn sub_09_a_slow_reader_gets_what_was_queued_and_then_the_end() {
    let limits = Limits {
        max_listen_queue: 8,
        ..Default::default()
    };
    let (set, publisher) = board_with(limits);
    let rig = rig(set.clone(), plain).await;
    let (mut heard, _) = acknowledged(rig.address, &listen(1, all())).await;
    // Larger than what sockets hold on the way, unread.
    let topic = "x".repeat(256 * 1024);
    let mut queued = 0;
    for number in 0..200 {
        queued += publisher.pinned(note(&topic, number)).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(
        queued < 200,
        "a reader that does not read is not waited for"
    );
    for number in 0..queued {
        assert_eq!(heard.must().await["params"]["number"], number);
    }
    let end = heard.must().await;
    assert_eq!(
        (&end["id"], &end["result"]["resultType"]),
        (&json!(1), &json!("complete"))
    );
    assert_eq!(subscription(&end), &json!(1));
    assert_eq!(
        end["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "plain"
    );
    assert_eq!(heard.next().await, None);
    streams(&set, 0).await;
}

#[tokio::test]
async fn sub_09_a_proxy_that_stops_ends_its_streams_with_their_results() {
    let (set, _publisher) = board();
    let mut rig = rig(set.clone(), plain).await;
    let (mut heard, _) = acknowledged(rig.address, &listen(1, all())).await;
    rig.stop.take().unwrap().send(()).unwrap();
    assert_eq!(heard.must().await["result"]["resultType"], "complete");
    assert_eq!(heard.next().await, None);
    rig.ended.await.unwrap();
}

#[tokio::test]
async fn a_stream_on_which_nothing_happens_is_kept_alive() {
    let (set, _publisher) = board();
    let options = HttpOptions {
        keep_alive: Duration::from_millis(20),
        ..Default::default()
    };
    let rig = rig_with(set, options, plain).await;
    let (mut heard, _) = acknowledged(rig.address, &listen(1, all())).await;
    let frame = heard
        .body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_data()
        .unwrap();
    assert_eq!(frame, ":\n\n");
}

#[tokio::test]
async fn a_stream_ends_after_its_time_and_its_client_is_asked_about_anew() {
    let (set, publisher) = board();
    let options = HttpOptions {
        keep_alive: Duration::from_millis(20),
        max_listen: Duration::from_millis(200),
        remember: Duration::ZERO,
        ..Default::default()
    };
    let rig = rig_with(set.clone(), options, plain).await;
    for _ in 0..2 {
        let (mut heard, _) = acknowledged(rig.address, &listen(1, all())).await;
        // A stream on which much happens ends as well.
        loop {
            publisher.wiped().unwrap();
            let frame = heard.must().await;
            if frame["method"] == WIPED {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            assert_eq!(frame["result"]["resultType"], "complete");
            break;
        }
        assert_eq!(heard.next().await, None);
        streams(&set, 0).await;
    }
    let asked = rig
        .methods()
        .iter()
        .filter(|m| *m == "server/discover")
        .count();
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn hostile_requests_are_bounded_and_leave_nothing_open() {
    let limits = Limits {
        max_listen_streams: 3,
        ..Default::default()
    };
    let (set, _publisher) = board_with(limits);
    let rig = rig(set.clone(), plain).await;
    let topics: Vec<_> = (0..10_000).map(|n| format!("topic-{n}")).collect();
    let many = listen(1, json!({ BOARD: { "pinned": { "topics": topics } } }));
    let refused = Heard::open(rig.address, &many).await.err().unwrap().json();
    assert_eq!(refused["error"]["data"]["kind"], "too_large");
    let unknown: serde_json::Map<_, _> = (0..500)
        .map(|n| (format!("event-{n}"), json!({})))
        .collect();
    let (heard, honoured) = acknowledged(rig.address, &listen(2, json!({ BOARD: unknown }))).await;
    assert_eq!(honoured, json!({}), "what is not known is passed over");
    for bad in [json!(null), json!(1.5), json!({}), json!("x".repeat(5000))] {
        let refused = Heard::open(rig.address, &listen(bad, all()))
            .await
            .err()
            .unwrap();
        assert_eq!(refused.json()["error"]["code"], -32600);
    }
    let mut open = vec![heard];
    for _ in 0..2 {
        open.push(acknowledged(rig.address, &listen(2, all())).await.0);
    }
    let refused = Heard::open(rig.address, &listen(3, all()))
        .await
        .err()
        .unwrap()
        .json();
    assert_eq!(refused["error"]["data"]["kind"], "busy");
    drop(open);
    streams(&set, 0).await;
}

#[tokio::test]
async fn without_authentication_a_page_from_elsewhere_does_not_listen() {
    let (set, _publisher) = board();
    let (server, _) = upstream(plain).await;
    let http = HttpOptions {
        auth: Auth::None,
        ..Default::default()
    };
    let rig = front(
        set,
        server,
        ProxyOptions {
            http,
            ..Default::default()
        },
    )
    .await;
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", LISTEN),
        ("accept", "text/event-stream"),
        ("origin", "https://evil.example"),
    ];
    let body = listen(1, all()).to_string().into();
    assert_eq!(
        open(rig.address, Method::POST, "/mcp", &headers, body)
            .await
            .status(),
        403
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sub_05_a_storm_from_eight_threads_while_clients_come_and_go() {
    let (set, publisher) = board();
    let rig = rig(set.clone(), plain).await;
    let address = rig.address;
    let readers: Vec<_> = (0..6u64)
        .map(|id| {
            tokio::spawn(async move {
                let (mut heard, _) = acknowledged(address, &listen(id, all())).await;
                let mut last: HashMap<String, u64> = HashMap::new();
                let mut count = 0;
                loop {
                    let frame = heard.must().await;
                    if frame.get("result").is_some() {
                        return (count, true);
                    }
                    assert_eq!(subscription(&frame), &json!(id));
                    if frame["method"] == WIPED {
                        return (count, false);
                    }
                    let topic = frame["params"]["topic"].as_str().unwrap().to_owned();
                    let number = frame["params"]["number"].as_u64().unwrap();
                    if let Some(before) = last.insert(topic, number) {
                        assert_eq!(number, before + 1, "of each thread each once, in order");
                    }
                    count += 1;
                }
            })
        })
        .collect();
    streams(&set, 6).await;
    // Others come and leave meanwhile.
    let passing = tokio::spawn(async move {
        for id in 0..40 {
            drop(acknowledged(address, &listen(id, all())).await);
        }
    });
    let threads: Vec<_> = (0..8u64)
        .map(|thread| {
            let publisher = publisher.clone();
            std::thread::spawn(move || {
                for number in 0..300 {
                    publisher.pinned(note(&thread.to_string(), number)).unwrap();
                    std::thread::sleep(Duration::from_micros(300));
                }
            })
        })
        .collect();
    tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| t.join().unwrap()))
        .await
        .unwrap();
    passing.await.unwrap();
    publisher.wiped().unwrap();
    for reader in readers {
        let (count, ended) = reader.await.unwrap();
        assert!(
            ended || count == 8 * 300,
            "{count} came, and the stream did not end"
        );
    }
    streams(&set, 0).await;
}

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Open(u8, Vec<u8>),
    Leave(u8),
    Publish(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..5u8, proptest::collection::vec(0..3u8, 0..3)).prop_map(|(id, t)| Step::Open(id, t)),
        (0..5u8).prop_map(Step::Leave),
        (0..3u8).prop_map(Step::Publish),
        (0..3u8).prop_map(Step::Publish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Against a model: each client hears what was published on its topics while it listened, each once, in order.
    #[test]
    fn sub_05_events_land_on_the_right_stream_each_once(steps in proptest::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (set, publisher) = board();
            let rig = rig(set.clone(), plain).await;
            let mut open: BTreeMap<u8, (Heard, HashSet<u8>, Vec<u64>)> = BTreeMap::new();
            for (number, step) in steps.iter().enumerate() {
                match step {
                    Step::Open(id, topics) => {
                        let names: Vec<_> = topics.iter().map(u8::to_string).collect();
                        let filter = json!({ BOARD: { "pinned": { "topics": names } } });
                        let heard = acknowledged(rig.address, &listen(*id, filter)).await.0;
                        open.insert(*id, (heard, topics.iter().copied().collect(), Vec::new()));
                        streams(&set, open.len()).await;
                    }
                    Step::Leave(id) => {
                        open.remove(id);
                        streams(&set, open.len()).await;
                    }
                    Step::Publish(topic) => {
                        publisher.pinned(note(&topic.to_string(), number as u64)).unwrap();
                        for (_, topics, expected) in open.values_mut() {
                            if topics.is_empty() || topics.contains(topic) {
                                expected.push(number as u64);
                            }
                        }
                    }
                }
            }
            for (id, (mut heard, _, expected)) in open {
                for number in expected {
                    let frame = heard.must().await;
                    assert_eq!(frame["params"]["number"], number);
                    assert_eq!(subscription(&frame), &json!(id));
                }
                set.end_subscriptions();
                assert!(heard.must().await.get("result").is_some(), "nothing is left over");
            }
        });
    }
}

#[tokio::test]
async fn what_is_the_servers_passes_untouched() {
    let (set, _publisher) = board();
    let rig = rig(set, plain).await;
    for frame in [
        modern(
            1,
            LISTEN,
            json!({ "notifications": { "toolsListChanged": true } }),
        ),
        modern(1, LISTEN, json!({ "notifications": [BOARD] })),
        modern(1, LISTEN, json!({})),
    ] {
        rig.clear();
        let answer = modern_post(rig.address, &[], &frame).await;
        assert_eq!(answer.status, 404);
        assert_eq!(rig.got.lock().unwrap()[0].json(), frame);
    }
}

/// One event of the server, in any of the forms that events may have.
fn their_event() -> impl Strategy<Value = (String, u64)> {
    (any::<u32>(), 0..3usize, 0..4u8).prop_map(|(number, end, form)| {
        let end = ["\n", "\r\n", "\r"][end];
        let frame = json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated",
            "params": { "uri": "a:\u{e9}", "number": number, "_meta": { SUBSCRIPTION: 7 } } })
        .to_string();
        let event = match form {
            0 => format!("data: {frame}{end}{end}"),
            1 => format!(": hello{end}id: 1{end}event: message{end}data:{frame}{end}{end}"),
            // On two lines, between two tokens.
            2 => format!("data: {{{end}data: {}{end}{end}", &frame[1..]),
            _ => format!(": hello{end}{end}data: {frame}{end}retry: 5{end}{end}"),
        };
        (event, number.into())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// However the server's stream is cut into pieces, and whenever something is published: every event of theirs comes
    /// whole and in order, and so does ours, between theirs.
    #[test]
    fn what_both_sides_send_stays_whole(
        events in proptest::collection::vec(their_event(), 0..8),
        cuts in proptest::collection::vec(1..40usize, 1..40),
        publish in proptest::collection::vec(any::<bool>(), 40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (set, publisher) = board();
            let (rig, feed) = together(set.clone(), HttpOptions::default()).await;
            let address = rig.address;
            let filter = json!({ "toolsListChanged": true, BOARD: { "pinned": {} } });
            let opening = tokio::spawn(async move { Heard::open(address, &listen(7, filter)).await.unwrap() });
            streams(&set, 1).await;
            let result = json!({ "jsonrpc": "2.0", "id": 7, "result": {} });
            let mut whole = format!("data: {}\n\n", theirs(7, json!({ "toolsListChanged": true })));
            whole.extend(events.iter().map(|(text, _)| text.as_str()));
            whole.push_str(&format!("data: {result}\n\n"));
            let mut rest = whole.as_bytes();
            let mut published = 0;
            for (n, cut) in cuts.iter().cycle().enumerate() {
                let (piece, more) = rest.split_at((*cut).min(rest.len()));
                feed.send(Ok(Bytes::copy_from_slice(piece))).await.unwrap();
                rest = more;
                if rest.is_empty() {
                    break;
                }
                if n < publish.len() && publish[n] {
                    publisher.pinned(note("a", published)).unwrap();
                    published += 1;
                    tokio::task::yield_now().await;
                }
            }
            drop(feed);
            let heard = opening.await.unwrap();
            let body = tokio::time::timeout(Duration::from_secs(20), heard.body.collect());
            let body = body.await.unwrap().unwrap().to_bytes();
            let text = String::from_utf8(body.to_vec()).unwrap().replace("\r\n", "\n").replace('\r', "\n");
            let frames: Vec<Value> = text
                .split("\n\n")
                .filter_map(|event| {
                    let data: Vec<_> = event.lines().filter_map(|l| l.strip_prefix("data:")).collect();
                    (!data.is_empty()).then(|| serde_json::from_str(&data.join("\n")).unwrap())
                })
                .collect();
            assert_eq!(frames[0]["method"], ACKNOWLEDGED);
            assert_eq!(frames[0]["params"]["notifications"][BOARD], json!({ "pinned": {"topics": []} }));
            assert_eq!(frames.last().unwrap(), &result);
            let numbers = |method: &str| -> Vec<u64> {
                let these = frames.iter().filter(|f| f["method"] == method);
                these.map(|f| f["params"]["number"].as_u64().unwrap()).collect()
            };
            let expected: Vec<_> = events.iter().map(|(_, number)| *number).collect();
            assert_eq!(numbers("notifications/resources/updated"), expected);
            let ours = numbers(PINNED);
            assert_eq!(ours, (0..ours.len() as u64).collect::<Vec<_>>());
            assert!(ours.len() as u64 <= published);
            assert_eq!(frames.len(), 2 + expected.len() + ours.len());
        });
    }
}
