//! The extension that the wire targets put in front of a server, and pipes to talk to a relay in memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use mcp_ext_core::{Cx, ExtensionSet, ToolCx, extension, handlers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Its identifier.
pub(crate) const ID: &str = "com.example/fuzz";
/// Its one method.
pub(crate) const METHOD: &str = "com.example/fuzz/echo";
/// Its tools.
pub(crate) const TOOLS: [&str; 2] = ["ours_a", "ours_b"];

#[derive(Serialize, Deserialize, JsonSchema)]
struct Text {
    #[serde(default)]
    text: String,
}

/// A fixture.
#[extension(id = "com.example/fuzz")]
trait Fuzz {
    /// Says it again.
    #[method]
    async fn echo(&self, cx: &Cx<FuzzExtension>, params: Text) -> Result<Text, Infallible>;
    /// A tool.
    #[tool]
    async fn ours_a(&self, cx: &ToolCx<FuzzExtension>, args: Text) -> Result<Text, Infallible>;
    /// A tool.
    #[tool]
    async fn ours_b(&self, cx: &ToolCx<FuzzExtension>, args: Text) -> Result<Text, Infallible>;
}

struct Provider;

#[handlers]
impl Fuzz for Provider {
    async fn echo(&self, _: &Cx<FuzzExtension>, params: Text) -> Result<Text, Infallible> {
        Ok(params)
    }
    async fn ours_a(&self, _: &ToolCx<FuzzExtension>, args: Text) -> Result<Text, Infallible> {
        Ok(args)
    }
    async fn ours_b(&self, _: &ToolCx<FuzzExtension>, args: Text) -> Result<Text, Infallible> {
        Ok(args)
    }
}

/// A set of it alone, with lists that depend on who asks or not.
pub(crate) fn set(filter_lists: bool) -> ExtensionSet {
    thread_local! {
        // Making a set takes longer than all the rest.
        static SETS: [ExtensionSet; 2] = [false, true].map(|filter| {
            ExtensionSet::builder()
                .enable(FuzzExtension::provide(Provider))
                .filter_lists(filter)
                .build()
                .expect("a set of one extension")
        });
    }
    SETS.with(|sets| sets[usize::from(filter_lists)].clone())
}

/// A runtime whose clock stands still while anything can run.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Runs until nothing moves but the clock.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// One direction of a connection, in memory and without bounds. A read gives the sizes that were asked for.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Sizes of the reads, over and over; none: whatever is there.
    sizes: Vec<usize>,
    reads: usize,
    closed: bool,
    waker: Option<Waker>,
}

impl Pipe {
    pub(crate) fn in_reads_of(sizes: &[usize]) -> Self {
        let pipe = Self::default();
        pipe.state().sizes = sizes.to_vec();
        pipe
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.bytes.extend(bytes);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// What was written and not yet taken.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.state().bytes.drain(..).collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut state = self.state();
        if state.bytes.is_empty() && !state.closed {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut size = state.bytes.len().min(buf.remaining());
        if !state.sizes.is_empty() {
            let wanted = state.sizes[state.reads % state.sizes.len()];
            state.reads += 1;
            size = size.min(wanted.max(1));
        }
        let bytes: Vec<u8> = state.bytes.drain(..size).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

/// A message without what may stand around it: a byte order mark, and what JSON counts as blanks.
pub(crate) fn bare(mut line: &[u8]) -> &[u8] {
    line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = line {
        line = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = line {
        line = rest;
    }
    line
}
