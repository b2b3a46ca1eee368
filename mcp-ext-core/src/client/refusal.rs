//! What a block answers instead of a result: a refusal, or a question for the user.

use serde::Deserialize;
use serde_json::Value;

use super::Answers;
use crate::error::ExtensionError;
use crate::extension::Extension;
use crate::wire::{JsonObject, RpcError};

/// What a block of the server said instead of letting the call happen: an error of the block's extension, not of the
/// item's.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The identifier of the block's extension.
    pub extension: String,
    /// The error's code; a tool's failure has none.
    pub code: Option<i32>,
    /// Which of that extension's errors it is.
    pub kind: String,
    /// What a person or a model should know, and can do.
    pub message: String,
    /// The fields of the error.
    pub details: Value,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

#[derive(Deserialize)]
struct Data {
    extension: String,
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Value,
    #[serde(default)]
    retryable: bool,
}

impl Refusal {
    /// The typed error again: `refusal.error::<ConfirmExtension, ConfirmError>()`. `None` when it is another extension's,
    /// or one that this version of it does not know.
    pub fn error<E: Extension, X: ExtensionError>(&self) -> Option<X> {
        self.is_of(E::CONTRACT.id.as_str())
            .then(|| X::from_wire(&self.kind, &self.details))
            .flatten()
    }

    fn is_of(&self, extension: &str) -> bool {
        self.extension == extension
    }

    /// An error of a method, where it is one of another extension than the item's.
    pub(super) fn of_rpc(item_of: &str, error: RpcError) -> Result<Self, RpcError> {
        // What the protocol itself says of another extension is not that extension's word.
        if (-32768..=-32000).contains(&error.code) {
            return Err(error);
        }
        let data = error
            .data
            .as_ref()
            .and_then(|data| Data::deserialize(data).ok());
        match data {
            Some(data) if data.extension != item_of => {
                let mut refusal = Self::from(data);
                refusal.code = Some(error.code);
                refusal.message = error.message;
                Ok(refusal)
            }
            _ => Err(error),
        }
    }

    /// The error of a tool, where it is one of another extension than the item's.
    pub(super) fn of_tool(item_of: &str, error: &Value) -> Option<Self> {
        let data = Data::deserialize(error).ok()?;
        (data.extension != item_of).then(|| data.into())
    }
}

impl From<Data> for Refusal {
    fn from(data: Data) -> Self {
        Self {
            extension: data.extension,
            code: None,
            kind: data.kind,
            message: data.message,
            details: data.details,
            retryable: data.retryable,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// What the server wants the user asked before the tool is called again, in the modern era.
///
/// Ask, and call again with the answers:
/// `grades.with_answers(asked.answers().accept("confirm", json!({"confirm": true}))).release_grades(args).await`.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRequired {
    pub(super) tool: &'static str,
    /// The questions: form and URL elicitations, and what else the client declared that it can be asked.
    pub requests: Vec<InputRequest>,
    /// What the server gave to be brought back; it means nothing here.
    pub(super) state: Option<String>,
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct InputRequest {
    /// Names the answer.
    pub key: String,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its params; of an elicitation `message` and `requestedSchema`.
    pub params: JsonObject,
}

impl InputRequest {
    /// What to show the user, of an elicitation.
    pub fn message(&self) -> Option<&str> {
        self.params.get("message").and_then(Value::as_str)
    }
}

impl InputRequired {
    /// Answers to these questions, none of which has been given yet. Without questions the call may be repeated with
    /// them as they are.
    #[must_use]
    pub fn answers(self) -> Answers {
        Answers::to(self)
    }

    /// Reads an interim result of a tool (MR-2, MR-3).
    pub(super) fn read(tool: &'static str, mut result: JsonObject) -> Result<Self, &'static str> {
        const KINDS: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];
        let state = match result.remove("requestState") {
            None => None,
            Some(Value::String(state)) => Some(state),
            Some(_) => return Err("its requestState is not a string"),
        };
        let requests = match result.remove("inputRequests") {
            None if state.is_none() => return Err("it asks nothing and has no requestState"),
            None => JsonObject::new(),
            Some(Value::Object(requests)) => requests,
            Some(_) => return Err("its inputRequests are not an object"),
        };
        let read = |(key, mut request): (String, Value)| {
            let method = request.get("method")?.as_str()?.to_owned();
            if !KINDS.contains(&method.as_str()) {
                return None;
            }
            let params = match request.get_mut("params").map(Value::take) {
                None => JsonObject::new(),
                Some(Value::Object(params)) => params,
                Some(_) => return None,
            };
            Some(InputRequest {
                key,
                method,
                params,
            })
        };
        let requests: Option<Vec<_>> = requests.into_iter().map(read).collect();
        Ok(Self {
            tool,
            requests: requests.ok_or("one of its inputRequests is none of the protocol")?,
            state,
        })
    }
}
