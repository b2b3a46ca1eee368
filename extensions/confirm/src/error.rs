//! What the block refuses, and what it tells the caller to do.

use mcp_ext_core::ExtensionError;

/// Why a call was not run. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, ExtensionError)]
pub enum ConfirmError {
    /// The call has not been confirmed yet. The details also hold the members of the preview.
    #[error(
        code = 46001,
        "nothing has been done yet: this call must be confirmed. It would do this:\n{rendered}\nShow that to the user. Only if they agree, repeat the call with \
         identical arguments and confirmationToken = {confirmation_token}, before {expires_at}"
    )]
    ConfirmationRequired {
        /// What would happen, one line each.
        effects: Vec<String>,
        /// What would happen, to be shown.
        rendered: String,
        /// Until when the token works.
        expires_at: String,
        /// Confirms exactly this, once.
        confirmation_token: String,
    },
    /// What would happen is no longer what was confirmed.
    #[error(
        code = 46002,
        "nothing was done: what would happen has changed since it was confirmed. It would now do this:\n{rendered}\nShow that to the user. Only if they agree, \
         repeat the call with identical arguments and confirmationToken = {confirmation_token}, before {expires_at}"
    )]
    PreviewChanged {
        /// What would happen, one line each.
        effects: Vec<String>,
        /// What would happen, to be shown.
        rendered: String,
        /// Until when the token works.
        expires_at: String,
        /// Confirms exactly this, once.
        confirmation_token: String,
    },
    /// The token was not made for this call.
    #[error(
        code = 46003,
        "nothing was done: the confirmationToken is not one for this call (it was cut or changed, is another caller's or another tool's, or the server has a new \
         key); call without confirmationToken to get a new one"
    )]
    InvalidConfirmation,
    /// The arguments are not those that were confirmed.
    #[error(
        code = 46004,
        "nothing was done: the arguments are not those that were confirmed; repeat them identically, or call without confirmationToken to have these confirmed"
    )]
    ArgumentsChanged,
    /// It came too late.
    #[error(
        code = 46005,
        "nothing was done: the confirmation expired at {expired_at}; call without confirmationToken to have it confirmed anew"
    )]
    ConfirmationExpired {
        /// When.
        expired_at: String,
    },
    /// It was used before.
    #[error(
        code = 46006,
        "nothing was done now: this confirmation was used before. If the answer to that call was lost, look with a reading call what it did; call without \
         confirmationToken only if it shall be done once more"
    )]
    ConfirmationUsed,
    /// The user said no.
    #[error(
        code = 46007,
        "nothing was done: the user declined. Do not ask again unless they want it"
    )]
    Declined,
    /// The user closed the form without an answer.
    #[error(
        code = 46008,
        "nothing was done: the user dismissed the question without an answer; ask them how to go on before you call again"
    )]
    Cancelled,
    /// There is no confirmation without the store and randomness.
    #[error(
        code = 46009,
        retryable,
        "nothing was done: confirmations cannot be made or checked now; try again"
    )]
    StoreFailed,
    /// What would happen cannot be told now.
    #[error(code = 46010, "nothing was done: {message}")]
    NoPreview {
        /// Why, and what to do.
        message: String,
    },
    /// Only a form will do here, and this caller cannot be shown one.
    #[error(
        code = 46011,
        "nothing was done: the user must confirm this in a form, which this client cannot show (a tool call of protocol 2026-07-28 that declares the capability \
         elicitation); use a client that can"
    )]
    CannotAsk,
    /// It was given at a time that has not come yet: the server's clock has been set back.
    #[error(
        code = 46012,
        "nothing was done: the confirmation was given at {given_at}, which has not come yet by the server's clock; call without confirmationToken to have it \
         confirmed anew"
    )]
    ConfirmationFromFuture {
        /// When, by the clock of then.
        given_at: String,
    },
}
