//! The client's side: negotiation, and typed calls through any SDK.

mod extra;
mod refusal;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::algebra::{Mismatch, MismatchRow, Negotiate, Rule};
use crate::contract::Item;
use crate::error::ExtensionError;
use crate::extension::{Extension, decode_settings};
use crate::protocol::Era;
use crate::set::REVISION;
use crate::wire::{JsonObject, RpcError, meta};

use self::extra::Extra;
pub use self::extra::{Answers, Argument, With};
pub use self::refusal::{InputRequest, InputRequired, Refusal};

/// What a typed client sends through; one implementation per client SDK.
pub trait Caller: Send + Sync {
    /// The era of the connection.
    fn era(&self) -> Era;

    /// `capabilities.extensions` as the server advertised it in `initialize` or `server/discover`.
    fn server_extensions(&self) -> impl Future<Output = Result<JsonObject, CallerError>> + Send;

    /// Sends one request and gives its whole result.
    fn call(&self, request: Outgoing) -> impl Future<Output = Result<Value, CallerError>> + Send;
}

/// One request to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The method.
    pub method: String,
    /// The params, without `_meta`.
    pub params: JsonObject,
    /// The `extensions` object to declare, to be merged into the client capabilities in `_meta`.
    pub declare: JsonObject,
    /// The value of the `Mcp-Name` header over HTTP, encoded.
    pub mcp_name: Option<String>,
}

impl Outgoing {
    /// Merges the declaration into `_meta` of the request: the client capabilities that the SDK sends anyway keep
    /// their members.
    pub fn declare_into(&self, meta: &mut JsonObject) {
        let capabilities = meta
            .entry(meta::CLIENT_CAPABILITIES)
            .or_insert_with(|| json!({}));
        if !capabilities.is_object() {
            *capabilities = json!({});
        }
        if let Value::Object(capabilities) = capabilities {
            let extensions = capabilities
                .entry("extensions")
                .or_insert_with(|| json!({}));
            if let Value::Object(extensions) = extensions {
                extensions.extend(self.declare.clone());
            }
        }
    }
}

/// Why a request got no result.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallerError {
    /// The server answered with an error.
    Rpc(RpcError),
    /// The request did not get there, or the answer not back.
    Transport(String),
    /// The same, where the caller can tell what stopped it.
    Stopped(Stopped),
}

impl From<Stopped> for CallerError {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// What stopped a call on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// No answer came in time. Whether the server acted is not known.
    TimedOut {
        /// How long the call waited.
        after: Duration,
    },
    /// The connection ended before the answer came. Whether the server acted is not known.
    Closed {
        /// What ended it.
        why: String,
    },
    /// As many calls as this caller makes at once are under way; nothing was sent.
    Busy {
        /// How many that are.
        limit: usize,
    },
    /// The answer is larger than this caller takes.
    TooLarge {
        /// How many bytes it takes.
        limit: usize,
    },
    /// The server refused the request over HTTP, with no answer of the protocol: 401 wants an `Authorization` header.
    Status {
        /// The status.
        status: u16,
    },
    /// What the server answered is no answer of the protocol.
    Malformed {
        /// What is wrong with it.
        why: String,
    },
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TimedOut { after } => write!(f, "no answer came within {after:?}"),
            Self::Closed { why } => write!(f, "the connection ended before the answer: {why}"),
            Self::Busy { limit } => {
                write!(
                    f,
                    "nothing was sent: {limit} calls are under way, the most at once; try again"
                )
            }
            Self::TooLarge { limit } => write!(f, "the answer is larger than {limit} bytes"),
            Self::Status { status } => write!(f, "the server answered HTTP {status}"),
            Self::Malformed { why } => write!(f, "the answer is none of the protocol: {why}"),
        }
    }
}

impl std::error::Error for Stopped {}

impl std::fmt::Display for CallerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rpc(error) => write!(f, "the server refused: {error}"),
            Self::Transport(why) => write!(f, "the server could not be reached: {why}"),
            Self::Stopped(stopped) => stopped.fmt(f),
        }
    }
}

impl std::error::Error for CallerError {}

/// Why a typed call failed. `X` is the extension's own error type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CallError<X> {
    /// One of the extension's own errors.
    Own(X),
    /// Another error of the server.
    Rpc(RpcError),
    /// The request did not get there, or the answer not back.
    Transport(String),
    /// The same, where the caller can tell what stopped it.
    Stopped(Stopped),
    /// The server does not offer this item; nothing was sent (NEG-17, NEG-18).
    NotOffered {
        /// The item.
        item: &'static str,
        /// The settings flag that is off.
        flag: &'static str,
    },
    /// The trait of the extension has no fn of this name; nothing was sent.
    UnknownItem {
        /// What was asked for.
        item: &'static str,
        /// The identifier of the extension.
        extension: &'static str,
    },
    /// The result is not one of this method; nothing of it was used (RT-2, RT-7).
    InvalidResult {
        /// The item.
        item: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A block of the server refused the call; [`Refusal::error`] gives the block's own typed error.
    Refused(Box<Refusal>),
    /// The user is to be asked first; nothing was done yet.
    InputRequired(Box<InputRequired>),
    /// A tool's failure that is none of an extension's errors, in the tool's words.
    Tool(String),
    /// The params do not serialise to a JSON object; nothing was sent.
    Params {
        /// The item.
        item: &'static str,
    },
}

/// So that one function may negotiate and call.
impl<X> From<CallerError> for CallError<X> {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Rpc(error) => Self::Rpc(error),
            CallerError::Transport(why) => Self::Transport(why),
            CallerError::Stopped(stopped) => Self::Stopped(stopped),
        }
    }
}

impl<X: std::fmt::Display> std::fmt::Display for CallError<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(error) => error.fmt(f),
            Self::Rpc(error) => write!(f, "the server refused: {error}"),
            Self::Transport(why) => write!(f, "the server could not be reached: {why}"),
            Self::Stopped(stopped) => stopped.fmt(f),
            Self::NotOffered { item, flag } => {
                write!(
                    f,
                    "{item} was not called: the server does not advertise `{flag}`"
                )
            }
            Self::UnknownItem { item, extension } => {
                write!(
                    f,
                    "{item} was not called: the trait of {extension} has no fn of this name; give the fn's name, not \
                     that of its tool or method"
                )
            }
            Self::InvalidResult { item, why } => {
                write!(f, "the result of {item} is invalid: {why}")
            }
            Self::Refused(refusal) => write!(f, "{} refused: {refusal}", refusal.extension),
            Self::InputRequired(asked) => {
                write!(f, "the user must be asked first, by {}", asked.tool)
            }
            Self::Tool(text) => write!(f, "the tool failed: {text}"),
            Self::Params { item } => {
                write!(f, "{item} was not called: its params are not a JSON object")
            }
        }
    }
}

impl<X: std::fmt::Debug + std::fmt::Display> std::error::Error for CallError<X> {}

/// What came of negotiating with a server.
#[derive(Debug)]
pub enum Negotiation<T> {
    /// In force: call through this.
    Active(T),
    /// The server does not offer the extension: fall back to the core protocol.
    NotOffered,
    /// Both have it, but their settings do not combine: which field, both values, the rule.
    Incompatible(Mismatch),
}

impl<T> Negotiation<T> {
    /// The active client, if any.
    pub fn active(self) -> Option<T> {
        match self {
            Self::Active(client) => Some(client),
            Self::NotOffered | Self::Incompatible(_) => None,
        }
    }
}

/// An extension with a typed client; `#[extension]` implements it.
#[doc(hidden)]
pub trait HasClient: Extension {
    /// The typed client over a caller.
    type Typed<C: Caller>: From<Active<Self, C>>;
}

/// A client that has not negotiated yet.
pub struct Client<E: Extension, C> {
    caller: C,
    settings: E::Client,
}

impl<E: HasClient, C: Caller> Client<E, C> {
    /// A client that declares the default settings.
    pub fn new(caller: C) -> Self {
        Self {
            caller,
            settings: E::Client::default(),
        }
    }

    /// Sets what is declared.
    #[must_use]
    pub fn declare(mut self, settings: E::Client) -> Self {
        self.settings = settings;
        self
    }

    /// Combines the server's advertised settings with the declared ones.
    ///
    /// # Errors
    /// [`CallerError`] when the server cannot be asked.
    pub async fn negotiate(self) -> Result<Negotiation<E::Typed<C>>, CallerError> {
        let contract = E::CONTRACT;
        let era = self.caller.era();
        if !contract.protocol.covers_era(era) {
            return Ok(Negotiation::NotOffered);
        }
        let mut offered = self.caller.server_extensions().await?;
        // A value that is not an object, or has members of a wrong type, counts as not advertised (H15).
        let Some(Value::Object(offered)) = offered.remove(contract.id.as_str()) else {
            return Ok(Negotiation::NotOffered);
        };
        match offered.get(REVISION) {
            None => {}
            Some(Value::String(revision)) if contract.understands(Some(revision)) => {}
            Some(other) => {
                return Ok(Negotiation::Incompatible(Mismatch {
                    rows: vec![MismatchRow {
                        field: REVISION.to_owned(),
                        rule: Rule::Revision,
                        server: other.clone(),
                        client: json!(contract.revision),
                    }],
                }));
            }
        }
        let Ok(server) = decode_settings::<E::Server>(&offered, &contract.settings.server) else {
            return Ok(Negotiation::NotOffered);
        };
        let negotiated = match E::Server::negotiate(&server, &self.settings) {
            Ok(negotiated) => negotiated,
            Err(mismatch) => return Ok(Negotiation::Incompatible(mismatch)),
        };
        let mut declare = declaration::<E>(&self.settings)?;
        // The server may demand what the extension requires; those are declared with their defaults.
        require(contract, &mut declare);
        Ok(Negotiation::Active(
            Active {
                caller: self.caller,
                agreed: Arc::new(Agreed {
                    negotiated,
                    offered,
                    declare,
                }),
                extension: PhantomData,
            }
            .into(),
        ))
    }
}

fn require(contract: &'static crate::Contract, declare: &mut JsonObject) {
    for required in contract.requires {
        if !declare.contains_key(required.id.as_str()) {
            declare.insert(required.id.to_string(), json!({}));
            require(required, declare);
        }
    }
}

/// The `extensions` object that declares `E` with these settings, for `initialize` or `_meta`.
///
/// # Errors
/// [`CallerError::Transport`] when the settings do not serialise to a JSON object.
pub fn declaration<E: Extension>(settings: &E::Client) -> Result<JsonObject, CallerError> {
    let Ok(Value::Object(mut settings)) = serde_json::to_value(settings) else {
        return Err(CallerError::Transport(format!(
            "the settings of {} are not a JSON object",
            E::CONTRACT.id
        )));
    };
    crate::wire::leave_out_nulls(&mut settings);
    if let Some(revision) = E::CONTRACT.revision {
        settings.insert(REVISION.into(), revision.into());
    }
    Ok(JsonObject::from_iter([(
        E::CONTRACT.id.to_string(),
        Value::Object(settings),
    )]))
}

/// A negotiated client; the typed one derefs to it.
pub struct Active<E: Extension, C> {
    caller: C,
    agreed: Arc<Agreed<E::Negotiated>>,
    extension: PhantomData<fn() -> E>,
}

/// What one negotiation gave.
struct Agreed<N> {
    negotiated: N,
    offered: JsonObject,
    declare: JsonObject,
}

impl<E: Extension, C: Caller> Active<E, C> {
    /// What was negotiated.
    pub fn settings(&self) -> &E::Negotiated {
        &self.agreed.negotiated
    }

    /// What is sent through.
    pub fn caller(&self) -> &C {
        &self.caller
    }

    /// Whether the server advertises the optional item's flag.
    pub fn offers(&self, flag: &str) -> bool {
        self.agreed.offered.get(flag) == Some(&Value::Bool(true))
    }

    /// The same client with an argument of a block: `orders.with(&key).place_order(order).await`.
    pub fn with<A: Argument>(&self, argument: &A) -> E::Typed<With<'_, C>>
    where
        E: HasClient,
    {
        self.bringing(Extra::Argument(A::NAME.into(), Some(argument.value())))
    }

    /// The same client with an argument of a block that has no type for it:
    /// `orders.with_argument("idempotencyKey", "order-17").place_order(order).await`. A param of that name gives way.
    pub fn with_argument(
        &self,
        name: impl Into<Cow<'static, str>>,
        value: impl Serialize,
    ) -> E::Typed<With<'_, C>>
    where
        E: HasClient,
    {
        let value = serde_json::to_value(value).ok();
        self.bringing(Extra::Argument(name.into(), value))
    }

    /// The same client with what the user answered to an [`InputRequired`] of the tool that is called again.
    pub fn with_answers(&self, answers: Answers) -> E::Typed<With<'_, C>>
    where
        E: HasClient,
    {
        self.bringing(Extra::Answers(answers))
    }

    /// Calls the method made of the fn `name`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn method<P: Serialize, R: DeserializeOwned, X: ExtensionError>(
        &self,
        name: &'static str,
        params: &P,
    ) -> Result<R, CallError<X>> {
        let item = item::<E, X>(name)?;
        let method = item.method.map_or(item.name, |m| m.wire);
        let params = self.params(item, params)?;
        let mcp_name = item
            .method
            .and_then(|m| m.mcp_name)
            .and_then(|pointer| params.get(pointer.trim_start_matches('/')))
            .and_then(Value::as_str)
            .map(crate::headers::encode);
        let result = self.send(method, params, mcp_name).await?;
        let result = complete(item, result)?;
        serde_json::from_value(Value::Object(result)).map_err(|e| invalid(item, &e))
    }

    /// Calls the tool made of the fn `name`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn tool<P: Serialize, R: DeserializeOwned, X: ExtensionError>(
        &self,
        name: &'static str,
        arguments: &P,
    ) -> Result<R, CallError<X>> {
        let item = item::<E, X>(name)?;
        let name = item.tool.map_or(item.name, |t| t.name);
        let arguments = self.params(item, arguments)?;
        let call = JsonObject::from_iter([
            ("name".to_owned(), json!(name)),
            ("arguments".to_owned(), Value::Object(arguments)),
        ]);
        let result = asks(item, self.send("tools/call", call, None).await?)?;
        let mut result = complete(item, result)?;
        let structured = result.remove("structuredContent").unwrap_or_default();
        if result.get("isError") == Some(&Value::Bool(true)) {
            let error = &structured["error"];
            let own = error["kind"]
                .as_str()
                .filter(|_| error["extension"] == E::CONTRACT.id.as_str());
            if let Some(own) = own.and_then(|kind| X::from_wire(kind, &error["details"])) {
                return Err(CallError::Own(own));
            }
            if let Some(refusal) = Refusal::of_tool(E::CONTRACT.id.as_str(), error) {
                return Err(CallError::Refused(Box::new(refusal)));
            }
            let text = result
                .get("content")
                .and_then(Value::as_array)
                .and_then(|blocks| blocks.first())
                .and_then(|block| block.get("text"))
                .and_then(Value::as_str)
                .unwrap_or("no words were given");
            return Err(CallError::Tool(text.to_owned()));
        }
        serde_json::from_value(structured).map_err(|e| invalid(item, &e))
    }

    fn bringing(&self, extra: Extra) -> E::Typed<With<'_, C>>
    where
        E: HasClient,
    {
        Active {
            caller: With::new(&self.caller, extra),
            agreed: self.agreed.clone(),
            extension: PhantomData,
        }
        .into()
    }

    fn params<P: Serialize, X>(
        &self,
        item: &'static Item,
        params: &P,
    ) -> Result<JsonObject, CallError<X>> {
        if let Some(flag) = item.optional.filter(|flag| !self.offers(flag)) {
            return Err(CallError::NotOffered {
                item: item.name,
                flag,
            });
        }
        match serde_json::to_value(params) {
            Ok(Value::Object(params)) => Ok(params),
            // A unit struct says `null`: no params.
            Ok(Value::Null) => Ok(JsonObject::new()),
            _ => Err(CallError::Params { item: item.name }),
        }
    }

    async fn send<X: ExtensionError>(
        &self,
        method: &str,
        params: JsonObject,
        mcp_name: Option<String>,
    ) -> Result<Value, CallError<X>> {
        let request = Outgoing {
            method: method.to_owned(),
            params,
            declare: self.agreed.declare.clone(),
            mcp_name,
        };
        self.caller
            .call(request)
            .await
            .map_err(|error| match error {
                CallerError::Transport(why) => CallError::Transport(why),
                CallerError::Stopped(stopped) => CallError::Stopped(stopped),
                CallerError::Rpc(error) => {
                    let data = error.data.as_ref().unwrap_or(&Value::Null);
                    let ours = data["extension"] == E::CONTRACT.id.as_str();
                    let spec = data["kind"].as_str().filter(|kind| {
                        ours && X::ERRORS
                            .iter()
                            .any(|spec| spec.kind == *kind && spec.code == error.code)
                    });
                    match spec.and_then(|kind| X::from_wire(kind, &data["details"])) {
                        Some(own) => CallError::Own(own),
                        None => match Refusal::of_rpc(E::CONTRACT.id.as_str(), error) {
                            Ok(refusal) => CallError::Refused(Box::new(refusal)),
                            Err(error) => CallError::Rpc(error),
                        },
                    }
                }
            })
    }
}

fn item<E: Extension, X>(name: &'static str) -> Result<&'static Item, CallError<X>> {
    // Only a hand-written client can ask for an item that the contract lacks.
    E::CONTRACT
        .items
        .iter()
        .find(|i| i.name == name)
        .ok_or(CallError::UnknownItem {
            item: name,
            extension: E::CONTRACT.id.as_str(),
        })
}

fn invalid<X>(item: &Item, error: &serde_json::Error) -> CallError<X> {
    CallError::InvalidResult {
        item: item.name,
        why: error.to_string(),
    }
}

/// Lets every result pass but one that wants the user asked first.
fn asks<X>(item: &'static Item, result: Value) -> Result<Value, CallError<X>> {
    if result["resultType"] != "input_required" {
        return Ok(result);
    }
    let tool = item.tool.map_or(item.name, |t| t.name);
    let object = match result {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    };
    Err(match InputRequired::read(tool, object) {
        Ok(asked) => CallError::InputRequired(Box::new(asked)),
        Err(why) => CallError::InvalidResult {
            item: item.name,
            why: why.to_owned(),
        },
    })
}

/// Takes a result that is complete: `resultType` is `complete`, or absent as from servers of earlier versions.
fn complete<X>(item: &'static Item, result: Value) -> Result<JsonObject, CallError<X>> {
    let invalid = |why: String| CallError::InvalidResult {
        item: item.name,
        why,
    };
    let Value::Object(mut result) = result else {
        return Err(invalid("it is not an object".to_owned()));
    };
    match result.remove("resultType") {
        None => {}
        Some(Value::String(kind)) if kind == "complete" => {}
        Some(Value::String(kind)) => {
            return Err(invalid(format!(
                "its resultType {} is not one this client knows",
                crate::wire::shown(&kind)
            )));
        }
        Some(_) => return Err(invalid("its resultType is not a string".to_owned())),
    }
    result.remove("_meta");
    Ok(result)
}
