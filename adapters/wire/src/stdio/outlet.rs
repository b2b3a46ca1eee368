//! One side's input, written to by several tasks: whole frames, one after the other.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

/// A writer that several tasks share. There is no queue: whoever sends waits until it is written.
pub(super) struct Outlet<W>(Mutex<Option<Open<W>>>);

struct Open<W> {
    writer: W,
    /// What was written last has no line end: the other side died in the middle of a frame.
    torn: bool,
}

impl<W: AsyncWrite + Unpin> Outlet<W> {
    pub fn new(writer: W) -> Self {
        Self(Mutex::new(Some(Open {
            writer,
            torn: false,
        })))
    }

    /// Writes whole frames, line ends included. Must not be dropped half way: half a frame would stand on the wire.
    pub async fn send(&self, frames: &[u8]) -> io::Result<()> {
        self.send_if(|| true, frames).await
    }

    /// Decides whether the frames are still to be written when nobody else can write any more before them.
    pub async fn send_if(&self, decide: impl FnOnce() -> bool, frames: &[u8]) -> io::Result<()> {
        let mut slot = self.0.lock().await;
        if !decide() {
            return Ok(());
        }
        let Some(Open { writer, torn }) = slot.as_mut() else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let written = async {
            // A frame that follows half a frame on its line would be lost with it.
            // Until all of it is written it is half a frame too, should this be dropped.
            if std::mem::replace(torn, true) {
                writer.write_all(b"\n").await?;
            }
            writer.write_all(frames).await?;
            writer.flush().await?;
            *torn = !frames.ends_with(b"\n");
            Ok(())
        }
        .await;
        if written.is_err() {
            *slot = None;
        }
        written
    }

    /// Closes it. Nothing is written afterwards.
    pub async fn close(&self) {
        if let Some(mut open) = self.0.lock().await.take() {
            // The peer may be gone; there is nobody left to tell.
            let _ = open.writer.shutdown().await;
        }
    }
}
