//! What a handler is given beside its params: the contexts `Cx` and `ToolCx`.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

use crate::contract::Contract;
use crate::extension::Extension;
use crate::negotiated::Negotiated;
use crate::protocol::{Era, ProtocolVersion};
use crate::request::{CancelSignal, Input, Notifier, NotifyError, Principal};
use crate::set::listen::Publisher;
use crate::wire::{JsonObject, meta};

/// What both contexts share: who calls, until when, and what can be sent back meanwhile.
pub struct CallCx {
    pub(crate) contract: &'static Contract,
    pub(crate) meta: Arc<JsonObject>,
    pub(crate) negotiated: Negotiated,
    pub(crate) principal: Option<Principal>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<Arc<dyn CancelSignal>>,
    pub(crate) notify: Option<Arc<dyn Notifier>>,
    pub(crate) ended: AtomicBool,
    pub(crate) progress: AtomicU64,
    pub(crate) facts: Facts,
    pub(crate) input: Option<Box<Input>>,
}

impl CallCx {
    /// Who calls, if the transport authenticated anyone.
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// When the caller stops waiting, if it said so or the server has a limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the caller has given up. The handler's own future is dropped then; this is for work it handed on.
    pub fn cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(|c| c.is_cancelled())
    }

    /// The era of this request.
    pub fn era(&self) -> Era {
        self.negotiated.era()
    }

    /// The core revision of this request, where it is known.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.negotiated.version()
    }

    /// `_meta` of this request.
    pub fn meta(&self) -> &JsonObject {
        &self.meta
    }

    /// The W3C trace context of this request.
    pub fn trace(&self) -> TraceContext<'_> {
        let text = |key: &str| self.meta().get(key).and_then(Value::as_str);
        TraceContext {
            traceparent: text("traceparent"),
            tracestate: text("tracestate"),
            baggage: text("baggage"),
        }
    }

    /// What was negotiated for another extension, `None` if nothing was.
    pub fn settings_of<X: Extension>(&self) -> Option<Arc<X::Negotiated>> {
        self.negotiated.settings::<X>()
    }

    /// Typed facts that blocks and handler share during this call.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What the client answered when an earlier call was answered with `input_required`.
    pub fn input(&self) -> &Input {
        self.input.as_deref().unwrap_or(Input::NONE)
    }

    /// Reports progress, if the client asked for it; without a `progressToken` it does nothing.
    ///
    /// `done` must grow from call to call; a value that does not is skipped, since the protocol forbids it (SUB-13).
    ///
    /// # Errors
    /// [`NotifyError`] when the request has been answered or the peer is gone.
    pub async fn progress(
        &self,
        done: f64,
        total: Option<f64>,
        message: Option<&str>,
    ) -> Result<(), NotifyError> {
        let Some(token) = self
            .meta()
            .get(meta::PROGRESS_TOKEN)
            .filter(|t| t.is_string() || t.is_i64() || t.is_u64())
        else {
            return Ok(());
        };
        // Floats from zero up order like their bits; one more, since zero is the state before the first report.
        let key = (done + 0.0).to_bits().saturating_add(1);
        if !done.is_finite() || done < 0.0 || self.progress.fetch_max(key, Ordering::AcqRel) >= key
        {
            return Ok(());
        }
        let mut params = JsonObject::new();
        params.insert(meta::PROGRESS_TOKEN.into(), token.clone());
        params.insert("progress".into(), json!(done));
        if let Some(total) = total.filter(|t| t.is_finite()) {
            params.insert("total".into(), json!(total));
        }
        if let Some(message) = message {
            params.insert("message".into(), json!(message));
        }
        self.send("notifications/progress", params).await
    }

    async fn send(&self, method: &str, params: JsonObject) -> Result<(), NotifyError> {
        if self.ended.load(Ordering::Acquire) {
            return Err(NotifyError::Ended);
        }
        match &self.notify {
            Some(notify) => notify.notify(method, params).await,
            None => Err(NotifyError::Unsupported),
        }
    }
}

impl std::fmt::Debug for CallCx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallCx")
            .field("extension", &self.contract.id)
            .field("era", &self.era())
            .finish_non_exhaustive()
    }
}

/// The W3C trace context that travelled with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceContext<'a> {
    /// `traceparent`
    pub traceparent: Option<&'a str>,
    /// `tracestate`
    pub tracestate: Option<&'a str>,
    /// `baggage`
    pub baggage: Option<&'a str>,
}

/// Typed facts of one call, shared by its blocks and its handler. One value of each type.
#[derive(Default)]
pub struct Facts(Mutex<HashMap<TypeId, Box<dyn Any + Send>>>);

impl Facts {
    /// Puts a fact, and gives back the one of the same type that was there.
    pub fn put<T: Send + 'static>(&self, fact: T) -> Option<T> {
        let old = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(TypeId::of::<T>(), Box::new(fact));
        old.and_then(|old| old.downcast().ok()).map(|old| *old)
    }

    /// A copy of the fact of this type.
    pub fn get<T: Clone + Send + 'static>(&self) -> Option<T> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&TypeId::of::<T>())
            .and_then(|fact| fact.downcast_ref::<T>())
            .cloned()
    }
}

/// What sends an extension's notifications; the macro wraps it in a struct with one typed method for each.
#[derive(Clone)]
pub struct NotificationHandle(Arc<CallCx>);

impl NotificationHandle {
    /// Sends the notification of this name: about this request, or to every listen stream that asked for it.
    ///
    /// # Errors
    /// [`NotifyError`] when it could not be sent.
    pub async fn send<T: Serialize + 'static>(
        &self,
        name: &'static str,
        params: T,
    ) -> Result<(), NotifyError> {
        let spec = self
            .0
            .contract
            .notifications
            .iter()
            .find(|n| n.name == name)
            .ok_or(NotifyError::Unsupported)?;
        // A listen notification belongs to a subscription, not to this request (SUB-3).
        if spec.channel == crate::contract::Channel::Listen {
            let publisher = Publisher::new(self.0.negotiated.set().clone(), self.0.contract);
            return publisher.publish(name, &params).map(|_| ());
        }
        match serde_json::to_value(params) {
            Ok(Value::Object(params)) => self.0.send(spec.wire, params).await,
            _ => Err(NotifyError::NotAnObject),
        }
    }
}

/// The sender of an extension without notifications.
pub struct NoNotifications(());

impl From<NotificationHandle> for NoNotifications {
    fn from(_: NotificationHandle) -> Self {
        Self(())
    }
}

/// The context of a call whose extension `E` was negotiated.
///
/// Besides the methods here it has one for each `#[notification]` of the extension.
pub struct Cx<E: Extension> {
    call: Arc<CallCx>,
    settings: Arc<E::Negotiated>,
    notifications: E::Notifications,
}

impl<E: Extension> Cx<E> {
    pub(crate) fn new(call: Arc<CallCx>, settings: Arc<E::Negotiated>) -> Self {
        let notifications = NotificationHandle(call.clone()).into();
        Self {
            call,
            settings,
            notifications,
        }
    }

    /// What was negotiated.
    pub fn settings(&self) -> &E::Negotiated {
        &self.settings
    }

    /// What both contexts share.
    pub fn call(&self) -> &CallCx {
        &self.call
    }
}

/// The context of a tool, which is open to every client: `E` may not have been negotiated.
pub struct ToolCx<E: Extension> {
    call: Arc<CallCx>,
    settings: Arc<E::Negotiated>,
    negotiated: bool,
}

impl<E: Extension> ToolCx<E> {
    pub(crate) fn new(call: Arc<CallCx>, settings: Arc<E::Negotiated>, negotiated: bool) -> Self {
        Self {
            call,
            settings,
            negotiated,
        }
    }

    /// What was negotiated, or else the fallback of the contract.
    pub fn settings(&self) -> &E::Negotiated {
        &self.settings
    }

    /// Whether [`Self::settings`] were negotiated.
    pub fn negotiated(&self) -> bool {
        self.negotiated
    }

    /// The full context, if the extension was negotiated.
    pub fn active(&self) -> Option<Cx<E>> {
        self.negotiated
            .then(|| Cx::new(self.call.clone(), self.settings.clone()))
    }

    /// What both contexts share.
    pub fn call(&self) -> &CallCx {
        &self.call
    }
}

macro_rules! shared {
    ($cx:ident) => {
        impl<E: Extension> $cx<E> {
            /// Who calls, if the transport authenticated anyone.
            pub fn principal(&self) -> Option<&Principal> {
                self.call.principal()
            }

            /// When the caller stops waiting.
            pub fn deadline(&self) -> Option<Instant> {
                self.call.deadline()
            }

            /// Whether the caller has given up; for work that was handed on.
            pub fn cancelled(&self) -> bool {
                self.call.cancelled()
            }

            /// The era of this request.
            pub fn era(&self) -> Era {
                self.call.era()
            }

            /// `_meta` of this request.
            pub fn meta(&self) -> &JsonObject {
                self.call.meta()
            }

            /// The W3C trace context of this request.
            pub fn trace(&self) -> TraceContext<'_> {
                self.call.trace()
            }

            /// Typed facts that blocks and handler share.
            pub fn facts(&self) -> &Facts {
                self.call.facts()
            }

            /// What was negotiated for another extension.
            pub fn settings_of<X: Extension>(&self) -> Option<Arc<X::Negotiated>> {
                self.call.settings_of::<X>()
            }

            /// Reports progress; see [`CallCx::progress`].
            ///
            /// # Errors
            /// [`NotifyError`] when the request has been answered or the peer is gone.
            pub async fn progress(
                &self,
                done: f64,
                total: Option<f64>,
                message: Option<&str>,
            ) -> Result<(), NotifyError> {
                self.call.progress(done, total, message).await
            }
        }
    };
}
shared!(Cx);
shared!(ToolCx);

impl<E: Extension> Deref for Cx<E> {
    type Target = E::Notifications;

    /// The extension's notifications, so that `cx.grade_changed(..)` needs no import.
    fn deref(&self) -> &E::Notifications {
        &self.notifications
    }
}
