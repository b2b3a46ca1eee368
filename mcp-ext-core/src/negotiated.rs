//! What is in force for one request, across all extensions of a set.

use std::sync::Arc;

use crate::extension::Extension;
use crate::id::ExtensionId;
use crate::protocol::{Era, ProtocolVersion};
use crate::request::{Declared, SessionDeclaration, declared};
use crate::set::SetInner;
use crate::wire::{JsonObject, meta};

/// What was negotiated for one request. Adapters put it where the wrapped server's own handlers can read it.
#[derive(Clone)]
pub struct Negotiated {
    set: Arc<SetInner>,
    era: Era,
    version: Option<ProtocolVersion>,
    declaring: Declaring,
}

/// Where it is known from what the client declared.
#[derive(Clone)]
enum Declaring {
    /// `_meta` of a call of ours, which the call holds anyhow, and its session.
    Call(Arc<JsonObject>, SessionDeclaration),
    /// The declaration alone: the session's, or the one of a request, kept by the set.
    Alone(SessionDeclaration),
}

impl Negotiated {
    /// For a call of ours.
    pub(crate) fn of_call(
        set: Arc<SetInner>,
        era: Era,
        version: Option<ProtocolVersion>,
        meta: Arc<JsonObject>,
        session: SessionDeclaration,
    ) -> Self {
        Self {
            set,
            era,
            version,
            declaring: Declaring::Call(meta, session),
        }
    }

    /// For a request of which only the declaration is kept.
    pub(crate) fn of_request(
        set: Arc<SetInner>,
        era: Era,
        version: Option<ProtocolVersion>,
        meta: &JsonObject,
        session: SessionDeclaration,
    ) -> Self {
        let alone = match meta.get(meta::CLIENT_CAPABILITIES) {
            // A malformed declaration is refused before a call of ours; towards others it counts as none.
            Some(capabilities) => SessionDeclaration::Known(
                set.declarations
                    .shared(capabilities, set.limits.max_declared)
                    .unwrap_or(None),
            ),
            None if era == Era::Modern => SessionDeclaration::none(),
            None => session,
        };
        Self {
            set,
            era,
            version,
            declaring: Declaring::Alone(alone),
        }
    }

    pub(crate) fn set(&self) -> &Arc<SetInner> {
        &self.set
    }

    /// The era of the request.
    pub fn era(&self) -> Era {
        self.era
    }

    /// The core revision of the request, where it is known.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.version
    }

    fn declared(&self) -> Declared<'_> {
        match &self.declaring {
            Declaring::Call(meta, session) => {
                declared(self.era, meta, session, self.set.limits.max_declared)
                    .unwrap_or(Declared::Known(None))
            }
            Declaring::Alone(SessionDeclaration::Known(map)) => Declared::Known(map.as_deref()),
            Declaring::Alone(SessionDeclaration::Unknown) => Declared::Unknown,
        }
    }

    /// The negotiated settings of `E`; `None` when it is not enabled, not declared, or the settings do not combine.
    pub fn settings<E: Extension>(&self) -> Option<Arc<E::Negotiated>> {
        let extension = self.set.extension(&E::CONTRACT.id)?;
        extension
            .effective(self.era, self.version, &self.declared())?
            .downcast()
            .ok()
    }

    /// Whether `id` is in force.
    pub fn is_active(&self, id: &ExtensionId) -> bool {
        self.set.extension(id).is_some_and(|e| {
            e.effective(self.era, self.version, &self.declared())
                .is_some()
        })
    }

    /// Every extension in force, sorted.
    pub fn active(&self) -> Vec<&ExtensionId> {
        self.set
            .extensions
            .iter()
            .map(|e| &e.contract.id)
            .filter(|id| self.is_active(id))
            .collect()
    }
}

impl std::fmt::Debug for Negotiated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Negotiated")
            .field("era", &self.era)
            .field("active", &self.active())
            .finish()
    }
}
