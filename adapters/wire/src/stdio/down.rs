//! From the server to the client.

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::code;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};

use super::lines::{Filled, Lines};
use super::session::{Amend, AtServer, Begin, Legacy, Modern};
use super::{Connection, Ended};
use crate::listen;
use crate::merge::{self, Splice, elements, tools_alone};
use crate::message::{Id, Message, error_frame, member, result_frame, text, trimmed};
use crate::own::too_large;
use crate::scan::Scan;
use crate::server::shows_modern;

/// What becomes of a line of the server.
enum Decision {
    Forward,
    /// What the client gets in its place, and what the session is afterwards.
    Replace(Vec<u8>, Vec<Effect>),
    /// Not for the client.
    Swallow(Vec<Effect>),
    /// Longer than the bound.
    TooLong(Box<Scan>),
}

/// What an answer of the server says about the connection.
enum Effect {
    Legacy(Legacy),
    Modern(Modern),
    /// The server has acknowledged a listen stream.
    Acknowledged(Id),
    /// The server knows no listen streams.
    Alone(Id),
    /// The server has ended a listen stream.
    Over(Id),
    /// The line belongs to a listen stream, which may have been ended here meanwhile.
    On(Id),
}

impl<CW, SW> Connection<CW, SW>
where
    CW: AsyncWrite + Unpin + Send + 'static,
    SW: AsyncWrite + Unpin + Send + 'static,
{
    /// Reads the server until it ends, or the client is gone.
    pub(super) async fn down<R: AsyncRead + Unpin>(&self, mut lines: Lines<R>) -> Ended {
        let mut last = None;
        loop {
            // Consecutive lines for the client go in one write.
            let mut forward = 0..0;
            while let Some(line) = lines.next_line() {
                let decision = match lines.too_long(line.clone()) {
                    Some(scan) => Decision::TooLong(scan),
                    None => self.decide_down(lines.bytes(line.clone())),
                };
                match decision {
                    Decision::Forward if forward.is_empty() => forward = line,
                    Decision::Forward => forward.end = line.end,
                    decision => {
                        let forward = lines.bytes(std::mem::take(&mut forward));
                        if let Err(ended) = self.pass(forward).await {
                            return ended;
                        }
                        match decision {
                            Decision::Forward => {}
                            Decision::Swallow(effects) => {
                                self.apply(effects);
                            }
                            Decision::TooLong(scan) => {
                                if let Err(ended) = self.too_long_from_server(&scan).await {
                                    return ended;
                                }
                            }
                            // A client that has read the line finds the session as it says, and no answer of ours
                            // that waits for it overtakes it.
                            Decision::Replace(line, effects) => {
                                let sent = self.to_client.send_if(|| self.apply(effects), &line);
                                if let Err(error) = sent.await {
                                    return Ended::Client(error);
                                }
                            }
                        }
                    }
                }
            }
            if let Err(ended) = self.pass(lines.bytes(forward)).await {
                return ended;
            }
            if let Some(ended) = last {
                return ended;
            }
            match lines.fill().await {
                Ok(Filled::More) => {}
                Ok(Filled::TooLong(scan)) => {
                    if let Err(ended) = self.too_long_from_server(&scan).await {
                        return ended;
                    }
                }
                Ok(Filled::End) => last = Some(Ended::Server),
                Err(error) => last = Some(Ended::Broken(error)),
            }
        }
    }

    async fn pass(&self, frames: &[u8]) -> Result<(), Ended> {
        if frames.is_empty() {
            return Ok(());
        }
        self.to_client.send(frames).await.map_err(Ended::Client)
    }

    /// Whether the client is still to get the line.
    fn apply(&self, effects: Vec<Effect>) -> bool {
        if effects.is_empty() {
            return true;
        }
        self.change(|session| {
            let mut wanted = true;
            for effect in effects {
                match effect {
                    Effect::Legacy(legacy) => session.legacy = legacy,
                    Effect::Modern(modern) => session.modern = modern,
                    Effect::Acknowledged(id) => session.begin(&id, Begin::Acknowledged),
                    Effect::Alone(id) => session.begin(&id, Begin::Alone),
                    Effect::Over(id) => {
                        wanted = !session.left.contains(&id);
                        session.listening.remove(&id);
                    }
                    Effect::On(id) => wanted = !session.left.contains(&id),
                }
            }
            wanted
        })
    }

    fn decide_down(&self, line: &[u8]) -> Decision {
        if self.session().forwards_all() {
            return Decision::Forward;
        }
        let frame = trimmed(line);
        let mut splice = Splice::of(line);
        let mut effects = Vec::new();
        if frame.first() == Some(&b'[') {
            for element in elements(frame).unwrap_or_default() {
                let bytes = element.get().as_bytes();
                if let Some(message) = Message::read(bytes) {
                    self.amend(&message, bytes, &mut splice, &mut effects);
                }
            }
        } else if let Some(message) = Message::read(frame)
            && self.amend(&message, frame, &mut splice, &mut effects)
        {
            return Decision::Swallow(effects);
        }
        if splice.is_empty() && effects.is_empty() {
            return Decision::Forward;
        }
        Decision::Replace(splice.finish(), effects)
    }

    /// Amends one answer; `true` when it is to a request of our own.
    fn amend(
        &self,
        message: &Message<'_>,
        frame: &[u8],
        splice: &mut Splice<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        // Requests of the server are counted by ids of its own.
        if !message.is_response() {
            return message.id.is_none() && self.heard(message, splice, effects);
        }
        let Some(id) = message.id() else { return false };
        let Some(amend) = self.session().amended.remove(&id) else {
            return self.ends_listening(message, id, effects);
        };
        match (amend, message.result) {
            (Amend::Initialize { declared, .. }, Some(result)) => {
                let version = member(result, "protocolVersion")
                    .and_then(text)
                    .and_then(|version| ProtocolVersion::parse(&version))
                    .filter(|version| version.era() == Era::Legacy);
                self.server.note_info(result);
                merge::capabilities(splice, &self.server, result, Era::Legacy, version);
                effects.push(Effect::Legacy(Legacy::Open { version, declared }));
            }
            (Amend::Initialize { before, .. }, None) => effects.push(Effect::Legacy(before)),
            (Amend::Discover, Some(result)) => effects.push(self.discovered(result, splice)),
            // The request may have been at fault: nothing is known.
            (Amend::Discover, None) => {
                let asked = self.session().modern == Modern::Asked;
                effects.extend(asked.then_some(Effect::Modern(Modern::Unknown)));
            }
            (Amend::Probe, Some(result)) => {
                effects.push(self.discovered(result, &mut Splice::of(frame)));
                return true;
            }
            (Amend::Probe, None) => {
                effects.push(Effect::Modern(Modern::Not));
                return true;
            }
            (Amend::Tools(tools), Some(result)) => {
                merge::tools(splice, &self.server, result, &tools.cx());
            }
            (Amend::Tools(tools), None) => {
                let unknown = message
                    .error
                    .is_some_and(crate::message::is_method_not_found);
                if unknown
                    && tools.first_page
                    && self.server.set().has_tools(tools.era, tools.version)
                    && let Some(id) = message.id
                {
                    let result = tools_alone(&self.server, &tools.cx());
                    splice.replace(frame, result_frame(id.get(), &result));
                }
            }
        }
        false
    }

    /// A notification of the server; `true` when it belongs to a listen stream that was ended here.
    fn heard(
        &self,
        message: &Message<'_>,
        splice: &mut Splice<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let given_up = message.method().as_deref() == Some(listen::CANCELLED);
        let id = if given_up {
            listen::given_up(message)
        } else {
            listen::subscription(message)
        };
        let Some(id) = id else { return false };
        let session = self.session();
        if session.left.contains(&id) {
            return true;
        }
        match session
            .listening
            .get(&id)
            .map(|listening| &listening.server)
        {
            None | Some(AtServer::Not) => {}
            Some(_) if given_up => effects.push(Effect::Over(id)),
            Some(AtServer::Asked { accepted, .. }) if listen::is_acknowledgement(message) => {
                listen::acknowledge(splice, message, accepted);
                effects.push(Effect::Acknowledged(id));
            }
            Some(AtServer::Asked { .. } | AtServer::Open) => effects.push(Effect::On(id)),
        }
        false
    }

    /// The server's answer to a listen request that was taken apart; `true` when the client gets none of it.
    fn ends_listening(&self, message: &Message<'_>, id: Id, effects: &mut Vec<Effect>) -> bool {
        let mut session = self.session();
        if session.left.contains(&id) {
            session.left.forget(&id);
            return true;
        }
        let unknown = message
            .error
            .is_some_and(crate::message::is_method_not_found);
        match session
            .listening
            .get(&id)
            .map(|listening| &listening.server)
        {
            None | Some(AtServer::Not) => false,
            Some(AtServer::Asked { .. }) if unknown => {
                effects.push(Effect::Alone(id));
                true
            }
            Some(AtServer::Asked { .. } | AtServer::Open) => {
                effects.push(Effect::Over(id));
                false
            }
        }
    }

    fn discovered(&self, result: &RawValue, splice: &mut Splice<'_>) -> Effect {
        self.server.note_info(result);
        let version = Some(ProtocolVersion::V2026_07_28);
        merge::capabilities(splice, &self.server, result, Era::Modern, version);
        Effect::Modern(if shows_modern(result) {
            Modern::Shown
        } else {
            Modern::Not
        })
    }

    async fn too_long_from_server(&self, scan: &Scan) -> Result<(), Ended> {
        let Some(id) = scan.id() else { return Ok(()) };
        let mut error = too_large(self.options.max_frame_bytes);
        if scan.method().is_some() {
            let line = format!("{}\n", error_frame(id, &error));
            // A server that is gone is noticed by its end.
            let _ = self.to_server.send(line.as_bytes()).await;
            return Ok(());
        }
        error.code = code::INTERNAL_ERROR;
        let key = RawValue::from_string(id.to_owned())
            .ok()
            .and_then(|raw| Id::read(&raw));
        let amend = key.and_then(|id| {
            let mut session = self.session();
            session.listening.remove(&id);
            session.amended.remove(&id)
        });
        let effect = match &amend {
            Some(Amend::Initialize { before, .. }) => Some(Effect::Legacy(before.clone())),
            Some(Amend::Discover | Amend::Probe) => Some(Effect::Modern(Modern::Not)),
            Some(Amend::Tools(_)) | None => None,
        };
        self.apply(effect.into_iter().collect());
        if matches!(amend, Some(Amend::Probe)) {
            return Ok(());
        }
        self.answer(error_frame(id, &error)).await
    }
}
