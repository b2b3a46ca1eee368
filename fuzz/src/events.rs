//! Server-sent events through the HTTP layer, whatever the pieces they come in.
//!
//! An input has a line of numbers, the sizes of pieces, and after it the body of an answer to `tools/list` with id 4.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use mcp_ext_wire::{WireBody, WireLayer};
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use crate::server::{TOOLS, bare, runtime, set};

const REQUEST: &str = r#"{"jsonrpc":"2.0","id":4,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

pub(crate) fn run(data: &[u8]) {
    let Some(end) = data.iter().position(|b| *b == b'\n') else {
        return;
    };
    let (numbers, stream) = (&data[..end], &data[end + 1..]);
    let Ok(numbers) = std::str::from_utf8(numbers) else {
        return;
    };
    let sizes: Vec<usize> = numbers
        .split(' ')
        .filter_map(|n| n.parse().ok())
        .map(|n: usize| n.clamp(1, 4096))
        .take(8)
        .collect();
    let got = through(stream, &sizes);
    let whole = through(stream, &[]);
    assert_eq!(show(&got), show(&whole), "in pieces and at once");

    let before = by_the_book(stream);
    let after = by_the_book(&got);
    assert_eq!(before.len(), after.len(), "as many events");
    let ours = before.iter().position(|event| is_answer(&event.data));
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        if Some(at) != ours {
            assert_eq!(before.told(), after.told());
            continue;
        }
        assert_eq!((&before.kind, &before.id), (&after.kind, &after.id));
        amended(&before.data, &after.data);
    }
    match ours {
        None => assert_eq!(
            show(&got),
            show(stream),
            "nothing of ours: every byte as it was"
        ),
        Some(at) => {
            let (start, end) = (before[at].start, before[at].end);
            // Empty lines in front of it may go.
            let start = stream[..start].trim_ascii_end();
            assert!(got.starts_with(start), "every byte before it");
            assert!(got.ends_with(&stream[end..]), "every byte after it");
        }
    }
}

fn show(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// What a client reads.
fn through(stream: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut pieces = VecDeque::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let size = match sizes {
            [] => rest.len(),
            sizes => sizes[pieces.len() % sizes.len()].min(rest.len()),
        };
        pieces.push_back(Bytes::copy_from_slice(&rest[..size]));
        rest = &rest[size..];
    }
    let request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/list")
        .body(WireBody::from(Bytes::from_static(REQUEST.as_bytes())))
        .expect("a request");
    let mut service = WireLayer::new(set(false)).layer(Upstream(Pieces(pieces)));
    runtime().block_on(async {
        let Ok(response) = service.call(request).await;
        let body = response
            .into_body()
            .collect()
            .await
            .expect("a body that does not break");
        body.to_bytes().to_vec()
    })
}

/// A server that answers with these pieces.
#[derive(Clone)]
struct Upstream(Pieces);

impl Service<Request<WireBody>> for Upstream {
    type Response = Response<Pieces>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Pieces>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<WireBody>) -> Self::Future {
        let mut response = Response::new(self.0.clone());
        response.headers_mut().insert(
            "content-type",
            http::HeaderValue::from_static("text/event-stream"),
        );
        ready(Ok(response))
    }
}

#[derive(Clone)]
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// An event as a client is told of it, and where its bytes are.
struct Event {
    kind: Vec<u8>,
    data: Vec<u8>,
    id: Vec<u8>,
    start: usize,
    end: usize,
}

impl Event {
    /// What a client is told.
    fn told(&self) -> [std::borrow::Cow<'_, str>; 3] {
        [show(&self.kind), show(&self.data), show(&self.id)]
    }

    fn new(start: usize) -> Self {
        Self {
            kind: Vec::new(),
            data: Vec::new(),
            id: Vec::new(),
            start,
            end: start,
        }
    }
}

/// The events of a stream, read a line at a time as the standard of HTML says.
fn by_the_book(stream: &[u8]) -> Vec<Event> {
    let mut all = Vec::new();
    let mut at = if stream.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut event = Event::new(at);
    let mut has_data = false;
    let mut id = Vec::new();
    while let Some(length) = stream[at..].iter().position(|b| matches!(b, b'\r' | b'\n')) {
        let line = &stream[at..at + length];
        at += length
            + if stream[at + length..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
        if line.is_empty() {
            event.end = at;
            event.id.clone_from(&id);
            // Without data there is no event.
            let done = std::mem::replace(&mut event, Event::new(at));
            if std::mem::take(&mut has_data) {
                all.push(done);
            }
            continue;
        }
        let (name, value) = match line.iter().position(|b| *b == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if has_data {
                    event.data.push(b'\n');
                }
                has_data = true;
                event.data.extend_from_slice(value);
            }
            b"event" => event.kind = value.to_vec(),
            b"id" if !value.contains(&0) => id = value.to_vec(),
            _ => {}
        }
    }
    all
}

/// Whether a message is the answer to the request, with something that could be amended.
fn is_answer(data: &[u8]) -> bool {
    let text = bare(data);
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        id: &'a serde_json::value::RawValue,
        #[serde(borrow, default, deserialize_with = "present")]
        jsonrpc: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        method: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        params: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        result: Option<&'a serde_json::value::RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        error: Option<&'a serde_json::value::RawValue>,
    }
    fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
        from: D,
    ) -> Result<Option<&'a serde_json::value::RawValue>, D::Error> {
        serde::Deserialize::deserialize(from).map(Some)
    }
    text.first() == Some(&b'{')
        && std::str::from_utf8(text)
            .ok()
            .and_then(|text| serde_json::from_str::<Answer<'_>>(text).ok())
            .is_some_and(|a| {
                let _ = (a.jsonrpc, a.params);
                a.id.get().parse() == Ok(4)
                    && a.method.is_none()
                    && (a.result.is_some() || a.error.is_some())
            })
}

/// The answer with our tools, and nothing else changed.
fn amended(before: &[u8], after: &[u8]) {
    let (Ok(mut before), Ok(after)) = (
        serde_json::from_slice::<Value>(before),
        serde_json::from_slice::<Value>(after),
    ) else {
        return;
    };
    if before.get("result").is_none() && before["error"]["code"] == -32601 {
        let names: Vec<_> = after["result"]["tools"]
            .as_array()
            .expect("tools")
            .iter()
            .map(|tool| &tool["name"])
            .collect();
        assert_eq!(names, TOOLS);
        return;
    }
    if let Some(Value::Object(result)) = before.get_mut("result") {
        let cx = mcp_ext_core::AmendCx {
            era: mcp_ext_core::protocol::Era::Modern,
            version: Some(mcp_ext_core::protocol::ProtocolVersion::V2026_07_28),
            declared: mcp_ext_core::request::Declared::Known(None),
            first_page: true,
        };
        let had_tools = result.contains_key("tools");
        set(false).amend("tools/list", result, &cx);
        if !had_tools && result["tools"] == serde_json::json!([]) {
            result.remove("tools");
        }
    }
    assert_eq!(after, before);
}
