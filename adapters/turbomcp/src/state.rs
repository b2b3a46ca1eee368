//! What all clones of a service share: the set, the sessions, the calls under way.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_ext_core::protocol::ProtocolVersion;
use mcp_ext_core::request::{CancelSignal, SessionDeclaration, Target};
use mcp_ext_core::{ExtensionSet, RpcError};
use serde_json::Value;
use tokio::sync::{Notify, OnceCell};
use turbomcp_core::RequestId;

use crate::PrincipalOf;

/// What the wrapped server has said of itself.
pub(crate) struct Known {
    /// The set, stamping who the server is.
    pub set: ExtensionSet,
    /// Who it is.
    pub info: Option<Value>,
    /// The versions it serves, where it says so.
    pub versions: Option<Vec<Value>>,
}

impl Known {
    /// Whether the server serves a version. Where it does not say, that is its own to refuse.
    pub fn serves(&self, version: ProtocolVersion) -> bool {
        let mut all = self.versions.iter().flatten();
        self.versions.is_none() || all.any(|v| v == version.as_str())
    }
}

pub(crate) struct State {
    pub set: ExtensionSet,
    pub principal: Arc<PrincipalOf>,
    /// The wrapped server is asked once.
    pub known: OnceCell<Known>,
    /// Whether its tools were looked through.
    pub looked: OnceCell<()>,
    max_sessions: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<String, Session>,
    /// Counts uses, so that the session unused for the longest time can be told.
    clock: u64,
    running: HashMap<Key, Arc<Running>>,
    /// Extensions, methods and tools that the server turned out to have itself: it keeps them.
    withheld: HashSet<String>,
}

/// A session of the legacy era.
#[derive(Clone)]
pub(crate) struct Session {
    pub version: Option<ProtocolVersion>,
    /// What the client declared, or why it cannot be read.
    pub declared: Result<SessionDeclaration, RpcError>,
    /// Who opened it.
    pub owner: Option<String>,
    used: u64,
}

impl Session {
    pub fn new(
        version: Option<ProtocolVersion>,
        declared: Result<SessionDeclaration, RpcError>,
        owner: Option<String>,
    ) -> Self {
        Self {
            version,
            declared,
            owner,
            used: 0,
        }
    }
}

/// A request, by the session or else the connection that it came on.
pub(crate) type Key = (String, RequestId);

/// A request that is answered here.
#[derive(Default)]
pub(crate) struct Running {
    pub stop: Notify,
    cancelled: AtomicBool,
}

impl CancelSignal for Running {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

impl State {
    pub fn new(set: ExtensionSet, principal: Arc<PrincipalOf>, max_sessions: usize) -> Arc<Self> {
        Arc::new(Self {
            set,
            principal,
            known: OnceCell::new(),
            looked: OnceCell::new(),
            max_sessions: max_sessions.max(1),
            inner: Mutex::default(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing that is locked here is left half changed by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `target` is answered here: it is of the set, and the server does not have it itself.
    pub fn owns(&self, target: Target<'_>) -> bool {
        self.set.owns(target) && !self.is_withheld(target.name())
    }

    pub fn is_withheld(&self, name: &str) -> bool {
        self.inner().withheld.contains(name)
    }

    /// The server has a tool of this name: if we have one too, ours is withheld.
    pub fn withhold_tool(&self, name: &str) {
        if self.set.owns(Target::Tool(name)) && self.inner().withheld.insert(name.to_owned()) {
            self.set.withheld_tool(name);
        }
    }

    /// The server advertises an extension itself: its methods and tools stay its own.
    pub fn withhold_extension(&self, id: &str) {
        let Some(contract) = self.set.contracts().find(|c| c.id.as_str() == id) else {
            return;
        };
        let mut inner = self.inner();
        let fresh = inner.withheld.insert(id.to_owned());
        for item in contract.items {
            let names = [item.method.map(|m| m.wire), item.tool.map(|t| t.name)];
            inner
                .withheld
                .extend(names.into_iter().flatten().map(str::to_owned));
        }
        drop(inner);
        if fresh {
            self.set.withheld_extension(id);
        }
    }

    pub fn open_session(&self, id: String, mut session: Session) {
        let mut inner = self.inner();
        inner.clock += 1;
        session.used = inner.clock;
        if inner.sessions.len() >= self.max_sessions && !inner.sessions.contains_key(&id) {
            let oldest = inner.sessions.iter().min_by_key(|(_, s)| s.used);
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                inner.sessions.remove(&id);
            }
        }
        inner.sessions.insert(id, session);
    }

    /// A session that this caller has opened.
    pub fn session(&self, id: &str, owner: Option<&str>) -> Option<Session> {
        let mut inner = self.inner();
        inner.clock += 1;
        let now = inner.clock;
        let session = inner.sessions.get_mut(id)?;
        if session.owner.as_deref() != owner {
            return None;
        }
        session.used = now;
        Some(session.clone())
    }

    /// Takes a request; `None` when one with this id is under way.
    pub fn start(self: &Arc<Self>, key: Option<Key>) -> Option<Tracked> {
        use std::collections::hash_map::Entry;
        let running = match &key {
            None => Arc::default(),
            Some(key) => match self.inner().running.entry(key.clone()) {
                Entry::Occupied(_) => return None,
                Entry::Vacant(slot) => slot.insert(Arc::default()).clone(),
            },
        };
        Some(Tracked {
            state: self.clone(),
            key,
            running,
        })
    }

    /// Stops a request; `false` when it is not one of ours.
    pub fn cancel(&self, key: &Key) -> bool {
        let running = self.inner().running.remove(key);
        if let Some(running) = &running {
            running.cancelled.store(true, Ordering::Release);
            running.stop.notify_one();
        }
        running.is_some()
    }
}

/// A request under way, for as long as this lives.
pub(crate) struct Tracked {
    state: Arc<State>,
    key: Option<Key>,
    pub running: Arc<Running>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let Some(key) = &self.key else { return };
        let mut inner = self.state.inner();
        // After a cancellation the id may be in use again.
        if inner
            .running
            .get(key)
            .is_some_and(|now| Arc::ptr_eq(now, &self.running))
        {
            inner.running.remove(key);
        }
    }
}
