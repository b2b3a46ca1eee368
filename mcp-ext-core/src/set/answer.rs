//! The answer to a request that was routed, and what ends its call early.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::route::{Reply, Route};
use crate::wire::RpcError;

impl Route<'_> {
    /// The answer to a request of the set: what it was routed to, or what its call gives before `cancelled` is done and
    /// [`Limits::max_duration`](crate::Limits::max_duration) is over. The call's own future is dropped then.
    ///
    /// `sleep` makes a timer of the runtime that this is polled in. It is asked for one, and `cancelled` first polled,
    /// when the call first has to wait: one that is done at once needs neither. A result that is there when the call is
    /// ended is still the answer.
    ///
    /// An adapter that cannot be told of a cancellation, or drops this future instead, passes [`std::future::pending`].
    /// One that forwards, or opens a stream for the answer, looks at [`Forward`](Self::Forward) and
    /// [`Refused`](Self::Refused) first.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// use mcp_ext_core::protocol::Era;
    /// use mcp_ext_core::request::Target;
    /// use mcp_ext_core::wire::JsonObject;
    /// use mcp_ext_core::{ExtensionSet, Incoming, RpcError};
    /// # mod tokio { pub mod time { pub async fn sleep(_: std::time::Duration) {} } }
    ///
    /// /// All that an adapter does once it has taken a request apart.
    /// async fn answer(
    ///     set: &ExtensionSet,
    ///     mut incoming: Incoming<'_>,
    ///     cancelled: impl Future<Output = ()>,
    /// ) -> Result<JsonObject, RpcError> {
    ///     // What handlers read as their deadline.
    ///     incoming.deadline = Instant::now().checked_add(set.limits().max_duration);
    ///     let answer = set.route(incoming).answer(cancelled, tokio::time::sleep);
    ///     answer.await?.into_object()
    /// }
    ///
    /// let set = ExtensionSet::builder().build().unwrap();
    /// let unknown = Incoming::new(Era::Modern, Target::Method("com.example/unknown"));
    /// let answer = answer(&set, unknown, std::future::pending());
    /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// # let std::task::Poll::Ready(answer) = std::pin::pin!(answer).poll(&mut cx) else { unreachable!() };
    /// assert_eq!(answer.unwrap_err().code, -32601);
    /// ```
    ///
    /// # Errors
    /// What the gate or the call says; [`RpcError::cancelled`] and [`RpcError::timed_out`] for a call that was ended;
    /// [`RpcError::method_not_found`] for what is not the set's.
    pub async fn answer<T>(
        self,
        cancelled: impl Future<Output = ()>,
        sleep: impl FnOnce(Duration) -> T,
    ) -> Result<Reply, RpcError>
    where
        T: Future<Output = ()>,
    {
        let pending = match self {
            Self::Call(pending) => pending,
            Self::Answered(result) => return Ok(Reply::Object(result)),
            Self::Refused(error) => return Err(error),
            Self::Forward(incoming) => {
                return Err(RpcError::method_not_found(incoming.target.name()));
            }
        };
        let limit = pending.limit();
        let mut call = pin!(pending.run());
        if let Poll::Ready(reply) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
            return reply;
        }
        let mut cancelled = pin!(cancelled);
        let mut elapsed = pin!(sleep(limit));
        let mut waits = true;
        poll_fn(|cx| {
            // Before the call: a runtime that gives each task a budget may leave nothing of it behind a call that always
            // finds something to do.
            let ended = if cancelled.as_mut().poll(cx).is_ready() {
                Some(RpcError::cancelled())
            } else if elapsed.as_mut().poll(cx).is_ready() {
                Some(RpcError::timed_out(limit))
            } else {
                None
            };
            // The first time round it has just said that it waits.
            if !std::mem::take(&mut waits)
                && let Poll::Ready(reply) = call.as_mut().poll(cx)
            {
                return Poll::Ready(reply);
            }
            ended.map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
        })
        .await
    }
}
