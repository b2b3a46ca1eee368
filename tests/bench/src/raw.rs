//! The extension on raw JSON-RPC frames, text in and text out, without any SDK.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use mcp_ext::envelope::Frame;
use mcp_ext::protocol::ProtocolRange;
use mcp_ext::request::SessionDeclaration;
use mcp_ext::{ExtensionSet, Reply, Route, RpcError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::by_hand::{Gate, Object, Refusal, SERVER_INFO, bad_params};
use crate::grading::{self, GradingError, RUBRICS, Rubrics, RubricsParams};

/// Who the server says it is.
pub const SERVER: &str = r#"{"name":"bench","version":"1"}"#;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// Runs a future that never waits.
pub fn finished<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn respond(id: &str, result: Result<String, String>) -> String {
    let (member, text) = match &result {
        Ok(result) => ("result", result.as_str()),
        Err(error) => ("error", error.as_str()),
    };
    let mut out = String::with_capacity(text.len() + id.len() + 40);
    for part in [
        r#"{"jsonrpc":"2.0","id":"#,
        id,
        ",\"",
        member,
        "\":",
        text,
        "}",
    ] {
        out.push_str(part);
    }
    out
}

/// One frame through a set of extensions; `None` when it is not a request of one of them.
pub fn ours(set: &ExtensionSet, frame: &str) -> Option<String> {
    let request: Request<'_> = serde_json::from_str(frame).ok()?;
    let run = || -> Result<Option<String>, RpcError> {
        let frame = Frame::read(&request.method, request.params)?;
        let incoming = frame.open(ProtocolRange::ALL, SessionDeclaration::none(), None)?;
        let result = match set.route(incoming) {
            Route::Forward(_) => return Ok(None),
            Route::Refused(error) => return Err(error),
            Route::Answered(object) => Ok(Reply::Object(object)),
            Route::Call(pending) => match finished(pending.run()) {
                Some(result) => result,
                None => return Ok(None),
            },
        };
        match result? {
            Reply::Text(text) => Ok(Some(text)),
            Reply::Object(object) => Ok(serde_json::to_string(&object).ok()),
        }
    };
    let result = match run() {
        Ok(Some(result)) => Ok(result),
        Ok(None) => return None,
        Err(error) => Err(serde_json::to_string(&error).ok()?),
    };
    Some(respond(request.id.get(), result))
}

/// `_meta`, apart from the params it travels with.
#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "_meta", default)]
    meta: Object,
}

/// What a handler is given, as mcp-ext gives it: settings and `_meta`.
struct Call {
    settings: std::sync::Arc<grading::GradingSettings>,
    meta: Object,
}

async fn handler(call: &Call, params: RubricsParams) -> Result<Rubrics, GradingError> {
    std::hint::black_box(&call.meta);
    grading::rubrics(&call.settings, params)
}

/// One frame through the same by hand.
pub fn twin(gate: &Gate, frame: &str) -> Option<String> {
    let request: Request<'_> = serde_json::from_str(frame).ok()?;
    if request.method != RUBRICS {
        return None;
    }
    let opened = || -> Result<(Call, RubricsParams), Refusal> {
        let params = request.params.map_or("{}", RawValue::get);
        let Meta { meta } = serde_json::from_str(params).map_err(|e| bad_params(&e))?;
        let settings = gate.pass(&meta)?;
        let params = serde_json::from_str(params).map_err(|e| bad_params(&e))?;
        Ok((Call { settings, meta }, params))
    };
    let result = match opened() {
        Ok((call, params)) => finished(handler(&call, params))?
            .map_err(Refusal::from)
            .and_then(|result| serde_json::to_string(&result).map_err(|e| bad_params(&e))),
        Err(refusal) => Err(refusal),
    };
    let result = result.map(|text| {
        let mut out = String::with_capacity(text.len() + 128);
        out.push_str(r#"{"resultType":"complete","_meta":{""#);
        out.push_str(SERVER_INFO);
        out.push_str("\":");
        out.push_str(SERVER);
        out.push_str("},");
        out.push_str(text.strip_prefix('{').unwrap_or(&text));
        out
    });
    let mut out = String::with_capacity(256);
    out.push_str(r#"{"jsonrpc":"2.0","id":"#);
    out.push_str(request.id.get());
    match result {
        Ok(result) => {
            out.push_str(",\"result\":");
            out.push_str(&result);
        }
        Err(error) => {
            out.push_str(",\"error\":");
            out.push_str(&serde_json::to_string(&error).ok()?);
        }
    }
    out.push('}');
    Some(out)
}
