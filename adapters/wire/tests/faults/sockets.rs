//! The reverse proxy on real sockets, between clients that break off and a server that breaks off, stalls or answers
//! with nonsense.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcp_ext_wire::{HttpOptions, ProxyOptions, proxy};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::common::*;
use crate::leaks::{self, Before};
use crate::runs;
use crate::wire::{Answer, Client, Head, body, post};

const RUNS: u64 = 600;

/// How long whoever waits is patient, on a machine that does other work too.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server may take.
const LIMIT: Duration = Duration::from_millis(700);

/// How the server answers one request; the request itself says so.
const GOOD: &[&str] = &["json", "chunked", "events", "big", "json-close"];
const BAD: &[&str] = &[
    "cut-json",
    "cut-events",
    "reset",
    "reset-json",
    "reset-events",
    "close",
    "never",
    "stall-json",
    "stall-events",
    "nonsense",
    "500",
];

/// How it answers the questions of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Questions {
    Answered,
    Never,
    Closed,
    Reset,
    Cut,
    Error,
}

impl Questions {
    fn of(random: &mut Random) -> Self {
        match random.below(100) {
            0..=79 => Self::Answered,
            80..=82 => Self::Never,
            83..=86 => Self::Closed,
            87..=90 => Self::Reset,
            91..=95 => Self::Cut,
            _ => Self::Error,
        }
    }
}

/// What runs came to.
#[derive(Debug, Default)]
struct Tally {
    /// Answered as they should be.
    right: usize,
    /// Answered with an error because the server failed.
    failed: usize,
    /// Without a whole answer when the connection closed.
    cut: usize,
    /// Given up by the client.
    given_up: usize,
    cancelled: usize,
    /// Calls whose handler was dropped.
    dropped: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.failed += other.failed;
        self.cut += other.cut;
        self.given_up += other.given_up;
        self.cancelled += other.cancelled;
        self.dropped += other.dropped;
    }
}

/// The server of one run.
struct Upstream {
    questions: Questions,
    session: String,
    /// How often each request came, by its mark.
    seen: Mutex<HashMap<String, usize>>,
    /// Connections that stall until the proxy closes them.
    stalled: AtomicUsize,
}

fn http(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

const JSON: &str = "application/json";
const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

impl Upstream {
    async fn serve(self: Arc<Self>, stream: TcpStream, mut random: Random) {
        stream.set_nodelay(true).unwrap();
        let mut stream = BufReader::new(stream);
        loop {
            let Some(head) = Head::read(&mut stream).await else {
                return;
            };
            let (body, whole) = body(&mut stream, &head, &mut None).await;
            if !whole {
                return;
            }
            let frame: Value = serde_json::from_slice(&body).unwrap_or_default();
            if !self.answer(&mut stream, &head, &frame, &mut random).await {
                return;
            }
        }
    }

    /// Whether the connection goes on.
    async fn answer(
        &self,
        stream: &mut BufReader<TcpStream>,
        head: &Head,
        frame: &Value,
        random: &mut Random,
    ) -> bool {
        let question = frame["id"] == "mcp-ext-wire/question";
        let mark = frame["params"]["mark"]
            .as_str()
            .or_else(|| frame["params"]["arguments"]["mark"].as_str())
            .unwrap_or_default()
            .to_owned();
        if !mark.is_empty() {
            *self.seen.lock().await.entry(mark.clone()).or_default() += 1;
        }
        let way = match self.questions {
            _ if !question => frame["params"]["way"]
                .as_str()
                .or_else(|| frame["params"]["arguments"]["way"].as_str())
                .unwrap_or("json"),
            Questions::Answered => "json",
            Questions::Never => "never",
            Questions::Closed => "close",
            Questions::Reset => "reset",
            Questions::Cut => "cut-json",
            Questions::Error => "500",
        };
        let Some(mut answer) = plain_server(frame) else {
            return stream
                .write_all(&http("202 Accepted", JSON, ""))
                .await
                .is_ok();
        };
        if frame["method"] == "tools/call" {
            answer["result"]["content"][0]["text"] = mark.clone().into();
        }
        let answer = answer.to_string();
        let note = |n: usize| {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"mark": mark, "n": n}});
            format!("data: {note}\n\n")
        };
        let half = &answer[..answer.len() / 2];
        let wait = async |stream: &mut BufReader<TcpStream>| {
            self.stalled.fetch_add(1, Ordering::SeqCst);
            // Nothing more comes but the end.
            let _ = stream.read(&mut [0; 16]).await;
            self.stalled.fetch_sub(1, Ordering::SeqCst);
        };
        let good = match way {
            "json" | "json-close" => {
                let mut whole = http("200 OK", JSON, &answer);
                if frame["method"] == "initialize" {
                    let at = whole.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
                    let session = format!("\r\nmcp-session-id: {}", self.session);
                    whole.splice(at..at, session.into_bytes());
                }
                stream.write_all(&whole).await.is_ok() && way == "json"
            }
            "chunked" => {
                let mut sent = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await
                    .is_ok();
                for piece in [half, &answer[half.len()..], ""] {
                    sleep(Duration::from_millis(random.below(3))).await;
                    sent &= stream.write_all(&chunk(piece)).await.is_ok();
                }
                sent
            }
            "events" | "big" => {
                let mut sent = stream.write_all(EVENTS).await.is_ok();
                let padding = if way == "big" {
                    ": x".repeat(3_000) + "\n"
                } else {
                    String::new()
                };
                for n in 0..(if way == "big" { 20 } else { 3 }) {
                    sent &= stream
                        .write_all(&chunk(&format!("{padding}{}", note(n))))
                        .await
                        .is_ok();
                }
                let event = format!("id: 1\nevent: message\ndata: {answer}\n\n");
                let (first, second) = event.split_at(event.len() / 3);
                for piece in [first, second, ""] {
                    sent &= stream.write_all(&chunk(piece)).await.is_ok();
                }
                sent
            }
            "cut-json" | "reset-json" | "stall-json" => {
                let whole = http("200 OK", JSON, &answer);
                let _ = stream.write_all(&whole[..whole.len() - half.len()]).await;
                false
            }
            "cut-events" | "reset-events" | "stall-events" => {
                let _ = stream.write_all(EVENTS).await;
                let _ = stream.write_all(&chunk(&note(0))).await;
                let _ = stream.write_all(&chunk(&format!("data: {half}"))).await;
                false
            }
            "never" | "close" | "reset" => false,
            "nonsense" => {
                let _ = stream.write_all(b"\x00\x01 what is this?\r\n\r\n").await;
                false
            }
            "500" => stream
                .write_all(&http("500 Internal Server Error", "text/plain", "no"))
                .await
                .is_ok(),
            way => panic!("no way {way} in {head:?}"),
        };
        if way == "never" || way.starts_with("stall") {
            wait(stream).await;
        }
        if way.starts_with("reset") {
            if random.chance(50) {
                sleep(Duration::from_millis(random.below(5))).await;
            }
            stream.get_ref().set_zero_linger().unwrap();
        }
        good
    }
}

/// What a client asks for.
struct Asked {
    id: u64,
    mark: String,
    /// `None`: answered here.
    way: Option<&'static str>,
    list: bool,
    frame: Value,
}

/// One client of a run.
struct Caller {
    seed: u64,
    address: SocketAddr,
    session: Option<String>,
    upstream: Arc<Upstream>,
    random: Random,
    next: u64,
    connection: Option<Client>,
    tally: Tally,
}

impl Caller {
    fn make(&self, id: u64, method: &str, params: Value) -> Value {
        match self.session {
            Some(_) => legacy(id, method, params),
            None => modern(id, method, params),
        }
    }

    fn name(&mut self) -> (u64, String) {
        self.next += 1;
        (self.next, format!("R{}-{}", self.seed, self.next))
    }

    fn forwarded(&mut self, ways: &[&'static str]) -> Asked {
        let (id, mark) = self.name();
        let way = ways[usize::try_from(self.random.below(ways.len() as u64)).unwrap()];
        let list = self.random.chance(40);
        let frame = if list {
            self.make(id, "tools/list", json!({"mark": mark, "way": way}))
        } else {
            let arguments = json!({"mark": mark, "way": way});
            self.make(
                id,
                "tools/call",
                json!({"name": "add", "arguments": arguments}),
            )
        };
        Asked {
            id,
            mark,
            way: Some(way),
            list,
            frame,
        }
    }

    fn own(&mut self) -> Asked {
        let (id, mark) = self.name();
        let frame = match self.random.below(3) {
            0 => self.make(id, ECHO, json!({"text": mark})),
            1 => self.make(
                id,
                "tools/call",
                json!({"name": TOOL, "arguments": {"text": mark}}),
            ),
            _ => {
                let mut frame = self.make(id, ANNOUNCE, json!({"count": id % 7}));
                if self.random.chance(50) {
                    frame["params"]["_meta"]["progressToken"] = mark.clone().into();
                }
                frame
            }
        };
        Asked {
            id,
            mark,
            way: None,
            list: false,
            frame,
        }
    }

    async fn connection(&mut self) -> Client {
        match self.connection.take() {
            Some(client) if self.random.chance(70) => client,
            _ => Client::connect(self.address).await,
        }
    }

    fn bytes(&self, frame: &Value) -> Vec<u8> {
        post(frame, self.session.as_deref())
    }

    /// Whether an answer, or none, is what may come of a request.
    async fn judge(&mut self, asked: &Asked, answer: Option<Answer>, took: Duration) {
        let Asked {
            id,
            mark,
            way,
            list,
            frame,
        } = asked;
        let what = format!(
            "FAULTS_SEED={} ({:?}) {frame}: {answer:?}",
            self.seed, self.upstream.questions
        );
        // The head of an answer may go down with its body.
        let breaks =
            way.is_some_and(|way| way.ends_with("-events") || (!list && way.ends_with("-json")));
        let Some(answer) = answer else {
            assert!(breaks, "{what}: closed without a word");
            self.tally.cut += 1;
            return;
        };
        // Nothing of another request.
        for frame in answer.frames() {
            let own = match frame.get("id") {
                Some(Value::Null) => !(200..300).contains(&answer.status),
                Some(other) => *other == *id,
                None => {
                    let text = frame.to_string();
                    text.contains(&format!("\"{mark}\"")) || frame["method"] == NOTED
                }
            };
            assert!(own, "{what}: not of this request");
        }
        let answers = answer.answers();
        assert!(answers.len() <= 1, "{what}: answered more than once");
        let late = answer.status == 504 && took >= LIMIT;
        if !answer.whole {
            assert!(breaks, "{what}: cut although nothing failed");
            assert!(answers.is_empty(), "{what}");
            self.tally.cut += 1;
            return;
        }
        let right = answer.status == 200
            && answers.first().is_some_and(|answer| {
                let text = answer["result"].to_string();
                match way {
                    Some(_) if *list => text.contains("\"add\"") && text.contains(TOOL),
                    None if frame["method"] == ANNOUNCE => answer["result"]["count"] == *id % 7,
                    _ => text.contains(mark),
                }
            });
        let questioned = way.is_none()
            && self.session.is_none()
            && self.upstream.questions != Questions::Answered;
        let stale = answer.status == 502 && !self.upstream.seen.lock().await.contains_key(mark);
        let expected = match way {
            // Whom the server would not take nobody answers.
            None if questioned => !right && matches!(answer.status, 500 | 502 | 504),
            // A kept connection that the server was just closing: it got nothing.
            _ if stale => true,
            None => right,
            Some("json" | "chunked" | "events" | "big" | "json-close") => right,
            Some("never") => late,
            Some("500") => answer.status == 500,
            Some("stall-json") => *list && late,
            Some("cut-json" | "reset-json") => {
                *list && answer.status == 502 && answers[0]["id"] == *id
            }
            Some("close" | "reset" | "nonsense") => answer.status == 502,
            Some(_) => false,
        };
        // On a busy machine anything may take too long.
        assert!(
            expected || late,
            "{what}: not what comes of this, after {took:?}"
        );
        if right {
            self.tally.right += 1;
        } else {
            self.tally.failed += 1;
        }
    }

    async fn ask(&mut self, asked: Asked) {
        let mut client = self.connection().await;
        let bytes = self.bytes(&asked.frame);
        let start = Instant::now();
        if !client.send(&bytes).await {
            // Closed since the last answer: nothing was taken.
            client = Client::connect(self.address).await;
            assert!(client.send(&bytes).await);
        }
        // Whoever asks for what never ends gives up in the end.
        let patience = if asked
            .way
            .is_some_and(|way| way.starts_with("stall") && !(way == "stall-json" && asked.list))
        {
            Duration::from_millis(50 + self.random.below(100))
        } else {
            PATIENCE
        };
        let mut slow = (asked.way == Some("big")).then(|| Random::new(asked.id));
        match timeout(patience, client.answer(&mut slow)).await {
            Err(_) if patience < PATIENCE => self.tally.given_up += 1,
            Err(_) => panic!("FAULTS_SEED={} {}: hangs", self.seed, asked.frame),
            Ok(answer) => {
                let reusable = answer.as_ref().is_some_and(|answer| answer.whole);
                self.judge(&asked, answer, start.elapsed()).await;
                self.connection = reusable.then_some(client);
            }
        }
    }

    /// Several requests at once on one connection, which are answered in order.
    async fn pipelined(&mut self) {
        let mut client = Client::connect(self.address).await;
        let asked: Vec<_> = (0..3)
            .map(|_| {
                if self.random.chance(50) {
                    self.own()
                } else {
                    self.forwarded(GOOD)
                }
            })
            .collect();
        let all: Vec<u8> = asked
            .iter()
            .flat_map(|asked| self.bytes(&asked.frame))
            .collect();
        let start = Instant::now();
        assert!(client.send(&all).await);
        for asked in asked {
            let answer = timeout(PATIENCE, client.answer(&mut None)).await;
            let answer = answer
                .unwrap_or_else(|_| panic!("FAULTS_SEED={} {}: hangs", self.seed, asked.frame));
            self.judge(&asked, answer, start.elapsed()).await;
        }
        // And nothing behind them.
        client.write.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, client.read.read_to_end(&mut rest)).await;
        assert!(
            read.is_ok() && rest.is_empty(),
            "FAULTS_SEED={}: {rest:?}",
            self.seed
        );
    }

    /// A long call of ours whose client breaks off.
    async fn broken_off(&mut self) {
        let (id, _) = self.name();
        let frame = self.make(id, WAIT, json!({"millis": 60_000}));
        let bytes = self.bytes(&frame);
        let mut client = Client::connect(self.address).await;
        let sent = if self.random.chance(40) {
            usize::try_from(self.random.below(bytes.len() as u64)).unwrap()
        } else {
            bytes.len()
        };
        client.send(&bytes[..sent]).await;
        sleep(Duration::from_millis(self.random.below(30))).await;
        self.tally.given_up += 1;
    }

    /// A long call of ours in a session, which is cancelled from another connection.
    async fn cancelled(&mut self) {
        let (id, _) = self.name();
        let frame = self.make(id, WAIT, json!({"millis": 60_000}));
        let mut client = Client::connect(self.address).await;
        assert!(client.send(&self.bytes(&frame)).await);
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        let start = Instant::now();
        let mut answer = Box::pin(async move { client.answer(&mut None).await });
        let answer = loop {
            // It may overtake the call.
            let mut other = Client::connect(self.address).await;
            assert!(other.send(&self.bytes(&cancel)).await);
            let taken = timeout(PATIENCE, other.answer(&mut None)).await.unwrap();
            assert_eq!(taken.unwrap().status, 202);
            if let Ok(answer) = timeout(Duration::from_millis(20), &mut answer).await {
                break answer;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "FAULTS_SEED={}: {frame} is not cancelled",
                self.seed
            );
        };
        let answer = answer.unwrap();
        assert!(
            answer.body.is_empty() && answer.whole,
            "FAULTS_SEED={}: {answer:?}",
            self.seed
        );
        self.tally.cancelled += 1;
    }

    async fn run(mut self) -> Tally {
        for _ in 0..3 + self.random.below(5) {
            match self.random.below(100) {
                0..=27 => {
                    let asked = self.own();
                    self.ask(asked).await;
                }
                28..=47 => {
                    let asked = self.forwarded(GOOD);
                    self.ask(asked).await;
                }
                48..=77 => {
                    let asked = self.forwarded(BAD);
                    self.ask(asked).await;
                }
                78..=85 => self.pipelined().await,
                86..=93 if self.session.is_some() => self.cancelled().await,
                _ => self.broken_off().await,
            }
            if self.random.chance(30) {
                sleep(Duration::from_millis(self.random.below(10))).await;
            }
        }
        self.tally
    }
}

async fn run(seed: u64) -> Tally {
    let mut random = Random::new(seed ^ 0x50cc);
    let (seen, builder) = builder();
    let upstream = Arc::new(Upstream {
        questions: Questions::of(&mut random),
        session: format!("session-{seed}"),
        seen: Mutex::default(),
        stalled: AtomicUsize::new(0),
    });
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", far.local_addr().unwrap());
    let (end, mut ended) = oneshot::channel::<()>();
    let serving = tokio::spawn({
        let upstream = upstream.clone();
        async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    _ = &mut ended => break,
                    Ok((stream, _)) = far.accept() => {
                        let random = Random::new(seed + connections.len() as u64);
                        connections.spawn(upstream.clone().serve(stream, random));
                    }
                }
            }
            // The proxy has closed them, or is about to.
            while let Some(done) = connections.join_next().await {
                done.unwrap();
            }
        }
    });
    let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = near.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let options = ProxyOptions {
        http: HttpOptions {
            timeout: LIMIT,
            ..HttpOptions::default()
        },
        answer_timeout: LIMIT,
        grace: Duration::from_millis(200),
        ..ProxyOptions::default()
    };
    let proxying = tokio::spawn(proxy(
        builder.build().unwrap(),
        near,
        url.parse().unwrap(),
        options,
        async move {
            let _ = stopped.await;
        },
    ));

    let session = if random.chance(40) {
        let mut client = Client::connect(address).await;
        assert!(
            client
                .send(&post(&initialize(0, "2025-11-25"), Some("none-yet")))
                .await
        );
        let answer = timeout(PATIENCE, client.answer(&mut None))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer.status, 200, "FAULTS_SEED={seed}: {answer:?}");
        Some(upstream.session.clone())
    } else {
        None
    };
    let mut callers = JoinSet::new();
    for caller in 0..1 + random.below(3) {
        let caller = Caller {
            seed,
            address,
            session: session.clone(),
            upstream: upstream.clone(),
            random: Random::new(seed * 10 + caller),
            next: caller * 1000,
            connection: None,
            tally: Tally::default(),
        };
        callers.spawn(caller.run());
    }
    let mut total = Tally::default();
    while let Some(done) = callers.join_next().await {
        match done {
            Ok(tally) => total += tally,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    // Whoever is gone holds nothing open on the other side.
    let start = Instant::now();
    while upstream.stalled.load(Ordering::SeqCst) > 0 {
        assert!(
            start.elapsed() < PATIENCE,
            "FAULTS_SEED={seed}: connections to the server stay open"
        );
        sleep(Duration::from_millis(5)).await;
    }
    let counts = || {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (
            count(&seen.started),
            count(&seen.finished),
            count(&seen.dropped),
        )
    };
    while {
        let (started, finished, dropped) = counts();
        started != finished + dropped
    } {
        assert!(
            start.elapsed() < PATIENCE,
            "FAULTS_SEED={seed}: calls go on: {:?}",
            counts()
        );
        sleep(Duration::from_millis(5)).await;
    }
    let _ = stop.send(());
    timeout(PATIENCE, proxying)
        .await
        .unwrap_or_else(|_| panic!("FAULTS_SEED={seed}: the proxy does not end"))
        .unwrap()
        .unwrap();
    let _ = end.send(());
    timeout(PATIENCE, serving)
        .await
        .unwrap_or_else(|_| {
            panic!("FAULTS_SEED={seed}: a connection to the server outlives the proxy")
        })
        .unwrap();
    for (mark, count) in &*upstream.seen.lock().await {
        assert_eq!(*count, 1, "FAULTS_SEED={seed}: {mark} came {count} times");
    }
    total.dropped = counts().2;
    total
}

pub fn test() {
    // What is opened once, and kept.
    runs::runtime().block_on(async {
        drop(TcpListener::bind("127.0.0.1:0").await.unwrap());
    });
    let before = Before::now();
    let runtime = runs::runtime();
    let total = runtime.block_on(runs::all(RUNS, 24, run));
    let tasks = || runtime.metrics().num_alive_tasks();
    leaks::until(|| format!("{} tasks are left", tasks()), || tasks() == 0);
    drop(runtime);
    before.assert_nothing_left();
    eprintln!("{total:?}");
    // The faults did happen, and did not swallow everything.
    if runs::usual() {
        assert!(
            total.right > 2500 && total.failed > 300 && total.cut > 100,
            "{total:?}"
        );
        assert!(
            total.given_up > 200 && total.cancelled > 50 && total.dropped > 100,
            "{total:?}"
        );
    }
}
