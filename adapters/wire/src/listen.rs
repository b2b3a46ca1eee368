//! Requests for listen streams that ask for notifications of the set: taken apart, and the server's answer put together
//! with ours.

use std::borrow::Cow;

use mcp_ext_core::Subscription;
use mcp_ext_core::listen::{ACKNOWLEDGED, METHOD, Notification};
use mcp_ext_core::protocol::ProtocolVersion;
use mcp_ext_core::wire::JsonObject;
#[cfg(feature = "stdio")]
use mcp_ext_core::wire::meta;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::merge::Splice;
use crate::message::{Id, Message, member, members};
use crate::server::Server;

/// The notification by which a request is given up.
pub(crate) const CANCELLED: &str = "notifications/cancelled";

/// What a request asks for.
pub(crate) struct Asked {
    /// The fields of its filter that are the set's.
    pub ours: JsonObject,
    /// The request without them, for the server; `None` when it asks for nothing else.
    pub theirs: Option<Vec<u8>>,
}

/// Takes a request apart; `None` when it asks for nothing of the set's.
pub(crate) fn asked(server: &Server, frame: &[u8]) -> Option<Asked> {
    let message = Message::read(frame)?;
    if message.method()? != METHOD {
        return None;
    }
    let filter = member(message.params?, "notifications")?;
    let (ours, theirs): (Vec<_>, Vec<_>) = members(filter)?
        .into_iter()
        .partition(|(field, _)| owns(server, field));
    if ours.is_empty() {
        return None;
    }
    let mut splice = Splice::of(frame);
    splice.replace(filter.get().as_bytes(), object(&theirs));
    let ours = ours.into_iter().map(|(field, value)| {
        // A number that nobody can read is none that a filter could have.
        let value = serde_json::from_str(value.get()).unwrap_or(Value::Null);
        (field.into_owned(), value)
    });
    Some(Asked {
        ours: ours.collect(),
        theirs: (!theirs.is_empty()).then(|| splice.finish()),
    })
}

fn owns(server: &Server, field: &str) -> bool {
    let version = Some(ProtocolVersion::V2026_07_28);
    let id = server.set().filter_field(field, version);
    id.is_some_and(|id| !server.withholds(id.as_str()))
}

fn object(members: &[(Cow<'_, str>, &RawValue)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| format!("{}:{value}", Value::from(&**name)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The subscription that a notification belongs to.
#[cfg(feature = "stdio")]
pub(crate) fn subscription(message: &Message<'_>) -> Option<Id> {
    let meta = member(message.params?, "_meta")?;
    Id::read(member(meta, meta::SUBSCRIPTION_ID)?)
}

/// The request that a notification says is given up.
pub(crate) fn given_up(message: &Message<'_>) -> Option<Id> {
    Id::read(member(message.params?, "requestId")?)
}

/// Adds to the server's acknowledgement what is honoured here, an object as text.
pub(crate) fn acknowledge(
    splice: &mut Splice<'_>,
    message: &Message<'_>,
    accepted: &str,
) -> Option<()> {
    let params = message.params?;
    let fields = accepted.strip_prefix('{').and_then(|a| a.strip_suffix('}'));
    let fields = fields.filter(|fields| !fields.is_empty())?;
    let top = members(params)?;
    let theirs = top.iter().rev().find(|(name, _)| name == "notifications");
    match theirs {
        Some((_, filter)) => {
            splice.append(filter, members(filter)?.is_empty(), &[fields.to_owned()])
        }
        None => {
            let filter = format!("\"notifications\":{accepted}");
            splice.append(params, top.is_empty(), &[filter]);
        }
    }
    Some(())
}

/// Whether this is the first message of a listen stream.
pub(crate) fn is_acknowledgement(message: &Message<'_>) -> bool {
    message.id.is_none() && message.method().as_deref() == Some(ACKNOWLEDGED)
}

/// A notification as a frame.
pub(crate) fn frame(note: &Notification) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"{}","params":{}}}"#,
        note.method, note.params
    )
}

/// The frame that says that the request of this id is given up.
#[cfg(feature = "stdio")]
pub(crate) fn cancelled_frame(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{CANCELLED}","params":{{"requestId":{id}}}}}"#)
}

/// The frame that ends a stream.
pub(crate) fn result_frame(id: &str, subscription: &Subscription) -> String {
    crate::message::result_frame(id, &subscription.result())
}
