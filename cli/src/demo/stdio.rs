//! A server as a child process, with every line of its standard input and output captured.

use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::log::{From, Log};
use crate::Error;

/// Starts the server; gives its output and input as one transport.
pub fn start(
    command: &[String],
    log: &Log,
) -> Result<(Child, Tap<ChildStdout>, Tap<ChildStdin>), Error> {
    let (program, args) = command
        .split_first()
        .ok_or("the demo's server command is empty")?;
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("cannot start the demo's server {program}: {e}"))?;
    let stdout = child
        .stdout
        .take()
        .ok_or("the server has no standard output")?;
    let stdin = child
        .stdin
        .take()
        .ok_or("the server has no standard input")?;
    Ok((
        child,
        Tap::new(stdout, From::Server, log),
        Tap::new(stdin, From::Client, log),
    ))
}

/// A stream that records each whole line that passes.
pub struct Tap<T> {
    inner: T,
    from: From,
    log: Log,
    line: Vec<u8>,
}

impl<T> Tap<T> {
    fn new(inner: T, from: From, log: &Log) -> Self {
        Self {
            inner,
            from,
            log: log.clone(),
            line: Vec::new(),
        }
    }

    fn pass(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.log.record(self.from, None, &self.line);
                self.line.clear();
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Tap<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &polled {
            let new = buf.filled().get(before..).unwrap_or_default().to_vec();
            self.pass(&new);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tap<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.pass(buf.get(..*written).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
