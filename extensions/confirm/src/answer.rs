//! What the user answered to the form, as the client brought it back.

use mcp_ext_core::request::Input;
use serde_json::{Value, json};

use crate::contract::FORM;

/// What the user answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Do it.
    Yes,
    /// Do not: the form was declined, or sent with a no.
    No,
    /// The form was dismissed.
    Dismissed,
    /// There is no answer to this form.
    Missing,
    /// Not an answer of the protocol. Where, and what was expected.
    Malformed(&'static str, &'static str),
}

/// The schema of the form: one boolean (MR-10), and no secret (MR-9).
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            (FORM): {
                "type": "boolean",
                "title": "Do it",
                "description": "Yes: it is done now, once. No: nothing is done.",
            },
        },
        "required": [FORM],
    })
}

pub(crate) fn read(input: &Input) -> Answer {
    // Answers to other questions are somebody else's, or superfluous.
    let Some(answer) = input.responses.as_ref().and_then(|all| all.get(FORM)) else {
        return Answer::Missing;
    };
    match answer.get("action").and_then(Value::as_str) {
        Some("decline") => Answer::No,
        Some("cancel") => Answer::Dismissed,
        Some("accept") => match answer.pointer("/content/confirm") {
            Some(Value::Bool(true)) => Answer::Yes,
            Some(Value::Bool(false)) => Answer::No,
            _ => Answer::Malformed("content/confirm", "a boolean"),
        },
        _ => Answer::Malformed("action", "accept, decline or cancel"),
    }
}
