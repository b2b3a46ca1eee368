//! Stub.
#![allow(missing_docs)]
use crate::schema::TypeSchema;
use serde_json::Value;
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub pointer: String,
    pub expected: String,
    pub seen: String,
    pub message: String,
}
pub fn find(_: &Value, _: &TypeSchema, _: &[&str]) -> Vec<Fault> {
    vec![]
}
pub fn from_serde(e: &serde_json::Error, _: &Value) -> Fault {
    Fault {
        pointer: "".into(),
        expected: "".into(),
        seen: "".into(),
        message: e.to_string(),
    }
}
