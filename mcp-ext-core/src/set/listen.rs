//! Streams of `subscriptions/listen`: what a client has asked for on each, and what is published to them.
//!
//! In the filter of the request an extension has the field of its identifier. Its value is an object with a member for each
//! notification asked for: `true`, or a filter where the notification has a type for one.
//!
//! ```json
//! { "com.example/slots": { "closed": true, "slotChanged": { "clinics": ["c-1"] } } }
//! ```

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::gate::Gated;
use super::route::{ServerInfo, size_of_object};
use super::{Enabled, ExtensionSet, SetInner};
use crate::call::Failure;
use crate::contract::{Channel, Contract, NotificationSpec};
use crate::extension::{AnySettings, Extension};
use crate::faults::Fault;
use crate::id::ExtensionId;
use crate::limits::Limits;
use crate::protocol::{Era, ProtocolVersion};
use crate::request::{Incoming, NotifyError, Principal, Target};
use crate::schema::TypeSchema;
use crate::wire::{JsonObject, RpcError, code, kind_of, meta};

/// The method that opens a listen stream.
pub const METHOD: &str = "subscriptions/listen";

/// The notification that comes first on a listen stream, and says what of the request is honoured.
pub const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// What a client may say to get only some of the notifications `P`: the type after `filter =` of
/// `#[notification(listen, filter = ..)]`.
///
/// What is read from the request is written into the acknowledgement again, so that the client sees what was understood.
///
/// ```
/// use mcp_ext_core::listen::{ListenFilter, Listener};
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct SlotChanged {
///     pub clinic: String,
/// }
///
/// /// Clinics to hear of; none: all.
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct SlotFilter {
///     #[serde(default)]
///     pub clinics: Vec<String>,
/// }
///
/// impl ListenFilter<SlotChanged> for SlotFilter {
///     fn admits(&self, params: &SlotChanged, _: &Listener<'_>) -> bool {
///         self.clinics.is_empty() || self.clinics.contains(&params.clinic)
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say which notifications with the params `{P}` a client gets",
    label = "write `impl ListenFilter<{P}> for {Self}`",
    note = "a filter is also read, written and described: `#[derive(Serialize, Deserialize, JsonSchema)]`"
)]
pub trait ListenFilter<P>:
    Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// Whether this listener gets a notification with these params. It is asked each time, so that it may depend on who
    /// listens; it must not block.
    fn admits(&self, params: &P, listener: &Listener<'_>) -> bool;
}

/// Whoever opened a listen stream.
#[derive(Clone, Copy)]
pub struct Listener<'a> {
    principal: Option<&'a Principal>,
    settings: &'a AnySettings,
}

impl<'a> Listener<'a> {
    /// Who listens, if the transport authenticated anyone.
    pub fn principal(&self) -> Option<&'a Principal> {
        self.principal
    }

    /// What was negotiated when the stream was opened; `None` if `E` is not the extension of the notification.
    pub fn settings<E: Extension>(&self) -> Option<&'a E::Negotiated> {
        self.settings.downcast_ref()
    }
}

impl std::fmt::Debug for Listener<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("principal", &self.principal.is_some())
            .finish_non_exhaustive()
    }
}

type AnyFilter = Arc<dyn Any + Send + Sync>;

/// The type of a filter, in a contract.
#[derive(Clone, Copy, Debug)]
pub struct FilterSpec {
    /// The type.
    pub schema: TypeSchema,
    read: fn(&Value) -> Result<(AnyFilter, Value), serde_json::Error>,
    admits: fn(&dyn Any, &dyn Any, &Listener<'_>) -> bool,
}

impl FilterSpec {
    /// `F` as the filter of notifications with the params `P`.
    pub const fn of<F: ListenFilter<P>, P: 'static>() -> Self {
        Self {
            schema: TypeSchema::of::<F>(),
            read: |value| {
                let filter = F::deserialize(value)?;
                let understood = serde_json::to_value(&filter)?;
                Ok((Arc::new(filter), understood))
            },
            admits: |filter, params, listener| match (
                filter.downcast_ref::<F>(),
                params.downcast_ref::<P>(),
            ) {
                (Some(filter), Some(params)) => filter.admits(params, listener),
                // Params of another type than the contract says: nobody asked for those.
                _ => false,
            },
        }
    }
}

/// Publishes the notifications of one extension to the listen streams that asked for them. Any task may, at any time.
///
/// The macro wraps it in a struct with one typed fn for each `#[notification(listen)]`.
#[derive(Clone)]
pub struct Publisher {
    set: Arc<SetInner>,
    contract: &'static Contract,
    only: Option<Principal>,
}

impl Publisher {
    /// For the extension `E` of `set`.
    pub fn of<E: Extension>(set: &ExtensionSet) -> Self {
        Self::new(set.inner.clone(), E::CONTRACT)
    }

    pub(crate) fn new(set: Arc<SetInner>, contract: &'static Contract) -> Self {
        Self {
            set,
            contract,
            only: None,
        }
    }

    /// The same, for the streams of one principal alone.
    #[must_use]
    pub fn only_to(mut self, principal: Principal) -> Self {
        self.only = Some(principal);
        self
    }

    /// Publishes the notification of this name; gives how many streams it was queued for.
    ///
    /// It never waits. A stream whose queue is full is ended with its result, so that its client listens again and knows
    /// that it may have missed something.
    ///
    /// # Errors
    /// [`NotifyError`] when the extension is not enabled, has no such notification for listen streams, or the params are
    /// no object.
    pub fn publish<T: Serialize + 'static>(
        &self,
        name: &'static str,
        params: &T,
    ) -> Result<usize, NotifyError> {
        let spec = self.spec(name)?;
        let streams = self.set.hub.on(spec.wire);
        let admitted: Vec<_> = streams
            .into_iter()
            .filter(|stream| stream.admits(spec, params, self.only.as_ref()))
            .collect();
        if admitted.is_empty() {
            return Ok(0);
        }
        let note = match serde_json::to_value(params) {
            Ok(Value::Object(params)) => Arc::new(Published::new(spec.wire, params)),
            _ => return Err(NotifyError::NotAnObject),
        };
        let queued = admitted
            .iter()
            .filter(|stream| stream.push(&note, &self.set.limits));
        Ok(queued.count())
    }

    fn spec(&self, name: &str) -> Result<&'static NotificationSpec, NotifyError> {
        if self.set.extension(&self.contract.id).is_none() {
            return Err(NotifyError::NotEnabled);
        }
        self.contract
            .notifications
            .iter()
            .find(|n| n.name == name && n.channel == Channel::Listen)
            .ok_or(NotifyError::Unsupported)
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("extension", &self.contract.id)
            .finish_non_exhaustive()
    }
}

/// A notification that waits on one or more streams: its params as text, without what differs between them.
struct Published {
    method: &'static str,
    /// The members of `_meta` that the publisher gave, each after a comma.
    meta: Box<str>,
    /// The other members of the params, each after a comma.
    rest: Box<str>,
}

impl Published {
    fn new(method: &'static str, mut params: JsonObject) -> Self {
        let mut own = match params.remove("_meta") {
            Some(Value::Object(own)) => own,
            _ => JsonObject::new(),
        };
        own.remove(meta::SUBSCRIPTION_ID);
        Self {
            method,
            meta: after_comma(own),
            rest: after_comma(params),
        }
    }

    fn len(&self) -> usize {
        self.meta.len() + self.rest.len()
    }
}

/// `,"a":1,"b":2`, or nothing.
fn after_comma(object: JsonObject) -> Box<str> {
    if object.is_empty() {
        return Box::default();
    }
    let mut text = Value::Object(object).to_string();
    text.replace_range(..1, ",");
    text.pop();
    text.into_boxed_str()
}

/// The listen streams of a set.
#[derive(Default)]
pub(crate) struct Hub(Mutex<Open>);

#[derive(Default)]
struct Open {
    next: u64,
    streams: BTreeMap<u64, Arc<Stream>>,
    /// Which streams asked for each notification.
    by_wire: HashMap<&'static str, BTreeMap<u64, Arc<Stream>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is locked here is left half changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// The streams that asked for a notification. A copy, since filters are the user's code, which may publish itself.
    fn on(&self, wire: &str) -> Vec<Arc<Stream>> {
        let open = lock(&self.0);
        let streams = open.by_wire.get(wire).map(BTreeMap::values);
        streams.into_iter().flatten().cloned().collect()
    }

    fn add(&self, stream: Stream, most: usize) -> Option<(u64, Arc<Stream>)> {
        let mut open = lock(&self.0);
        if open.streams.len() >= most {
            return None;
        }
        let stream = Arc::new(stream);
        let number = open.next;
        open.next += 1;
        for want in &stream.wants {
            let on = open.by_wire.entry(want.wire).or_default();
            on.insert(number, stream.clone());
        }
        open.streams.insert(number, stream.clone());
        Some((number, stream))
    }

    fn remove(&self, number: u64) {
        let mut open = lock(&self.0);
        let Some(stream) = open.streams.remove(&number) else {
            return;
        };
        for want in &stream.wants {
            if let Some(on) = open.by_wire.get_mut(want.wire) {
                on.remove(&number);
            }
        }
    }

    fn end_all(&self) {
        let streams: Vec<_> = lock(&self.0).streams.values().cloned().collect();
        for stream in streams {
            stream.end();
        }
    }

    fn len(&self) -> usize {
        lock(&self.0).streams.len()
    }
}

/// What a stream has asked for, and what waits on it.
struct Stream {
    principal: Option<Principal>,
    wants: Box<[Want]>,
    queue: Mutex<Queue>,
}

struct Want {
    wire: &'static str,
    filter: Option<AnyFilter>,
    settings: AnySettings,
}

#[derive(Default)]
struct Queue {
    notes: VecDeque<Arc<Published>>,
    bytes: usize,
    /// Nothing more is queued.
    ended: bool,
    waker: Option<Waker>,
}

impl Stream {
    fn admits(&self, spec: &NotificationSpec, params: &dyn Any, only: Option<&Principal>) -> bool {
        if only.is_some() && only != self.principal.as_ref() {
            return false;
        }
        let Some(want) = self.wants.iter().find(|want| want.wire == spec.wire) else {
            return false;
        };
        let listener = Listener {
            principal: self.principal.as_ref(),
            settings: &want.settings,
        };
        match (&spec.filter, &want.filter) {
            (Some(spec), Some(filter)) => (spec.admits)(&**filter, params, &listener),
            (None, _) => true,
            (Some(_), None) => false,
        }
    }

    /// Queues it; ends the stream if it is full, which is better than a loss that nobody sees.
    fn push(&self, note: &Arc<Published>, limits: &Limits) -> bool {
        let mut queue = lock(&self.queue);
        if queue.ended {
            return false;
        }
        let bytes = queue.bytes.saturating_add(note.len());
        // One that is larger than the whole queue may be alone in it, or it could never be sent.
        let full = queue.notes.len() >= limits.max_listen_queue
            || (bytes > limits.max_listen_queue_bytes && !queue.notes.is_empty());
        if full {
            queue.ended = true;
        } else {
            queue.bytes = bytes;
            queue.notes.push_back(note.clone());
        }
        let waker = queue.waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        !full
    }

    fn end(&self) {
        let waker = {
            let mut queue = lock(&self.queue);
            queue.ended = true;
            queue.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A notification for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The method.
    pub method: &'static str,
    /// The params as JSON text, with the subscription's id in their `_meta`.
    pub params: String,
}

/// One listen stream. What is published from its opening on is queued for it; dropping it closes it.
pub struct Subscription {
    set: Arc<SetInner>,
    number: u64,
    stream: Arc<Stream>,
    /// The id of the listen request, as JSON text: it keeps its type.
    id: Box<str>,
    /// As JSON text, since a stream may stay open for long and an object takes ten times as much.
    accepted: Box<str>,
    server_info: Option<Arc<ServerInfo>>,
}

impl Subscription {
    /// The fields of the acknowledgement that are the set's: what was asked for and is honoured, as the text of a JSON object
    /// without line ends.
    pub fn accepted(&self) -> &str {
        &self.accepted
    }

    /// The acknowledgement of a stream on which nobody else sends. It comes before anything else.
    pub fn acknowledgement(&self) -> Notification {
        let rest = format!(",\"notifications\":{}", self.accepted);
        Notification {
            method: ACKNOWLEDGED,
            params: self.stamped("", &rest),
        }
    }

    /// The next notification, in the order of publishing; `None` once the stream has ended: answer with
    /// [`result`](Self::result) then.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Notification>> {
        let note = {
            let mut queue = lock(&self.stream.queue);
            match queue.notes.pop_front() {
                Some(note) => {
                    queue.bytes = queue.bytes.saturating_sub(note.len());
                    note
                }
                None if queue.ended => return Poll::Ready(None),
                None => {
                    queue.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        };
        Poll::Ready(Some(Notification {
            method: note.method,
            params: self.stamped(&note.meta, &note.rest),
        }))
    }

    /// [`poll_next`](Self::poll_next) as a future, which may be dropped at any time.
    pub async fn next(&mut self) -> Option<Notification> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The result that ends the stream, as JSON text.
    pub fn result(&self) -> String {
        let info = self
            .server_info
            .as_ref()
            .map(|info| format!(",\"{}\":{}", meta::SERVER_INFO, info.value()));
        let rest = ",\"resultType\":\"complete\"";
        self.stamped(info.as_deref().unwrap_or_default(), rest)
    }

    fn stamped(&self, own: &str, rest: &str) -> String {
        format!(
            "{{\"_meta\":{{\"{}\":{}{own}}}{rest}}}",
            meta::SUBSCRIPTION_ID,
            self.id
        )
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.set.hub.remove(self.number);
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl ExtensionSet {
    /// Whose `field` of the filter of a listen request is; `None` when it is none of an enabled extension's.
    pub fn filter_field(
        &self,
        field: &str,
        version: Option<ProtocolVersion>,
    ) -> Option<&'static ExtensionId> {
        self.inner
            .listened(field, version)
            .map(|extension| &extension.contract.id)
    }

    /// Whether any notification of the set travels on listen streams.
    pub fn has_listen_notifications(&self) -> bool {
        let mut contracts = self.contracts();
        contracts.any(|c| listened(c).next().is_some())
    }

    /// Opens a listen stream for the fields of a request's filter that are the set's. `id` is the id of the request as
    /// JSON text.
    ///
    /// # Errors
    /// What the gate says of an extension that is not declared, or does not combine: -32021. -32602 when a filter does not
    /// fit. Too many streams: -32603 with kind `busy`.
    pub fn listen(
        &self,
        incoming: &Incoming<'_>,
        id: &str,
        filter: &JsonObject,
    ) -> Result<Subscription, RpcError> {
        let inner = &self.inner;
        if incoming.era == Era::Legacy {
            return Err(RpcError::method_not_found(METHOD));
        }
        // The gate comes first: who is not let in learns nothing of what is malformed.
        let mut asked = Vec::new();
        for (field, value) in filter.iter().filter(|(_, value)| **value != false) {
            let Some(extension) = inner.listened(field, incoming.version) else {
                continue;
            };
            let id = extension.contract.id.as_str();
            let settings = inner
                .negotiation(extension, incoming)
                .and_then(|gated| match gated {
                    Gated::Active(settings) => Ok(settings),
                    Gated::Inactive(error) => Err(*error),
                });
            if let Some(observer) = &inner.observer {
                let refused = settings.as_ref().err().map(|error| error.code);
                observer.gate(id, Target::Method(METHOD), refused);
            }
            asked.push((extension, value, settings?));
        }
        let most = inner.limits.max_filter_bytes;
        if size_of_object(filter) > most {
            return Err(RpcError::new(
                code::INVALID_PARAMS,
                format!("the filters of extensions have more than {most} bytes, the most that is kept for a stream"),
            )
            .with_data(json!({ "kind": "too_large", "limit": most })));
        }
        let (mut wants, mut accepted) = (Vec::new(), JsonObject::new());
        for (extension, value, settings) in asked {
            let id = extension.contract.id.as_str();
            let honoured = events(extension.contract, value, &settings, &mut wants)
                .map_err(|faults| Failure::Params(faults).into_rpc(id))?;
            if !honoured.is_empty() {
                accepted.insert(id.to_owned(), Value::Object(honoured));
            }
        }
        let stream = Stream {
            principal: incoming.principal.clone(),
            wants: wants.into(),
            queue: Mutex::default(),
        };
        let most = inner.limits.max_listen_streams;
        let Some((number, stream)) = inner.hub.add(stream, most) else {
            return Err(RpcError::limit(
                "busy",
                format!(
                    "{most} listen streams are open, the most this server takes at once; try again"
                ),
                most as u64,
            ));
        };
        Ok(Subscription {
            set: inner.clone(),
            number,
            stream,
            id: id.into(),
            accepted: Value::Object(accepted).to_string().into(),
            server_info: self.server_info.clone(),
        })
    }

    /// Ends every listen stream of the set with its result, as a server does that stops.
    pub fn end_subscriptions(&self) {
        self.inner.hub.end_all();
    }

    /// How many listen streams are open.
    pub fn subscriptions(&self) -> usize {
        self.inner.hub.len()
    }
}

impl SetInner {
    /// The extension that a field of a filter belongs to.
    fn listened(&self, field: &str, version: Option<ProtocolVersion>) -> Option<&Enabled> {
        self.extensions.iter().find(|e| {
            e.contract.id.as_str() == field
                && e.covers(Era::Modern, version)
                && listened(e.contract).next().is_some()
        })
    }
}

/// The notifications of a contract that travel on listen streams.
fn listened(contract: &'static Contract) -> impl Iterator<Item = &'static NotificationSpec> {
    let all = contract.notifications.iter();
    all.filter(|n| n.channel == Channel::Listen)
}

/// Reads what is asked for of one extension; gives what of it is honoured.
fn events(
    contract: &'static Contract,
    value: &Value,
    settings: &AnySettings,
    wants: &mut Vec<Want>,
) -> Result<JsonObject, Vec<Fault>> {
    let at = |event: &str| {
        let id = contract.id.as_str().replace('/', "~1");
        format!("/notifications/{id}{event}")
    };
    let fault = |pointer: String, expected: &str, seen: &Value| {
        let seen = kind_of(seen);
        vec![Fault {
            message: format!("{pointer}: expected {expected}, saw {seen}"),
            pointer,
            expected: expected.to_owned(),
            seen: seen.to_owned(),
        }]
    };
    let Value::Object(asked) = value else {
        return Err(fault(at(""), "an object", value));
    };
    let mut honoured = JsonObject::new();
    for spec in listened(contract) {
        let event = spec.event();
        // What a newer peer may ask for beside these is passed over.
        let (filter, understood) = match asked.get(event) {
            None | Some(Value::Bool(false)) => continue,
            Some(value) => match (&spec.filter, value) {
                (None, Value::Bool(true)) => (None, Value::Bool(true)),
                (None, other) => {
                    return Err(fault(at(&format!("/{event}")), "true or false", other));
                }
                (Some(filter), value) => match (filter.read)(value) {
                    Ok((filter, understood)) => (Some(filter), understood),
                    Err(error) => {
                        let mut faults = crate::faults::find(value, &filter.schema, &[]);
                        if faults.is_empty() {
                            faults.push(crate::faults::from_serde(&error, value));
                        }
                        for fault in &mut faults {
                            fault.pointer.insert_str(0, &at(&format!("/{event}")));
                        }
                        return Err(faults);
                    }
                },
            },
        };
        honoured.insert(event.to_owned(), understood);
        wants.push(Want {
            wire: spec.wire,
            filter,
            settings: settings.clone(),
        });
    }
    Ok(honoured)
}
