//! Requests that take several rounds: the server asks, and the client calls again with the answers.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Mutex;

use rmcp::ErrorData;
use rmcp::model::InputResponses;
use serde_json::{Map, Value, json};

/// The states this server has given out, and what each stands for. A state it has not given out is refused.
#[derive(Default)]
pub struct Rounds(Mutex<BTreeMap<String, &'static str>>);

impl Rounds {
    pub fn issue(&self, stage: &'static str) -> String {
        let random = std::hash::RandomState::new().build_hasher().finish();
        let state = format!("{random:016x}");
        self.lock().insert(state.clone(), stage);
        state
    }

    /// The stage that a state stands for; none for a call without one.
    pub fn stage(&self, state: Option<&str>) -> Result<Option<&'static str>, ErrorData> {
        let Some(state) = state else { return Ok(None) };
        let stage = self.lock().get(state).copied();
        let refused =
            || ErrorData::invalid_params("this requestState is not one this server gave out", None);
        stage.map(Some).ok_or_else(refused)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, &'static str>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The result that asks the client.
pub fn ask<const N: usize>(requests: [(&str, Value); N], state: Option<String>) -> Value {
    let requests: Map<_, _> = requests
        .into_iter()
        .map(|(key, request)| (key.to_owned(), request))
        .collect();
    let mut result = json!({ "resultType": "input_required", "inputRequests": requests });
    if let Some(state) = state {
        result["requestState"] = state.into();
    }
    result
}

/// A question to the user with one field.
pub fn form(message: &str, field: &str, kind: &str) -> Value {
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": {
        "type": "object",
        "properties": { field: { "type": kind } },
        "required": [field],
    } } })
}

/// A question to the client's model.
pub fn sample(prompt: &str, max_tokens: u32) -> Value {
    json!({ "method": "sampling/createMessage", "params": {
        "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }],
        "maxTokens": max_tokens,
    } })
}

/// A question for the client's roots.
pub fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

/// What the user put into a field of a form, as text; none if the form is not there or not accepted.
pub fn accepted(inputs: &InputResponses, key: &str, field: &str) -> Option<String> {
    let answer = inputs.get(key).filter(|a| a["action"] == "accept")?;
    match &answer["content"][field] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The text the model answered.
pub fn sampled(inputs: &InputResponses, key: &str) -> Option<String> {
    let content = &inputs.get(key)?["content"];
    let block = content.get(0).unwrap_or(content);
    Some(block["text"].as_str()?.to_owned())
}

/// The roots' addresses.
pub fn rooted(inputs: &InputResponses, key: &str) -> Option<String> {
    let roots = inputs.get(key)?["roots"].as_array()?;
    let uris: Vec<_> = roots.iter().filter_map(|r| r["uri"].as_str()).collect();
    Some(uris.join(", "))
}
