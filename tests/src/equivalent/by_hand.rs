//! By hand, on rmcp alone: the same gate, negotiation, stamping and errors.

use std::sync::Arc;

use rmcp::handler::server::common::schema_for_type;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest,
    CustomResult, ErrorCode, ExtensionCapabilities, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::logic::Shelf;
use super::types::*;

const ID: &str = "com.example/notes";
const READ: &str = "com.example/notes/read";
const SEARCH: &str = "com.example/notes/search";
const ADD_NOTE: &str = "com.example/notes/addNote";
const SEARCH_TOOL: &str = "search_notes";
const ADD_TOOL: &str = "add_note";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The server.
#[derive(Clone)]
pub struct NotesServer {
    /// The notes.
    pub shelf: Arc<Shelf>,
    /// What it offers.
    pub settings: NotesSettings,
}

/// One member of some params: its name, whether it is required, and what it must be.
struct Member(&'static str, bool, Must);

enum Must {
    BeText(usize),
    BeNumber(u64),
}

const READ_PARAMS: &[Member] = &[Member("id", true, Must::BeText(64))];
const SEARCH_PARAMS: &[Member] = &[
    Member("word", true, Must::BeText(100)),
    Member("limit", false, Must::BeNumber(50)),
];
const ADD_NOTE_PARAMS: &[Member] = &[
    Member("title", true, Must::BeText(80)),
    Member("text", true, Must::BeText(2000)),
];

/// Every fault of some params.
fn faults(params: &JsonObject, members: &[Member]) -> Vec<Value> {
    let mut faults = Vec::new();
    let mut fault = |name: &str, expected: String, seen: &str| {
        let message = format!("{name}: expected {expected}, saw {seen}");
        faults.push(json!({
            "pointer": format!("/{name}"), "expected": expected, "seen": seen, "message": message,
        }));
    };
    for Member(name, required, must) in members {
        match (params.get(*name), must) {
            (None, _) if *required => fault(name, "a value".to_owned(), "nothing"),
            (None, _) | (Some(Value::Null), Must::BeNumber(_)) => {}
            (Some(Value::String(text)), Must::BeText(max)) => match text.chars().count() {
                n if n == 0 || n > *max => {
                    fault(name, format!("1 to {max} characters"), &format!("{n}"));
                }
                _ => {}
            },
            (Some(Value::Number(n)), Must::BeNumber(max)) => match n.as_u64() {
                Some(n) if (1..=*max).contains(&n) => {}
                _ => fault(
                    name,
                    format!("a whole number, 1 to {max}"),
                    "another number",
                ),
            },
            (Some(_), Must::BeText(_)) => fault(name, "a string".to_owned(), "another type"),
            (Some(_), Must::BeNumber(_)) => fault(name, "an integer".to_owned(), "another type"),
        }
    }
    for name in params
        .keys()
        .filter(|k| !members.iter().any(|m| m.0 == **k))
    {
        fault(name, "no such member".to_owned(), "a member");
    }
    faults
}

fn parse<T: DeserializeOwned>(
    params: Option<Value>,
    members: &[Member],
) -> Result<T, (String, Vec<Value>)> {
    let params = params.unwrap_or_else(|| json!({}));
    let faults = params
        .as_object()
        .map_or(Vec::new(), |params| faults(params, members));
    if !faults.is_empty() {
        return Err(("the params do not fit".to_owned(), faults));
    }
    serde_json::from_value(params).map_err(|error| (error.to_string(), Vec::new()))
}

/// Why a call failed: code, words, and `data`.
struct Failure(i32, String, Value);

impl From<(String, Vec<Value>)> for Failure {
    fn from((message, faults): (String, Vec<Value>)) -> Self {
        let data = json!({ "extension": ID, "kind": "invalid_params", "faults": faults });
        Self(ErrorCode::INVALID_PARAMS.0, message, data)
    }
}

impl From<NotesError> for Failure {
    fn from(error: NotesError) -> Self {
        match error {
            NotesError::UnknownNote { id } => Self(
                40404,
                format!("no note {id}"),
                json!({ "extension": ID, "kind": "unknown_note", "details": { "id": id } }),
            ),
            NotesError::ReadOnly {} => Self(
                40403,
                "writing was not negotiated; declare write: true".to_owned(),
                json!({ "extension": ID, "kind": "read_only" }),
            ),
        }
    }
}

impl From<Failure> for ErrorData {
    fn from(Failure(code, message, data): Failure) -> Self {
        ErrorData::new(ErrorCode(code), message, Some(data))
    }
}

impl From<Failure> for CallToolResult {
    fn from(Failure(_, message, mut data): Failure) -> Self {
        data["message"] = json!(message);
        let mut result = CallToolResult::structured_error(json!({ "error": data }));
        result.content = vec![ContentBlock::text(message)];
        result
    }
}

fn negotiate(server: &NotesSettings, client: &NotesSettings) -> Result<NotesSettings, Value> {
    let formats = match (&server.formats, &client.formats) {
        (Some(server), Some(client)) => Some(server & client),
        (one, other) => one.clone().or(other.clone()),
    };
    if formats.as_ref().is_some_and(|f| f.is_empty()) {
        return Err(json!([{
            "field": "formats", "rule": "intersect", "server": server.formats, "client": client.formats,
        }]));
    }
    let max_results = match (server.max_results, client.max_results) {
        (Some(server), Some(client)) => Some(server.min(client)),
        (one, other) => one.or(other),
    };
    let write = server.write && client.write;
    Ok(NotesSettings {
        formats,
        max_results,
        write,
    })
}

impl NotesServer {
    fn modern(context: &RequestContext<RoleServer>) -> bool {
        context
            .meta
            .contains_key("io.modelcontextprotocol/protocolVersion")
    }

    /// What the client declared: in this request, else for its session.
    fn declared(context: &RequestContext<RoleServer>) -> Result<Option<Value>, ErrorData> {
        if let Some(capabilities) = context.meta.get(CAPABILITIES) {
            return match capabilities.get("extensions").and_then(|e| e.get(ID)) {
                Some(settings) if !settings.is_object() => Err(ErrorData::invalid_params(
                    format!("{ID} must be an object"),
                    None,
                )),
                settings => Ok(settings.cloned()),
            };
        }
        let session = context.peer.peer_info();
        let extensions = session.and_then(|info| info.capabilities.extensions.clone());
        Ok(extensions
            .and_then(|e| e.get(ID).cloned())
            .map(Value::Object))
    }

    /// What is in force; the inner error is for calls that need it.
    fn gate(
        &self,
        context: &RequestContext<RoleServer>,
    ) -> Result<Result<NotesSettings, ErrorData>, ErrorData> {
        let modern = Self::modern(context);
        let code = if modern {
            -32021
        } else {
            ErrorCode::METHOD_NOT_FOUND.0
        };
        let refused = |message: &str, data: Value| {
            Ok(Err(ErrorData::new(
                ErrorCode(code),
                message.to_owned(),
                Some(data),
            )))
        };
        let Some(declared) = Self::declared(context)? else {
            let data = if modern {
                json!({ "requiredCapabilities": { "extensions": { ID: {} } } })
            } else {
                json!({ "extension": ID, "kind": "not_declared" })
            };
            return refused(
                &format!("this call needs {ID}, which was not declared"),
                data,
            );
        };
        let client: NotesSettings = serde_json::from_value(declared).map_err(|error| {
            let data = json!({ "extension": ID, "kind": "invalid_settings" });
            ErrorData::invalid_params(format!("the settings do not fit: {error}"), Some(data))
        })?;
        match negotiate(&self.settings, &client) {
            Ok(settings) => Ok(Ok(settings)),
            Err(mismatch) => {
                let passing = json!({ ID: { "formats": self.settings.formats } });
                let data = json!({
                    "extension": ID, "kind": "settings_mismatch", "mismatch": mismatch,
                    "requiredCapabilities": { "extensions": passing },
                });
                refused("the settings of both sides do not combine", data)
            }
        }
    }

    fn call(&self, name: &str, settings: &NotesSettings, params: Option<Value>) -> Outcome {
        match name {
            READ => written(self.shelf.read(parse(params, READ_PARAMS)?)?),
            SEARCH | SEARCH_TOOL => {
                written(self.shelf.search(settings, parse(params, SEARCH_PARAMS)?))
            }
            _ => written(
                self.shelf
                    .add_note(settings, parse(params, ADD_NOTE_PARAMS)?)?,
            ),
        }
    }
}

type Outcome = Result<Value, Failure>;

fn written<T: Serialize>(result: T) -> Outcome {
    serde_json::to_value(result)
        .map_err(|error| Failure(ErrorCode::INTERNAL_ERROR.0, error.to_string(), json!({})))
}

fn tool<I: JsonSchema + 'static, O: JsonSchema + 'static>(
    name: &'static str,
    docs: &'static str,
) -> Tool {
    let mut input = (*schema_for_type::<I>()).clone();
    input.remove("$schema");
    Tool::new(name, docs, input).with_raw_output_schema(schema_for_type::<O>())
}

impl ServerHandler for NotesServer {
    fn get_info(&self) -> ServerConfig {
        let settings = serde_json::to_value(&self.settings).unwrap_or_default();
        let settings = settings.as_object().cloned().unwrap_or_default();
        let settings = settings.into_iter().filter(|(_, v)| !v.is_null()).collect();
        let extensions = ExtensionCapabilities::from([(ID.to_owned(), settings)]);
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_extensions_with(extensions)
                .enable_tools()
                .build(),
        )
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method.as_str();
        if ![READ, SEARCH, ADD_NOTE].contains(&method) {
            let message = format!("method {method} is not offered here");
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None));
        }
        let settings = self.gate(&context)??;
        let mut result = self.call(method, &settings, request.params)?;
        if Self::modern(&context) {
            result["resultType"] = json!("complete");
        }
        Ok(CustomResult::new(result))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let search = tool::<SearchParams, Found>(SEARCH_TOOL, "Searches the notes for a word.")
            .with_annotations(ToolAnnotations::new().read_only(true));
        let add = tool::<AddNoteParams, Note>(ADD_TOOL, "Keeps a new note.")
            .with_annotations(ToolAnnotations::new().destructive(false));
        Ok(ListToolsResult::with_all_items(vec![add, search]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = &*request.name;
        if ![SEARCH_TOOL, ADD_TOOL].contains(&name) {
            return Err(ErrorData::invalid_params(format!("no tool {name}"), None));
        }
        let settings = match self.gate(&context)? {
            Ok(settings) => settings,
            Err(_) if name == SEARCH_TOOL => NotesSettings::default(),
            Err(error) if !Self::modern(&context) => {
                let data = error.data.unwrap_or_default();
                let failure = Failure(error.code.0, error.message.into_owned(), data);
                return Ok(CallToolResult::from(failure).into());
            }
            Err(error) => return Err(error),
        };
        let result = self.call(name, &settings, request.arguments.map(Value::Object));
        Ok(match result {
            Ok(value) => CallToolResult::structured(value).into(),
            Err(failure) => CallToolResult::from(failure).into(),
        })
    }
}
