//! An outcome as it is kept, with all that the blocks further in have added to it.

use mcp_ext_core::block::{BlockOutcome, Failure};
use mcp_ext_core::wire::JsonObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(flatten)]
    result: StoredResult,
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    meta: JsonObject,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredResult {
    Ok(Value),
    Error {
        code: i32,
        kind: String,
        message: String,
        #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
        details: JsonObject,
        #[serde(default)]
        retryable: bool,
    },
}

/// The outcome as text; `None` if it is none of the handler's own answers, which are all that is ever given again.
pub(crate) fn write(outcome: &BlockOutcome) -> Option<String> {
    let result = match &outcome.result {
        Ok(value) => StoredResult::Ok(value.clone()),
        Err(Failure::Own {
            code,
            kind,
            message,
            details,
            retryable,
        }) => StoredResult::Error {
            code: *code,
            kind: kind.clone().into_owned(),
            message: message.clone(),
            details: details.clone(),
            retryable: *retryable,
        },
        Err(_) => return None,
    };
    serde_json::to_string(&Stored {
        result,
        meta: outcome.meta.clone(),
        notes: outcome.notes.clone(),
    })
    .ok()
}

/// The outcome again.
pub(crate) fn read(text: &str) -> Result<BlockOutcome, serde_json::Error> {
    let Stored {
        result,
        meta,
        notes,
    } = serde_json::from_str(text)?;
    let result = match result {
        StoredResult::Ok(value) => Ok(value),
        StoredResult::Error {
            code,
            kind,
            message,
            details,
            retryable,
        } => Err(Failure::Own {
            code,
            kind: kind.into(),
            message,
            details,
            retryable,
        }),
    };
    Ok(BlockOutcome {
        result,
        meta,
        notes,
    })
}
