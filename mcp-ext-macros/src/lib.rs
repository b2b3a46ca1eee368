//! The macros of mcp-ext. Use them through `mcp_ext` or `mcp_ext_core`, where they are documented and tested.
//!
//! Each has a twin whose generated code goes through the facade crate `mcp_ext`; it re-exports the twins under the plain
//! names.

mod diag;
mod error;
mod expand;
mod extension;
mod handlers;
mod model;
mod names;
mod parse;
mod settings;
mod validate;

#[cfg(test)]
mod tests;

use proc_macro2::{Span, TokenStream};
use quote::quote;

use crate::diag::{Diagnostic, Sink};

/// The crate that generated code goes through, unless `crate = ..` says another.
const CORE: &str = "mcp_ext_core";
const FACADE: &str = "mcp_ext";

macro_rules! attribute {
    ($(#[$doc:meta])* $name:ident $twin:ident $module:ident) => {
        $(#[$doc])*
        #[proc_macro_attribute]
        pub fn $name(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
            guard(stringify!($name), item.into(), |item, sink| $module::expand(args.into(), item, CORE, sink)).into()
        }

        #[doc(hidden)]
        #[proc_macro_attribute]
        pub fn $twin(args: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
            guard(stringify!($name), item.into(), |item, sink| $module::expand(args.into(), item, FACADE, sink)).into()
        }
    };
}

attribute! {
    /// Makes a negotiated, typed extension of a trait.
    ///
    /// ```
    /// use mcp_ext_core::{Cx, NoParams, ToolCx, extension, handlers};
    /// use std::convert::Infallible;
    ///
    /// /// Answers a ping.
    /// #[extension(id = "com.example/ping", revision = "2026-11-01")]
    /// pub trait Ping {
    ///     /// Answers those that negotiated: the method `com.example/ping/ping`.
    ///     #[method]
    ///     async fn ping(&self, cx: &Cx<PingExtension>, params: NoParams) -> Result<NoParams, Infallible>;
    ///
    ///     /// Answers everyone: the tool `ping_tool` of the core protocol.
    ///     #[tool(title = "Ping", hints(read_only))]
    ///     async fn ping_anyone(&self, cx: &ToolCx<PingExtension>) -> Result<NoParams, Infallible>;
    ///
    ///     /// Tells about the current request: `cx.pinged()`.
    ///     #[notification]
    ///     fn pinged();
    /// }
    ///
    /// struct Server;
    ///
    /// #[handlers]
    /// impl Ping for Server {
    ///     async fn ping(&self, cx: &Cx<PingExtension>, _: NoParams) -> Result<NoParams, Infallible> {
    ///         let _ = cx.pinged().await;
    ///         Ok(NoParams {})
    ///     }
    ///     async fn ping_anyone(&self, _: &ToolCx<PingExtension>) -> Result<NoParams, Infallible> {
    ///         Ok(NoParams {})
    ///     }
    /// }
    ///
    /// let set = mcp_ext_core::ExtensionSet::builder().enable(PingExtension::provide(Server)).build();
    /// # assert!(set.is_ok());
    /// ```
    ///
    /// Of a trait `Ping` it makes `PingExtension` (the marker, with `provide` and `client`), `PingNotifications` (if there
    /// are any), `PingPublisher` (if any of them is for listen streams), and where mcp-ext-core has its feature `client`,
    /// `PingClient` and `PingNotification` (what a client reads).
    ///
    /// | key | meaning |
    /// |---|---|
    /// | `id = "com.example/ping"` | the identifier; the only key that must be there |
    /// | `revision = ".."`, `known_revisions("..", ..)` | what both sides send in their settings; older ones still understood |
    /// | `title = ".."` | a human title |
    /// | `stability = ".."` | `experimental` (as without it), `beta` or `stable` |
    /// | `protocol(min = "..", max = "..")` | the core revisions it covers; either may be left out |
    /// | `settings = S`, `settings(server = A, client = B, negotiated = N)` | the types of the settings; for three types, `A` implements `Negotiate<B>` by hand |
    /// | `fallback = expression` | what tools see as settings when nothing was negotiated; without it `Default::default()` |
    /// | `requires(LabelsExtension, ..)` | extensions that must be there as well |
    /// | `needs(Audit, ..)` | blocks around every item |
    /// | `meta(request("name": Type), result(..), tool(..), notification(..))` | `_meta` keys; the prefix of the identifier is put before each name |
    /// | `official`, `official(prefix = "tasks")` | one of MCP's own: bare method prefixes, under `io.modelcontextprotocol/` |
    /// | `crate = ::path` | the crate that generated code goes through |
    ///
    /// | key of an item | on | meaning |
    /// |---|---|---|
    /// | `name = ".."` | all | the verb, tool or event on the wire; without it made of the name of the fn |
    /// | `optional = "flag"` | `#[method]`, `#[tool]` | the settings flag that tells whether the provider has it |
    /// | `needs(Audit, ..)` | `#[method]`, `#[tool]` | blocks around this item |
    /// | `echo("/member", ..)` | `#[method]`, `#[tool]` | members whose value may be shown in a fault |
    /// | `sensitive` | `#[method]`, `#[tool]` | nothing of it may be shown or recorded |
    /// | `mcp_name = "/member"` | `#[method]` | the member of the params that HTTP repeats in `Mcp-Name` |
    /// | `shape_clash = "reason"` | `#[method]` | why it is accepted that some clients misread the result by its shape |
    /// | `title = ".."` | `#[tool]` | a human title |
    /// | `hints(read_only, destructive, idempotent, open_world)` | `#[tool]` | MCP's tool annotations, each also as `= false` |
    /// | `gated` | `#[tool]` | only for those that negotiated; it then takes `&Cx` |
    /// | `listen`, `listen(filter = Type)` | `#[notification]` | goes to the `subscriptions/listen` streams that ask for it, not to the request's; what they may say to get only some |
    ///
    /// A fn that is method and tool has both attributes and takes `&ToolCx`; the typed client calls its tool
    /// `<name>_tool`. Docs, `#[cfg]` and `#[deprecated]` are carried over to all that is made of an item.
    extension __facade_extension extension
}

attribute! {
    /// Stands above the impl of an extension's trait: checks the signatures and notes which items are provided.
    ///
    /// Without it the impl does not compile: a constant is missing whose name says what to write. See [`macro@extension`]
    /// for an example. The impl may be generic (`impl<S: Store> Ping for Server<S>`). `PingExtension::provide` takes
    /// a provider, or an `Arc` of one. Takes `crate = ::path`, as the others do.
    handlers __facade_handlers handlers
}

attribute! {
    /// Makes a struct the settings of an extension: a JSON object of which `{}` is always valid, and how two sides
    /// combine it.
    ///
    /// ```
    /// use mcp_ext_core::algebra::Negotiate as _;
    /// use mcp_ext_core::settings;
    /// use std::collections::BTreeSet;
    ///
    /// #[settings]
    /// pub struct GradingSettings {
    ///     /// Rubric formats this side can read. Absent: no restriction.
    ///     #[negotiate(intersect, required)]
    ///     pub rubric_formats: Option<BTreeSet<String>>,
    ///     /// Largest batch this side accepts.
    ///     #[negotiate(min)]
    ///     pub max_batch: Option<u32>,
    /// }
    ///
    /// let server = GradingSettings { max_batch: Some(50), ..Default::default() };
    /// let client = GradingSettings { max_batch: Some(10), ..Default::default() };
    /// assert_eq!(GradingSettings::negotiate(&server, &client)?.max_batch, Some(10));
    /// # Ok::<(), mcp_ext_core::algebra::Mismatch>(())
    /// ```
    ///
    /// It adds `Clone`, `Debug`, `PartialEq`, `Default`, `Serialize`, `Deserialize` and `JsonSchema`, except those that a
    /// `#[derive(..)]` **below** it lists and those in `by_hand(..)`; names on the wire are camelCase, and a field may be
    /// renamed by `#[serde(rename = "..")]`. `crate = ::path` names the crate that generated code goes through.
    ///
    /// | `#[negotiate(..)]` | combines to |
    /// |---|---|
    /// | `intersect`, `intersect, required` | what both have; with `required`, nothing in common is a mismatch |
    /// | `min` | the lower limit |
    /// | `and` | granted by both |
    /// | `strictest` | the stricter demand, which is the greater value |
    /// | `equal` | what both say; a difference is a mismatch |
    /// | `prefer`, `prefer, required` | the first of the server's list that the client has |
    /// | `server` | the server's word |
    /// | `nested` | a settings type inside another, by its own rules |
    /// | `max, preference`, `or, preference`, `client, preference`, `with = path, preference` | wishes: these may widen, so the field must say that it is none of what the server grants |
    ///
    /// The function of `with` is a `fn(&T, &T) -> Option<T>`, whose `None` is a mismatch. `by_hand(Negotiate)` leaves the
    /// whole impl to the author, as settings that differ from side to side need. Sets and lists of `intersect` and
    /// `prefer` drop members that this side does not know.
    settings __facade_settings settings
}

/// Makes an enum the errors of an extension: one variant, one row of the table.
///
/// ```
/// use mcp_ext_core::ExtensionError;
///
/// #[derive(Debug, ExtensionError)]
/// pub enum GradingError {
///     /// No rubric with this id in the course.
///     #[error(code = 4100, "no rubric {id} in course {course}")]
///     UnknownRubric { course: String, id: u32 },
///     /// The grader is busy.
///     #[error(code = 4101, kind = "busy", retryable, "the grader is busy")]
///     Overloaded {
///         #[error(private)]
///         host: String,
///     },
/// }
///
/// let error = GradingError::UnknownRubric { course: "c-1".to_owned(), id: 7 };
/// assert_eq!(error.to_string(), "no rubric 7 in course c-1");
/// assert_eq!(GradingError::ERRORS[0].kind, "unknown_rubric");
/// ```
///
/// It implements `ExtensionError`, `Display` and, where the type has `Debug`, `std::error::Error`.
///
/// | in `#[error(..)]` | meaning |
/// |---|---|
/// | `code = 4100` | the JSON-RPC code, outside -32768..=-32000, one for each variant |
/// | `"message"` | one sentence for a person; fields stand inline |
/// | `kind = ".."` | `data.kind` on the wire; without it the variant in snake case |
/// | `retryable` | the same call may succeed later |
/// | `private` | on a field: it is not sent, and `Default` when read back |
/// | `crate = ::path` | on the enum: the crate that generated code goes through |
#[proc_macro_derive(ExtensionError, attributes(error))]
pub fn extension_error(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(item.into(), CORE).into()
}

#[doc(hidden)]
#[proc_macro_derive(__FacadeExtensionError, attributes(error))]
pub fn facade_extension_error(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(item.into(), FACADE).into()
}

fn derive(item: TokenStream, default_crate: &str) -> TokenStream {
    guarded("ExtensionError", TokenStream::new(), |sink| {
        error::expand(item, default_crate, sink)
    })
}

fn guard(
    name: &str,
    item: TokenStream,
    expand: impl FnOnce(TokenStream, &mut Sink) -> TokenStream,
) -> TokenStream {
    guarded(name, item.clone(), |sink| expand(item, sink))
}

/// Expands, puts what is wrong behind what was made, and turns a panic into a diagnostic beside the item.
fn guarded(
    name: &str,
    item: TokenStream,
    expand: impl FnOnce(&mut Sink) -> TokenStream,
) -> TokenStream {
    let attempt = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut sink = Sink::default();
        let made = expand(&mut sink);
        let wrong = sink.into_tokens();
        quote!(#made #wrong)
    }));
    attempt.unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no words".to_owned());
        let mut sink = Sink::default();
        sink.push_at(
            Span::call_site(),
            Diagnostic::Panicked {
                name: name.to_owned(),
                words,
            },
        );
        let wrong = sink.into_tokens();
        quote!(#item #wrong)
    })
}
