//! One listen stream that is answered here, alone or together with the server, from its request to its end.

use std::convert::Infallible;

use mcp_ext_core::envelope::{Frame, era_of};
use mcp_ext_core::{RpcError, Subscription};
use serde_json::value::RawValue;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::Connection;
use super::drive::Settled;
use super::session::{AtServer, Begin};
use crate::listen::{asked, cancelled_frame, frame, result_frame};
use crate::message::{Id, Message, error_frame};

/// A listen request that asks for notifications of the set.
pub(super) struct Listen {
    pub text: Box<[u8]>,
    pub id: Id,
    /// Ends when the stream was taken off the session: nothing more is sent then.
    pub over: oneshot::Receiver<Infallible>,
    /// Whether the server must be asked which era it serves.
    pub probe: bool,
}

/// What becomes of a request.
enum Opened {
    /// The stream is open; what the server is asked for, if anything.
    Here(Subscription, Option<Vec<u8>>),
    /// It is the server's to answer.
    Server,
}

impl<CW, SW> Connection<CW, SW>
where
    CW: AsyncWrite + Unpin + Send + 'static,
    SW: AsyncWrite + Unpin + Send + 'static,
{
    pub(super) async fn listen(&self, listen: Listen) {
        let Listen {
            text, id, mut over, ..
        } = listen;
        let Some(raw_id) = Message::read(&text).and_then(|message| message.id) else {
            return;
        };
        let opened = tokio::select! {
            biased;
            _ = &mut over => return,
            opened = self.open(&text, raw_id) => opened,
        };
        match opened {
            Err(error) => {
                self.last(&id, &mut over, error_frame(raw_id.get(), &error))
                    .await;
            }
            Ok(Opened::Server) => {
                let mut line = text.to_vec();
                line.push(b'\n');
                let leave = || self.session().listening.remove(&id).is_some();
                if self.to_server.send_if(leave, &line).await.is_err() {
                    let error = RpcError::method_not_found(mcp_ext_core::listen::METHOD);
                    let _ = self.answer(error_frame(raw_id.get(), &error)).await;
                }
            }
            Ok(Opened::Here(subscription, theirs)) => {
                let raw_id = raw_id.to_owned();
                drop(text);
                self.stream(&id, &raw_id, &mut over, subscription, theirs)
                    .await;
            }
        }
    }

    async fn open(&self, text: &[u8], raw_id: &RawValue) -> Result<Opened, RpcError> {
        let Some(message) = Message::read(text) else {
            return Ok(Opened::Server);
        };
        let request = Frame::read(mcp_ext_core::listen::METHOD, message.params)?;
        let era = era_of(request.method, &request.meta, None);
        let session = match self.settled(era).await {
            Settled::Serve(session, _) => session,
            Settled::Forward => return Ok(Opened::Server),
            Settled::Refuse(error) => return Err(error),
        };
        // Only now is it known which extensions the server has itself.
        let Some(asked) = asked(&self.server, text) else {
            return Ok(Opened::Server);
        };
        let set = self.server.stamping();
        let incoming = request.open(set.protocol(), session, None)?;
        let subscription = set.listen(&incoming, raw_id.get(), &asked.ours)?;
        Ok(Opened::Here(subscription, asked.theirs))
    }

    async fn stream(
        &self,
        id: &Id,
        raw_id: &RawValue,
        over: &mut oneshot::Receiver<Infallible>,
        mut subscription: Subscription,
        theirs: Option<Vec<u8>>,
    ) {
        let begin = match theirs {
            None => Begin::Alone,
            Some(line) => {
                let Some(begin) = self.ask(id, &subscription, line, over).await else {
                    return;
                };
                begin
            }
        };
        if matches!(begin, Begin::Alone) {
            let acknowledgement = frame(&subscription.acknowledgement());
            if !self.say(over, acknowledgement).await {
                return;
            }
        }
        let mut gone = std::pin::pin!(self.gone());
        loop {
            let note = tokio::select! {
                biased;
                _ = &mut *over => return,
                note = subscription.next() => note,
                () = &mut gone => None,
            };
            match note {
                Some(note) => {
                    if !self.say(over, frame(&note)).await {
                        return;
                    }
                }
                None => break,
            }
        }
        let end = format!(
            "{}\n{}",
            result_frame(raw_id.get(), &subscription),
            cancelled_frame(raw_id.get())
        );
        if self.last(id, over, end).await {
            let line = format!("{}\n", cancelled_frame(raw_id.get()));
            let _ = self.to_server.send(line.as_bytes()).await;
        }
    }

    /// The server has ended.
    async fn gone(&self) {
        let mut changed = self.changed.subscribe();
        while !self.session().ended && changed.changed().await.is_ok() {}
    }

    /// Asks the server for the rest; `None` when the stream is over.
    async fn ask(
        &self,
        id: &Id,
        subscription: &Subscription,
        mut line: Vec<u8>,
        over: &mut oneshot::Receiver<Infallible>,
    ) -> Option<Begin> {
        line.push(b'\n');
        let (begin, begun) = oneshot::channel();
        let accepted = subscription.accepted().into();
        let mark = || match self.session().listening.get_mut(id) {
            Some(listening) => {
                listening.server = AtServer::Asked { accepted, begin };
                true
            }
            None => false,
        };
        if self.to_server.send_if(mark, &line).await.is_err() {
            return Some(Begin::Alone);
        }
        // The server may take long to acknowledge.
        drop(line);
        tokio::select! {
            biased;
            begin = begun => begin.ok(),
            _ = over => None,
            () = self.gone() => None,
        }
    }

    /// Sends a frame if the stream is not over. When it is, `over` must not be asked again: it gives its end once.
    async fn say(&self, over: &mut oneshot::Receiver<Infallible>, mut frame: String) -> bool {
        frame.push('\n');
        let mut alive = false;
        let still = || {
            alive = matches!(over.try_recv(), Err(TryRecvError::Empty));
            alive
        };
        // A client that is gone is noticed where the server is read.
        let _ = self.to_client.send_if(still, frame.as_bytes()).await;
        alive
    }

    /// Sends what ends the stream, and takes it off the session; whether the server still has it.
    async fn last(
        &self,
        id: &Id,
        over: &mut oneshot::Receiver<Infallible>,
        mut frame: String,
    ) -> bool {
        frame.push('\n');
        let mut at_server = false;
        let leave = || {
            if !matches!(over.try_recv(), Err(TryRecvError::Empty)) {
                return false;
            }
            let mut session = self.session();
            let listening = session.listening.remove(id);
            at_server = listening.is_some_and(|l| !matches!(l.server, AtServer::Not));
            if at_server {
                session.left.remember(id.clone());
            } else {
                session.answered.remember(id.clone());
            }
            true
        };
        let _ = self.to_client.send_if(leave, frame.as_bytes()).await;
        at_server
    }
}
