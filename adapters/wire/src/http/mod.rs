//! Streamable HTTP: a layer in front of any service, and a reverse proxy in front of any URL.

#[cfg(feature = "proxy")]
mod alone;
mod amend;
mod answer;
mod ask;
mod body;
#[cfg(feature = "proxy")]
mod chunks;
#[cfg(feature = "proxy")]
mod connection;
mod glance;
pub(crate) mod headers;
#[cfg(feature = "proxy")]
mod inline;
mod layer;
mod listen;
mod metas;
mod notes;
#[cfg(feature = "proxy")]
pub(crate) mod proxy;
pub(crate) mod sse;
mod state;
#[cfg(feature = "proxy")]
mod upstream;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

pub use self::body::{BodyError, BoxError, WireBody};
pub use self::layer::{WireLayer, WireService};

/// Who is asked before an extension answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// The wrapped server: it must have taken a request with the caller's own headers within the last 30 seconds.
    #[default]
    Upstream,
    /// Nobody. A request with an `Origin` that is not loopback is refused. For loopback listeners alone.
    None,
}

/// The bounds of a [`WireLayer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Who is asked before an extension answers.
    pub auth: Auth,
    /// Largest request body, in bytes. More is answered with 413.
    pub max_body_bytes: usize,
    /// Largest answer of the wrapped server that is amended, in bytes. Only `initialize`, `server/discover` and
    /// `tools/list` are; a larger answer of theirs is 502 as JSON, and passes unamended in an event stream.
    pub max_amended_bytes: usize,
    /// How long the wrapped server may take to answer a question of ours, and to finish the JSON of an answer that is
    /// amended; and a client to send its body, or to take something of a stream that has lasted for `max_listen`.
    pub timeout: Duration,
    /// How long a caller that the wrapped server took is remembered; at most 30 seconds.
    pub remember: Duration,
    /// Most legacy sessions that are remembered; the one unused for the longest time is forgotten first.
    pub max_sessions: usize,
    /// How often a comment is sent on a stream of ours on which nothing happens.
    pub keep_alive: Duration,
    /// How long a listen stream may stay open. It ends with its result then, and who listens again is asked about anew:
    /// a caller that the wrapped server no longer takes does not hear on for ever. The proxy closes the connection of a
    /// client that has stopped reading once it has taken nothing for `timeout` after this time; behind another server the
    /// stream keeps its place and its queue until the connection takes something again.
    pub max_listen: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            auth: Auth::Upstream,
            max_body_bytes: 4 * 1024 * 1024,
            max_amended_bytes: 32 * 1024 * 1024,
            timeout: Duration::from_secs(30),
            remember: Duration::from_secs(30),
            max_sessions: 10_000,
            keep_alive: Duration::from_secs(15),
            max_listen: Duration::from_secs(60 * 60),
        }
    }
}

fn full(bytes: impl Into<Bytes>) -> WireBody {
    WireBody::from(bytes.into())
}

/// A JSON answer.
fn json(status: u16, frame: String) -> Response<WireBody> {
    let mut response = Response::new(full(frame));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response<WireBody> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// The media type of a message.
fn media_type(headers: &http::HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
}

pub(crate) fn is_events(headers: &http::HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("text/event-stream")
}

pub(crate) fn is_json(headers: &http::HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/json")
}
