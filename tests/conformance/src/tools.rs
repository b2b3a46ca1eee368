//! The tools, by the names the suite calls.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, CustomRequest, InputResponses, JsonObject,
    ServerNotification, ServerRequest,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::items::{PNG, WAV};
use crate::rounds::{accepted, ask, form, rooted, roots, sample, sampled};
use crate::server::{Changed, Fixture, modern, typed};

/// Tools without arguments.
const PLAIN: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_error_handling",
    "test_tool_with_progress",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_reconnection",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

pub fn list() -> Value {
    let tool = |name: &str, schema: Value| {
        let description = format!("For testing: {name}");
        json!({ "name": name, "description": description, "inputSchema": schema })
    };
    let one = |name: &str, property: Value| json!({ "type": "object", "properties": { name: property }, "required": [name] });
    let text = || json!({ "type": "string" });
    let mut tools: Vec<_> = PLAIN
        .iter()
        .map(|name| tool(name, json!({ "type": "object", "properties": {} })))
        .collect();
    tools.push(tool("test_sampling", one("prompt", text())));
    tools.push(tool("test_elicitation", one("message", text())));
    tools.push(tool(
        "test_header",
        one(
            "region",
            json!({ "type": "string", "x-mcp-header": "Region" }),
        ),
    ));
    tools.push(tool("json_schema_2020_12_tool", json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
        } },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })));
    tools.into()
}

/// One call of a tool.
struct Call<'a> {
    cx: &'a RequestContext<RoleServer>,
    arguments: JsonObject,
    inputs: InputResponses,
}

impl Call<'_> {
    fn argument(&self, name: &str) -> Result<&str, ErrorData> {
        let given = self.arguments.get(name).and_then(Value::as_str);
        given.ok_or_else(|| {
            ErrorData::invalid_params(format!("the argument {name} is missing"), None)
        })
    }

    async fn notify(&self, method: &str, params: Value) -> Result<(), ErrorData> {
        let notification: ServerNotification =
            typed(json!({ "method": method, "params": params }))?;
        let sent = self.cx.peer.send_notification(notification).await;
        sent.map_err(|e| ErrorData::internal_error(e.to_string(), None))
    }

    /// Logs, if the client is to see it: a request of the newer revision says so itself.
    async fn log(&self, text: &str) -> Result<(), ErrorData> {
        if modern(self.cx) && self.cx.meta.log_level().is_none() {
            return Ok(());
        }
        let params = json!({ "level": "info", "logger": "conformance-fixture", "data": text });
        self.notify("notifications/message", params).await
    }

    /// Asks the client in the middle of the call, as older revisions do. As raw JSON, since rmcp's types leave out
    /// the older form of enumerations.
    async fn request(&self, request: Value) -> Result<Value, ErrorData> {
        let method = request["method"].as_str().unwrap_or_default();
        let request = CustomRequest::new(method.to_owned(), Some(request["params"].clone()));
        let answer = self
            .cx
            .peer
            .send_request(ServerRequest::CustomRequest(request))
            .await;
        let answer = answer.map_err(|e| ErrorData::internal_error(e.to_string(), None))?;
        serde_json::to_value(answer).map_err(|e| ErrorData::internal_error(e.to_string(), None))
    }

    /// Asks the user, and says what came.
    async fn elicit(&self, said: &str, message: &str, schema: Value) -> Result<Value, ErrorData> {
        let params = json!({ "mode": "form", "message": message, "requestedSchema": schema });
        let answer = self
            .request(json!({ "method": "elicitation/create", "params": params }))
            .await?;
        let action = answer["action"].as_str().unwrap_or_default();
        Ok(text(&format!(
            "{said}: action={action}, content={}",
            answer["content"]
        )))
    }

    fn capabilities(&self) -> ClientCapabilities {
        self.cx.client_capabilities().unwrap_or_default()
    }
}

fn result(content: Value) -> Value {
    json!({ "content": content })
}

fn text(text: &str) -> Value {
    result(json!([{ "type": "text", "text": text }]))
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

pub async fn call(
    fixture: &Fixture,
    request: CallToolRequestParams,
    cx: &RequestContext<RoleServer>,
) -> Result<Value, ErrorData> {
    let call = Call {
        cx,
        arguments: request.arguments.unwrap_or_default(),
        inputs: request.input_responses.unwrap_or_default(),
    };
    let stage = fixture.rounds.stage(request.request_state.as_deref())?;
    let name = &*request.name;
    Ok(match name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => {
            result(json!([{ "type": "image", "data": PNG, "mimeType": "image/png" }]))
        }
        "test_audio_content" => {
            result(json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }]))
        }
        "test_embedded_resource" => result(json!([{ "type": "resource", "resource": {
            "uri": "test://embedded-resource",
            "mimeType": "text/plain",
            "text": "This is an embedded resource content.",
        } }])),
        "test_multiple_content_types" => result(json!([
            { "type": "text", "text": "Multiple content types test:" },
            { "type": "image", "data": PNG, "mimeType": "image/png" },
            { "type": "resource", "resource": {
                "uri": "test://mixed-content-resource",
                "mimeType": "application/json",
                "text": "{\"test\":\"data\",\"value\":123}",
            } },
        ])),
        "test_tool_with_logging" => {
            call.log("Tool execution started").await?;
            pause().await;
            call.log("Tool processing data").await?;
            pause().await;
            call.log("Tool execution completed").await?;
            text("The tool has logged three times.")
        }
        "test_logging_tool" => {
            call.log("A message for whoever wants it").await?;
            text("The tool has logged if it was asked to.")
        }
        "test_error_handling" => {
            let mut failed = text("This tool intentionally returns an error for testing");
            failed["isError"] = true.into();
            failed
        }
        "test_tool_with_progress" => {
            for progress in [0, 50, 100] {
                if let Some(token) = cx.meta.get_progress_token() {
                    let params =
                        json!({ "progressToken": token, "progress": progress, "total": 100 });
                    call.notify("notifications/progress", params).await?;
                }
                pause().await;
            }
            text("The tool has gone through its steps.")
        }
        "test_reconnection" => text("This server keeps the stream open until the result."),
        "test_sampling" => {
            let answer = call.request(sample(call.argument("prompt")?, 100)).await?;
            let answer = [("answer".to_owned(), answer)].into();
            text(&format!(
                "LLM response: {}",
                sampled(&answer, "answer").unwrap_or_default()
            ))
        }
        "test_elicitation" => {
            let field = |description: &str| json!({ "type": "string", "description": description });
            let schema = json!({
                "type": "object",
                "properties": { "username": field("User's response"), "email": field("User's email address") },
                "required": ["username", "email"],
            });
            call.elicit("User response", call.argument("message")?, schema)
                .await?
        }
        "test_elicitation_sep1034_defaults" => {
            let field = |kind: &str, default: Value| json!({ "type": kind, "default": default });
            let schema = json!({ "type": "object", "properties": {
                "name": field("string", "John Doe".into()),
                "age": field("integer", 30.into()),
                "score": field("number", 95.5.into()),
                "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                "verified": field("boolean", true.into()),
            }, "required": [] });
            call.elicit(
                "Elicitation completed",
                "Please look at these defaults",
                schema,
            )
            .await?
        }
        "test_elicitation_sep1330_enums" => {
            call.elicit("Elicitation completed", "Please choose", enums())
                .await?
        }
        "test_missing_capability" => {
            if call.capabilities().sampling.is_none() {
                let needed = typed(json!({ "sampling": {} }))?;
                return Err(ErrorData::missing_required_client_capability(needed));
            }
            text("The client can sample.")
        }
        "test_streaming_elicitation" => match accepted(&call.inputs, "answer", "answer") {
            Some(answer) => text(&format!("The answer is {answer}.")),
            None => ask(
                [("answer", form("What is the answer?", "answer", "string"))],
                None,
            ),
        },
        "test_trigger_tool_change" => {
            // Nobody may be listening.
            let _ = fixture.changes.send(Changed::Tools);
            text("Those who listen are told that the tools have changed.")
        }
        "test_trigger_prompt_change" => {
            let _ = fixture.changes.send(Changed::Prompts);
            text("Those who listen are told that the prompts have changed.")
        }
        "test_header" => text(&format!("The region is {}.", call.argument("region")?)),
        "json_schema_2020_12_tool" => text("This tool is for its schema."),
        "test_input_required_result_elicitation" => {
            match accepted(&call.inputs, "user_name", "name") {
                Some(name) => text(&format!("Hello, {name}!")),
                None => ask(
                    [("user_name", form("What is your name?", "name", "string"))],
                    None,
                ),
            }
        }
        "test_input_required_result_sampling" => match sampled(&call.inputs, "capital_question") {
            Some(said) => text(&format!("The model says: {said}")),
            None => ask(
                [(
                    "capital_question",
                    sample("What is the capital of France?", 100),
                )],
                None,
            ),
        },
        "test_input_required_result_list_roots" => match rooted(&call.inputs, "client_roots") {
            Some(uris) => text(&format!("The roots are {uris}.")),
            None => ask([("client_roots", roots())], None),
        },
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => {
            match (stage, accepted(&call.inputs, "confirm", "ok")) {
                (Some("confirm"), Some(_)) => text("state-ok"),
                _ => {
                    let state = fixture.rounds.issue("confirm");
                    ask(
                        [("confirm", form("Please confirm", "ok", "boolean"))],
                        Some(state),
                    )
                }
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let name = accepted(&call.inputs, "user_name", "name");
            let greeting = sampled(&call.inputs, "greeting");
            let uris = rooted(&call.inputs, "client_roots");
            match (stage, name, greeting, uris) {
                (Some("several"), Some(name), Some(greeting), Some(uris)) => {
                    text(&format!("{greeting}, {name}, at {uris}"))
                }
                _ => {
                    let state = fixture.rounds.issue("several");
                    let requests = [
                        ("user_name", form("What is your name?", "name", "string")),
                        ("greeting", sample("Generate a greeting", 50)),
                        ("client_roots", roots()),
                    ];
                    ask(requests, Some(state))
                }
            }
        }
        "test_input_required_result_multi_round" => {
            let name = accepted(&call.inputs, "step1", "name");
            let color = accepted(&call.inputs, "step2", "color");
            match (stage, name, color) {
                (Some("second"), _, Some(color)) => {
                    text(&format!("The favorite color is {color}."))
                }
                (Some("first"), Some(_), _) => {
                    let state = fixture.rounds.issue("second");
                    let question = form("Step 2: What is your favorite color?", "color", "string");
                    ask([("step2", question)], Some(state))
                }
                _ => {
                    let state = fixture.rounds.issue("first");
                    ask(
                        [(
                            "step1",
                            form("Step 1: What is your name?", "name", "string"),
                        )],
                        Some(state),
                    )
                }
            }
        }
        "test_input_required_result_capabilities" => {
            let client = call.capabilities();
            let mut asked = ask([], None);
            let requests = [
                (
                    "elicitation",
                    client.elicitation.is_some(),
                    form("What is your name?", "name", "string"),
                ),
                (
                    "sampling",
                    client.sampling.is_some(),
                    sample("Say something", 50),
                ),
                ("roots", client.roots.is_some(), roots()),
            ];
            for (key, declared, request) in requests {
                if declared {
                    asked["inputRequests"][key] = request;
                }
            }
            asked
        }
        _ => return Err(ErrorData::invalid_params(format!("no tool {name}"), None)),
    })
}

/// Every form of an enumeration that a question may have.
fn enums() -> Value {
    let titled = |word: &str| -> Value {
        let numbers = ["First", "Second", "Third"];
        let all = numbers.iter().enumerate();
        all.map(
            |(i, n)| json!({ "const": format!("value{}", i + 1), "title": format!("{n} {word}") }),
        )
        .collect()
    };
    let options = json!(["option1", "option2", "option3"]);
    json!({ "type": "object", "properties": {
        "untitledSingle": { "type": "string", "enum": options },
        "titledSingle": { "type": "string", "oneOf": titled("Option") },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": options } },
        "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
    }, "required": [] })
}
