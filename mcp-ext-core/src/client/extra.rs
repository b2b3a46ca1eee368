//! What a call brings beside the params of its item: arguments of blocks, and answers of the user.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::{Caller, CallerError, InputRequired, Outgoing};
use crate::protocol::Era;
use crate::wire::JsonObject;

/// An argument of a block, which any item that the block stands around takes beside its own params.
///
/// ```
/// use mcp_ext_core::client::Argument;
/// use serde_json::Value;
///
/// struct Ticket(u32);
///
/// impl Argument for Ticket {
///     const NAME: &'static str = "ticket";
///     fn value(&self) -> Value {
///         self.0.into()
///     }
/// }
/// // shop.with(&Ticket(7)).place_order(order).await?
/// ```
pub trait Argument {
    /// The name of the member.
    const NAME: &'static str;

    /// Its value.
    fn value(&self) -> Value;
}

/// What the user answered to an [`InputRequired`].
///
/// An answer belongs to one question, so make it from that; see [`InputRequired::answers`].
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    tool: &'static str,
    responses: JsonObject,
    state: Option<String>,
}

impl Answers {
    pub(super) fn to(asked: InputRequired) -> Self {
        Self {
            tool: asked.tool,
            responses: JsonObject::new(),
            state: asked.state,
        }
    }

    /// The user filled in the form `key` and sent it.
    #[must_use]
    pub fn accept(self, key: &str, content: impl Serialize) -> Self {
        // What cannot be written is refused by the server, as an answer without content.
        let content = serde_json::to_value(content).unwrap_or_default();
        self.respond(
            key,
            serde_json::json!({ "action": "accept", "content": content }),
        )
    }

    /// The user declined.
    #[must_use]
    pub fn decline(self, key: &str) -> Self {
        self.respond(key, serde_json::json!({ "action": "decline" }))
    }

    /// The user closed the form without an answer.
    #[must_use]
    pub fn cancel(self, key: &str) -> Self {
        self.respond(key, serde_json::json!({ "action": "cancel" }))
    }

    /// Any answer, as the protocol writes it.
    #[must_use]
    pub fn respond(mut self, key: &str, response: Value) -> Self {
        self.responses.insert(key.to_owned(), response);
        self
    }
}

/// A caller whose requests bring something beside the params of their item.
#[derive(Debug)]
pub struct With<'a, C> {
    caller: &'a C,
    extra: Extra,
}

#[derive(Debug)]
pub(super) enum Extra {
    Argument(Cow<'static, str>, Option<Value>),
    Answers(Answers),
}

impl<'a, C> With<'a, C> {
    pub(super) fn new(caller: &'a C, extra: Extra) -> Self {
        Self { caller, extra }
    }
}

impl<C: Caller> Caller for With<'_, C> {
    fn era(&self) -> Era {
        self.caller.era()
    }

    fn server_extensions(&self) -> impl Future<Output = Result<JsonObject, CallerError>> + Send {
        self.caller.server_extensions()
    }

    async fn call(&self, mut request: Outgoing) -> Result<Value, CallerError> {
        self.extra.put_into(&mut request)?;
        self.caller.call(request).await
    }
}

impl Extra {
    fn put_into(&self, request: &mut Outgoing) -> Result<(), CallerError> {
        let tool = request.method == "tools/call";
        match self {
            Self::Argument(name, Some(value)) => {
                let arguments = match request.params.get_mut("arguments") {
                    Some(Value::Object(arguments)) if tool => arguments,
                    _ => &mut request.params,
                };
                arguments.insert(name.clone().into_owned(), value.clone());
                Ok(())
            }
            Self::Argument(name, None) => Err(CallerError::Transport(format!(
                "the argument {name} cannot be written as JSON"
            ))),
            Self::Answers(answers) => {
                let name = request.params.get("name").and_then(Value::as_str);
                // Neither state nor answers may be used on another request.
                if !tool || name != Some(answers.tool) {
                    return Err(CallerError::Transport(format!(
                        "these are answers to what {} asked, and another item was called with them",
                        answers.tool
                    )));
                }
                if !answers.responses.is_empty() {
                    let responses = Value::Object(answers.responses.clone());
                    request.params.insert("inputResponses".into(), responses);
                }
                if let Some(state) = &answers.state {
                    let state = state.clone().into();
                    request.params.insert("requestState".into(), state);
                }
                Ok(())
            }
        }
    }
}
