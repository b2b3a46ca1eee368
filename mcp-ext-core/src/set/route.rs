//! The way of one request: gate, negotiated settings, params, blocks and handler, stamp.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use serde_json::{Value, json};

use super::gate::Gated;
use super::{ExtensionSet, SetInner};
use crate::block::{Before, Block, BlockCall, BlockOutcome, Chain};
use crate::call::{Call, Failure, Form, Outcome, Payload, tool_error};
use crate::contract::Item;
use crate::cx::{CallCx, Facts};
use crate::negotiated::Negotiated;
use crate::protocol::Era;
use crate::request::{Incoming, Params, Target};
use crate::wire::{JsonObject, RpcError, code, meta};

/// Where a request goes. [`answer`](Self::answer) takes those that are ours to their answer.
#[derive(Debug)]
pub enum Route<'a> {
    /// Not ours: forward it.
    Forward(Box<Incoming<'a>>),
    /// Ours, and refused before anything was executed. Answer with it at once, before any stream is opened.
    Refused(RpcError),
    /// Ours, and turned away by the tool's own words: a `tools/call` result with `isError: true`.
    Answered(JsonObject),
    /// Ours: run it.
    Call(Box<Pending<'a>>),
}

/// An accepted call that has not run yet. Dropping it, or the future of [`run`](Self::run), cancels it.
pub struct Pending<'a> {
    set: Arc<SetInner>,
    extension: usize,
    index: usize,
    tool: bool,
    call: Call<'a>,
    stamp: Stamp,
    _permit: Permit,
}

/// A finished result object, ready to be the `result` of a response.
#[derive(Debug)]
pub enum Reply {
    /// As JSON text, when the params came as text.
    Text(String),
    /// As an object.
    Object(JsonObject),
}

impl Reply {
    /// The result as an object.
    ///
    /// # Errors
    /// -32603 when the text is not an object, which [`Pending::run`] has ruled out.
    pub fn into_object(self) -> Result<JsonObject, RpcError> {
        match self {
            Self::Object(object) => Ok(object),
            Self::Text(text) => serde_json::from_str(&text).map_err(|_| {
                RpcError::new(code::INTERNAL_ERROR, "the result is not a JSON object")
            }),
        }
    }
}

struct Stamp {
    modern: bool,
    server_info: Option<Arc<ServerInfo>>,
}

/// Who the server says it is.
pub(super) struct ServerInfo {
    value: Value,
    /// The start of a result that is stamped with it, without what follows the stamp.
    opening: String,
}

/// `resultType` of a result that is one.
const COMPLETE: &str = "complete";

/// `resultType` of a result that asks for input first.
const INPUT_REQUIRED: &str = "input_required";

/// The start of a result that is stamped without `serverInfo`.
const OPENING: &str = "{\"resultType\":\"complete\"";

impl ServerInfo {
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    pub(super) fn new(value: Value) -> Self {
        let opening = format!("{OPENING},\"_meta\":{{\"{}\":{value}}}", meta::SERVER_INFO);
        Self { value, opening }
    }
}

/// One place of [`Limits::max_concurrent`](crate::Limits::max_concurrent); given back on drop.
struct Permit(Arc<SetInner>);

impl Permit {
    fn take(set: &Arc<SetInner>) -> Result<Self, RpcError> {
        let limit = set.limits.max_concurrent;
        if set.in_flight.fetch_add(1, Ordering::AcqRel) >= limit {
            set.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(RpcError::limit(
                "busy",
                format!(
                    "{limit} extension calls are running, the most this server takes at once; try again"
                ),
                limit as u64,
            ));
        }
        Ok(Self(set.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

pub(super) fn route<'a>(set: &ExtensionSet, incoming: Incoming<'a>) -> Route<'a> {
    let inner = &set.inner;
    let Some((extension, index)) = inner.find(incoming.target) else {
        return Route::Forward(Box::new(incoming));
    };
    let enabled = &inner.extensions[extension];
    let item = &enabled.contract.items[index];
    let id = enabled.contract.id.as_str();
    let target = incoming.target;
    let refuse = |error: RpcError| {
        if let Some(observer) = &inner.observer {
            observer.gate(id, target, Some(error.code));
        }
        Route::Refused(error)
    };

    let gated = match inner.gate(extension, item, &incoming) {
        Ok(gated) => gated,
        Err(error) => return refuse(error),
    };
    let tool = matches!(target, Target::Tool(_));
    let demands = !tool || item.tool.is_some_and(|t| t.gated);
    let (settings, negotiated) = match gated {
        Gated::Active(settings) => (settings, true),
        Gated::Inactive(_) if !demands => (enabled.fallback.clone(), false),
        // A legacy client takes a JSON-RPC error of a tool for a broken server: it is told in the result.
        Gated::Inactive(error) if tool && incoming.era == Era::Legacy => {
            let data = error.data.unwrap_or_default();
            let mut detail = json!({ "message": error.message });
            if let (Value::Object(detail), Value::Object(data)) = (&mut detail, data) {
                detail.extend(data);
            }
            if let Some(observer) = &inner.observer {
                observer.gate(id, target, Some(error.code));
            }
            return Route::Answered(tool_error(&error.message, detail));
        }
        Gated::Inactive(error) => return refuse(*error),
    };
    if let Err(error) = check_mcp_name(item, &incoming) {
        return refuse(error);
    }
    if let Err(error) = check_size(&incoming.params, &inner.limits, id) {
        return refuse(error);
    }
    let permit = match Permit::take(inner) {
        Ok(permit) => permit,
        Err(error) => return refuse(error),
    };
    if let Some(observer) = &inner.observer {
        observer.gate(id, target, None);
    }

    let Incoming {
        era,
        version,
        params,
        meta,
        session,
        principal,
        deadline,
        cancel,
        notify,
        input,
        ..
    } = incoming;
    let form = if matches!(params, Params::Raw(_)) {
        Form::Text
    } else {
        Form::Value
    };
    let cx = Arc::new(CallCx {
        contract: enabled.contract,
        negotiated: Negotiated::of_call(inner.clone(), era, version, meta.clone(), session),
        meta,
        principal,
        deadline,
        cancel,
        notify,
        ended: AtomicBool::new(false),
        progress: AtomicU64::new(0),
        facts: Facts::default(),
        input,
    });
    Route::Call(Box::new(Pending {
        set: inner.clone(),
        extension,
        index,
        tool,
        call: Call {
            cx,
            item,
            params,
            settings,
            negotiated,
            form,
        },
        stamp: Stamp {
            modern: era == Era::Modern,
            server_info: set.server_info.clone(),
        },
        _permit: permit,
    }))
}

impl<'a> Pending<'a> {
    /// How long it may run: [`Limits::max_duration`](crate::Limits::max_duration). [`Route::answer`] sees to it.
    pub fn limit(&self) -> Duration {
        self.set.limits.max_duration
    }

    /// Runs blocks and handler, and stamps the result.
    ///
    /// # Errors
    /// The JSON-RPC error to answer with. A tool's own failure is a result, not an error.
    pub async fn run(self) -> Result<Reply, RpcError> {
        let Self {
            set,
            extension,
            index,
            tool,
            call,
            stamp,
            _permit,
        } = self;
        let enabled = &set.extensions[extension];
        let id = enabled.contract.id.as_str();
        let started = set.observer.as_ref().and_then(|observer| observer.now());
        let cx = call.cx.clone();
        // Whatever way the call ends, nothing may be sent about it afterwards (SUB-7).
        let _ended = EndOnDrop(cx);
        let item = call.item;
        let form = call.form;
        let chain = &enabled.chains[index];
        let finished = if chain.blocks.is_empty() {
            Finished::plain(guarded(enabled.provider.call(item.name, call)).await)
        } else {
            // On the heap, so that a call without blocks has no place for them in its future.
            Box::pin(nested(&set, extension, tool, chain, call)).await
        };
        let reply = if tool {
            let schema = item.tool.and_then(|tool| set.output_schema(tool.name));
            tool_reply(finished, id, form, &stamp, schema)
        } else {
            method_reply(finished, id, form, &stamp)
        };
        if let Some(observer) = &set.observer {
            let target = match (tool, item.method, item.tool) {
                (true, _, Some(tool)) => Target::Tool(tool.name),
                (_, Some(method), _) => Target::Method(method.wire),
                _ => Target::Method(item.name),
            };
            observer.done(id, target, reply.as_ref().err().map(|e| e.code), started);
        }
        reply
    }
}

impl std::fmt::Debug for Pending<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("item", &self.call.item.name)
            .finish_non_exhaustive()
    }
}

struct EndOnDrop(Arc<CallCx>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

/// An outcome with what the blocks have added.
struct Finished {
    outcome: Outcome,
    meta: JsonObject,
    notes: Vec<String>,
}

impl Finished {
    fn plain(outcome: Outcome) -> Self {
        Self {
            outcome,
            meta: JsonObject::new(),
            notes: Vec::new(),
        }
    }
}

/// A block that let the call proceed; on drop without an `after` it is told that the call was abandoned.
struct Entered<'a> {
    block: &'a dyn Block,
    call: &'a BlockCall<'a>,
    open: bool,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.open {
            self.block.abandoned(self.call);
        }
    }
}

/// Runs blocks outermost first, then the handler, then what each block has to say, innermost first.
async fn nested(
    set: &Arc<SetInner>,
    extension: usize,
    tool: bool,
    chain: &Chain,
    mut call: Call<'_>,
) -> Finished {
    let enabled = &set.extensions[extension];
    // Blocks look at a value, and their `after` at the value of the result.
    let mut params = match std::mem::replace(&mut call.params, Params::None) {
        Params::Value(value) => value,
        Params::Raw(raw) => match crate::handler::value_of(raw) {
            Ok(value) => value,
            // Blocks can decide nothing about what cannot be read, and for the handler it is not the same as no params.
            Err(failure) => return Finished::plain(Err(failure)),
        },
        Params::None => json!({}),
    };
    let arguments = chain.take_off(&mut params);
    let cx = call.cx.clone();
    call.form = Form::Value;
    let seen = BlockCall {
        contract: enabled.contract,
        item: call.item,
        tool,
        params: &params,
        arguments: &arguments,
        cx: &cx,
        chain,
    };

    let mut entered: Vec<Entered<'_>> = Vec::with_capacity(chain.blocks.len());
    let mut early: Option<BlockOutcome> = None;
    let failed = |failure| Some(BlockOutcome::new(Err(failure)));
    for block in &chain.blocks {
        match guarded_block(block.before(&seen)).await {
            Ok(Before::Proceed) => entered.push(Entered {
                block: &**block,
                call: &seen,
                open: true,
            }),
            Ok(Before::Answer(outcome)) => early = Some(outcome),
            Ok(Before::Refuse(refusal)) => early = failed(Failure::Refused(refusal)),
            Ok(Before::Reject(error)) => early = failed(Failure::Rejected(error)),
            Ok(Before::Ask(input)) => early = failed(Failure::InputRequired(input)),
            Err(error) => early = failed(Failure::Rpc(error)),
        }
        if early.is_some() {
            break;
        }
    }
    let mut outcome = match early {
        Some(outcome) => outcome,
        None => {
            call.params = Params::Value(params.clone());
            BlockOutcome::new(
                guarded(enabled.provider.call(call.item.name, call))
                    .await
                    .and_then(Payload::into_value),
            )
        }
    };
    while let Some(mut block) = entered.pop() {
        let after = guarded_block(block.block.after(&seen, &mut outcome)).await;
        // Only now: a call that is dropped while `after` waits was abandoned too.
        block.open = false;
        if let Err(error) = after {
            outcome.result = Err(Failure::Rpc(error));
        }
    }
    Finished {
        outcome: outcome.result.map(Payload::Value),
        meta: outcome.meta,
        notes: outcome.notes,
    }
}

async fn guarded(future: impl Future<Output = Outcome>) -> Outcome {
    unwinding(future)
        .await
        .unwrap_or_else(|| Err(Failure::Rpc(panicked("the handler"))))
}

async fn guarded_block<T>(future: impl Future<Output = T>) -> Result<T, RpcError> {
    unwinding(future)
        .await
        .ok_or_else(|| panicked("a block around the handler"))
}

fn panicked(who: &str) -> RpcError {
    RpcError::new(
        code::INTERNAL_ERROR,
        format!("{who} panicked; the server goes on, its log says where"),
    )
    .with_data(json!({ "kind": "handler_panicked" }))
}

/// A panic in a handler must not end the task of the connection, or the caller would wait for ever.
async fn unwinding<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(
        move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Ready(value)) => Poll::Ready(Some(value)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

fn method_reply(
    finished: Finished,
    id: &str,
    form: Form,
    stamp: &Stamp,
) -> Result<Reply, RpcError> {
    match finished.outcome {
        Ok(Payload::Value(Value::Object(object))) => {
            form_of(stamp.object(object, finished.meta, COMPLETE), form)
        }
        Ok(Payload::Text(text)) if text.starts_with('{') => Ok(stamp.text(&text)),
        Ok(_) => Err(RpcError::new(
            code::INTERNAL_ERROR,
            "the handler's result is not a JSON object",
        )
        .with_data(json!({ "extension": id, "kind": "result_not_an_object" }))),
        Err(failure) => Err(failure.into_rpc(id)),
    }
}

fn tool_reply(
    finished: Finished,
    id: &str,
    form: Form,
    stamp: &Stamp,
    schema: Option<&Value>,
) -> Result<Reply, RpcError> {
    let mut object = match finished.outcome {
        Ok(Payload::Text(text)) => {
            // The structured content keeps its digits: the text is not turned into a value.
            let text = schema
                .and_then(|schema| super::nulls::leave_out_of_text(&text, schema))
                .unwrap_or(text);
            let quoted =
                serde_json::to_string(&text).map_err(|_| panicked("the writer of the result"))?;
            let result = format!(
                "{{\"content\":[{{\"type\":\"text\",\"text\":{quoted}}}],\"structuredContent\":{text}}}"
            );
            return Ok(stamp.text(&result));
        }
        Ok(Payload::Value(mut value)) => {
            if let Some(schema) = schema {
                super::nulls::leave_out(&mut value, schema);
            }
            let mut result = JsonObject::new();
            result.insert(
                "content".into(),
                json!([{ "type": "text", "text": value.to_string() }]),
            );
            result.insert("structuredContent".into(), value);
            result
        }
        // Asked for only where the protocol has it: a tool of the modern era.
        Err(Failure::InputRequired(input)) if stamp.modern => {
            return form_of(
                stamp.object(input.into_object(), finished.meta, INPUT_REQUIRED),
                form,
            );
        }
        Err(failure) => failure.into_tool_result(id)?,
    };
    if let Some(content) = object.get_mut("content").and_then(Value::as_array_mut) {
        content.extend(
            finished
                .notes
                .into_iter()
                .map(|note| json!({ "type": "text", "text": note })),
        );
    }
    form_of(stamp.object(object, finished.meta, COMPLETE), form)
}

fn form_of(object: JsonObject, form: Form) -> Result<Reply, RpcError> {
    match form {
        Form::Value => Ok(Reply::Object(object)),
        Form::Text => serde_json::to_string(&object)
            .map(Reply::Text)
            .map_err(|_| {
                RpcError::new(
                    code::INTERNAL_ERROR,
                    "the result could not be written as JSON",
                )
            }),
    }
}

impl Stamp {
    fn object(
        &self,
        mut object: JsonObject,
        mut own: JsonObject,
        result_type: &'static str,
    ) -> JsonObject {
        if self.modern {
            object.insert("resultType".into(), result_type.into());
            if let Some(info) = &self.server_info {
                own.insert(meta::SERVER_INFO.into(), info.value.clone());
            }
        }
        if !own.is_empty() {
            object.insert("_meta".into(), Value::Object(own));
        }
        object
    }

    /// Splices the stamp into the text of an object that has neither `resultType` nor `_meta`, which the build
    /// checked.
    fn text(&self, text: &str) -> Reply {
        let opening = match (self.modern, &self.server_info) {
            (false, _) => "{",
            (true, None) => OPENING,
            (true, Some(info)) => &info.opening,
        };
        let body = text.trim_start().strip_prefix('{').unwrap_or(text);
        let mut out = String::with_capacity(opening.len() + 1 + body.len());
        out.push_str(opening);
        if self.modern && !body.trim_start().starts_with('}') {
            out.push(',');
        }
        out.push_str(body);
        Reply::Text(out)
    }
}

fn check_mcp_name(item: &Item, incoming: &Incoming<'_>) -> Result<(), RpcError> {
    let (Some(pointer), Some(header), Era::Modern, Target::Method(_)) = (
        item.method.and_then(|m| m.mcp_name),
        &incoming.mcp_name,
        incoming.era,
        incoming.target,
    ) else {
        return Ok(());
    };
    let parsed;
    let params = match &incoming.params {
        Params::Value(value) => value,
        Params::Raw(raw) => {
            parsed = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
            &parsed
        }
        Params::None => &Value::Null,
    };
    let body = params.pointer(pointer).and_then(Value::as_str);
    let decoded = header.as_deref().map(crate::headers::decode);
    let fault = match (decoded, body) {
        (Some(Some(header)), Some(body)) if header == body => return Ok(()),
        // Without the member there is nothing to compare with: the params are refused a step later.
        (_, None) => return Ok(()),
        (None, _) => "is missing",
        (Some(None), _) => "is not valid base64 of UTF-8 text",
        (Some(Some(_)), _) => "differs from the body",
    };
    Err(RpcError::new(
        code::HEADER_MISMATCH,
        format!("the header Mcp-Name {fault}; it must repeat params{pointer}"),
    )
    .with_data(json!({ "header": "Mcp-Name", "pointer": pointer }))
    .in_envelope())
}

fn check_size(params: &Params<'_>, limits: &crate::Limits, id: &str) -> Result<(), RpcError> {
    let (depth, bytes) = match params {
        Params::None => return Ok(()),
        // Text with few brackets cannot be deep, whatever they enclose.
        Params::Raw(raw) if openings(raw.get()) <= limits.max_depth => (0, raw.get().len()),
        Params::Raw(raw) => (depth_of_text(raw.get()), raw.get().len()),
        Params::Value(value) => measure(value, limits),
    };
    let (kind, limit) = if depth > limits.max_depth {
        ("too_deep", limits.max_depth)
    } else if bytes > limits.max_params_bytes {
        ("too_large", limits.max_params_bytes)
    } else {
        return Ok(());
    };
    let unit = if kind == "too_deep" {
        "levels"
    } else {
        "bytes"
    };
    Err(RpcError::new(
        code::INVALID_PARAMS,
        format!("the params exceed the limit of {limit} {unit}"),
    )
    .with_data(json!({ "extension": id, "kind": kind, "limit": limit })))
}

/// Depth and approximate compact size of a value; stops soon after a limit is passed.
fn measure(value: &Value, limits: &crate::Limits) -> (usize, usize) {
    fn walk(
        value: &Value,
        level: usize,
        limits: &crate::Limits,
        depth: &mut usize,
        bytes: &mut usize,
    ) {
        *depth = (*depth).max(level);
        if *depth > limits.max_depth || *bytes > limits.max_params_bytes {
            return;
        }
        match value {
            Value::Array(items) => {
                *bytes += 2 + items.len();
                items
                    .iter()
                    .for_each(|v| walk(v, level + 1, limits, depth, bytes));
            }
            Value::Object(members) => {
                *bytes += 2;
                for (key, v) in members {
                    *bytes += key.len() + 4;
                    walk(v, level + 1, limits, depth, bytes);
                }
            }
            Value::String(text) => *bytes += text.len() + 2,
            Value::Number(_) | Value::Bool(_) | Value::Null => *bytes += 5,
        }
    }
    let (mut depth, mut bytes) = (0, 0);
    walk(value, 1, limits, &mut depth, &mut bytes);
    (depth, bytes)
}

/// The approximate compact size of an object, in bytes.
pub(crate) fn size_of_object(object: &JsonObject) -> usize {
    fn size(value: &Value) -> usize {
        match value {
            Value::Array(items) => 2 + items.iter().map(|v| size(v) + 1).sum::<usize>(),
            Value::Object(members) => size_of_object(members),
            Value::String(text) => text.len() + 2,
            Value::Number(_) | Value::Bool(_) | Value::Null => 5,
        }
    }
    2 + object
        .iter()
        .map(|(key, value)| key.len() + 4 + size(value))
        .sum::<usize>()
}

fn openings(text: &str) -> usize {
    text.bytes().filter(|b| matches!(b, b'{' | b'[')).count()
}

/// The deepest nesting in JSON text that has already been found well-formed.
fn depth_of_text(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (1usize, 1usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                deepest = deepest.max(depth);
                depth += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
