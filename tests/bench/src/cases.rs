//! What is counted: each case does one thing a given number of times.

use std::future::Future;
use std::hint::black_box;

use bytes::Bytes;
use mcp_ext::ExtensionSet;
use mcp_ext::prelude::ServerExtensions;
use mcp_ext::request::Target;
use rmcp::ServerHandler;
use serde_json::{Value, json};

use crate::by_hand::Gate;
use crate::echo::{self, EchoExtension};
use crate::grading::{self, RUBRICS};
use crate::servers::{ByHand, Plain};
use crate::transport::{Error, Http, Pipe};
use crate::{bulk, frames, raw};

/// Sends one request again and again; the services differ in type only.
macro_rules! exchange {
    ($times:expr, $http:expr, $sent:expr) => {
        block_on(async {
            let (mut http, sent): (_, Sent) = ($http, $sent);
            let frame = Bytes::from((sent.frame)());
            let first = http.send(frame.clone(), sent.method, sent.name).await?;
            expect(std::str::from_utf8(&first).ok())?;
            for _ in 0..$times {
                black_box(http.send(frame.clone(), sent.method, sent.name).await?);
            }
            Ok(())
        })
    };
}

/// One thing that can be done any number of times.
pub struct Case {
    /// What it is called by.
    pub name: &'static str,
    run: fn(usize) -> Result<(), Error>,
}

impl Case {
    /// Does it `times` times.
    ///
    /// # Errors
    /// When an answer is not the one that is expected.
    pub fn run(&self, times: usize) -> Result<(), Error> {
        (self.run)(times)
    }
}

/// All of them. A static, so that it is compiled here and not once more where it is named.
pub static CASES: &[Case] = &[
    // Raw frames, no SDK.
    case("raw/ours", |n| raw_ours(n, set(1)?, &frames::rubrics())),
    case("raw/by-hand", raw_twin),
    case("raw/ours-10", |n| raw_ours(n, set(10)?, &frames::rubrics())),
    case("raw/ours-100", |n| {
        raw_ours(n, set(100)?, &frames::rubrics())
    }),
    case("raw/ours-100-declared", |n| {
        raw_ours(n, set(100)?, &all_declared(100))
    }),
    case("raw/by-hand-100-declared", raw_twin_declared),
    case("raw/wide-first", |n| {
        raw_ours(n, bulk::wide::set()?, &wide("m00"))
    }),
    case("raw/wide-last", |n| {
        raw_ours(n, bulk::wide::set()?, &wide("m99"))
    }),
    // What the set is asked for each request that is not its own.
    case("set/owns-1", |n| owns(n, set(1)?)),
    case("set/owns-100", |n| owns(n, set(100)?)),
    // A gated method under rmcp.
    case("http/method/ours", |n| http(n, wrapped(1)?, METHOD)),
    // The same, answered before rmcp sees it.
    case("http/method/layer", |n| {
        layer(n, bulk::set::<10>(0)?, METHOD)
    }),
    case("http/method/layer-100", |n| {
        layer(n, bulk::set::<10>(99)?, METHOD)
    }),
    case("http/echo/layer", |n| {
        let set = ExtensionSet::builder().enable(EchoExtension::provide(echo::Provider));
        layer(n, set.build()?, ECHO)
    }),
    case("http/echo/rmcp", |n| http(n, echo::Bare, ECHO)),
    // What the client of each HTTP case costs.
    case("http/client", |n| exchange!(n, Http::nothing(), METHOD)),
    case("http/method/by-hand", |n| {
        http(n, ByHand::default(), METHOD)
    }),
    case("http/method/ours-10", |n| http(n, wrapped(10)?, METHOD)),
    case("http/method/ours-100", |n| http(n, wrapped(100)?, METHOD)),
    case("pipe/method/ours", |n| pipe(n, wrapped(1)?, METHOD)),
    case("pipe/method/by-hand", |n| {
        pipe(n, ByHand::default(), METHOD)
    }),
    case("pipe/method/ours-10", |n| pipe(n, wrapped(10)?, METHOD)),
    case("pipe/method/ours-100", |n| pipe(n, wrapped(100)?, METHOD)),
    // A tool of the wrapped server under rmcp.
    case("http/tool/ours", |n| http(n, wrapped(1)?, TOOL)),
    case("http/tool/without", |n| http(n, Plain::default(), TOOL)),
    case("http/tool/ours-10", |n| http(n, wrapped(10)?, TOOL)),
    case("http/tool/ours-100", |n| http(n, wrapped(100)?, TOOL)),
    case("pipe/tool/ours", |n| pipe(n, wrapped(1)?, TOOL)),
    case("pipe/tool/without", |n| pipe(n, Plain::default(), TOOL)),
    case("pipe/tool/ours-10", |n| pipe(n, wrapped(10)?, TOOL)),
    case("pipe/tool/ours-100", |n| pipe(n, wrapped(100)?, TOOL)),
    // Memory: sets of that many extensions, kept to the end of the process.
    case("memory/extensions-1-method", |n| keep(bulk_only::<1>(n)?)),
    case("memory/extensions-10-methods", |n| {
        keep(bulk_only::<10>(n)?)
    }),
];

const fn case(name: &'static str, run: fn(usize) -> Result<(), Error>) -> Case {
    Case { name, run }
}

/// The measured extension among `extensions` in all, the others with ten methods each.
fn set(extensions: usize) -> Result<ExtensionSet, Error> {
    let set = bulk::set::<10>(extensions - 1)?;
    Ok(set.with_server_info(json!({"name": "bench", "version": "1"})))
}

fn bulk_only<const METHODS: usize>(extensions: usize) -> Result<ExtensionSet, Error> {
    Ok(bulk::enable::<METHODS>(ExtensionSet::builder(), extensions).build()?)
}

fn keep(set: ExtensionSet) -> Result<(), Error> {
    std::mem::forget(black_box(set));
    Ok(())
}

fn wrapped(extensions: usize) -> Result<impl ServerHandler + Clone, Error> {
    Ok(Plain::default().with_extensions(bulk::set::<10>(extensions - 1)?)?)
}

fn all_declared(extensions: usize) -> String {
    let mut declared = frames::declared();
    for id in bulk::identifiers(extensions - 1) {
        declared[id] = json!({});
    }
    let params = json!({"course": "history-101", "tags": ["essay", "graded"], "limit": 2});
    frames::modern(RUBRICS, params, declared)
}

fn wide(method: &str) -> String {
    let params = json!({"course": "history-101"});
    let declared = json!({"com.example/wide": {}});
    frames::modern(&format!("com.example/wide/{method}"), params, declared)
}

fn expect(answer: Option<&str>) -> Result<(), Error> {
    match answer {
        Some(answer) if answer.contains("\"result\"") => Ok(()),
        other => Err(format!("not a result: {other:?}").into()),
    }
}

fn raw_ours(times: usize, set: ExtensionSet, frame: &str) -> Result<(), Error> {
    expect(raw::ours(&set, frame).as_deref())?;
    for _ in 0..times {
        black_box(raw::ours(&set, black_box(frame)));
    }
    Ok(())
}

fn raw_twin(times: usize) -> Result<(), Error> {
    raw_by_hand(times, &frames::rubrics())
}

fn raw_twin_declared(times: usize) -> Result<(), Error> {
    raw_by_hand(times, &all_declared(100))
}

fn raw_by_hand(times: usize, frame: &str) -> Result<(), Error> {
    let gate = Gate::default();
    expect(raw::twin(&gate, frame).as_deref())?;
    for _ in 0..times {
        black_box(raw::twin(&gate, black_box(frame)));
    }
    Ok(())
}

fn owns(times: usize, set: ExtensionSet) -> Result<(), Error> {
    for _ in 0..times {
        black_box(set.owns(black_box(Target::Tool("add"))));
    }
    Ok(())
}

/// A request with what the headers repeat of it.
#[derive(Clone, Copy)]
struct Sent {
    frame: fn() -> String,
    method: &'static str,
    name: Option<&'static str>,
}

const METHOD: Sent = Sent {
    frame: frames::rubrics,
    method: grading::RUBRICS,
    name: None,
};

const ECHO: Sent = Sent {
    frame: echo::call,
    method: echo::SAY,
    name: None,
};

const TOOL: Sent = Sent {
    frame: frames::add,
    method: "tools/call",
    name: Some("add"),
};

fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(future)
}

fn http<S: ServerHandler + Clone>(times: usize, server: S, sent: Sent) -> Result<(), Error> {
    exchange!(times, Http::new(server), sent)
}

fn layer(times: usize, set: ExtensionSet, sent: Sent) -> Result<(), Error> {
    exchange!(times, Http::new(Plain::default()).behind(set), sent)
}

fn pipe<S: ServerHandler>(times: usize, server: S, sent: Sent) -> Result<(), Error> {
    block_on(async {
        let mut pipe = Pipe::new(server);
        let line = (sent.frame)() + "\n";
        let mut answer = String::new();
        pipe.send(line.as_bytes(), &mut answer).await?;
        expect(Some(&answer))?;
        for _ in 0..times {
            pipe.send(line.as_bytes(), &mut answer).await?;
            black_box(&answer);
        }
        Ok(())
    })
}

/// The answers of ours and of the twin to one frame, on raw frames, over HTTP and over a pipe.
///
/// # Errors
/// When there is no answer.
pub fn answers(frame: &str) -> Result<Vec<(&'static str, Value, Value)>, Error> {
    let parse = |text: Option<String>| -> Result<Value, Error> {
        Ok(serde_json::from_str(&text.ok_or("no answer")?)?)
    };
    let gate = Gate::default();
    let mut all = vec![(
        "raw",
        parse(raw::ours(&set(1)?, frame))?,
        parse(raw::twin(&gate, frame))?,
    )];
    let sent = Bytes::from(frame.to_owned());
    let (ours, layer, theirs) = block_on(async {
        let ours = Http::new(wrapped(1)?)
            .send(sent.clone(), RUBRICS, None)
            .await?;
        let layer = Http::new(Plain::default())
            .behind(bulk::set::<10>(0)?)
            .send(sent.clone(), RUBRICS, None)
            .await?;
        let theirs = Http::new(ByHand::default())
            .send(sent, RUBRICS, None)
            .await?;
        Ok((
            serde_json::from_slice(&ours)?,
            serde_json::from_slice(&layer)?,
            serde_json::from_slice::<Value>(&theirs)?,
        ))
    })?;
    all.push(("http", ours, theirs.clone()));
    all.push(("http layer", layer, theirs));
    let (ours, theirs) = block_on(async {
        let line = format!("{frame}\n");
        let (mut ours, mut theirs) = (String::new(), String::new());
        Pipe::new(wrapped(1)?)
            .send(line.as_bytes(), &mut ours)
            .await?;
        Pipe::new(ByHand::default())
            .send(line.as_bytes(), &mut theirs)
            .await?;
        Ok((serde_json::from_str(&ours)?, serde_json::from_str(&theirs)?))
    })?;
    all.push(("pipe", ours, theirs));
    Ok(all)
}

/// The answers of the wrapped server to a call of its own tool, with extensions in front of it and without.
///
/// # Errors
/// When there is no answer.
pub fn tool_answers() -> Result<(Value, Value), Error> {
    let sent = Bytes::from(frames::add());
    block_on(async {
        let with = Http::new(wrapped(100)?)
            .send(sent.clone(), TOOL.method, TOOL.name)
            .await?;
        let without = Http::new(Plain::default())
            .send(sent, TOOL.method, TOOL.name)
            .await?;
        Ok((
            serde_json::from_slice(&with)?,
            serde_json::from_slice(&without)?,
        ))
    })
}
