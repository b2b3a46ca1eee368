//! Prompts, resources and completions, by the names the suite calls.

use rmcp::ErrorData;
use rmcp::model::GetPromptRequestParams;
use serde_json::{Value, json};

use crate::rounds;

/// One red pixel.
pub const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A header and no samples.
pub const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

const WATCHED: &str = "test://watched-resource";

pub fn prompts() -> Value {
    let argument =
        |name: &str| json!({ "name": name, "description": "An argument", "required": true });
    json!({ "prompts": [
        { "name": "test_simple_prompt", "description": "A prompt without arguments" },
        { "name": "test_prompt_with_arguments", "description": "A prompt with two arguments",
          "arguments": [argument("arg1"), argument("arg2")] },
        { "name": "test_prompt_with_embedded_resource", "description": "A prompt with a resource in it",
          "arguments": [argument("resourceUri")] },
        { "name": "test_prompt_with_image", "description": "A prompt with an image in it" },
        { "name": "test_input_required_result_prompt", "description": "A prompt that asks for its context" },
    ] })
}

pub fn prompt(request: &GetPromptRequestParams) -> Result<Value, ErrorData> {
    let user = |content: Value| json!({ "role": "user", "content": content });
    let text = |text: &str| json!({ "type": "text", "text": text });
    let argument = |name: &str| {
        let given = request
            .arguments
            .as_ref()
            .and_then(|a| a.get(name)?.as_str());
        given.ok_or_else(|| {
            ErrorData::invalid_params(format!("the argument {name} is missing"), None)
        })
    };
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![user(text("This is a simple prompt for testing."))],
        "test_prompt_with_arguments" => {
            let (one, two) = (argument("arg1")?, argument("arg2")?);
            vec![user(text(&format!(
                "Prompt with arguments: arg1='{one}', arg2='{two}'"
            )))]
        }
        "test_prompt_with_embedded_resource" => vec![
            user(json!({ "type": "resource", "resource": {
                "uri": argument("resourceUri")?,
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            } })),
            user(text("Please process the embedded resource above.")),
        ],
        "test_prompt_with_image" => vec![
            user(json!({ "type": "image", "data": PNG, "mimeType": "image/png" })),
            user(text("Please analyze the image above.")),
        ],
        "test_input_required_result_prompt" => {
            let inputs = request.input_responses.clone().unwrap_or_default();
            let Some(context) = rounds::accepted(&inputs, "user_context", "context") else {
                let ask = rounds::form("What context should the prompt use?", "context", "string");
                return Ok(rounds::ask([("user_context", ask)], None));
            };
            vec![user(text(&format!("Prompt in the context {context}")))]
        }
        other => {
            return Err(ErrorData::invalid_params(
                format!("no prompt {other}"),
                None,
            ));
        }
    };
    Ok(json!({ "messages": messages }))
}

pub fn resources() -> Value {
    json!({ "resources": [
        { "uri": "test://static-text", "name": "Text", "description": "Some text", "mimeType": "text/plain" },
        { "uri": "test://static-binary", "name": "Image", "description": "A pixel", "mimeType": "image/png" },
        { "uri": WATCHED, "name": "Watched", "description": "Can be subscribed to", "mimeType": "text/plain" },
    ] })
}

pub fn templates() -> Value {
    json!({ "resourceTemplates": [{
        "uriTemplate": "test://template/{id}/data",
        "name": "Template",
        "description": "Data by its id",
        "mimeType": "application/json",
    }] })
}

pub fn resource(uri: &str) -> Result<Value, ErrorData> {
    let text = |mime: &str, text: &str| json!({ "uri": uri, "mimeType": mime, "text": text });
    let content = match uri {
        "test://static-text" => text(
            "text/plain",
            "This is the content of the static text resource.",
        ),
        "test://static-binary" => json!({ "uri": uri, "mimeType": "image/png", "blob": PNG }),
        WATCHED => text("text/plain", "This is the content of the watched resource."),
        _ => {
            let id = uri
                .strip_prefix("test://template/")
                .and_then(|rest| rest.strip_suffix("/data"));
            let Some(id) = id else {
                return Err(ErrorData::resource_not_found(
                    "there is no such resource",
                    Some(json!({ "uri": uri })),
                ));
            };
            let data =
                json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            text("application/json", &data.to_string())
        }
    };
    Ok(json!({ "contents": [content] }))
}

pub fn completion(begun: &str) -> Value {
    let values: Vec<_> = ["paris", "park", "party"]
        .into_iter()
        .filter(|v| v.starts_with(begun))
        .collect();
    json!({ "completion": { "total": values.len(), "values": values, "hasMore": false } })
}
