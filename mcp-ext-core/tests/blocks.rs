//! What a block can do to a call beside letting it through: arguments and members of its own, refusing, answering with
//! what it adds, and having the user asked first (MRTR).

use std::future::Future;
use std::task::{Context, Poll, Waker};

use mcp_ext_core::block::{
    Before, Block, BlockCall, BlockName, BlockOutcome, Failure, Place, Property, Refusal,
};
use mcp_ext_core::envelope::Frame;
use mcp_ext_core::protocol::ProtocolRange;
use mcp_ext_core::request::{BoxFuture, SessionDeclaration};
use mcp_ext_core::{
    BuildError, Enable, ExtensionSet, Route, RpcError, ToolCx, extension, handlers,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

// ---- an extension whose items need a block -----------------------------------------------------------------------

/// What to order.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    item: String,
}

/// What was ordered.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    item: String,
}

/// Places orders.
#[extension(id = "com.example/shop")]
pub trait Shop {
    /// Places an order.
    #[method]
    #[tool(needs(Guard))]
    async fn place_order(
        &self,
        cx: &ToolCx<ShopExtension>,
        params: Order,
    ) -> Result<Receipt, std::convert::Infallible>;
}

struct Till;

#[handlers]
impl Shop for Till {
    async fn place_order(
        &self,
        _: &ToolCx<ShopExtension>,
        params: Order,
    ) -> Result<Receipt, std::convert::Infallible> {
        Ok(Receipt { item: params.item })
    }
}

// ---- a block with everything -------------------------------------------------------------------------------------

/// Guards orders: a word for small ones, the user's consent for others.
#[extension(id = "com.example/guard")]
pub trait Guarding {
    /// Says nothing.
    #[method]
    async fn noop(
        &self,
        cx: &mcp_ext_core::Cx<GuardingExtension>,
        params: mcp_ext_core::NoParams,
    ) -> Result<mcp_ext_core::NoParams, GuardError>;
}

/// Why an order is not let through.
#[derive(Debug, mcp_ext_core::ExtensionError)]
pub enum GuardError {
    /// The word is wrong.
    #[error(code = 4210, "the word for {item} is wrong; ask for it and call again")]
    WrongWord {
        /// What was ordered.
        item: String,
    },
}

/// The block.
#[derive(Clone)]
pub struct Guard;

#[handlers]
impl Guarding for Guard {
    async fn noop(
        &self,
        _: &mcp_ext_core::Cx<GuardingExtension>,
        params: mcp_ext_core::NoParams,
    ) -> Result<mcp_ext_core::NoParams, GuardError> {
        Ok(params)
    }
}

impl BlockName for Guard {
    const NAME: &'static str = "com.example/guard";
}

fn property(name: &'static str, required: bool) -> Property {
    Property {
        name,
        schema: json!({"type": "string", "description": "A word."}),
        required,
    }
}

impl Block for Guard {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn place(&self) -> Place {
        Place::CONFIRM
    }
    fn arguments(
        &self,
        _: &mcp_ext_core::Contract,
        _: &mcp_ext_core::contract::Item,
    ) -> Vec<Property> {
        vec![property("word", true), property("item", false)]
    }
    fn members(
        &self,
        _: &mcp_ext_core::Contract,
        _: &mcp_ext_core::contract::Item,
    ) -> Vec<Property> {
        vec![property("guardedBy", true), property("item", false)]
    }
    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        assert!(
            call.params.get("word").is_none(),
            "a block's argument is not one of the handler's"
        );
        let before = match call.argument("word").and_then(Value::as_str) {
            Some("stored") => {
                let mut outcome = BlockOutcome::new(Ok(json!({"item": "from the store"})));
                outcome
                    .meta
                    .insert("com.example/replayed".into(), true.into());
                outcome.notes.push("Replayed.".into());
                Before::Answer(outcome)
            }
            Some("failed") => Before::Answer(BlockOutcome::new(Err(Failure::Own {
                code: 4211,
                kind: "sold_out".into(),
                message: "sold out".into(),
                details: Default::default(),
                retryable: false,
            }))),
            Some("ask") => match (&call.input().responses, call.elicitation()) {
                (Some(responses), _) if responses["sure"]["action"] == "accept" => {
                    assert_eq!(call.input().state.as_deref(), Some("sealed"));
                    Before::Proceed
                }
                (_, Some(elicitation)) => Before::Ask(elicitation.form(
                    "sure",
                    "Order it?",
                    json!({"type": "object", "properties": {"sure": {"type": "boolean"}}}),
                    "sealed",
                )),
                (_, None) => refuse("unasked"),
            },
            Some("") => Before::Reject(RpcError::new(-32602, "the word is empty")),
            Some("open") => Before::Proceed,
            _ => refuse(
                call.argument("item")
                    .and_then(Value::as_str)
                    .unwrap_or("nothing"),
            ),
        };
        Box::pin(async { before })
    }
    fn after<'a>(
        &'a self,
        _: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()> {
        if let Ok(value) = &mut outcome.result {
            value["guardedBy"] = json!("guard");
        }
        Box::pin(async {})
    }
}

fn refuse(item: &str) -> Before {
    Before::Refuse(Refusal::of::<GuardingExtension, _>(
        &GuardError::WrongWord {
            item: item.to_owned(),
        },
    ))
}

// ---- calls -------------------------------------------------------------------------------------------------------

fn set() -> ExtensionSet {
    let guard: Enable<GuardingExtension> = GuardingExtension::provide(Guard).around(Guard);
    ExtensionSet::builder()
        .enable(ShopExtension::provide(Till))
        .enable(guard)
        .build()
        .unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// Sends one modern request; `capabilities` beside the extension.
fn ask(method: &str, mut params: Value, capabilities: Value) -> Result<Value, RpcError> {
    let mut capabilities = capabilities;
    capabilities["extensions"] = json!({"com.example/shop": {}});
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let raw = RawValue::from_string(params.to_string()).unwrap();
    let frame = Frame::read(method, Some(&raw))?;
    let incoming = frame.open(ProtocolRange::default(), SessionDeclaration::none(), None)?;
    match set().route(incoming) {
        Route::Call(pending) => {
            block_on(pending.run()).map(|reply| Value::Object(reply.into_object().unwrap()))
        }
        Route::Refused(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn tool(arguments: Value, capabilities: Value) -> Value {
    let params = json!({"name": "place_order", "arguments": arguments});
    ask("tools/call", params, capabilities).unwrap()
}

const METHOD: &str = "com.example/shop/placeOrder";

#[test]
fn a_tool_shows_the_arguments_and_members_of_its_blocks_and_keeps_its_own() {
    let set = set();
    let listing = set.tool("place_order").unwrap().listing();
    assert_eq!(
        listing["inputSchema"]["properties"]["word"],
        json!({"type": "string", "description": "A word."})
    );
    assert_eq!(listing["inputSchema"]["required"], json!(["item", "word"]));
    assert_eq!(
        listing["inputSchema"]["properties"]["item"],
        json!({"type": "string"}),
        "what the item has itself it keeps"
    );
    assert_eq!(
        listing["outputSchema"]["properties"]["guardedBy"]["type"],
        "string"
    );
}

#[test]
fn a_blocks_argument_is_taken_off_before_the_handler_and_its_member_added_after() {
    let result = tool(json!({"item": "tea", "word": "open"}), json!({}));
    assert_eq!(
        result["structuredContent"],
        json!({"item": "tea", "guardedBy": "guard"})
    );
    let result = ask(METHOD, json!({"item": "tea", "word": "open"}), json!({})).unwrap();
    assert_eq!(result["item"], "tea");
    assert_eq!(result["guardedBy"], "guard");
}

#[test]
fn a_refusal_is_text_for_a_model_on_a_tool_and_an_error_of_the_blocks_own_on_a_method() {
    let result = tool(json!({"item": "tea", "word": "guessed"}), json!({}));
    assert_eq!(result["isError"], true);
    assert_eq!(
        result["content"][0]["text"],
        "the word for tea is wrong; ask for it and call again"
    );
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["extension"], "com.example/guard");
    assert_eq!(error["kind"], "wrong_word");
    assert_eq!(error["details"], json!({"item": "tea"}));

    let error = ask(METHOD, json!({"item": "tea"}), json!({})).unwrap_err();
    assert_eq!(error.code, 4210);
    assert_eq!(error.data.unwrap()["extension"], "com.example/guard");
}

#[test]
fn an_answer_from_a_store_brings_its_meta_its_notes_and_its_failure() {
    let result = tool(json!({"item": "tea", "word": "stored"}), json!({}));
    assert_eq!(
        result["structuredContent"],
        json!({"item": "from the store"})
    );
    assert_eq!(result["_meta"]["com.example/replayed"], true);
    assert_eq!(result["content"][1]["text"], "Replayed.");

    let result = tool(json!({"item": "tea", "word": "failed"}), json!({}));
    assert_eq!(result["structuredContent"]["error"]["kind"], "sold_out");
    assert_eq!(
        result["structuredContent"]["error"]["extension"],
        "com.example/shop"
    );
}

#[test]
fn mr_01_to_04_a_block_asks_only_on_tools_of_clients_that_declare_form_elicitation() {
    let asked = |capabilities| tool(json!({"item": "tea", "word": "ask"}), capabilities);
    for declared in [
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
        json!({"elicitation": {"form": {}, "url": {}}}),
    ] {
        let result = asked(declared);
        assert_eq!(result["resultType"], "input_required");
        assert_eq!(result["requestState"], "sealed");
        assert_eq!(
            result["inputRequests"]["sure"],
            json!({
                "method": "elicitation/create",
                "params": {
                    "mode": "form", "message": "Order it?",
                    "requestedSchema": {"type": "object", "properties": {"sure": {"type": "boolean"}}},
                },
            })
        );
        assert!(result.get("content").is_none());
    }
    for declared in [
        json!({}),
        json!({"elicitation": {"url": {}}}),
        json!({"elicitation": true}),
        json!({"elicitation": {"form": null}}),
    ] {
        assert_eq!(asked(declared)["isError"], true);
    }
    // A method never answers `input_required` (RT-6).
    let error = ask(
        METHOD,
        json!({"item": "tea", "word": "ask"}),
        json!({"elicitation": {}}),
    )
    .unwrap_err();
    assert_eq!(error.code, 4210);
}

#[test]
fn mr_07_the_answers_of_a_repeated_call_reach_the_block() {
    let params = json!({
        "name": "place_order", "arguments": {"item": "tea", "word": "ask"},
        "inputResponses": {"sure": {"action": "accept", "content": {"sure": true}}, "other": {}},
        "requestState": "sealed",
    });
    let result = ask("tools/call", params, json!({"elicitation": {}})).unwrap();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["structuredContent"]["item"], "tea");
}

#[test]
fn mr_08_malformed_answers_are_a_json_rpc_error_that_names_the_member() {
    for (member, value, pointer) in [
        ("inputResponses", json!([]), "/params/inputResponses"),
        ("inputResponses", json!(null), "/params/inputResponses"),
        (
            "inputResponses",
            json!({"sure": true}),
            "/params/inputResponses/sure",
        ),
        ("requestState", json!(7), "/params/requestState"),
    ] {
        let mut params =
            json!({"name": "place_order", "arguments": {"item": "tea", "word": "ask"}});
        params[member] = value;
        let error = ask("tools/call", params, json!({"elicitation": {}})).unwrap_err();
        assert_eq!(error.code, -32602);
        assert_eq!(error.data.unwrap()["pointer"], pointer);
    }
}

#[test]
fn mr_08_a_block_can_reject_a_malformed_request_with_a_json_rpc_error_on_tools_too() {
    let params = json!({"name": "place_order", "arguments": {"item": "tea", "word": ""}});
    let error = ask("tools/call", params, json!({})).unwrap_err();
    assert_eq!((error.code, &*error.message), (-32602, "the word is empty"));
}

// ---- two blocks with one argument --------------------------------------------------------------------------------

struct Second;

impl Block for Second {
    fn name(&self) -> &'static str {
        "com.example/second"
    }
    fn place(&self) -> Place {
        Place::POLICY
    }
    fn covers(&self, _: &mcp_ext_core::Contract, _: &mcp_ext_core::contract::Item) -> bool {
        true
    }
    fn arguments(
        &self,
        _: &mcp_ext_core::Contract,
        _: &mcp_ext_core::contract::Item,
    ) -> Vec<Property> {
        vec![property("word", false)]
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

#[test]
fn two_blocks_with_one_argument_do_not_build() {
    let built = ExtensionSet::builder()
        .enable(ShopExtension::provide(Till))
        .block(Guard)
        .block(Second)
        .build();
    let error = built.err().unwrap();
    assert!(matches!(
        error,
        BuildError::BlockProperty {
            property: "word",
            first: "com.example/second",
            second: "com.example/guard",
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "the blocks com.example/second and com.example/guard around place_order of com.example/shop both have a member word; use one of them there"
    );
}

// ---- arguments that are JSON and make no value -----------------------------------------------------------------------

/// What to empty.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Empty {
    /// Nothing else than this; when left out, all.
    #[serde(default)]
    only: Option<String>,
}

/// Empties shelves.
#[extension(id = "com.example/shelves")]
pub trait Shelves {
    /// Empties a shelf.
    #[tool(needs(Open))]
    async fn empty_shelf(
        &self,
        cx: &ToolCx<ShelvesExtension>,
        params: Empty,
    ) -> Result<Receipt, std::convert::Infallible>;
}

#[handlers]
impl Shelves for Till {
    async fn empty_shelf(
        &self,
        _: &ToolCx<ShelvesExtension>,
        params: Empty,
    ) -> Result<Receipt, std::convert::Infallible> {
        Ok(Receipt {
            item: params.only.unwrap_or_else(|| "all".to_owned()),
        })
    }
}

/// A block that lets everything through.
#[derive(Clone)]
pub struct Open;

/// Says nothing.
#[extension(id = "com.example/open")]
pub trait Opening {}

#[handlers]
impl Opening for Open {}

impl BlockName for Open {
    const NAME: &'static str = "com.example/open";
}

impl Block for Open {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn place(&self) -> Place {
        Place::POLICY
    }
    fn before<'a>(&'a self, _: &'a BlockCall<'a>) -> BoxFuture<'a, Before> {
        Box::pin(async { Before::Proceed })
    }
    fn after<'a>(&'a self, _: &'a BlockCall<'a>, _: &'a mut BlockOutcome) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

#[test]
fn arguments_that_cannot_be_read_are_refused_and_not_taken_for_none() {
    let set = ExtensionSet::builder()
        .enable(ShelvesExtension::provide(Till))
        .enable(OpeningExtension::provide(Open).around(Open))
        .build()
        .unwrap();
    for arguments in [
        r#"{"only":"tins","n":1e999}"#,
        r#"{"only":"\ud800"}"#,
        r#"{"only":"\udc00\ud800"}"#,
    ] {
        let raw = RawValue::from_string(format!(
            r#"{{"name":"empty_shelf","arguments":{arguments},"_meta":{{
                "io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/clientCapabilities":{{}}}}}}"#
        ))
        .unwrap();
        let frame = Frame::read("tools/call", Some(&raw)).unwrap();
        let incoming = frame
            .open(ProtocolRange::default(), SessionDeclaration::none(), None)
            .unwrap();
        let Route::Call(pending) = set.route(incoming) else {
            panic!("not routed");
        };
        let result = Value::Object(block_on(pending.run()).unwrap().into_object().unwrap());
        assert_eq!(result["isError"], true, "{arguments}: {result}");
        let error = &result["structuredContent"]["error"];
        assert_eq!(error["kind"], "invalid_params", "{arguments}: {result}");
    }
}
