//! Errors that an extension declares for itself.

use serde_json::Value;

use crate::wire::JsonObject;

/// One error of an extension's table (check ERR-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorSpec {
    /// The variant, in snake case; `data.kind` on the wire.
    pub kind: &'static str,
    /// The JSON-RPC code, outside -32768..=-32000.
    pub code: i32,
    /// What it means.
    pub docs: &'static str,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

/// An error type of an extension's handlers; `#[derive(ExtensionError)]` implements it.
///
/// A method answers with `code`, the message, and `data: {extension, kind, details}`. A tool answers with
/// `isError: true`, the message as text, and the same in `structuredContent.error`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error that an extension can answer with",
    label = "write `#[derive(ExtensionError)]` on it, or answer with `Infallible` if nothing can fail"
)]
pub trait ExtensionError: Sized {
    /// Every error this type can be.
    const ERRORS: &'static [ErrorSpec];

    /// Which of [`Self::ERRORS`] this one is.
    fn index(&self) -> usize;

    /// One sentence for a person: no secrets, no personal data.
    fn message(&self) -> String;

    /// The fields of the variant, for `data.details`.
    fn details(&self) -> JsonObject;

    /// The typed error again, from `data.kind` and `data.details`; `None` when they do not fit.
    fn from_wire(kind: &str, details: &Value) -> Option<Self>;
}

impl ExtensionError for std::convert::Infallible {
    const ERRORS: &'static [ErrorSpec] = &[];

    fn index(&self) -> usize {
        match *self {}
    }

    fn message(&self) -> String {
        match *self {}
    }

    fn details(&self) -> JsonObject {
        match *self {}
    }

    fn from_wire(_: &str, _: &Value) -> Option<Self> {
        None
    }
}
