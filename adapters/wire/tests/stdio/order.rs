//! What a client may do as soon as it has read a frame.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use mcp_ext_wire::Relay;
use serde_json::json;
use tokio::io::AsyncWrite;

use crate::common::*;
use crate::rig::*;

/// A client that has a frame before its writer knows: the flush does not end until the gate is open.
struct Lingering<W> {
    inner: W,
    open: Arc<AtomicBool>,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Lingering<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.open.load(Ordering::SeqCst) {
            return Pin::new(&mut self.inner).poll_flush(cx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_client_that_answers_at_once_finds_the_session_it_was_told_of() {
    let open = Arc::new(AtomicBool::new(false));
    let (client, near) = tokio::io::duplex(64 * 1024);
    let (far, server) = tokio::io::duplex(64 * 1024);
    let (client_in, inner) = tokio::io::split(near);
    let (server_out, server_in) = tokio::io::split(far);
    let client_out = Lingering {
        inner,
        open: open.clone(),
    };
    let set = builder().1.filter_lists(true).build().unwrap();
    tokio::spawn(Relay::new(set).run(client_in, client_out, server_in, server_out));
    let (mut client, mut server) = (Side::new(client), Side::new(server));

    client.send(&initialize(1, "2025-11-25")).await;
    let initialize = server.recv().await;
    server.send(&plain_server(&initialize).unwrap()).await;
    client.recv().await;
    client.send(&legacy(2, "tools/list", json!({}))).await;
    // The writer of the answer to `initialize` still lingers.
    let list = server.recv().await;
    open.store(true, Ordering::SeqCst);
    server.send(&plain_server(&list).unwrap()).await;
    let list = client.recv().await;
    let names: Vec<_> = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert_eq!(names, ["add", TOOL, GATED]);
}
