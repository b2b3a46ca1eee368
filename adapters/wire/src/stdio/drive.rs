//! One request that is answered here, from the moment it is taken to its answer.

use std::sync::Arc;

use mcp_ext_core::RpcError;
use mcp_ext_core::envelope::{Frame, era_of};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::SessionDeclaration;
use mcp_ext_core::wire::{code, meta};
use serde_json::json;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::session::{Amend, Legacy, Modern};
use super::up::{Own, PROBE_ID};
use super::{Connection, lock};
use crate::message::{Id, Message, answer_frame, error_frame};
use crate::own;

/// Whether a request can be served in its era.
pub(super) enum Settled {
    Serve(SessionDeclaration, Option<ProtocolVersion>),
    /// The server does not serve this era: it answers itself.
    Forward,
    Refuse(RpcError),
}

impl<CW, SW> Connection<CW, SW>
where
    CW: AsyncWrite + Unpin + Send + 'static,
    SW: AsyncWrite + Unpin + Send + 'static,
{
    /// Gives the frame to answer with; `None` when the request was cancelled or handed on to the server.
    ///
    /// Only the handler's future is dropped on cancellation: a frame that is being written is finished.
    pub(super) async fn drive(&self, own: Own) -> Option<String> {
        let (sender, mut notes) = mpsc::channel(1);
        let running = &own.running;
        let answer = {
            let mut work = std::pin::pin!(self.work(&own, sender));
            loop {
                tokio::select! {
                    biased;
                    () = running.stop.notified() => return None,
                    Some(note) = notes.recv() => self.answer(note).await.ok()?,
                    answer = &mut work => break answer,
                }
            }
        };
        while let Ok(note) = notes.try_recv() {
            self.answer(note).await.ok()?;
        }
        {
            let mut session = self.session();
            match session.running.get(&own.id) {
                Some(current) if Arc::ptr_eq(current, running) => {}
                // Cancelled meanwhile.
                _ => return None,
            }
            session.running.remove(&own.id);
            self.freed.notify_one();
            if answer.is_some() {
                session.answered.remember(own.id.clone());
            }
        }
        match answer {
            Some(frame) => Some(frame),
            None => self.hand_on(&own).await,
        }
    }

    /// Answers a batch: in one batch again, when all of it is done.
    pub(super) async fn drive_batch(self: Arc<Self>, own: Vec<Own>, mut answers: Vec<String>) {
        let mut calls = JoinSet::new();
        for own in own {
            let this = self.clone();
            calls.spawn(async move { this.drive(own).await });
        }
        while let Some(answer) = calls.join_next().await {
            answers.extend(answer.ok().flatten());
        }
        if !answers.is_empty() {
            // A client that is gone is noticed where the server is read.
            let _ = self.answer(format!("[{}]", answers.join(","))).await;
        }
    }

    /// The frame to answer with; `None`: the server is to answer.
    async fn work(&self, own: &Own, notes: mpsc::Sender<String>) -> Option<String> {
        let message = Message::read(&own.text)?;
        let id = message.id.map_or("null", |id| id.get());
        let method = message.method()?;
        let answer = async {
            let frame = Frame::read(&method, message.params)?;
            let era = era_of(&method, &frame.meta, None);
            let (session, version) = match self.settled(era).await {
                Settled::Serve(session, version) => (session, version),
                Settled::Forward => return Ok(None),
                Settled::Refuse(error) => return Err(error),
            };
            drop(lock(&own.undecided).take());
            let set = self.server.stamping();
            let mut incoming = frame.open(set.protocol(), session, None)?;
            incoming.version = incoming.version.or(version);
            incoming.cancel = Some(own.running.cancelled.clone());
            incoming.notify = Some(Arc::new(own::Notes(notes)));
            own::answer(&set, incoming).await.map(Some)
        }
        .await;
        answer
            .transpose()
            .map(|answer: Result<String, RpcError>| answer_frame(id, &answer))
    }

    /// Waits until it is known whether the server serves this era.
    pub(super) async fn settled(&self, era: Era) -> Settled {
        let until = Instant::now() + self.options.discover_timeout;
        let mut changed = self.changed.subscribe();
        loop {
            let ask = {
                let mut session = self.session();
                let gone = session.ended;
                match (era, &session.legacy, session.modern) {
                    (Era::Legacy, Legacy::Open { version, declared }, _) => {
                        return match declared {
                            Ok(declared) => Settled::Serve(declared.clone(), *version),
                            Err(error) => Settled::Refuse(error.clone()),
                        };
                    }
                    (Era::Legacy, Legacy::Pending, _) if !gone => false,
                    (Era::Legacy, ..) => return Settled::Refuse(no_session()),
                    (Era::Modern, _, Modern::Shown) => {
                        return Settled::Serve(SessionDeclaration::none(), None);
                    }
                    (Era::Modern, _, Modern::Not) => return Settled::Forward,
                    (Era::Modern, ..) if gone => return Settled::Forward,
                    (Era::Modern, _, Modern::Asked) => false,
                    (Era::Modern, _, Modern::Unknown) => {
                        session.modern = Modern::Asked;
                        session
                            .amended
                            .insert(Id::Text(PROBE_ID.into()), Amend::Probe);
                        true
                    }
                }
            };
            if ask {
                let mut asking = Asking(Some(self));
                self.probe().await;
                asking.0 = None;
                continue;
            }
            if timeout_at(until, changed.changed()).await.is_err() {
                match era {
                    Era::Legacy => return Settled::Refuse(no_session()),
                    Era::Modern => self.change(|session| {
                        if session.modern == Modern::Asked {
                            session.modern = Modern::Not;
                        }
                    }),
                }
            }
        }
    }

    /// Gives the request to the server as it came; if that fails, answers for it.
    async fn hand_on(&self, own: &Own) -> Option<String> {
        let mut line = own.text.to_vec();
        line.push(b'\n');
        if self.to_server.send(&line).await.is_ok() {
            return None;
        }
        let message = Message::read(&own.text)?;
        let error = RpcError::method_not_found(&message.method()?);
        Some(error_frame(message.id?.get(), &error))
    }
}

/// A request with no version in `_meta`, on a connection without a session.
fn no_session() -> RpcError {
    RpcError::new(
        code::INVALID_PARAMS,
        format!(
            "the connection has no session and _meta has no {}: send initialize first, or say the version on each request",
            meta::PROTOCOL_VERSION
        ),
    )
    .with_data(json!({ "kind": "malformed_meta", "key": meta::PROTOCOL_VERSION, "expected": "a string", "seen": "nothing" }))
    .in_envelope()
}

/// Takes a question back if whoever asks it is dropped before it is asked.
struct Asking<'a, CW, SW>(Option<&'a Connection<CW, SW>>)
where
    CW: AsyncWrite + Unpin + Send + 'static,
    SW: AsyncWrite + Unpin + Send + 'static;

impl<CW, SW> Drop for Asking<'_, CW, SW>
where
    CW: AsyncWrite + Unpin + Send + 'static,
    SW: AsyncWrite + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let Some(connection) = self.0 else {
            return;
        };
        connection.change(|session| {
            let asked = session.amended.remove(&Id::Text(PROBE_ID.into()));
            if asked.is_some() && session.modern == Modern::Asked {
                session.modern = Modern::Unknown;
            }
        });
    }
}
