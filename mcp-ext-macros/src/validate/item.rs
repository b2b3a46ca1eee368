//! The rules of `#[method]`, `#[tool]` and `#[notification]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt as _;
use syn::{FnArg, LitStr, Path, ReturnType};

use crate::diag::{Diagnostic, Sink};
use crate::model::{Broken, Common, Extension, Item, Method, Notification, Tool};
use crate::names;
use crate::parse::attributes;
use crate::parse::docs;
use crate::parse::keys::{Keys, Value};
use crate::parse::trait_::RawFn;
use crate::validate::signature::{self, Wanted};
use crate::validate::trait_::{Identifier, shorten};

/// What the contexts have as methods of their own; a test compares it with them.
pub const CX_METHODS: &[&str] = &[
    "settings",
    "call",
    "principal",
    "deadline",
    "cancelled",
    "era",
    "meta",
    "trace",
    "facts",
    "settings_of",
    "progress",
];

/// What the typed client has as methods of its own; a test compares it with them.
pub const CLIENT_METHODS: &[&str] = &[
    "settings",
    "caller",
    "offers",
    "with",
    "with_argument",
    "with_answers",
    "method",
    "tool",
];

/// Checks every fn and sorts it into the extension.
pub fn all(fns: Vec<RawFn>, identifier: &Identifier, extension: &mut Extension, sink: &mut Sink) {
    let mut wires = Wires::default();
    let marker = format!("{}Extension", extension.item.ident.unraw());
    for raw in fns {
        let kept = (
            raw.attrs.clone(),
            raw.sig.clone(),
            raw.body.as_ref().map(ToTokens::to_token_stream),
        );
        match one(raw, identifier, &marker, &mut wires, sink) {
            One::Item(item) => extension.items.push(*item),
            One::Notification(notification) => extension.notifications.push(*notification),
            One::Gone => {}
            One::Broken => {
                let (attrs, mut sig, body) = kept;
                signature::mend(&mut sig, &marker);
                extension.broken.push(Broken { attrs, sig, body });
            }
        }
    }
    client_names(&extension.items, sink);
}

enum One {
    Item(Box<Item>),
    Notification(Box<Notification>),
    /// A notification that is at fault: it leaves the trait as a sound one does.
    Gone,
    /// A method or tool whose signature is at fault.
    Broken,
}

/// The names on the wire so far, each with where it was made and whether a `#[cfg]` may take it away.
#[derive(Default)]
struct Wires(Vec<(&'static str, String, TokenStream, bool)>);

impl Wires {
    fn claim(
        &mut self,
        what: &'static str,
        wire: &str,
        at: TokenStream,
        conditional: bool,
        sink: &mut Sink,
    ) {
        // Two of one name are fine where conditions choose between them; the set looks again when it is built.
        let found = self
            .0
            .iter()
            .find(|(w, name, _, c)| *w == what && name == wire && !(conditional && *c));
        if let Some((_, _, first, _)) = found {
            let diagnostic = Diagnostic::DuplicateWire {
                what: what.to_owned(),
                wire: wire.to_owned(),
            };
            return sink.twice(first, at, &format!("`{wire}`"), diagnostic);
        }
        self.0.push((what, wire.to_owned(), at, conditional));
    }
}

fn one(
    raw: RawFn,
    identifier: &Identifier,
    marker: &str,
    wires: &mut Wires,
    sink: &mut Sink,
) -> One {
    let name = raw.sig.ident.to_string();
    let mut method = None;
    let mut tool = None;
    let mut notification = None;
    for m in &raw.markers {
        match m.name.to_string().as_str() {
            "method" => method = Some(m),
            "tool" => tool = Some(m),
            _ => notification = Some(m),
        }
    }
    if let Some(n) = notification {
        if let Some(other) = method.or(tool) {
            sink.push(&other.name, Diagnostic::MixedNotification { name });
        }
        return self::notification(&raw, &n.keys, identifier, wires, sink)
            .map_or(One::Gone, |n| One::Notification(Box::new(n)));
    }
    if method.is_none() && tool.is_none() {
        if !raw.excused {
            sink.push(&raw.sig.ident, Diagnostic::UnmarkedItem { name });
        }
        return One::Broken;
    }
    if let Some(body) = &raw.body {
        sink.push(body, Diagnostic::DefaultBody { name: name.clone() });
    }
    let (method_keys, tool_keys) = (method.map(|m| &m.keys), tool.map(|t| &t.keys));
    let gated = tool_keys.is_none_or(|keys| keys.has("gated"));
    let wanted = Wanted {
        cx: if gated { "Cx" } else { "ToolCx" },
        marker,
        why: match (gated, method_keys.is_some()) {
            (true, true) => {
                "a method is only reached when the extension was negotiated, and `Cx` has what was negotiated"
            }
            (true, false) => {
                "a gated tool is only reached when the extension was negotiated, and `Cx` has what was negotiated"
            }
            (false, true) => {
                "what is method and tool is open to every client, as a tool; `cx.active()` is the full context, if the extension was negotiated"
            }
            (false, false) => {
                "a tool is open to every client, with the extension or without; `cx.active()` is the full context, and `#[tool(gated)]` takes `&Cx`"
            }
        },
    };
    let parts = signature::parts(&raw.sig, wanted, sink);
    let common = common(&raw);
    let conditional = !common.cfgs.is_empty();
    let method = method_keys.map(|keys| {
        let (verb, at) = verb(keys, &raw.sig.ident, sink);
        let wire = format!("{}/{verb}", identifier.namespace);
        wires.claim("method", &wire, at, conditional, sink);
        Method {
            wire,
            mcp_name: pointers(keys, "mcp_name", sink).pop(),
            shape_clash: keys.filled_text("shape_clash", sink),
        }
    });
    let tool = tool_keys.map(|keys| {
        let (name, at) = match keys.text("name") {
            Some(lit) => (lit.value(), lit.to_token_stream()),
            None => (
                raw.sig.ident.unraw().to_string(),
                raw.sig.ident.to_token_stream(),
            ),
        };
        if let Err(expected) = names::check_tool_name(&name) {
            sink.push(
                &at,
                Diagnostic::ToolName {
                    name: shorten(&name),
                    expected,
                },
            );
        }
        wires.claim("tool", &name, at, conditional, sink);
        Tool {
            name,
            title: keys.filled_text("title", sink),
            hints: hints(keys, sink),
            gated: keys.has("gated"),
        }
    });
    if method.is_some() && CLIENT_METHODS.contains(&name.as_str())
        || tool.is_some() && CLIENT_METHODS.contains(&name.as_str())
    {
        sink.push(
            &raw.sig.ident,
            Diagnostic::ShadowsClient { name: name.clone() },
        );
    }
    let (mut optional, mut needs, mut echo, mut sensitive) = (None, Vec::new(), Vec::new(), false);
    for keys in [method_keys, tool_keys].into_iter().flatten() {
        if let Some(flag) = flag(keys, sink) {
            match &optional {
                None => optional = Some(flag),
                Some(first) => {
                    sink.twice(
                        first,
                        &flag,
                        "`optional`",
                        Diagnostic::OptionalShared { name: name.clone() },
                    );
                }
            }
        }
        needs.extend(keys.paths("needs").iter().cloned());
        echo.extend(pointers(keys, "echo", sink));
        sensitive |= keys.has("sensitive");
    }
    unique(&mut needs);
    if sensitive && let Some(first) = echo.first() {
        sink.push(first, Diagnostic::SensitiveEcho { name });
    }
    let Some(parts) = parts.filter(|_| raw.body.is_none()) else {
        return One::Broken;
    };
    let signature::Parts {
        receiver,
        cx_arg,
        params_arg,
        params,
        output,
        at,
        full_cx,
    } = parts;
    One::Item(Box::new(Item {
        common,
        receiver,
        cx_arg,
        at,
        gated: full_cx.unwrap_or(gated),
        params_arg,
        params,
        output,
        method,
        tool,
        optional,
        needs,
        echo,
        sensitive,
    }))
}

fn common(raw: &RawFn) -> Common {
    Common {
        cfgs: attributes::cfgs(&raw.attrs),
        docs: docs::expression(&raw.attrs),
        deprecated: attributes::deprecated(&raw.attrs),
        attrs: raw.attrs.clone(),
        name: raw.sig.ident.clone(),
    }
}

/// The last part of a name on the wire, and where it was written.
fn verb(keys: &Keys, name: &Ident, sink: &mut Sink) -> (String, TokenStream) {
    let (verb, at) = match keys.text("name") {
        Some(lit) => (lit.value(), lit.to_token_stream()),
        None => (names::camel_case(name), name.to_token_stream()),
    };
    match names::check_name(&verb) {
        Ok(()) => (verb, at),
        Err(expected) => {
            sink.push(
                &at,
                Diagnostic::WireName {
                    name: shorten(&verb),
                    expected,
                },
            );
            (names::camel_case(name), at)
        }
    }
}

fn flag(keys: &Keys, sink: &mut Sink) -> Option<LitStr> {
    let lit = keys.text("optional")?;
    let flag = lit.value();
    if flag == "revision" {
        sink.push(lit, Diagnostic::OptionalRevision);
    } else if !names::is_flag(&flag) {
        sink.push(
            lit,
            Diagnostic::OptionalFlag {
                flag: shorten(&flag),
            },
        );
    }
    Some(lit.clone())
}

/// JSON pointers, one or several.
fn pointers(keys: &Keys, key: &str, sink: &mut Sink) -> Vec<LitStr> {
    let written = keys.text(key).into_iter().chain(keys.texts(key));
    let mut sound = Vec::new();
    for lit in written {
        let pointer = lit.value();
        if !names::is_pointer(&pointer) {
            sink.push(
                lit,
                Diagnostic::Pointer {
                    key: key.to_owned(),
                    pointer: shorten(&pointer),
                },
            );
        } else if key == "mcp_name" && pointer.matches('/').count() > 1 {
            sink.push(
                lit,
                Diagnostic::NestedPointer {
                    pointer: shorten(&pointer),
                },
            );
        } else {
            sound.push(lit.clone());
        }
    }
    sound
}

fn hints(keys: &Keys, sink: &mut Sink) -> Vec<(Ident, bool)> {
    let Some(hints) = keys.keys("hints") else {
        return Vec::new();
    };
    if let (Some(true), Some(true), Some(key)) = (
        hints.bool("read_only"),
        hints.bool("destructive"),
        hints.key("destructive"),
    ) {
        sink.push(key, Diagnostic::HintClash);
    }
    hints
        .entries()
        .iter()
        .filter_map(|entry| match entry.value {
            Value::Bool(on) => Some((entry.key.clone(), on)),
            _ => None,
        })
        .collect()
}

fn unique(paths: &mut Vec<Path>) {
    let mut seen: Vec<String> = Vec::new();
    paths.retain(|path| {
        let text = path.to_token_stream().to_string();
        let new = !seen.contains(&text);
        seen.push(text);
        new
    });
}

fn notification(
    raw: &RawFn,
    keys: &Keys,
    identifier: &Identifier,
    wires: &mut Wires,
    sink: &mut Sink,
) -> Option<Notification> {
    let before = sink.len();
    let name = raw.sig.ident.to_string();
    let mut refuse = |at: TokenStream, why: &str| {
        sink.push(
            at,
            Diagnostic::NotificationForm {
                name: name.clone(),
                why: why.to_owned(),
            },
        );
    };
    if let Some(word) = &raw.sig.asyncness {
        refuse(
            word.to_token_stream(),
            "a notification is sent, not awaited by anyone, so it is no `async fn`",
        );
    }
    if let ReturnType::Type(_, ty) = &raw.sig.output {
        refuse(ty.to_token_stream(), "a notification has no answer");
    }
    if let Some(body) = &raw.body {
        refuse(
            body.to_token_stream(),
            "a notification has no body, since `cx` sends it",
        );
    }
    let mut params = None;
    for (i, arg) in raw.sig.inputs.iter().enumerate() {
        match arg {
            FnArg::Receiver(receiver) => {
                refuse(
                    receiver.to_token_stream(),
                    "a notification is not the provider's, so it takes no `self`",
                );
            }
            FnArg::Typed(arg) if params.is_none() => params = Some((*arg.ty).clone()),
            FnArg::Typed(arg) if i > 0 => {
                refuse(
                    arg.to_token_stream(),
                    "a notification has one params type, which is one JSON object",
                );
            }
            FnArg::Typed(_) => {}
        }
    }
    signature::head(&raw.sig, &name, sink);
    if let Some(ty) = &params {
        signature::check_type(ty, &name, true, sink);
    }
    let sound = sink.len() == before;
    if CX_METHODS.contains(&name.as_str()) {
        sink.push(&raw.sig.ident, Diagnostic::ShadowsCx { name });
    }
    let common = common(raw);
    let (event, at) = verb(keys, &raw.sig.ident, sink);
    let wire = format!("notifications/{}/{event}", identifier.namespace);
    wires.claim("notification", &wire, at, !common.cfgs.is_empty(), sink);
    sound.then(|| Notification {
        common,
        wire,
        listen: keys.has("listen"),
        filter: keys
            .keys("listen")
            .and_then(|keys| keys.ty("filter"))
            .cloned(),
        params,
    })
}

/// The name the typed client gives to the tool of an item that is method and tool at once.
pub fn tool_fn(name: &Ident) -> Ident {
    format_ident!("{}_tool", name.unraw(), span = Span::call_site())
}

fn client_names(items: &[Item], sink: &mut Sink) {
    for item in items
        .iter()
        .filter(|i| i.method.is_some() && i.tool.is_some())
    {
        let name = tool_fn(&item.common.name);
        if let Some(other) = items.iter().find(|i| i.common.name == name) {
            let item = item.common.name.to_string();
            sink.push(
                &other.common.name,
                Diagnostic::ClientClash {
                    name: name.to_string(),
                    item,
                },
            );
        }
    }
}
