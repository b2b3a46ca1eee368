//! `#[extension(..)] trait ..`, as it was written.

use proc_macro2::TokenStream;
use syn::{Attribute, Block, ItemTrait, Signature, TraitItem};

use crate::diag::Sink;
use crate::parse::attributes::{self, Marker};
use crate::parse::keys::{Key, Keys, Kind};

macro_rules! keys {
    ($($name:literal $kind:expr => $usage:literal),* $(,)?) => {
        &[$(Key { name: $name, kind: $kind, usage: $usage }),*]
    };
}
pub(crate) use keys;

/// What `#[extension(..)]` takes.
pub const EXTENSION: &[Key] = keys! {
    "id" Kind::Text => "id = \"com.example/grading\"",
    "revision" Kind::Text => "revision = \"2026-11-01\"",
    "known_revisions" Kind::Texts => "known_revisions(\"2026-05-01\", ..)",
    "title" Kind::Text => "title = \"..\"",
    "stability" Kind::Text => "stability = \"experimental\"",
    "protocol" Kind::Keys(keys! {
        "min" Kind::Text => "min = \"2026-07-28\"",
        "max" Kind::Text => "max = \"2026-07-28\"",
    }) => "protocol(min = \"..\", max = \"..\")",
    "settings" Kind::TypeOrKeys(keys! {
        "server" Kind::Type => "server = Type",
        "client" Kind::Type => "client = Type",
        "negotiated" Kind::Type => "negotiated = Type",
    }) => "settings = Type` or `settings(server = A, client = B, negotiated = N)",
    "fallback" Kind::Expr => "fallback = expression",
    "requires" Kind::Paths => "requires(path::to::LabelsExtension, ..)",
    "needs" Kind::Paths => "needs(path::to::Block, ..)",
    "meta" Kind::Keys(keys! {
        "request" Kind::Pairs => "request(\"name\": Type, ..)",
        "result" Kind::Pairs => "result(\"name\": Type, ..)",
        "tool" Kind::Pairs => "tool(\"name\": Type, ..)",
        "notification" Kind::Pairs => "notification(\"name\": Type, ..)",
    }) => "meta(request(\"name\": Type), result(\"name\": Type))",
    "official" Kind::FlagOrKeys(keys! {
        "prefix" Kind::Text => "prefix = \"tasks\"",
    }) => "official` or `official(prefix = \"tasks\")",
    "crate" Kind::Path => "crate = ::path",
};

/// What `#[method(..)]` takes.
pub const METHOD: &[Key] = keys! {
    "name" Kind::Text => "name = \"verb\"",
    "optional" Kind::Text => "optional = \"flag\"",
    "needs" Kind::Paths => "needs(path::to::Block, ..)",
    "echo" Kind::Texts => "echo(\"/member\", ..)",
    "sensitive" Kind::Flag => "sensitive",
    "mcp_name" Kind::Text => "mcp_name = \"/member\"",
    "shape_clash" Kind::Text => "shape_clash = \"why it is accepted\"",
};

/// What `#[tool(..)]` takes.
pub const TOOL: &[Key] = keys! {
    "name" Kind::Text => "name = \"tool_name\"",
    "title" Kind::Text => "title = \"..\"",
    "hints" Kind::Keys(keys! {
        "read_only" Kind::Bool => "read_only` or `read_only = false",
        "destructive" Kind::Bool => "destructive` or `destructive = false",
        "idempotent" Kind::Bool => "idempotent` or `idempotent = false",
        "open_world" Kind::Bool => "open_world` or `open_world = false",
    }) => "hints(read_only, destructive = false)",
    "gated" Kind::Flag => "gated",
    "optional" Kind::Text => "optional = \"flag\"",
    "needs" Kind::Paths => "needs(path::to::Block, ..)",
    "echo" Kind::Texts => "echo(\"/member\", ..)",
    "sensitive" Kind::Flag => "sensitive",
};

/// What `#[notification(..)]` takes.
pub const NOTIFICATION: &[Key] = keys! {
    "name" Kind::Text => "name = \"event\"",
    "listen" Kind::FlagOrKeys(keys! {
        "filter" Kind::Type => "filter = Type",
    }) => "listen` or `listen(filter = Type)",
};

/// The attributes that stand on the fns of the trait.
pub const MARKERS: &[(&str, &[Key])] = &[
    ("method", METHOD),
    ("tool", TOOL),
    ("notification", NOTIFICATION),
];

/// The trait, its attributes taken apart.
pub struct RawTrait {
    /// The keys of `#[extension(..)]`.
    pub keys: Keys,
    /// The trait without its items.
    pub item: ItemTrait,
    /// Its fns.
    pub fns: Vec<RawFn>,
    /// Whatever else stands in it.
    pub others: Vec<TraitItem>,
}

/// One fn of the trait.
pub struct RawFn {
    /// The attributes that are not ours.
    pub attrs: Vec<Attribute>,
    /// Ours.
    pub markers: Vec<Marker>,
    /// Its signature.
    pub sig: Signature,
    /// Its body, if it has one.
    pub body: Option<Block>,
    /// Whether one of our attributes was misspelt, which has been said.
    pub excused: bool,
}

impl RawTrait {
    /// Takes the trait apart.
    pub fn new(args: TokenStream, mut item: ItemTrait, sink: &mut Sink) -> Self {
        let keys = Keys::parse(args, "#[extension(..)]", EXTENSION, sink);
        let (mut fns, mut others) = (Vec::new(), Vec::new());
        for part in std::mem::take(&mut item.items) {
            match part {
                TraitItem::Fn(mut f) => {
                    let before = sink.len();
                    let markers = attributes::take(&mut f.attrs, MARKERS, false, sink);
                    let excused = sink.len() > before;
                    fns.push(RawFn {
                        attrs: f.attrs,
                        markers,
                        sig: f.sig,
                        body: f.default,
                        excused,
                    });
                }
                other => others.push(other),
            }
        }
        Self {
            keys,
            item,
            fns,
            others,
        }
    }
}
