//! What is in force for one request, across all extensions of a set.

use std::sync::Arc;

use crate::extension::Extension;
use crate::id::ExtensionId;
use crate::protocol::{Era, ProtocolVersion};
use crate::request::{Declared, SessionDeclaration, declared};
use crate::set::SetInner;
use crate::wire::JsonObject;

/// What was negotiated for one request. Adapters put it where the wrapped server's own handlers can read it.
#[derive(Clone)]
pub struct Negotiated(Arc<Inner>);

struct Inner {
    set: Arc<SetInner>,
    era: Era,
    version: Option<ProtocolVersion>,
    meta: JsonObject,
    session: SessionDeclaration,
}

impl Negotiated {
    pub(crate) fn new(
        set: Arc<SetInner>,
        era: Era,
        version: Option<ProtocolVersion>,
        meta: JsonObject,
        session: SessionDeclaration,
    ) -> Self {
        Self(Arc::new(Inner {
            set,
            era,
            version,
            meta,
            session,
        }))
    }

    /// The era of the request.
    pub fn era(&self) -> Era {
        self.0.era
    }

    /// The core revision of the request, where it is known.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.0.version
    }

    /// `_meta` of the request.
    pub fn meta(&self) -> &JsonObject {
        &self.0.meta
    }

    fn declared(&self) -> Declared<'_> {
        // A malformed declaration is refused before a call of ours; towards others it counts as none.
        declared(
            self.0.era,
            &self.0.meta,
            &self.0.session,
            self.0.set.limits.max_declared,
        )
        .unwrap_or(Declared::Known(None))
    }

    /// The negotiated settings of `E`; `None` when it is not enabled, not declared, or the settings do not combine.
    pub fn settings<E: Extension>(&self) -> Option<Arc<E::Negotiated>> {
        let extension = self.0.set.extension(&E::CONTRACT.id)?;
        extension
            .effective(self.0.era, self.0.version, &self.declared())?
            .downcast()
            .ok()
    }

    /// Whether `id` is in force.
    pub fn is_active(&self, id: &ExtensionId) -> bool {
        self.0.set.extension(id).is_some_and(|e| {
            e.effective(self.0.era, self.0.version, &self.declared())
                .is_some()
        })
    }

    /// Every extension in force, sorted.
    pub fn active(&self) -> Vec<&ExtensionId> {
        self.0
            .set
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
            .field("era", &self.0.era)
            .field("active", &self.active())
            .finish()
    }
}
