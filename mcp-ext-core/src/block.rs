//! Room for blocks: extensions that stand around the items of others (audit, policy, labels, ...).
//!
//! The set resolves the blocks of each item once, at build, into one fixed nesting. An item without blocks pays
//! nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

pub use crate::call::Failure;
use crate::contract::{Contract, Item};
use crate::cx::{CallCx, Facts};
use crate::error::ExtensionError;
use crate::extension::Extension;
use crate::faults::{self, Fault};
use crate::protocol::Era;
use crate::request::{BoxFuture, Input};
use crate::wire::{JsonObject, RpcError, code, meta};

/// Names a block, so that `needs(..)` can point at its type.
pub trait BlockName {
    /// The name, unique among the blocks of a server; usually the identifier of the block's extension.
    const NAME: &'static str;
}

/// Where a block stands in the nesting; smaller is further out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u16);

impl Place {
    /// Outermost: writes down intent and outcome, refusals included.
    pub const AUDIT: Self = Self(100);
    /// Decides whether the call may happen.
    pub const POLICY: Self = Self(200);
    /// Checks consent and purpose of use.
    pub const CONSENT: Self = Self(300);
    /// Answers a repeated call from its store.
    pub const IDEMPOTENCY: Self = Self(400);
    /// Asks before it acts.
    pub const CONFIRM: Self = Self(500);
    /// Says where the data came from.
    pub const CITATIONS: Self = Self(600);
    /// Innermost: labels the data.
    pub const LABELS: Self = Self(700);
}

/// A member that a block has in the params of an item, or adds to its results.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name, in camel case.
    pub name: &'static str,
    /// Its JSON Schema, with a `description` that a model reads.
    pub schema: Value,
    /// Whether an argument must be given. Members of results are never required, since a failure has none.
    pub required: bool,
}

/// The call a block stands around.
pub struct BlockCall<'a> {
    /// The extension that owns the item.
    pub contract: &'static Contract,
    /// The item.
    pub item: &'static Item,
    /// Whether it was called as a tool.
    pub tool: bool,
    /// The params as the handler sees them: without `_meta` and without what blocks have taken off. What a digest of the
    /// call is made of is [`whole`](Self::whole).
    pub params: &'a Value,
    /// What blocks have taken off the params: the members they name in [`Block::arguments`].
    pub arguments: &'a JsonObject,
    /// Who calls, `_meta`, shared facts, what was negotiated.
    pub cx: &'a CallCx,
    pub(crate) chain: &'a Chain,
}

impl BlockCall<'_> {
    /// Whether a block of this name stands around the item, be it that the item needs it or that the block covers it.
    pub fn is_within(&self, block: &str) -> bool {
        self.chain.blocks.iter().any(|b| b.name() == block)
    }

    /// The params, and the [`Grounds`] that the blocks further out gave, if any: two calls of which these are equal are
    /// the same call. For a digest.
    pub fn whole(&self) -> Cow<'_, Value> {
        match self.cx.facts().get::<Grounds>() {
            None => Cow::Borrowed(self.params),
            Some(Grounds(grounds)) => Cow::Owned(json!([self.params, grounds])),
        }
    }

    /// A block's own argument, whether it was taken off the params or the item has a member of that name itself.
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.get(name).or_else(|| self.params.get(name))
    }

    /// What is wrong with the params by the contract's schema. A block that asks a person looks here first: the handler
    /// will refuse such params anyway.
    pub fn faults(&self) -> Vec<Fault> {
        faults::find(self.params, &self.item.params, self.item.echo)
    }

    /// What the client answered to an earlier [`Before::Ask`].
    pub fn input(&self) -> &Input {
        self.cx.input()
    }

    /// The way to ask the user, where there is one: a tool call of the modern era whose client declared form
    /// elicitation on this very request (checks MR-1 and MR-4).
    pub fn elicitation(&self) -> Option<Elicitation> {
        let capabilities = self.cx.meta().get(meta::CLIENT_CAPABILITIES)?;
        let declared = capabilities.get("elicitation")?.as_object()?;
        let form = declared.is_empty() || declared.get("form").is_some_and(Value::is_object);
        (self.tool && self.cx.era() == Era::Modern && form).then_some(Elicitation(()))
    }
}

/// Proof that the user can be asked now; see [`BlockCall::elicitation`].
#[derive(Debug)]
pub struct Elicitation(());

impl Elicitation {
    /// Asks with a form. `key` names the answer in [`Input::responses`]; `requested_schema` is a flat object of
    /// primitive properties, and never asks for a secret (MR-9, MR-10). `state` comes back as [`Input::state`]: it
    /// passes through the client, so it must be sealed if anything depends on it (MR-5).
    #[must_use]
    pub fn form(
        self,
        key: &str,
        message: impl Into<String>,
        requested_schema: Value,
        state: impl Into<String>,
    ) -> InputRequired {
        let mut requests = JsonObject::new();
        requests.insert(
            key.to_owned(),
            json!({
                "method": "elicitation/create",
                "params": { "mode": "form", "message": message.into(), "requestedSchema": requested_schema },
            }),
        );
        InputRequired {
            requests,
            state: state.into(),
        }
    }
}

/// What the client must ask its user before it repeats the call; made by [`Elicitation`].
#[derive(Clone, Debug, PartialEq)]
pub struct InputRequired {
    requests: JsonObject,
    state: String,
}

impl InputRequired {
    /// The members of the result (`InputRequiredResult` of the protocol), without `resultType`.
    pub(crate) fn into_object(self) -> JsonObject {
        let mut object = JsonObject::new();
        object.insert("inputRequests".into(), Value::Object(self.requests));
        object.insert("requestState".into(), self.state.into());
        object
    }
}

/// A block's own refusal: of a call ([`Before::Refuse`]), or of the result of a handler that ran
/// ([`Failure::Withheld`]).
///
/// A method answers with `code`, the message, and `data: {extension, kind, details}`; a tool with `isError: true`, the
/// message as text, and the same in `structuredContent.error`.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The identifier of the block's extension.
    pub extension: Cow<'static, str>,
    /// The code of the error in that extension's table.
    pub code: i32,
    /// `data.kind`.
    pub kind: Cow<'static, str>,
    /// What a person or a model should know, and can do.
    pub message: String,
    /// `data.details`.
    pub details: JsonObject,
    /// Whether the same call may succeed later.
    pub retryable: bool,
}

impl Refusal {
    /// One of the own errors of extension `E`.
    pub fn of<E: Extension, X: ExtensionError>(error: &X) -> Self {
        let spec = X::ERRORS.get(error.index());
        Self {
            extension: Cow::Borrowed(E::CONTRACT.id.as_str()),
            code: spec.map_or(code::INTERNAL_ERROR, |s| s.code),
            kind: Cow::Borrowed(spec.map_or("undeclared", |s| s.kind)),
            message: error.message(),
            details: error.details(),
            retryable: spec.is_some_and(|s| s.retryable),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A fact that a block puts into `cx.facts()` when it leaves it to the block that has calls confirmed, further in, to have
/// this one confirmed: that block then asks, also where it would let the call pass unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MustConfirm;

/// The fact of what a call is permitted on, beside its params: what it is for, which rule narrows it. What is remembered of
/// a call on some grounds (an answer, a confirmation) is not for the same call on others.
///
/// ```
/// use mcp_ext_core::block::Grounds;
/// use mcp_ext_core::cx::Facts;
///
/// let facts = Facts::default(); // of the call: `call.cx.facts()`
/// Grounds::add(&facts, "com.example/consent", "treatment");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds(BTreeMap<&'static str, String>);

impl Grounds {
    /// Adds what a block of this name has to say, for its `before`.
    pub fn add(facts: &Facts, block: &'static str, grounds: impl Into<String>) {
        let mut all = facts.get::<Self>().unwrap_or_default();
        all.0.insert(block, grounds.into());
        facts.put(all);
    }
}

/// What a block decides before the handler.
#[derive(Debug)]
pub enum Before {
    /// Go on inwards.
    Proceed,
    /// Answer with this instead. Only the blocks further out see it.
    Answer(BlockOutcome),
    /// Refuse. Only the blocks further out see it.
    Refuse(Refusal),
    /// The request itself is malformed: a JSON-RPC error on tools too (MR-8). Only the blocks further out see it.
    Reject(RpcError),
    /// Have the user asked first; the client then repeats the call with the answers. Only the blocks further out see
    /// it, as [`Failure::InputRequired`].
    Ask(InputRequired),
}

/// What came of whatever is further in, and what the blocks add to it.
#[derive(Debug)]
pub struct BlockOutcome {
    /// The result, or why there is none. Only policy may take content away; other blocks add members of their own.
    pub result: Result<Value, Failure>,
    /// Members for `_meta` of the result, under the block's own keys.
    pub meta: JsonObject,
    /// Lines for clients that read only text: a tool's answer carries each as a text block of its own.
    pub notes: Vec<String>,
}

impl BlockOutcome {
    /// An outcome to which no block has added anything.
    pub fn new(result: Result<Value, Failure>) -> Self {
        Self {
            result,
            meta: JsonObject::new(),
            notes: Vec::new(),
        }
    }
}

/// A block. It must be drop-safe: a cancelled call's future is dropped where it stands.
pub trait Block: Send + Sync + 'static {
    /// Its name, as `needs(..)` refers to it.
    fn name(&self) -> &'static str;

    /// Where it stands.
    fn place(&self) -> Place;

    /// Whether it also stands around an item that does not name it.
    fn covers(&self, _contract: &Contract, _item: &Item) -> bool {
        false
    }

    /// The members of the params that are the block's own. A tool's input schema shows them, and they are taken off
    /// before the handler sees the params; an item that has a member of the same name keeps it.
    fn arguments(&self, _contract: &Contract, _item: &Item) -> Vec<Property> {
        Vec::new()
    }

    /// The members that [`after`](Self::after) adds to results. A tool's output schema shows them.
    fn members(&self, _contract: &Contract, _item: &Item) -> Vec<Property> {
        Vec::new()
    }

    /// Runs before the handler.
    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before>;

    /// Runs after whatever is further in has given an outcome, a panic of the handler included.
    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()>;

    /// Runs when the call was cancelled or timed out after `before` let it proceed: instead of [`after`](Self::after), or
    /// when its future was dropped where it waited.
    fn abandoned(&self, _call: &BlockCall<'_>) {}
}

/// The blocks of one item, outermost first.
#[derive(Default)]
pub(crate) struct Chain {
    pub(crate) blocks: Vec<std::sync::Arc<dyn Block>>,
    /// The arguments of the blocks that the item does not have itself.
    pub(crate) arguments: Vec<Property>,
    /// The members that the blocks add and the item does not have itself.
    pub(crate) members: Vec<Property>,
}

impl Chain {
    /// Splits the blocks' own arguments off the params.
    pub(crate) fn take_off(&self, params: &mut Value) -> JsonObject {
        let Value::Object(object) = params else {
            return JsonObject::new();
        };
        self.arguments
            .iter()
            .filter_map(|p| object.remove_entry(p.name))
            .collect()
    }
}
