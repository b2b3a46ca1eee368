//! What the context of an rmcp request says, in the words of the set.

use std::sync::Arc;

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{
    BoxFuture, CancelSignal, Incoming, Notifier, NotifyError, Params, Principal,
    SessionDeclaration, Target,
};
use mcp_ext_core::wire::{JsonObject, meta};
use rmcp::RoleServer;
use rmcp::model::{CustomNotification, ProgressNotification, ServerNotification};
use rmcp::service::{Peer, RequestContext, ServiceError};
use serde_json::Value;

const SESSION_HEADER: &str = "mcp-session-id";
const NAME_HEADER: &str = "mcp-name";

/// The era and the core revision of a request, as rmcp sees them too when it shapes the answer.
///
/// A version in `_meta` decides; rmcp has refused those it does not serve. Without one the request belongs to a
/// session, or to a client that the MCP-Protocol-Version header dates.
pub(super) fn era(context: &RequestContext<RoleServer>) -> (Era, Option<ProtocolVersion>) {
    let named = |text: &str| match ProtocolVersion::parse(text) {
        Some(version) => (version.era(), Some(version)),
        None if text >= ProtocolVersion::V2026_07_28.as_str() => (Era::Modern, None),
        None => (Era::Legacy, None),
    };
    let in_meta = context.meta.get(meta::PROTOCOL_VERSION);
    match in_meta.and_then(Value::as_str) {
        Some(text) => named(text),
        None => match context.peer.peer_info() {
            Some(info) => named(info.protocol_version.as_str()),
            None => (Era::Legacy, None),
        },
    }
}

/// What the client declared for its whole session, as far as rmcp remembers it.
///
/// On HTTP without sessions rmcp puts a placeholder where the declaration of `initialize` was: an honest client may
/// have declared anything.
pub(super) fn session(context: &RequestContext<RoleServer>, era: Era) -> SessionDeclaration {
    if era == Era::Modern || context.meta.contains_key(meta::CLIENT_CAPABILITIES) {
        return SessionDeclaration::none();
    }
    if parts(context).is_some_and(|parts| !parts.headers.contains_key(SESSION_HEADER)) {
        return SessionDeclaration::Unknown;
    }
    let declared = context
        .peer
        .peer_info()
        .and_then(|info| info.capabilities.extensions.clone());
    SessionDeclaration::Known(declared.map(|extensions| {
        Arc::new(
            extensions
                .into_iter()
                .map(|(id, settings)| (id, Value::Object(settings)))
                .collect(),
        )
    }))
}

fn parts(context: &RequestContext<RoleServer>) -> Option<&http::request::Parts> {
    context.extensions.get::<http::request::Parts>()
}

fn principal(context: &RequestContext<RoleServer>) -> Option<Principal> {
    parts(context)
        .and_then(|parts| parts.extensions.get::<Principal>())
        .or_else(|| context.extensions.get::<Principal>())
        .cloned()
}

/// Takes an rmcp request apart for the set. `_meta` is moved out of the context.
pub(super) fn open<'a>(
    target: Target<'a>,
    params: Params<'a>,
    context: &mut RequestContext<RoleServer>,
) -> Incoming<'a> {
    let (era, version) = era(context);
    let mut incoming = Incoming::new(era, target)
        .params(params)
        .session(session(context, era))
        .principal(principal(context));
    incoming.version = version;
    incoming.mcp_name = parts(context).map(|parts| {
        parts
            .headers
            .get(NAME_HEADER)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let cancelled = context.ct.clone();
    incoming.cancel = Some(Arc::new(Signal(move || cancelled.is_cancelled())));
    incoming.notify = Some(Arc::new(Sender(context.peer.clone())));
    incoming.meta(std::mem::take(&mut context.meta.0.0))
}

struct Signal<F>(F);

impl<F: Fn() -> bool + Send + Sync> CancelSignal for Signal<F> {
    fn is_cancelled(&self) -> bool {
        (self.0)()
    }
}

struct Sender(Peer<RoleServer>);

impl Notifier for Sender {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            let notification = notification(method, params)?;
            self.0
                .send_notification(notification)
                .await
                .map_err(|error| match error {
                    ServiceError::McpError(_) => NotifyError::Unsupported,
                    _ => NotifyError::Closed,
                })
        })
    }
}

/// Progress goes as rmcp's own type, which it routes to the stream of the request; the rest as a custom one.
fn notification(method: &str, params: JsonObject) -> Result<ServerNotification, NotifyError> {
    if method != "notifications/progress" {
        return Ok(ServerNotification::CustomNotification(
            CustomNotification::new(method, Some(Value::Object(params))),
        ));
    }
    let params =
        serde_json::from_value(Value::Object(params)).map_err(|_| NotifyError::NotAnObject)?;
    Ok(ServerNotification::ProgressNotification(
        ProgressNotification::new(params),
    ))
}
