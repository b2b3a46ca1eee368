//! Where consents come from.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use mcp_ext_core::Principal;
use mcp_ext_core::request::BoxFuture;

use crate::contract::ConsentError;
use crate::purpose::Purpose;

/// What is asked of a [`ConsentSource`]: may this caller do that, with data of these classes about this person?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who calls, if the transport authenticated anyone. Consents of another tenant do not count.
    pub caller: Option<Principal>,
    /// Whom the data is about.
    pub subject: String,
    /// What is to be done.
    pub action: String,
    /// Which kinds of data; empty: every kind, so that only a consent to every kind covers it.
    pub data_classes: BTreeSet<String>,
    /// What the caller claims it is for. It may narrow the answer and must not widen it.
    pub purpose: Option<Purpose>,
    /// The time, in milliseconds since 1970-01-01T00:00:00Z.
    pub now_ms: i64,
}

impl Question {
    /// The tenant whose consents count.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.caller.as_ref().and_then(Principal::tenant)
    }
}

/// What a [`ConsentSource`] answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A consent on record covers it.
    Permit(Permit),
    /// None does.
    Deny(Denial),
}

/// What a permission rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// What it rests on, in words: `consent c-17`.
    pub basis: String,
    /// Until when it is permitted, in milliseconds since 1970; `None`: until it is withdrawn.
    pub expires_at_ms: Option<i64>,
    /// What whoever gets the data must do, or must not.
    pub obligations: Vec<String>,
}

/// Why nothing is permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No consent on record covers it.
    NoConsent,
    /// The person has objected.
    Objection,
    /// The consent that covered it has expired.
    Expired,
}

impl From<Denial> for ConsentError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NoConsent => Self::NoConsent,
            Denial::Objection => Self::Objection,
            Denial::Expired => Self::Expired,
        }
    }
}

/// A source cannot answer now. What it says is for whoever runs the server, and is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "consents cannot be looked up: {}", self.0)
    }
}

impl std::error::Error for Unavailable {}

/// Who knows what people have consented to: a register, a consent service, a FHIR server. A source that fails permits
/// nothing.
///
/// ```
/// use mcp_ext_consent::{ConsentSource, Decision, Denial, Question, Unavailable};
/// use mcp_ext_core::request::BoxFuture;
///
/// /// Everyone may read their own data.
/// struct Own;
///
/// impl ConsentSource for Own {
///     fn decide<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Decision, Unavailable>> {
///         let own = question.caller.as_ref().is_some_and(|caller| caller.id() == question.subject);
///         Box::pin(async move {
///             Ok(match own {
///                 true => Decision::Permit(Default::default()),
///                 false => Decision::Deny(Denial::NoConsent),
///             })
///         })
///     }
/// }
/// ```
pub trait ConsentSource: Send + Sync + 'static {
    /// Decides one question.
    fn decide<'a>(&'a self, question: &'a Question)
    -> BoxFuture<'a, Result<Decision, Unavailable>>;
}

impl<S: ConsentSource + ?Sized> ConsentSource for Arc<S> {
    fn decide<'a>(
        &'a self,
        question: &'a Question,
    ) -> BoxFuture<'a, Result<Decision, Unavailable>> {
        (**self).decide(question)
    }
}
