//! Policy: decisions before a handler runs and on its result.
//!
//! A [`Decision`] allows a call, denies it, has parts of its result removed, or wants a person to confirm it first; it
//! can also narrow what the handler may see. Decisions come from a `PolicyEngine` or from the `Rules` built in; the block
//! `Policy` (both feature `server`) carries them out, and fails closed.

mod contract;
mod decision;
mod redact;

#[cfg(feature = "server")]
mod block;
#[cfg(feature = "server")]
mod confirm;
#[cfg(feature = "server")]
mod engine;
#[cfg(feature = "server")]
mod rules;

#[cfg(feature = "server")]
pub use block::{Decided, Policy};
#[cfg(feature = "server")]
pub use confirm::{ConfirmationKey, Confirmations};
pub use contract::{Applied, PolicyError, PolicyExtension};
pub use decision::{Decision, Effect, Narrow, NotADecision, NotAPolicyId, PolicyId};
#[cfg(feature = "server")]
pub use engine::{EngineError, EngineFailure, PolicyEngine, Purpose, Question, Stage};
pub use redact::{NotAPath, Path};
#[cfg(feature = "server")]
pub use rules::{Ceiling, Rule, Rules};
