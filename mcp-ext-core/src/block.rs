//! Room for blocks: extensions that stand around the items of others (audit, policy, labels, ...).
//!
//! The set resolves the blocks of each item once, at build, into one fixed nesting. An item without blocks pays
//! nothing.

use serde_json::Value;

pub use crate::call::Failure;
use crate::contract::{Contract, Item};
use crate::cx::CallCx;
use crate::request::BoxFuture;
use crate::wire::{JsonObject, RpcError};

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

/// The call a block stands around.
pub struct BlockCall<'a> {
    /// The extension that owns the item.
    pub contract: &'static Contract,
    /// The item.
    pub item: &'static Item,
    /// Whether it was called as a tool.
    pub tool: bool,
    /// The params, as sent, without `_meta`.
    pub params: &'a Value,
    /// Who calls, `_meta`, shared facts, what was negotiated.
    pub cx: &'a CallCx,
}

/// What a block decides before the handler.
#[derive(Debug)]
pub enum Before {
    /// Go on inwards.
    Proceed,
    /// Answer with this instead. Only the blocks further out see it.
    Answer(Value),
    /// Refuse. Only the blocks further out see it.
    Refuse(RpcError),
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

    /// Runs before the handler.
    fn before<'a>(&'a self, call: &'a BlockCall<'a>) -> BoxFuture<'a, Before>;

    /// Runs after whatever is further in has given an outcome, a panic of the handler included.
    fn after<'a>(
        &'a self,
        call: &'a BlockCall<'a>,
        outcome: &'a mut BlockOutcome,
    ) -> BoxFuture<'a, ()>;

    /// Runs instead of [`after`](Self::after) when the call was cancelled or timed out after `before` let it proceed.
    fn abandoned(&self, _call: &BlockCall<'_>) {}
}
