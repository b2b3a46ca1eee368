//! What is known of the wrapped server, its sessions and its callers.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::request::Parts;
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::SessionDeclaration;
use mcp_ext_core::{ExtensionSet, Principal, RpcError};
use tokio::sync::Notify;

use super::glance::Glance;
use super::headers::{SESSION, authorization, identifying, value};
use super::metas::Metas;
use super::{Auth, HttpOptions};
use crate::message::Id;
use crate::own::Cancelled;
use crate::server::Server;

/// Longest time a caller is remembered.
const MOST_REMEMBERED: Duration = Duration::from_secs(30);

/// Most callers remembered at once.
const MAX_CALLERS: usize = 10_000;

/// Longest session id that is remembered.
const MAX_SESSION_ID: usize = 1024;

/// A caller as a number: keyed, so that nothing can be learnt from it, and made anew in each process.
pub(super) type Caller = u128;

pub(super) struct State {
    pub server: Server,
    pub options: HttpOptions,
    pub metas: Metas,
    pub glance: Glance,
    keys: [RandomState; 2],
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<String, Session>,
    /// Counts uses, so that the session unused for the longest time can be told.
    clock: u64,
    callers: HashMap<(Caller, Era), Instant>,
    running: HashMap<(String, Id), Arc<Running>>,
    stateless: bool,
}

/// A session of the legacy era.
#[derive(Clone)]
pub(super) struct Session {
    pub version: Option<ProtocolVersion>,
    /// What the client declared, or why it cannot be read.
    pub declared: Result<SessionDeclaration, RpcError>,
    used: u64,
}

/// A request of a session that is answered here.
#[derive(Default)]
pub(super) struct Running {
    pub stop: Notify,
    pub cancelled: Arc<Cancelled>,
}

impl State {
    pub fn new(set: ExtensionSet, options: HttpOptions) -> Self {
        Self {
            server: Server::new(set),
            options,
            metas: Metas::new(),
            glance: Glance::new(),
            keys: [RandomState::new(), RandomState::new()],
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that is locked here is left half changed by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self, what: impl Hash) -> u128 {
        let [high, low] = &self.keys;
        let half = |key: &RandomState| u128::from(key.hash_one(&what));
        half(high) << 64 | half(low)
    }

    /// Whoever sent these headers, as far as the wrapped server is asked about them.
    pub fn asked_as(&self, headers: &HeaderMap) -> Caller {
        match self.options.auth {
            Auth::Upstream => self.number(identifying(headers)),
            // A session must still be one of the server's.
            Auth::None => self.number(value(headers, &SESSION)),
        }
    }

    /// Who calls: whom a layer outside of this one has found out, else whoever `Authorization` stands for, by a name
    /// that lasts as long as this process. A header that nobody checks stands for nobody.
    pub fn principal(&self, parts: &Parts) -> Option<Principal> {
        if let Some(principal) = parts.extensions.get::<Principal>() {
            return Some(principal.clone());
        }
        let authorization = authorization(&parts.headers)?;
        (self.options.auth == Auth::Upstream)
            .then(|| Principal::new(format!("authorization:{:032x}", self.number(authorization))))
    }

    /// The wrapped server has just taken a request of this caller, in this era.
    pub fn remember(&self, caller: Caller, era: Era) {
        let mut inner = self.inner();
        let now = Instant::now();
        if inner.callers.len() >= MAX_CALLERS {
            let most = self.options.remember.min(MOST_REMEMBERED);
            inner.callers.retain(|_, at| now - *at < most);
            if inner.callers.len() >= MAX_CALLERS {
                inner.callers.clear();
            }
        }
        inner.callers.insert((caller, era), now);
    }

    /// Whether the wrapped server has taken a request of this caller lately.
    pub fn remembers(&self, caller: Caller, era: Era) -> bool {
        let most = self.options.remember.min(MOST_REMEMBERED);
        self.inner()
            .callers
            .get(&(caller, era))
            .is_some_and(|at| at.elapsed() < most)
    }

    pub fn open_session(
        &self,
        id: &str,
        version: Option<ProtocolVersion>,
        declared: Result<SessionDeclaration, RpcError>,
    ) {
        if id.len() > MAX_SESSION_ID {
            return;
        }
        let mut inner = self.inner();
        inner.clock += 1;
        let used = inner.clock;
        if inner.sessions.len() >= self.options.max_sessions.max(1) {
            let oldest = inner.sessions.iter().min_by_key(|(_, s)| s.used);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                inner.sessions.remove(&id);
            }
        }
        let session = Session {
            version,
            declared,
            used,
        };
        inner.sessions.insert(id.to_owned(), session);
    }

    pub fn session(&self, id: &str) -> Option<Session> {
        let mut inner = self.inner();
        inner.clock += 1;
        let now = inner.clock;
        let session = inner.sessions.get_mut(id)?;
        session.used = now;
        Some(session.clone())
    }

    pub fn close_session(&self, id: &str) {
        self.inner().sessions.remove(id);
    }

    /// The server has answered `initialize` without giving out a session.
    pub fn note_stateless(&self) {
        self.inner().stateless = true;
    }

    pub fn is_stateless(&self) -> bool {
        self.inner().stateless
    }

    /// Takes a request of a session; `None` when one with this id is under way.
    pub fn start(&self, key: (String, Id)) -> Option<Arc<Running>> {
        use std::collections::hash_map::Entry;
        match self.inner().running.entry(key) {
            Entry::Occupied(_) => None,
            Entry::Vacant(slot) => Some(slot.insert(Arc::default()).clone()),
        }
    }

    pub fn finish(&self, key: &(String, Id), running: &Arc<Running>) {
        let mut inner = self.inner();
        // After a cancellation the id may be in use again.
        if inner
            .running
            .get(key)
            .is_some_and(|now| Arc::ptr_eq(now, running))
        {
            inner.running.remove(key);
        }
    }

    /// Stops a request of a session; `false` when it is not one of ours.
    pub fn cancel(&self, key: &(String, Id)) -> bool {
        let running = self.inner().running.remove(key);
        if let Some(running) = &running {
            running.cancelled.set();
            running.stop.notify_one();
        }
        running.is_some()
    }
}
