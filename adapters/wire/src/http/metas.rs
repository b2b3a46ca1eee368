//! `_meta` that was read before: most clients say the same with every request.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use mcp_ext_core::wire::JsonObject;
use serde_json::value::RawValue;

/// How many are kept. Each has its place by a keyed hash, and takes it from the one before.
const PLACES: usize = 64;

/// Longest text that is kept.
const LONGEST: usize = 4096;

/// What was read, by its text.
type Place = Option<(Box<str>, Arc<JsonObject>)>;

pub(super) struct Metas {
    key: RandomState,
    places: Mutex<Vec<Place>>,
}

impl Metas {
    pub fn new() -> Self {
        Self {
            key: RandomState::new(),
            places: Mutex::new(vec![None; PLACES]),
        }
    }

    /// The object; `None` when it is none.
    pub fn read(&self, meta: &RawValue) -> Option<Arc<JsonObject>> {
        let text = meta.get();
        let read = || serde_json::from_str(text).ok().map(Arc::new);
        if text.len() > LONGEST {
            return read();
        }
        let at = usize::try_from(self.key.hash_one(text) % PLACES as u64).ok()?;
        // Nothing that is locked here is left half changed by a panic.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.get_mut(at)?;
        if let Some((kept, object)) = place
            && **kept == *text
        {
            return Some(object.clone());
        }
        let object: Arc<JsonObject> = read()?;
        *place = Some((text.into(), object.clone()));
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_gives_its_own_object() {
        let metas = Metas::new();
        let raw = |text: String| RawValue::from_string(text).unwrap();
        // More than there are places, so that some are found and some have lost theirs.
        for n in (0..500).chain(0..500).flat_map(|n| [n, n]) {
            let object = metas.read(&raw(format!(r#"{{"n":{n}}}"#))).unwrap();
            assert_eq!(object["n"], n);
        }
        let again = raw(r#"{"a":{"b":[]}}"#.to_owned());
        let (first, second) = (metas.read(&again).unwrap(), metas.read(&again).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        let long = raw(format!(r#"{{"a":"{}"}}"#, "x".repeat(LONGEST)));
        let (first, second) = (metas.read(&long).unwrap(), metas.read(&long).unwrap());
        assert!(!Arc::ptr_eq(&first, &second));
        for bad in ["null", "[]", "5", r#"{"a":1e999}"#] {
            assert!(metas.read(&raw(bad.to_owned())).is_none(), "{bad}");
        }
    }
}
