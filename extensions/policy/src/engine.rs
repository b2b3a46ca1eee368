//! Who decides, what it is asked, and that it is asked for a limited time.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_timer::Delay;
use mcp_ext_core::Principal;
use mcp_ext_core::block::BlockCall;
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::request::BoxFuture;
use mcp_ext_labels::{Label, Line};
use serde_json::Value;

use crate::decision::Decision;

/// Decides. Implement it for a real engine; [`Rules`](crate::Rules) are built in.
///
/// It is asked before the handler, and again with the result and its label. An error, a panic, no answer in time, and an
/// answer that makes no sense deny.
pub trait PolicyEngine: Send + Sync + 'static {
    /// Decides on a call, or on its result. It must not block the thread: work that does belongs on one of its own.
    fn decide<'a>(
        &'a self,
        question: &'a Question<'a>,
    ) -> BoxFuture<'a, Result<Decision, EngineError>>;
}

impl<E: PolicyEngine + ?Sized> PolicyEngine for Arc<E> {
    fn decide<'a>(
        &'a self,
        question: &'a Question<'a>,
    ) -> BoxFuture<'a, Result<Decision, EngineError>> {
        (**self).decide(question)
    }
}

/// What an engine is asked.
pub struct Question<'a> {
    /// The call, as blocks see it.
    pub call: &'a BlockCall<'a>,
    /// What about it.
    pub stage: Stage<'a>,
}

/// What about a call an engine is asked.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// Whether it may happen. The handler has not run.
    Call,
    /// Whether its result may be given. The handler has run.
    Result {
        /// The result, without what was decided to be removed before the call.
        value: &'a Value,
        /// Its label, as far as the block `Labels` or the result itself says one.
        label: &'a Label,
    },
}

/// What a client says it calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The code, such as `TREAT`.
    pub code: Line<64>,
    /// The coding system, if it is said.
    pub system: Option<Line<256>>,
}

/// The `_meta` key of a request under which a client says its purpose.
const PURPOSE: &str = "io.github.mcp-ext/purpose";

/// The argument in which the consent block takes it from clients that cannot send `_meta`.
const PURPOSE_ARGUMENT: &str = "purpose";

impl<'a> Question<'a> {
    /// The extension the call belongs to.
    #[must_use]
    pub fn contract(&self) -> &'static Contract {
        self.call.contract
    }

    /// The item that is called.
    #[must_use]
    pub fn item(&self) -> &'static Item {
        self.call.item
    }

    /// Who calls, if the transport authenticated anyone.
    #[must_use]
    pub fn principal(&self) -> Option<&'a Principal> {
        self.call.cx.principal()
    }

    /// What the client says it calls for. A claim, not evidence: the consent block is what checks it.
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        let in_meta = self.call.cx.meta().get(PURPOSE);
        let purpose = in_meta.or_else(|| self.call.argument(PURPOSE_ARGUMENT))?;
        let text = |name: &str| purpose.get(name).and_then(Value::as_str);
        Some(Purpose {
            code: Line::new(text("code")?).ok()?,
            system: match text("system") {
                Some(system) => Some(Line::new(system).ok()?),
                None => None,
            },
        })
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Params and result may hold personal data: they are left out.
        f.debug_struct("Question")
            .field("extension", &self.contract().id)
            .field("item", &self.item().name)
            .field("result", &matches!(self.stage, Stage::Result { .. }))
            .finish_non_exhaustive()
    }
}

/// An engine has no answer.
#[derive(Debug)]
pub struct EngineError(Box<dyn Error + Send + Sync>);

impl EngineError {
    /// Why there is none. It is shown to whoever runs the server, never to a caller.
    pub fn new(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy engine has no answer: {}", self.0)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl From<crate::decision::NotADecision> for EngineError {
    fn from(error: crate::decision::NotADecision) -> Self {
        Self::new(error)
    }
}

/// Why no decision could be had.
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineFailure {
    /// The engine did not answer in time.
    TimedOut(Duration),
    /// It failed.
    Failed(EngineError),
    /// It panicked.
    Panicked,
    /// Its answer cannot be carried out.
    Nonsense(&'static str),
    /// A confirmation could not be asked for.
    NoRandomness,
}

impl EngineFailure {
    /// A name for the kind of failure that does not change; all that a caller is told.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "timed_out",
            Self::Failed(_) => "failed",
            Self::Panicked => "panicked",
            Self::Nonsense(_) => "nonsense",
            Self::NoRandomness => "no_randomness",
        }
    }
}

impl fmt::Display for EngineFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => {
                write!(f, "the policy engine did not answer within {limit:?}")
            }
            Self::Failed(error) => error.fmt(f),
            Self::Panicked => f.write_str("the policy engine panicked"),
            Self::Nonsense(what) => write!(f, "the policy engine's answer makes no sense: {what}"),
            Self::NoRandomness => f.write_str(
                "a confirmation could not be asked for: the system gave no random bytes",
            ),
        }
    }
}

impl Error for EngineFailure {}

/// Asks an engine, for no longer than `limit`. One that blocks its thread cannot be stopped.
pub(crate) async fn ask(
    engine: &dyn PolicyEngine,
    question: &Question<'_>,
    limit: Duration,
) -> Result<Decision, EngineFailure> {
    // It may panic before there is a future, too.
    let answer = async { engine.decide(question).await };
    let (mut answer, mut delay) = (pin!(answer), pin!(Delay::new(limit)));
    poll_fn(|cx| {
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(Poll::Ready(Ok(decision))) => return Poll::Ready(Ok(decision)),
            Ok(Poll::Ready(Err(error))) => return Poll::Ready(Err(EngineFailure::Failed(error))),
            Err(_) => return Poll::Ready(Err(EngineFailure::Panicked)),
            Ok(Poll::Pending) => {}
        }
        delay
            .as_mut()
            .poll(cx)
            .map(|()| Err(EngineFailure::TimedOut(limit)))
    })
    .await
}
