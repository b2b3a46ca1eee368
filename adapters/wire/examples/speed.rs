//! What wrapping costs over stdio, beside the bare server and a pump that looks at nothing, in one run.
//!
//! `cargo run --release -p mcp-ext-wire --features process --example speed`

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mcp_ext_core::{ExtensionSet, ToolCx, extension, handlers};
use mcp_ext_wire::RelayOptions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A text.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Text {
    text: String,
}

/// Something to put in front.
#[extension(id = "com.example/speed")]
pub trait Speed {
    /// Gives the text back.
    #[method]
    #[tool]
    async fn speed_echo(
        &self,
        cx: &ToolCx<SpeedExtension>,
        params: Text,
    ) -> Result<Text, std::convert::Infallible>;
}

struct Echo;

#[handlers]
impl Speed for Echo {
    async fn speed_echo(
        &self,
        _: &ToolCx<SpeedExtension>,
        params: Text,
    ) -> Result<Text, std::convert::Infallible> {
        Ok(params)
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("server") => server(),
        Some("pump") => runtime(pump(true)),
        Some("copy") => runtime(pump(false)),
        Some("empty") => runtime(wrapped(ExtensionSet::builder())),
        Some("wrap") => {
            let set = ExtensionSet::builder().enable(SpeedExtension::provide(Echo));
            runtime(wrapped(set));
        }
        _ => measure(),
    }
}

fn runtime(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work);
    std::process::exit(0);
}

/// Answers every line with a fixed result, as fast as it can.
fn server() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        if line.contains("\"initialize\"") {
            writeln!(out, r#"{{"jsonrpc":"2.0","id":0,"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}}}}}}"#)
        } else {
            let id = line.split("\"id\":").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or("0");
            writeln!(out, r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":"the answer to everything that was asked"}}]}}}}"#)
        }
        .and_then(|()| out.flush())
        .expect("the client takes it");
    }
}

fn child() -> tokio::process::Command {
    let mut command = tokio::process::Command::new(std::env::current_exe().expect("this program"));
    command.arg("server");
    command
}

async fn wrapped(set: mcp_ext_core::ExtensionSetBuilder) {
    let set = set.build().expect("a set");
    mcp_ext_wire::wrap(set, child(), RelayOptions::default())
        .await
        .expect("it runs");
}

/// The yardsticks: lines, or bytes as they come, there and back, nothing else.
async fn pump(by_lines: bool) {
    let mut child = child()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server");
    let (to, from) = (
        child.stdin.take().expect("piped"),
        child.stdout.take().expect("piped"),
    );
    if by_lines {
        let up = tokio::spawn(lines(tokio::io::stdin(), to));
        lines(from, tokio::io::stdout()).await;
        up.abort();
    } else {
        let up = tokio::spawn(bytes(tokio::io::stdin(), to));
        bytes(from, tokio::io::stdout()).await;
        up.abort();
    }
}

async fn bytes(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        if to.write_all(&chunk[..n]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

async fn lines(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut from = tokio::io::BufReader::with_capacity(64 * 1024, from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
        if to.write_all(&line).await.is_err() || to.flush().await.is_err() {
            return;
        }
        line.clear();
    }
}

struct Peer(Child, ChildStdin, BufReader<ChildStdout>);

impl Peer {
    fn start(mode: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a peer");
        let (to, from) = (
            child.stdin.take().expect("piped"),
            child.stdout.take().expect("piped"),
        );
        let mut peer = Self(child, to, BufReader::with_capacity(64 * 1024, from));
        peer.call(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"extensions":{"com.example/speed":{}}}}}"#);
        peer
    }

    fn call(&mut self, frame: &str) -> String {
        writeln!(self.1, "{frame}").expect("it takes it");
        let mut line = String::new();
        self.2.read_line(&mut line).expect("it answers");
        line
    }
}

fn frame(id: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"add","arguments":{{"a":1,"b":2,"text":"some words that stand for arguments of usual length"}}}}}}"#
    )
}

fn sequential(peer: &mut Peer, calls: u32) -> Duration {
    let mut times: Vec<Duration> = (1..=calls)
        .map(|id| {
            let frame = frame(id);
            let at = Instant::now();
            peer.call(&frame);
            at.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Calls a second with 64 under way.
fn pipelined(peer: &mut Peer, calls: u32) -> f64 {
    let at = Instant::now();
    let mut open = VecDeque::new();
    let mut line = String::new();
    for id in 1..=calls {
        writeln!(peer.1, "{}", frame(id)).expect("it takes it");
        open.push_back(id);
        if open.len() == 64 {
            open.pop_front();
            line.clear();
            peer.2.read_line(&mut line).expect("it answers");
        }
    }
    for _ in open {
        line.clear();
        peer.2.read_line(&mut line).expect("it answers");
    }
    f64::from(calls) / at.elapsed().as_secs_f64()
}

fn measure() {
    let modes = ["server", "pump", "copy", "empty", "wrap"];
    let mut peers: Vec<Peer> = modes.iter().map(|mode| Peer::start(mode)).collect();
    let mut medians = vec![Vec::new(); modes.len()];
    let mut rates = vec![Vec::new(); modes.len()];
    // Interleaved, so that whatever else the machine does meets all of them.
    for round in 0..12 {
        for (at, peer) in peers.iter_mut().enumerate() {
            let median = sequential(peer, 2_000);
            let rate = pipelined(peer, 20_000);
            // The first round warms up.
            if round > 0 {
                medians[at].push(median);
                rates[at].push(rate);
            }
        }
    }
    for ((mode, medians), rates) in modes.iter().zip(&mut medians).zip(&mut rates) {
        medians.sort_unstable();
        rates.sort_by(f64::total_cmp);
        println!(
            "{mode:>7}: median call {:>7.1} us, pipelined {:>9.0} calls/s",
            medians[medians.len() / 2].as_secs_f64() * 1e6,
            rates[rates.len() / 2]
        );
    }
    for Peer(mut child, to, _) in peers {
        drop(to);
        let _ = child.wait();
    }
}
