//! What one connection has agreed on, and which of its requests are under way here.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{Declared, SessionDeclaration};
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{AmendCx, RpcError};
use tokio::sync::{Notify, oneshot};

use crate::message::Id;
use crate::own::Cancelled;

/// How many ids of answered requests are remembered, so that a late cancellation of one ends here too.
const REMEMBERED: usize = 256;

/// The state of one connection.
#[derive(Default)]
pub(super) struct Session {
    pub legacy: Legacy,
    pub modern: Modern,
    /// Forwarded requests whose answers are amended.
    pub amended: HashMap<Id, Amend>,
    /// Requests that are answered here.
    pub running: HashMap<Id, Arc<Running>>,
    pub answered: Answered,
    /// Listen streams that are answered here.
    pub listening: HashMap<Id, Listening>,
    /// Listen streams that were ended here while the server still had them: what it sends on them goes nowhere.
    pub left: Answered,
    /// The server has closed its output.
    pub ended: bool,
}

impl Session {
    /// Whether nothing that the server says is looked at.
    pub fn forwards_all(&self) -> bool {
        self.amended.is_empty() && self.listening.is_empty() && self.left.order.is_empty()
    }

    /// Tells the task of a listen stream that it may send.
    pub fn begin(&mut self, id: &Id, how: Begin) {
        let Some(listening) = self.listening.get_mut(id) else {
            return;
        };
        let now = match how {
            Begin::Acknowledged => AtServer::Open,
            Begin::Alone => AtServer::Not,
        };
        if let AtServer::Asked { begin, .. } = std::mem::replace(&mut listening.server, now) {
            // A task that is gone has taken itself off.
            let _ = begin.send(how);
        }
    }
}

/// The session of the legacy era.
#[derive(Clone, Default)]
pub(super) enum Legacy {
    #[default]
    NotStarted,
    /// `initialize` is with the server.
    Pending,
    Open {
        version: Option<ProtocolVersion>,
        /// What the client declared, or why it cannot be read.
        declared: Result<SessionDeclaration, RpcError>,
    },
}

/// Whether the server has shown that it serves the modern era.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Modern {
    #[default]
    Unknown,
    /// A `server/discover` is with the server.
    Asked,
    Shown,
    Not,
}

/// How the answer to a forwarded request is amended.
pub(super) enum Amend {
    Initialize {
        declared: Result<SessionDeclaration, RpcError>,
        /// What holds again if the server refuses.
        before: Legacy,
    },
    Discover,
    /// Our own `server/discover`: its answer is not the client's.
    Probe,
    Tools(Tools),
}

/// A `tools/list` that is under way.
pub(super) struct Tools {
    pub era: Era,
    pub version: Option<ProtocolVersion>,
    /// What its client declared, where the list depends on it.
    pub declared: Option<Arc<JsonObject>>,
    pub first_page: bool,
}

impl Tools {
    pub fn cx(&self) -> AmendCx<'_> {
        AmendCx {
            era: self.era,
            version: self.version,
            declared: Declared::Known(self.declared.as_deref()),
            first_page: self.first_page,
        }
    }
}

/// A request that is answered here.
#[derive(Default)]
pub(super) struct Running {
    pub stop: Arc<Notify>,
    pub cancelled: Arc<Cancelled>,
}

/// A listen stream. Taking it off the session ends it.
pub(super) struct Listening {
    /// Tells its task, by being dropped, that it is over.
    pub _alive: oneshot::Sender<Infallible>,
    pub server: AtServer,
}

/// What the server has of a listen stream.
pub(super) enum AtServer {
    /// Nothing.
    Not,
    /// It was asked, and has not acknowledged yet.
    Asked {
        /// What is added to its acknowledgement.
        accepted: Box<str>,
        begin: oneshot::Sender<Begin>,
    },
    /// It sends on the stream, too.
    Open,
}

/// How a listen stream begins that was asked of the server.
pub(super) enum Begin {
    /// Its acknowledgement has just been passed on.
    Acknowledged,
    /// It has no such method.
    Alone,
}

/// The ids of the requests that were last answered here.
#[derive(Default)]
pub(super) struct Answered {
    order: VecDeque<Id>,
    ids: HashSet<Id>,
}

impl Answered {
    pub fn remember(&mut self, id: Id) {
        if self.ids.insert(id.clone()) {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(old) = self.order.pop_front()
        {
            self.ids.remove(&old);
        }
    }

    pub fn contains(&self, id: &Id) -> bool {
        self.ids.contains(id)
    }

    /// The id is in use again, for a request of the server.
    pub fn forget(&mut self, id: &Id) {
        if self.ids.remove(id) {
            self.order.retain(|old| old != id);
        }
    }
}
