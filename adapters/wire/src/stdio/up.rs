//! From the client to the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_ext_core::RpcError;
use mcp_ext_core::envelope::{Frame, era_of};
use mcp_ext_core::listen::METHOD;
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{SessionDeclaration, Target, declared_in};
use mcp_ext_core::wire::{JsonObject, code, meta};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::lines::{Filled, Lines};
use super::listen::Listen;
use super::session::{Amend, AtServer, Legacy, Listening, Modern, Running, Session, Tools};
use super::{Connection, Ended, lock};
use crate::listen;
use crate::merge::{elements, tools_alone};
use crate::message::{Id, Message, error_frame, member, result_frame, text, trimmed};
use crate::own::{busy, too_large};
use crate::scan::Scan;

/// Most forwarded requests at once whose answers are amended.
const MAX_AMENDED: usize = 1024;

/// Largest capabilities of a client that are kept for a session.
const MAX_CAPABILITIES_BYTES: usize = 1024 * 1024;

/// How long the client is not read when as many calls are under way as may be.
const BREATH: Duration = Duration::from_millis(20);

/// The id of our own `server/discover`. Text, so that it cannot meet the integers that clients count with.
pub(super) const PROBE_ID: &str = "mcp-ext-wire/server-discover";

/// What becomes of one message of the client.
enum Decision {
    Forward,
    Drop,
    /// Answered at once, with this frame.
    Answer(String),
    Own(Own),
    Listen(Box<Listen>),
    Batch(Batch),
    /// Longer than the bound.
    TooLong(Box<Scan>),
}

/// A request that is answered here.
pub(super) struct Own {
    pub text: Box<[u8]>,
    pub id: Id,
    pub running: Arc<Running>,
    /// Given back when it is known that the server is not to answer.
    pub undecided: Mutex<Option<Undecided>>,
    /// Whether the server must be asked which era it serves.
    probe: bool,
}

/// Counts a request of which it is not known yet whether it is answered here or by the server.
pub(super) struct Undecided(Arc<watch::Sender<usize>>);

impl Undecided {
    fn of(count: &Arc<watch::Sender<usize>>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A batch with at least one message that is not forwarded.
struct Batch {
    /// What is forwarded, as a batch of its own.
    theirs: Option<String>,
    answers: Vec<String>,
    own: Vec<Own>,
}

impl<CW, SW> Connection<CW, SW>
where
    CW: AsyncWrite + Unpin + Send + 'static,
    SW: AsyncWrite + Unpin + Send + 'static,
{
    /// Reads the client until it ends (`None`), or somebody is gone.
    pub(super) async fn up<R: AsyncRead + Unpin>(
        self: &Arc<Self>,
        mut lines: Lines<R>,
        calls: &Mutex<JoinSet<()>>,
    ) -> Option<Ended> {
        let mut last = false;
        loop {
            // Consecutive lines for the server go in one write.
            let mut forward = 0..0;
            while let Some(line) = lines.next_line() {
                let decision = match lines.too_long(line.clone()) {
                    Some(scan) => Decision::TooLong(scan),
                    None => self.decide(lines.bytes(line.clone())),
                };
                match decision {
                    Decision::Forward if forward.is_empty() => forward = line,
                    Decision::Forward => forward.end = line.end,
                    decision => {
                        let forward = lines.bytes(std::mem::take(&mut forward));
                        if let Err(ended) = self.forward(forward).await {
                            return Some(ended);
                        }
                        if let Err(ended) = self.act(decision, calls).await {
                            return Some(ended);
                        }
                    }
                }
            }
            if let Err(ended) = self.forward(lines.bytes(forward)).await {
                return Some(ended);
            }
            if last {
                return None;
            }
            match lines.fill().await {
                Ok(Filled::More) => {}
                Ok(Filled::TooLong(scan)) => {
                    if let Err(ended) = self.too_long_from_client(&scan).await {
                        return Some(ended);
                    }
                }
                // A client that cannot be read any more has ended.
                Ok(Filled::End) | Err(_) => last = true,
            }
        }
    }

    async fn forward(&self, frames: &[u8]) -> Result<(), Ended> {
        if frames.is_empty() {
            return Ok(());
        }
        self.to_server.send(frames).await.map_err(Ended::Broken)
    }

    pub(super) async fn answer(&self, frame: String) -> Result<(), Ended> {
        let mut frame = frame.into_bytes();
        frame.push(b'\n');
        self.to_client.send(&frame).await.map_err(Ended::Client)
    }

    async fn act(
        self: &Arc<Self>,
        decision: Decision,
        calls: &Mutex<JoinSet<()>>,
    ) -> Result<(), Ended> {
        match decision {
            Decision::Forward | Decision::Drop => Ok(()),
            Decision::Answer(frame) => self.answer(frame).await,
            Decision::TooLong(scan) => self.too_long_from_client(&scan).await,
            Decision::Own(own) => {
                if own.probe {
                    self.probe().await;
                }
                let this = self.clone();
                spawn(calls, async move {
                    if let Some(answer) = this.drive(own).await {
                        // A client that is gone is noticed where the server is read.
                        let _ = this.answer(answer).await;
                    }
                });
                self.breathe().await;
                Ok(())
            }
            Decision::Listen(listen) => {
                if listen.probe {
                    self.probe().await;
                }
                let this = self.clone();
                spawn(calls, async move { this.listen(*listen).await });
                Ok(())
            }
            Decision::Batch(batch) => {
                if let Some(theirs) = batch.theirs {
                    self.forward(theirs.as_bytes()).await?;
                }
                if batch.own.iter().any(|own| own.probe) {
                    self.probe().await;
                }
                let this = self.clone();
                spawn(calls, async move {
                    this.drive_batch(batch.own, batch.answers).await
                });
                Ok(())
            }
        }
    }

    /// A client that sends many short calls at once is slowed down before it is turned away; one that sends long ones
    /// must still be able to cancel them.
    async fn breathe(&self) {
        let most = self.server.set().limits().max_concurrent;
        // Calls still under way afterwards are long ones.
        let _ = tokio::time::timeout(BREATH, async {
            while self.session().running.len() >= most {
                self.freed.notified().await;
            }
        })
        .await;
    }

    /// Asks the server which era it serves.
    pub(super) async fn probe(&self) {
        let request = json!({
            "jsonrpc": "2.0", "id": PROBE_ID, "method": "server/discover",
            "params": { "_meta": {
                meta::PROTOCOL_VERSION: ProtocolVersion::V2026_07_28.as_str(),
                meta::CLIENT_CAPABILITIES: {},
                meta::CLIENT_INFO: { "name": "mcp-ext-wire", "version": env!("CARGO_PKG_VERSION") },
            }},
        });
        let line = format!("{request}\n");
        if self.to_server.send(line.as_bytes()).await.is_err() {
            self.change(|session| {
                session.amended.remove(&Id::Text(PROBE_ID.into()));
                session.modern = Modern::Not;
            });
        }
    }

    fn decide(&self, line: &[u8]) -> Decision {
        if self.server.set().is_empty() {
            return Decision::Forward;
        }
        let text = trimmed(line);
        match text.first() {
            None => Decision::Forward,
            Some(b'[') => self.batch(text),
            Some(_) => match Message::read(text) {
                Some(message) => self.message(&message, text),
                None => self.unreadable(text),
            },
        }
    }

    fn message(&self, message: &Message<'_>, frame: &[u8]) -> Decision {
        let Some(method) = message.method() else {
            return Decision::Forward;
        };
        let Some(raw_id) = message.id else {
            return self.notification(message, &method);
        };
        let tool = (method == "tools/call")
            .then(|| {
                message
                    .params
                    .and_then(|params| member(params, "name"))
                    .and_then(text)
            })
            .flatten();
        let target = match &tool {
            Some(name) => Target::Tool(name),
            None => Target::Method(&method),
        };
        if self.server.owns(target) {
            return self.own(message, raw_id, &method, frame);
        }
        let Some(id) = message.id() else {
            return Decision::Forward;
        };
        let mut session = self.session();
        session.answered.forget(&id);
        session.left.forget(&id);
        let tracked = matches!(&*method, "initialize" | "server/discover" | "tools/list");
        if tracked && session.amended.len() >= MAX_AMENDED {
            return Decision::Answer(error_frame(raw_id.get(), &busy(MAX_AMENDED)));
        }
        match &*method {
            "initialize" => {
                let declared = self.declared_in_initialize(message.params);
                let before = std::mem::replace(&mut session.legacy, Legacy::Pending);
                let before = match before {
                    Legacy::Pending => Legacy::NotStarted,
                    settled => settled,
                };
                session
                    .amended
                    .insert(id, Amend::Initialize { declared, before });
                Decision::Forward
            }
            "server/discover" => {
                if session.modern == Modern::Unknown {
                    session.modern = Modern::Asked;
                }
                session.amended.insert(id, Amend::Discover);
                Decision::Forward
            }
            "tools/list" => {
                drop(session);
                self.tools_list(message, raw_id, id)
            }
            "tools/call" => {
                drop(session);
                self.unknown_tool(message, raw_id)
            }
            METHOD => {
                drop(session);
                self.asks_to_listen(message, raw_id, frame)
            }
            _ => Decision::Forward,
        }
    }

    fn notification(&self, message: &Message<'_>, method: &str) -> Decision {
        if method == "notifications/cancelled" {
            let id = message
                .params
                .and_then(|params| member(params, "requestId"))
                .and_then(Id::read);
            return id.map_or(Decision::Forward, |id| self.cancelled(&id));
        }
        // A request of ours without an id asks for no answer, and a handler without a caller does nothing.
        if self.server.set().notification(method) || self.server.owns_method(method) {
            return Decision::Drop;
        }
        Decision::Forward
    }

    /// A cancellation of a request that is, or was, answered here ends here.
    fn cancelled(&self, id: &Id) -> Decision {
        let mut session = self.session();
        if let Some(running) = session.running.remove(id) {
            running.cancelled.set();
            running.stop.notify_one();
            session.answered.remember(id.clone());
            return Decision::Drop;
        }
        if let Some(listening) = session.listening.remove(id) {
            return match listening.server {
                AtServer::Not => {
                    session.answered.remember(id.clone());
                    Decision::Drop
                }
                AtServer::Asked { .. } | AtServer::Open => Decision::Forward,
            };
        }
        if session.answered.contains(id) {
            return Decision::Drop;
        }
        if matches!(session.amended.get(id), Some(Amend::Tools(_))) {
            session.amended.remove(id);
        }
        Decision::Forward
    }

    /// The id of a request that is answered here.
    ///
    /// # Errors
    /// The answer, if it cannot be taken.
    fn taken(
        &self,
        message: &Message<'_>,
        raw_id: &RawValue,
        frame: &[u8],
    ) -> Result<Id, Decision> {
        let Some(id) = message.id() else {
            return Err(invalid(
                "null",
                "the id of a request must be a string of at most 1,000 bytes or an integer",
                "invalid_id",
            ));
        };
        if message.jsonrpc.and_then(text).as_deref() != Some("2.0") {
            return Err(invalid(
                raw_id.get(),
                "jsonrpc must be \"2.0\"",
                "not_json_rpc",
            ));
        }
        let limits = self.server.set().limits();
        // The set bounds the params; this bounds what is held while a request waits.
        let most = limits
            .max_params_bytes
            .saturating_mul(2)
            .saturating_add(64 * 1024);
        if frame.len() > most {
            let error = RpcError::new(
                code::INVALID_PARAMS,
                format!(
                    "the request has {} bytes, at most {most} are taken",
                    frame.len()
                ),
            )
            .with_data(json!({ "kind": "too_large", "limit": most }));
            return Err(Decision::Answer(error_frame(raw_id.get(), &error)));
        }
        let mut session = self.session();
        if session.running.contains_key(&id) || session.listening.contains_key(&id) {
            return Err(invalid(
                raw_id.get(),
                "a request with this id is still under way",
                "duplicate_id",
            ));
        }
        session.answered.forget(&id);
        session.left.forget(&id);
        Ok(id)
    }

    /// Whether the server must be asked which era it serves; it is asked once.
    fn must_ask(session: &mut Session, method: &str, params: Option<&RawValue>) -> bool {
        let ask = session.modern == Modern::Unknown
            && Frame::read(method, params)
                .is_ok_and(|frame| era_of(method, &frame.meta, None) == Era::Modern);
        if ask {
            session.modern = Modern::Asked;
            session
                .amended
                .insert(Id::Text(PROBE_ID.into()), Amend::Probe);
        }
        ask
    }

    fn own(
        &self,
        message: &Message<'_>,
        raw_id: &RawValue,
        method: &str,
        frame: &[u8],
    ) -> Decision {
        let id = match self.taken(message, raw_id, frame) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        let limits = self.server.set().limits();
        let mut session = self.session();
        if session.running.len() >= limits.max_concurrent {
            return Decision::Answer(error_frame(raw_id.get(), &busy(limits.max_concurrent)));
        }
        let probe = Self::must_ask(&mut session, method, message.params);
        let running = Arc::new(Running::default());
        session.running.insert(id.clone(), running.clone());
        Decision::Own(Own {
            text: frame.into(),
            id,
            running,
            undecided: Mutex::new(Some(Undecided::of(&self.undecided))),
            probe,
        })
    }

    /// A listen request; ours in part, if its filter has fields of the set's.
    fn asks_to_listen(&self, message: &Message<'_>, raw_id: &RawValue, frame: &[u8]) -> Decision {
        // There are no listen streams in the legacy era, and the server answers what is malformed.
        let modern = Frame::read(METHOD, message.params)
            .is_ok_and(|frame| era_of(METHOD, &frame.meta, None) == Era::Modern);
        if !modern || listen::asked(&self.server, frame).is_none() {
            return Decision::Forward;
        }
        let id = match self.taken(message, raw_id, frame) {
            Ok(id) => id,
            Err(answer) => return answer,
        };
        let mut session = self.session();
        // Those that wait for the server's era count too.
        let most = self.server.set().limits().max_listen_streams;
        if session.listening.len() >= most {
            return Decision::Answer(error_frame(raw_id.get(), &busy(most)));
        }
        let probe = Self::must_ask(&mut session, METHOD, message.params);
        let (alive, over) = oneshot::channel();
        let listening = Listening {
            _alive: alive,
            server: AtServer::Not,
        };
        session.listening.insert(id.clone(), listening);
        Decision::Listen(Box::new(Listen {
            text: frame.into(),
            id,
            over,
            probe,
        }))
    }

    fn tools_list(&self, message: &Message<'_>, raw_id: &RawValue, id: Id) -> Decision {
        // The server answers what is malformed.
        let Ok(frame) = Frame::read("tools/list", message.params) else {
            return Decision::Forward;
        };
        let era = era_of("tools/list", &frame.meta, None);
        let cursor = message.params.and_then(|params| member(params, "cursor"));
        let first_page = cursor.is_none_or(|cursor| cursor.get() == "null");
        let mut session = self.session();
        let version = match (era, &session.legacy) {
            (Era::Modern, _) => Some(ProtocolVersion::V2026_07_28),
            (Era::Legacy, Legacy::Open { version, .. }) => *version,
            (Era::Legacy, _) => None,
        };
        let declared = if self.server.set().filters_lists() {
            self.declared(era, &frame.meta, &session.legacy)
        } else {
            None
        };
        let tools = Tools {
            era,
            version,
            declared,
            first_page,
        };
        if !self.server.lacks_tools(era, version) {
            session.amended.insert(id, Amend::Tools(tools));
            return Decision::Forward;
        }
        drop(session);
        if !first_page {
            let error = RpcError::new(code::INVALID_PARAMS, "no such cursor was given out here")
                .with_data(json!({ "kind": "invalid_cursor" }));
            return Decision::Answer(error_frame(raw_id.get(), &error));
        }
        let result = tools_alone(&self.server, &tools.cx());
        Decision::Answer(result_frame(raw_id.get(), &result))
    }

    /// What a list request declares; what is malformed counts as nothing.
    fn declared(
        &self,
        era: Era,
        request_meta: &JsonObject,
        legacy: &Legacy,
    ) -> Option<Arc<JsonObject>> {
        let max = self.server.set().limits().max_declared;
        match (request_meta.get(meta::CLIENT_CAPABILITIES), era, legacy) {
            (Some(capabilities), ..) => declared_in(capabilities, max)
                .ok()
                .flatten()
                .map(|map| Arc::new(map.clone())),
            (
                None,
                Era::Legacy,
                Legacy::Open {
                    declared: Ok(SessionDeclaration::Known(map)),
                    ..
                },
            ) => map.clone(),
            _ => None,
        }
    }

    /// A tool that neither side has, where the server does not even know `tools/call`.
    fn unknown_tool(&self, message: &Message<'_>, raw_id: &RawValue) -> Decision {
        let Ok(frame) = Frame::read("tools/call", message.params) else {
            return Decision::Forward;
        };
        let era = era_of("tools/call", &frame.meta, None);
        if !self.server.lacks_tools(era, None) {
            return Decision::Forward;
        }
        let error = RpcError::new(code::INVALID_PARAMS, "no tool of this name is offered here")
            .with_data(json!({ "kind": "unknown_tool" }));
        Decision::Answer(error_frame(raw_id.get(), &error))
    }

    fn declared_in_initialize(
        &self,
        params: Option<&RawValue>,
    ) -> Result<SessionDeclaration, RpcError> {
        let Some(capabilities) = params.and_then(|params| member(params, "capabilities")) else {
            return Ok(SessionDeclaration::none());
        };
        let too_large = || {
            RpcError::new(
                code::INVALID_PARAMS,
                format!(
                    "the capabilities in initialize have more than {MAX_CAPABILITIES_BYTES} bytes"
                ),
            )
            .with_data(json!({ "kind": "too_large", "limit": MAX_CAPABILITIES_BYTES }))
        };
        if capabilities.get().len() > MAX_CAPABILITIES_BYTES {
            return Err(too_large());
        }
        // It was read as JSON once; a number that does not fit is what can still go wrong.
        let value = serde_json::from_str(capabilities.get()).map_err(|_| too_large())?;
        let declared = declared_in(&value, self.server.set().limits().max_declared)?;
        Ok(SessionDeclaration::Known(
            declared.map(|map| Arc::new(map.clone())),
        ))
    }

    /// A line that is no JSON-RPC message: ours to answer if it names a method of ours, else the server's.
    fn unreadable(&self, frame: &[u8]) -> Decision {
        let mut scan = Scan::default();
        scan.feed(frame);
        if !scan
            .method()
            .is_some_and(|method| self.server.owns_method(method))
        {
            return Decision::Forward;
        }
        let is_json = std::str::from_utf8(frame)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        let error = if is_json {
            RpcError::new(code::INVALID_REQUEST, "the frame is not a JSON-RPC request")
        } else {
            RpcError::new(code::PARSE_ERROR, "the frame is not JSON in UTF-8")
        };
        Decision::Answer(error_frame(scan.id().unwrap_or("null"), &error))
    }

    /// Batches exist up to 2025-03-26. Ours are taken out and answered in a batch of their own; the rest is forwarded
    /// as a batch.
    fn batch(&self, frame: &[u8]) -> Decision {
        let batches = matches!(
            self.session().legacy,
            Legacy::Open { version: Some(version), .. } if version <= ProtocolVersion::V2025_03_26
        );
        let Some(elements) = elements(frame).filter(|_| batches) else {
            return Decision::Forward;
        };
        let mut theirs = Vec::new();
        let mut batch = Batch {
            theirs: None,
            answers: Vec::new(),
            own: Vec::new(),
        };
        let mut dropped = false;
        for element in elements {
            let bytes = element.get().as_bytes();
            // Listen streams are of an era without batches: such an element is the server's.
            let message =
                Message::read(bytes).filter(|message| message.method().as_deref() != Some(METHOD));
            match message.map(|message| self.message(&message, bytes)) {
                None
                | Some(
                    Decision::Forward
                    | Decision::Batch(_)
                    | Decision::Listen(_)
                    | Decision::TooLong(_),
                ) => theirs.push(element.get()),
                Some(Decision::Drop) => dropped = true,
                Some(Decision::Answer(answer)) => batch.answers.push(answer),
                Some(Decision::Own(own)) => batch.own.push(own),
            }
        }
        if !dropped && batch.answers.is_empty() && batch.own.is_empty() {
            return Decision::Forward;
        }
        if !theirs.is_empty() {
            batch.theirs = Some(format!("[{}]\n", theirs.join(",")));
        }
        Decision::Batch(batch)
    }

    async fn too_long_from_client(&self, scan: &Scan) -> Result<(), Ended> {
        let error = too_large(self.options.max_frame_bytes);
        match (scan.method(), scan.id()) {
            // An answer to a request of the server, which would wait for it.
            (None, Some(id)) if scan.is_answer() => {
                let line = format!("{}\n", error_frame(id, &error));
                self.forward(line.as_bytes()).await
            }
            // A notification.
            (Some(_), None) => Ok(()),
            (_, id) => self.answer(error_frame(id.unwrap_or("null"), &error)).await,
        }
    }
}

fn invalid(id: &str, what: &str, kind: &str) -> Decision {
    let error = RpcError::new(code::INVALID_REQUEST, what).with_data(json!({ "kind": kind }));
    Decision::Answer(error_frame(id, &error))
}

fn spawn(calls: &Mutex<JoinSet<()>>, call: impl Future<Output = ()> + Send + 'static) {
    let mut calls = lock(calls);
    while calls.try_join_next().is_some() {}
    calls.spawn(call);
}
