//! An extension as the expansion needs it. Whatever was wrong has been reported and replaced by something that compiles,
//! so that the rest of the user's crate is still checked.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Expr, ItemTrait, LitStr, Path, Signature, TraitItem, Type};

/// The name of the constant that `#[handlers]` fills in, which tells what to write when it was forgotten.
pub const PROVIDED: &str = "WRITE_HANDLERS_ABOVE_THIS_IMPL";

/// One extension.
pub struct Extension {
    /// The private module of mcp-ext-core.
    pub rt: TokenStream,
    /// The trait without its items; its attributes are the user's.
    pub item: ItemTrait,
    /// The identifier.
    pub id: String,
    /// Whether it is one of MCP's own.
    pub official: bool,
    /// The docs of the trait.
    pub docs: Option<TokenStream>,
    /// A human title.
    pub title: Option<LitStr>,
    /// The revision.
    pub revision: Option<LitStr>,
    /// Older ones.
    pub known_revisions: Vec<LitStr>,
    /// A variant of `Stability`.
    pub stability: Option<Ident>,
    /// A variant of `ProtocolVersion`.
    pub protocol_min: Option<Ident>,
    /// A variant of `ProtocolVersion`.
    pub protocol_max: Option<Ident>,
    /// The settings.
    pub settings: Settings,
    /// What tools see when nothing was negotiated.
    pub fallback: Option<Expr>,
    /// Markers of other extensions.
    pub requires: Vec<Path>,
    /// Blocks around every item.
    pub needs: Vec<Path>,
    /// `_meta` keys.
    pub meta: Vec<MetaKey>,
    /// Methods and tools.
    pub items: Vec<Item>,
    /// Notifications.
    pub notifications: Vec<Notification>,
    /// Fns whose signature is at fault.
    pub broken: Vec<Broken>,
    /// Constants and types, which are refused.
    pub others: Vec<TraitItem>,
    /// Whether the trait's own head is at fault, so that it cannot be implemented by generated code.
    pub stub: bool,
    /// Every identifier in the trait, so that generated ones do not clash.
    pub taken: Vec<String>,
}

/// The types of the settings.
pub enum Settings {
    None,
    Same(Box<Type>),
    Split {
        server: Box<Type>,
        client: Box<Type>,
        negotiated: Box<Type>,
    },
}

/// A `_meta` key.
pub struct MetaKey {
    pub place: String,
    pub key: String,
    pub ty: Type,
}

/// Spans that generated code is put at, so that an error of types is shown there.
#[derive(Clone, Copy)]
pub struct Places {
    pub cx: Span,
    pub params: Span,
    pub output: Span,
}

/// What all fns of the trait have in common.
pub struct Common {
    /// The user's attributes.
    pub attrs: Vec<Attribute>,
    /// Its `#[cfg]`s.
    pub cfgs: Vec<Attribute>,
    /// Its docs.
    pub docs: Option<TokenStream>,
    /// `#[deprecated]` and its note.
    pub deprecated: Option<(Attribute, String)>,
    /// The name of the fn.
    pub name: Ident,
}

/// A method, a tool, or both.
pub struct Item {
    pub common: Common,
    /// The receiver and context, as written.
    pub receiver: TokenStream,
    pub cx_arg: TokenStream,
    /// Whether the context is `Cx`, of a call that is gated.
    pub gated: bool,
    /// Where the types of context, params and result are judged: at the `&`, `:` and `->` before them. Names would make an
    /// editor show what was generated beside what the user asked for.
    pub at: Places,
    /// The params, as written.
    pub params_arg: Option<TokenStream>,
    pub params: Option<Type>,
    pub output: Type,
    pub method: Option<Method>,
    pub tool: Option<Tool>,
    pub optional: Option<LitStr>,
    pub needs: Vec<Path>,
    pub echo: Vec<LitStr>,
    pub sensitive: bool,
}

pub struct Method {
    pub wire: String,
    pub mcp_name: Option<LitStr>,
    pub shape_clash: Option<LitStr>,
}

pub struct Tool {
    pub name: String,
    pub title: Option<LitStr>,
    pub hints: Vec<(Ident, bool)>,
    pub gated: bool,
}

pub struct Notification {
    pub common: Common,
    pub wire: String,
    pub listen: bool,
    /// The type of what a client may say to get only some.
    pub filter: Option<Type>,
    pub params: Option<Type>,
}

/// A fn that stays in the trait as it is and appears nowhere else.
pub struct Broken {
    pub attrs: Vec<Attribute>,
    pub sig: Signature,
    pub body: Option<TokenStream>,
}
