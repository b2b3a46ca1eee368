//! Negotiated settings, kept per declared object: the same client sends the same object on every request.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::Enabled;
use crate::extension::{AnySettings, NegotiationFailure};
use crate::request::declared_in;
use crate::wire::{JsonObject, RpcError};

/// A bounded list, oldest out first. A handful of distinct objects is the common case, so it is searched in order.
pub(crate) struct Cache {
    entries: RwLock<VecDeque<(JsonObject, AnySettings)>>,
    capacity: usize,
    max_bytes: usize,
}

impl Cache {
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Self {
        Self {
            entries: RwLock::new(VecDeque::new()),
            capacity,
            max_bytes,
        }
    }

    fn get(&self, declared: &JsonObject) -> Option<AnySettings> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries
            .iter()
            .find(|(key, _)| key == declared)
            .map(|(_, settings)| settings.clone())
    }

    fn put(&self, declared: &JsonObject, settings: &AnySettings) {
        if self.capacity == 0 || super::route::size_of_object(declared) > self.max_bytes {
            return;
        }
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if entries.iter().any(|(key, _)| key == declared) {
            return;
        }
        if entries.len() >= self.capacity {
            entries.pop_front();
        }
        entries.push_back((declared.clone(), settings.clone()));
    }
}

/// Declarations of clients, so that what is negotiated for a request can be handed on without a copy of its `_meta`.
pub(crate) struct Declarations {
    entries: RwLock<VecDeque<Arc<JsonObject>>>,
    capacity: usize,
    max_bytes: usize,
}

impl Declarations {
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Self {
        Self {
            entries: RwLock::new(VecDeque::new()),
            capacity,
            max_bytes,
        }
    }

    /// What these capabilities of a client declare: the one that is kept, or a copy, which is kept from now on if it is
    /// not too large.
    ///
    /// # Errors
    /// Those of [`declared_in`].
    pub(crate) fn shared(
        &self,
        capabilities: &Value,
        max: usize,
    ) -> Result<Option<Arc<JsonObject>>, RpcError> {
        // What is kept has been found well-formed, so that what equals it is not looked through again.
        let extensions = capabilities.as_object().and_then(|c| c.get("extensions"));
        if let Some(Value::Object(declared)) = extensions {
            let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(kept) = entries.iter().find(|kept| ***kept == *declared) {
                return Ok(Some(kept.clone()));
            }
        }
        let Some(declared) = declared_in(capabilities, max)? else {
            return Ok(None);
        };
        let copy = Arc::new(declared.clone());
        if self.capacity > 0 && super::route::size_of_object(declared) <= self.max_bytes {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            if entries.len() >= self.capacity {
                entries.pop_front();
            }
            entries.push_back(copy.clone());
        }
        Ok(Some(copy))
    }
}

impl Enabled {
    /// Combines a client's declared settings with the server's. The same input always gives the same output; the
    /// cache only saves the work.
    pub(crate) fn negotiate(
        &self,
        declared: &JsonObject,
    ) -> Result<AnySettings, NegotiationFailure> {
        if let Some(settings) = self.cache.get(declared) {
            return Ok(settings);
        }
        self.check_revision(declared)?;
        let settings = self.negotiator.negotiate(declared)?;
        self.cache.put(declared, &settings);
        Ok(settings)
    }
}
