//! What a typed client does with a refusal and with a form.

use mcp_ext_core::client::{Answers, Argument, InputRequired, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::contract::{ARGUMENT, ConfirmExtension, FORM, Offer};
use crate::error::ConfirmError;

impl Offer {
    /// What a refused call would do, and the token that confirms it; `None` of every other refusal.
    ///
    /// Show the preview, and only if the user agrees call again with it:
    /// `grades.with(&offer).release_grades(args).await`.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Option<Self> {
        match refusal.error::<ConfirmExtension, ConfirmError>()? {
            ConfirmError::ConfirmationRequired { .. } | ConfirmError::PreviewChanged { .. } => {
                Self::deserialize(&refusal.details).ok()
            }
            _ => None,
        }
    }
}

/// Brings the token, which confirms what was shown.
impl Argument for Offer {
    const NAME: &'static str = ARGUMENT;

    fn value(&self) -> Value {
        self.confirmation_token.as_str().into()
    }
}

/// What the user is asked to confirm, where this block asks; `None` where another does.
#[must_use]
pub fn question(asked: &InputRequired) -> Option<&str> {
    let form = asked.requests.iter().find(|request| request.key == FORM)?;
    form.message()
}

/// The user's yes or no to the form of this block:
/// `grades.with_answers(answer(asked, true)).release_grades(args).await`.
#[must_use]
pub fn answer(asked: InputRequired, yes: bool) -> Answers {
    asked.answers().accept(FORM, json!({ FORM: yes }))
}
