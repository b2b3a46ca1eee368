//! Lines over pipes.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mcp_ext_wire::RelayOptions;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Figures, compare, runtime, set};

/// Runs a process of a comparison.
pub fn run(mode: &str) {
    match mode {
        "server" => server(),
        "pump" => runtime(pump(true)),
        "copy" => runtime(pump(false)),
        "empty" => runtime(wrapped(mcp_ext_core::ExtensionSet::builder())),
        _ => runtime(wrapped(set())),
    }
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
    command.args(["stdio", "server"]);
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

/// A process of a comparison, with its input and output.
pub struct Peer(Child, ChildStdin, BufReader<ChildStdout>);

impl Peer {
    /// Starts it.
    pub fn start(mode: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["stdio", mode])
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

/// A call of the server's own tool, or of ours.
pub fn frame(id: u32, own: bool) -> String {
    let name = if own { "speed_echo" } else { "add" };
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{{"a":1,"b":2,"text":"some words that stand for arguments of usual length"}}}}}}"#
    )
}

fn sequential(peer: &mut Peer, calls: u32) -> Duration {
    let mut times: Vec<Duration> = (1..=calls)
        .map(|id| {
            let frame = frame(id, false);
            let at = Instant::now();
            peer.call(&frame);
            at.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Calls a second with 64 under way; every `own`th is one of ours.
pub fn pipelined(peer: &mut Peer, calls: u32, own: u32) -> f64 {
    let at = Instant::now();
    let mut open = VecDeque::new();
    let mut line = String::new();
    for id in 1..=calls {
        let frame = frame(id, own > 0 && id % own == 0);
        writeln!(peer.1, "{frame}").expect("it takes it");
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

impl Peer {
    /// The process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it.
    pub fn end(self) {
        let Self(mut child, to, _) = self;
        drop(to);
        let _ = child.wait();
    }
}

/// Compares wrapping with the pumps and the bare server.
pub fn measure() {
    let modes = ["pump", "server", "copy", "empty", "wrap"];
    let mut peers: Vec<Peer> = modes.iter().map(|mode| Peer::start(mode)).collect();
    compare("lines over pipes", &modes, 15, |at| Figures {
        median: sequential(&mut peers[at], 2_000),
        rate: pipelined(&mut peers[at], 20_000, 0),
        processor: None,
    });
    peers.into_iter().for_each(Peer::end);
}
