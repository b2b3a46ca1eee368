//! Notifications of a call, handed to whoever writes its answer, one at a time.
//!
//! Most calls send none: the channel is made with the first.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use mcp_ext_core::request::{BoxFuture, Notifier, NotifyError};
use mcp_ext_core::wire::JsonObject;
use tokio::sync::mpsc;

use crate::own;

/// The end that is written to.
#[derive(Default)]
pub(super) struct Notes {
    sender: OnceLock<mpsc::Sender<String>>,
    handover: Mutex<Handover>,
}

/// Where the reader finds its end of the channel.
#[derive(Default)]
struct Handover {
    receiver: Option<mpsc::Receiver<String>>,
    waiting: Option<Waker>,
    closed: bool,
}

impl Notes {
    fn handover(&self) -> MutexGuard<'_, Handover> {
        // Nothing that is locked here is left half changed by a panic.
        self.handover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sender(&self) -> &mpsc::Sender<String> {
        self.sender.get_or_init(|| {
            let (sender, receiver) = mpsc::channel(1);
            let mut handover = self.handover();
            if !handover.closed {
                handover.receiver = Some(receiver);
            }
            if let Some(waiting) = handover.waiting.take() {
                waiting.wake();
            }
            sender
        })
    }
}

impl Notifier for Notes {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let notes = own::Notes(self.sender().clone());
            notes.notify(method, params).await
        })
    }
}

/// The end that is read from.
#[derive(Default)]
pub(super) struct Reader {
    notes: Arc<Notes>,
    receiver: Option<mpsc::Receiver<String>>,
}

impl Reader {
    /// The other end.
    pub fn notes(&self) -> Arc<Notes> {
        self.notes.clone()
    }

    /// The next notification.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        if self.receiver.is_none() {
            let mut handover = self.notes.handover();
            self.receiver = handover.receiver.take();
            if self.receiver.is_none() {
                handover.waiting = Some(cx.waker().clone());
            }
        }
        match self.receiver.as_mut().map(|notes| notes.poll_recv(cx)) {
            Some(Poll::Ready(Some(note))) => Poll::Ready(note),
            // The other end lives as long as this one.
            _ => Poll::Pending,
        }
    }

    /// A notification that is there already.
    pub fn try_next(&mut self) -> Option<String> {
        if self.receiver.is_none() {
            self.receiver = self.notes.handover().receiver.take();
        }
        self.receiver.as_mut()?.try_recv().ok()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut handover = self.notes.handover();
        handover.closed = true;
        handover.receiver = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::message::notification_frame;

    fn said(note: &str) -> String {
        notification_frame(note, JsonObject::new())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_note_comes_in_order_whoever_is_first() {
        for round in 0..500 {
            let mut reader = Reader::default();
            let notes = reader.notes();
            let writer = tokio::spawn(async move {
                for note in ["a", "b", "c"] {
                    notes.notify(note, JsonObject::new()).await.unwrap();
                }
            });
            if round % 2 == 0 {
                tokio::task::yield_now().await;
            }
            for note in ["a", "b", "c"] {
                let next = poll_fn(|cx| reader.poll(cx));
                let next = tokio::time::timeout(std::time::Duration::from_secs(20), next);
                assert_eq!(next.await.unwrap(), said(note));
            }
            writer.await.unwrap();
            assert!(reader.try_next().is_none());
        }
    }

    #[tokio::test]
    async fn one_note_waits_and_the_next_is_held_up() {
        let mut reader = Reader::default();
        assert!(reader.try_next().is_none());
        let notes = reader.notes();
        notes.notify("a", JsonObject::new()).await.unwrap();
        let mut held = notes.notify("b", JsonObject::new());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(held.as_mut().poll(&mut cx).is_pending());
        assert_eq!(reader.try_next(), Some(said("a")));
        held.await.unwrap();
        assert_eq!(reader.try_next(), Some(said("b")));
    }

    #[tokio::test]
    async fn who_reads_no_longer_is_told_nothing() {
        // Before the first, and after it.
        for before in [0, 1] {
            let reader = Reader::default();
            let notes = reader.notes();
            for _ in 0..before {
                notes.notify("a", JsonObject::new()).await.unwrap();
            }
            drop(reader);
            let told = notes.notify("b", JsonObject::new()).await;
            assert_eq!(told, Err(NotifyError::Closed));
        }
    }
}
