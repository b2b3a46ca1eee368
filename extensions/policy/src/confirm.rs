//! Asking a person, and knowing on the repeated call what was asked: a sealed state that goes through the client.

use std::sync::OnceLock;

use mcp_ext_core::block::{BlockCall, Elicitation, InputRequired};
use mcp_ext_labels::Line;
use mcp_ext_values::{Key, Random};
use serde_json::{Value, json};

use crate::decision::Decision;

/// The name of our question among those a client is asked.
const KEY: &str = "policy";

/// How long a confirmation holds, in milliseconds.
pub(crate) const HOLDS_MS: i64 = 300_000;

/// What a [`ConfirmationKey`] is for.
#[derive(Clone, Copy, Debug)]
pub enum Confirmations {}

/// The secret that seals questions to a person. Servers that share it can finish each other's.
pub type ConfirmationKey = Key<Confirmations>;

/// The key that seals the state, once there is one.
#[derive(Default)]
pub(crate) struct Seal(OnceLock<ConfirmationKey>);

impl Seal {
    pub(crate) fn with(key: ConfirmationKey) -> Self {
        Self(OnceLock::from(key))
    }

    fn key(&self, random: &dyn Random) -> Option<&ConfirmationKey> {
        if self.0.get().is_none() {
            // Another call may have been first: its key counts.
            let _ = self.0.set(Key::random_from(random).ok()?);
        }
        self.0.get()
    }
}

/// What the repeated call says.
pub(crate) enum Answer {
    /// A person confirmed this very call.
    Confirmed,
    /// A person was asked, and did not.
    NotConfirmed,
    /// Nobody was asked about this call, or too long ago.
    None,
}

/// What a confirmation is bound to: the call in every respect, and the policy that wants it confirmed.
fn binding(call: &BlockCall<'_>, decision: &Decision) -> Vec<u8> {
    let who = call.cx.principal();
    json!([
        "mcp-ext policy confirmation 1",
        call.contract.id.as_str(),
        call.item.name,
        who.map(|who| (who.tenant(), who.id())),
        decision.policy().as_str(),
        call.params,
        call.arguments,
    ])
    .to_string()
    .into_bytes()
}

/// The state of a question asked `now`; `None` without randomness.
pub(crate) fn seal(
    seal: &Seal,
    random: &dyn Random,
    call: &BlockCall<'_>,
    decision: &Decision,
    now: i64,
) -> Option<String> {
    let until = now.saturating_add(HOLDS_MS).to_le_bytes();
    let key = seal.key(random)?;
    key.seal_bytes(random, &binding(call, decision), &until)
        .ok()
}

/// Whether the call brings the answer to a question about it.
pub(crate) fn answer(
    seal: &Seal,
    random: &dyn Random,
    call: &BlockCall<'_>,
    decision: &Decision,
    now: i64,
) -> Answer {
    let input = call.input();
    let Some(response) = input.responses.as_ref().and_then(|all| all.get(KEY)) else {
        return Answer::None;
    };
    if response["action"] != "accept" || response["content"]["confirm"] != true {
        return Answer::NotConfirmed;
    }
    let open = || -> Option<i64> {
        let key = seal.key(random)?;
        let state = input.state.as_deref()?;
        let plain = key.open_bytes(state, &binding(call, decision)).ok()?;
        Some(i64::from_le_bytes(plain.try_into().ok()?))
    };
    match open() {
        // From the future it is no more than from the past: clocks are set back, and a state cannot be forged.
        Some(until) if now < until && until <= now.saturating_add(HOLDS_MS) => Answer::Confirmed,
        _ => Answer::None,
    }
}

/// Has the user asked.
pub(crate) fn ask(
    elicitation: Elicitation,
    call: &BlockCall<'_>,
    decision: &Decision,
    state: String,
) -> InputRequired {
    let title = call
        .item
        .tool
        .and_then(|tool| tool.title.or(Some(tool.name)));
    let mut message = format!(
        "Policy {} asks you to confirm: {}",
        decision.policy(),
        title.unwrap_or(call.item.name)
    );
    for reason in decision.reasons() {
        message.push_str("; ");
        message.push_str(reason.as_str());
    }
    if !call.item.sensitive {
        message.push_str(". Arguments: ");
        message.push_str(Line::<400>::lossy(&call.params.to_string()).as_str());
    }
    let schema: Value = json!({
        "type": "object",
        "properties": {
            "confirm": { "type": "boolean", "title": "Do it", "description": "Whether this call may go ahead." },
        },
        "required": ["confirm"],
    });
    elicitation.form(
        KEY,
        Line::<2000>::lossy(&message).to_string(),
        schema,
        state,
    )
}
