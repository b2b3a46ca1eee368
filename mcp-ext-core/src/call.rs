//! One call on its way through an extension: params in, payload or failure out.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::block::{InputRequired, Refusal};
use crate::contract::Item;
use crate::cx::CallCx;
use crate::extension::AnySettings;
use crate::faults::Fault;
use crate::request::Params;
use crate::wire::{JsonObject, RpcError, code};

/// Longest text of a tool's error, in bytes.
const MAX_ERROR_TEXT: usize = 8 * 1024;

/// The form an answer is wanted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Value,
}

/// What a handler gave, before it is wrapped and stamped.
#[derive(Debug)]
pub enum Payload {
    /// As JSON text, for adapters that write frames themselves.
    Text(String),
    /// As a value.
    Value(Value),
}

impl Payload {
    /// The payload as a value.
    ///
    /// # Errors
    /// [`Failure::Rpc`] if the text is not JSON, which a serialiser never gives.
    pub(crate) fn into_value(self) -> Result<Value, Failure> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Text(text) => serde_json::from_str(&text).map_err(unserialisable),
        }
    }
}

/// Why a call gave no payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// A protocol error, whatever was called.
    Rpc(RpcError),
    /// The params or arguments do not fit.
    Params(Vec<Fault>),
    /// One of the extension's own errors.
    Own {
        /// Its code.
        code: i32,
        /// `data.kind`.
        kind: Cow<'static, str>,
        /// One sentence.
        message: String,
        /// `data.details`.
        details: JsonObject,
        /// Whether trying again may help.
        retryable: bool,
    },
    /// A block refused; the handler did not run.
    Refused(Refusal),
    /// A block withholds the result; the handler ran, and what it did stays done.
    Withheld(Refusal),
    /// A block found the request itself malformed: a protocol error, whatever was called. The handler did not run.
    Rejected(RpcError),
    /// A block has the user asked first; the handler did not run.
    InputRequired(InputRequired),
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

pub(crate) fn unserialisable(_: serde_json::Error) -> Failure {
    Failure::Rpc(
        RpcError::new(
            code::INTERNAL_ERROR,
            "the handler's result could not be written as JSON",
        )
        .with_data(json!({ "kind": "unserialisable_result" })),
    )
}

/// What a call gave.
pub type Outcome = Result<Payload, Failure>;

/// One call, as generated code sees it.
pub struct Call<'a> {
    pub(crate) cx: Arc<CallCx>,
    pub(crate) item: &'static Item,
    pub(crate) params: Params<'a>,
    pub(crate) settings: AnySettings,
    pub(crate) negotiated: bool,
    pub(crate) form: Form,
}

impl Failure {
    /// Whether it is certain that the handler did nothing: the params did not fit, a block refused, or the user is asked
    /// first.
    pub fn before_the_handler(&self) -> bool {
        match self {
            Self::Params(_) | Self::Refused(_) | Self::Rejected(_) | Self::InputRequired(_) => true,
            Self::Rpc(_) | Self::Own { .. } | Self::Withheld(_) => false,
        }
    }

    /// The failure as a JSON-RPC error of a method of `extension`.
    pub(crate) fn into_rpc(self, extension: &str) -> RpcError {
        match self {
            Self::Rpc(error) | Self::Rejected(error) => error,
            Self::Params(faults) => RpcError::new(code::INVALID_PARAMS, summary("params", &faults))
                .with_data(
                    json!({ "extension": extension, "kind": "invalid_params", "faults": faults }),
                ),
            Self::Own {
                code,
                kind,
                message,
                details,
                retryable,
            } => own_rpc(extension, &kind, code, message, details, retryable),
            Self::Refused(refusal) | Self::Withheld(refusal) => own_rpc(
                &refusal.extension,
                &refusal.kind,
                refusal.code,
                refusal.message,
                refusal.details,
                refusal.retryable,
            ),
            Self::InputRequired(_) => RpcError::new(
                code::INTERNAL_ERROR,
                "a block asks for input where the protocol has none",
            )
            .with_data(json!({ "kind": "input_not_possible" })),
        }
    }

    /// The failure as a tool result with `isError: true`, or still a protocol error.
    pub(crate) fn into_tool_result(self, extension: &str) -> Result<JsonObject, RpcError> {
        let (text, error) = match self {
            Self::Rpc(error) | Self::Rejected(error) => return Err(error),
            Self::Params(faults) => {
                let mut text = summary("arguments", &faults);
                // One fault stands in the summary already.
                for fault in faults.iter().filter(|_| faults.len() > 1) {
                    text.push_str("\n- ");
                    text.push_str(&fault.message);
                }
                let error = json!({
                    "extension": extension, "kind": "invalid_params", "message": summary("arguments", &faults), "faults": faults,
                });
                (text, error)
            }
            Self::Own {
                kind,
                message,
                details,
                retryable,
                ..
            } => own_tool(extension, &kind, message, details, retryable),
            Self::Refused(refusal) | Self::Withheld(refusal) => own_tool(
                &refusal.extension,
                &refusal.kind,
                refusal.message,
                refusal.details,
                refusal.retryable,
            ),
            Self::InputRequired(_) => return Err(self.into_rpc(extension)),
        };
        Ok(tool_error(&text, error))
    }
}

fn own_rpc(
    extension: &str,
    kind: &str,
    code: i32,
    message: String,
    details: JsonObject,
    retryable: bool,
) -> RpcError {
    let mut data = json!({ "extension": extension, "kind": kind });
    if !details.is_empty() {
        data["details"] = Value::Object(details);
    }
    if retryable {
        data["retryable"] = true.into();
    }
    RpcError::new(code, message).with_data(data)
}

fn own_tool(
    extension: &str,
    kind: &str,
    message: String,
    details: JsonObject,
    retryable: bool,
) -> (String, Value) {
    let mut error =
        json!({ "extension": extension, "kind": kind, "message": message, "retryable": retryable });
    if !details.is_empty() {
        error["details"] = Value::Object(details);
    }
    (message, error)
}

/// A tool result with `isError: true`.
pub(crate) fn tool_error(text: &str, error: Value) -> JsonObject {
    let mut end = text.len().min(MAX_ERROR_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let Value::Object(result) = json!({
        "content": [{ "type": "text", "text": &text[..end] }],
        "structuredContent": { "error": error },
        "isError": true,
    }) else {
        return JsonObject::new();
    };
    result
}

fn summary(what: &str, faults: &[Fault]) -> String {
    match faults {
        [one] => format!("the {what} do not fit: {}", one.message),
        many => format!("the {what} do not fit in {} places", many.len()),
    }
}
