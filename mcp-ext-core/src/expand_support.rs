//! What generated code calls and nothing else does: small, and generic only where a type must be named.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::extension::Extension;
use crate::wire::JsonObject;

pub use crate::block::BlockName;

/// The fallback settings of `E` as JSON, for its contract.
pub fn fallback_json<E: Extension>() -> Value
where
    E::Negotiated: Serialize,
{
    serde_json::to_value(E::fallback()).unwrap_or(Value::Null)
}

/// Reads the params of a notification. What the protocol puts into `_meta` may be no part of their type.
pub fn read_notification<T: DeserializeOwned>(params: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(params).or_else(|error| match params {
        Value::Object(params) if params.contains_key("_meta") => {
            let mut rest = params.clone();
            rest.remove("_meta");
            T::deserialize(Value::Object(rest))
        }
        Value::Null => T::deserialize(Value::Object(JsonObject::new())),
        _ => Err(error),
    })
}

/// Adds a field of an error to its details; one that cannot be written as JSON is left out.
pub fn put_detail<T: Serialize + ?Sized>(details: &mut JsonObject, name: &str, field: &T) {
    if let Ok(value) = serde_json::to_value(field) {
        details.insert(name.to_owned(), value);
    }
}

/// Reads a field of an error from its details; one that is missing reads as `null`.
pub fn take_detail<T: DeserializeOwned>(details: &Value, name: &str) -> Option<T> {
    T::deserialize(details.get(name).unwrap_or(&Value::Null)).ok()
}
