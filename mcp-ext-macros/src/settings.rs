//! `#[settings]`: a settings struct with its derives, and how the two sides combine it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::punctuated::Punctuated;
use syn::{Attribute, Fields, ItemStruct, LitStr, Path, Token, Type};

use crate::diag::{Diagnostic, Sink, list};
use crate::names;
use crate::parse::attributes;
use crate::parse::item;
use crate::parse::keys::{Key, Keys, Kind};
use crate::parse::trait_::keys;

const SETTINGS: &[Key] = keys! {
    "crate" Kind::Path => "crate = ::path",
    "by_hand" Kind::Keys(BY_HAND) => "by_hand(Default, Negotiate)",
};

const BY_HAND: &[Key] = keys! {
    "Clone" Kind::Flag => "Clone",
    "Debug" Kind::Flag => "Debug",
    "PartialEq" Kind::Flag => "PartialEq",
    "Default" Kind::Flag => "Default",
    "Serialize" Kind::Flag => "Serialize",
    "Deserialize" Kind::Flag => "Deserialize",
    "JsonSchema" Kind::Flag => "JsonSchema",
    "Negotiate" Kind::Flag => "Negotiate",
};

pub const NEGOTIATE: &[Key] = keys! {
    "intersect" Kind::Flag => "intersect",
    "min" Kind::Flag => "min",
    "and" Kind::Flag => "and",
    "strictest" Kind::Flag => "strictest",
    "equal" Kind::Flag => "equal",
    "prefer" Kind::Flag => "prefer",
    "server" Kind::Flag => "server",
    "nested" Kind::Flag => "nested",
    "max" Kind::Flag => "max",
    "or" Kind::Flag => "or",
    "client" Kind::Flag => "client",
    "with" Kind::Path => "with = path::to::function",
    "required" Kind::Flag => "required",
    "preference" Kind::Flag => "preference",
};

/// The strategies, for the message that lists them.
const STRATEGIES: &[&str] = &[
    "intersect",
    "min",
    "and",
    "strictest",
    "equal",
    "prefer",
    "server",
    "nested",
    "max, preference",
    "or, preference",
    "client, preference",
    "with = path, preference",
];

/// The derives that are added, and where they come from.
const DERIVES: &[(&str, &[&str])] = &[
    ("Clone", &["core", "clone"]),
    ("Debug", &["core", "fmt"]),
    ("PartialEq", &["core", "cmp"]),
    ("Default", &["core", "default"]),
    ("Serialize", &["serde"]),
    ("Deserialize", &["serde"]),
    ("JsonSchema", &["schemars"]),
];

/// One field and how it is combined.
struct Line {
    cfgs: Vec<Attribute>,
    name: Ident,
    value: TokenStream,
    /// Whether the value is an `Option` that is taken apart at the end.
    optional: bool,
}

/// Expands `#[settings]`.
pub fn expand(
    args: TokenStream,
    input: TokenStream,
    default_crate: &str,
    sink: &mut Sink,
) -> TokenStream {
    let keys = Keys::parse(args, "#[settings(..)]", SETTINGS, sink);
    let rt = attributes::private_module(&keys, default_crate, sink);
    let other = |seen| Diagnostic::SettingsShape { seen };
    let Some(mut item) = item::expect::<ItemStruct>(&input, "a struct", other, sink) else {
        return input;
    };
    let by_hand = |name: &str| keys.keys("by_hand").is_some_and(|k| k.has(name));
    let name = item.ident.clone();
    let mut generic = false;
    if !item.generics.params.is_empty() {
        sink.push(
            &item.generics,
            Diagnostic::SettingsGenerics {
                name: name.to_string(),
            },
        );
        generic = true;
    }
    let seen = match &item.fields {
        Fields::Named(_) => None,
        Fields::Unnamed(_) => Some("a tuple struct"),
        Fields::Unit => Some("a unit struct (write `{}` after its name)"),
    };
    let named = seen.is_none();
    if let Some(seen) = seen {
        sink.push(
            &item.ident,
            Diagnostic::SettingsShape {
                seen: seen.to_owned(),
            },
        );
    }
    let written = container_serde(&item.attrs, sink);
    let derived = derived(&item.attrs);
    let negotiated_by_hand = by_hand("Negotiate");
    let lenient = lit(&rt, "algebra::lenient");
    let mut lines = Vec::new();
    for field in &mut item.fields {
        let before = sink.len();
        let markers = attributes::take(&mut field.attrs, &[("negotiate", NEGOTIATE)], false, sink);
        let misread = sink.len() > before;
        let Some(ident) = field.ident.clone() else {
            continue;
        };
        let (renamed, reads_itself) = field_serde(&field.attrs, sink);
        let wire = renamed.unwrap_or_else(|| names::camel_case(&ident));
        if wire == "revision" {
            sink.push(&ident, Diagnostic::RevisionField);
        }
        let strategy = match markers.first() {
            Some(marker) if negotiated_by_hand => {
                sink.push(
                    &marker.name,
                    Diagnostic::StrategyByHand {
                        field: ident.to_string(),
                    },
                );
                None
            }
            Some(marker) => strategy(&marker.keys, sink).or_else(|| {
                if sink.len() == before {
                    sink.push(&marker.name, no_strategy(&ident));
                }
                None
            }),
            None if negotiated_by_hand => None,
            None => {
                if !misread {
                    sink.push(&ident, no_strategy(&ident));
                }
                None
            }
        };
        let set = matches!(&strategy, Some(Strategy { method, .. }) if method.starts_with("intersect") || method.starts_with("prefer"));
        if set && !reads_itself && !by_hand("Deserialize") {
            field
                .attrs
                .push(syn::parse_quote!(#[serde(deserialize_with = #lenient)]));
        }
        let strategy =
            strategy.filter(|strategy| check_field(&ident, &field.ty, &strategy.name, sink));
        // A field at fault is the server's word, so that the rest is still checked.
        let strategy = strategy.unwrap_or(Strategy {
            name: "server".into(),
            method: "server".into(),
            sides: Sides::Server,
            with: None,
        });
        lines.push(strategy.line(ident, &wire, attributes::cfgs(&field.attrs)));
    }
    let mut wanted: Vec<&(&str, &[&str])> = DERIVES.iter().collect();
    wanted.retain(|(name, _)| !derived.iter().any(|d| d == name) && !by_hand(name));
    let derives = wanted.iter().map(|(name, path)| {
        let name = format_ident!("{name}");
        match path {
            ["core", module] => {
                let module = format_ident!("{module}");
                quote!(::core::#module::#name)
            }
            _ => {
                let crate_ = format_ident!("{}", path[0]);
                quote!(#rt::#crate_::#name)
            }
        }
    });
    let serde = (!by_hand("Serialize") || !by_hand("Deserialize")).then(|| {
        let path = lit(&rt, "serde");
        let absent = |key: &str| !written.iter().any(|w| w == key);
        let parts = [
            absent("rename_all").then(|| quote!(rename_all = "camelCase")),
            absent("crate").then(|| quote!(crate = #path)),
            (absent("default") && !by_hand("Deserialize") && named).then(|| quote!(default)),
        ];
        let parts = parts.iter().flatten();
        quote!(#[serde(#(#parts),*)])
    });
    let schemars = (!by_hand("JsonSchema")).then(|| {
        let path = lit(&rt, "schemars");
        quote!(#[schemars(crate = #path)])
    });
    if generic {
        return item.into_token_stream();
    }
    let negotiate = (!negotiated_by_hand).then(|| negotiate(&rt, &name, named.then_some(&lines)));
    quote! {
        #[derive(#(#derives),*)]
        #serde
        #schemars
        #item
        #negotiate
    }
}

/// The impl; without lines, of a shape that is refused, it only stands for one.
fn negotiate(rt: &TokenStream, name: &Ident, lines: Option<&Vec<Line>>) -> TokenStream {
    let refused = lines.is_none();
    let lines = lines.map_or(&[][..], Vec::as_slice);
    let body = if refused {
        quote!(::core::result::Result::Ok(::core::clone::Clone::clone(
            server
        )))
    } else if lines.iter().any(|line| line.optional) {
        let lets = lines.iter().map(
            |Line {
                 cfgs, name, value, ..
             }| {
                let local = local(name);
                quote!(#(#cfgs)* let #local = #value;)
            },
        );
        let fields = lines.iter().map(
            |Line {
                 cfgs,
                 name,
                 optional,
                 ..
             }| {
                let local = local(name);
                let taken = optional.then(|| quote!(?));
                quote!(#(#cfgs)* #name: #local #taken)
            },
        );
        quote! {
            let mut f = __rt::algebra::Fields::new();
            #(#lets)*
            f.finish_with(|| ::core::option::Option::Some(Self { #(#fields),* }))
        }
    } else {
        let fields = lines.iter().map(
            |Line {
                 cfgs, name, value, ..
             }| quote!(#(#cfgs)* #name: #value),
        );
        quote! {
            #[allow(unused_mut)]
            let mut f = __rt::algebra::Fields::new();
            let negotiated = Self { #(#fields),* };
            f.finish(negotiated)
        }
    };
    quote! {
        #[allow(deprecated, clippy::all, clippy::pedantic)]
        const _: () = {
            use #rt as __rt;
            #[automatically_derived]
            impl __rt::algebra::Negotiate for #name {
                type Negotiated = Self;
                #[allow(unused_variables)]
                fn negotiate(server: &Self, client: &Self) -> ::core::result::Result<Self, __rt::algebra::Mismatch> {
                    #body
                }
            }
        };
    }
}

fn local(name: &Ident) -> Ident {
    format_ident!("field_{}", name.unraw())
}

fn no_strategy(field: &Ident) -> Diagnostic {
    Diagnostic::NoStrategy {
        field: field.to_string(),
        list: list(STRATEGIES),
    }
}

#[derive(Clone, Copy)]
enum Sides {
    Both,
    Server,
    Client,
}

struct Strategy {
    /// The key that names it.
    name: String,
    /// The method of `Fields`.
    method: String,
    sides: Sides,
    with: Option<Path>,
}

impl Strategy {
    fn line(&self, name: Ident, wire: &str, cfgs: Vec<Attribute>) -> Line {
        let method = Ident::new(&self.method, Span::call_site());
        let with = self.with.iter();
        let value = match self.sides {
            Sides::Both => quote!(f.#method(#wire, &server.#name, &client.#name #(, #with)*)),
            Sides::Server => quote!(f.#method(#wire, &server.#name)),
            Sides::Client => quote!(f.#method(#wire, &client.#name)),
        };
        Line {
            cfgs,
            name,
            value,
            optional: matches!(self.method.as_str(), "custom" | "nested"),
        }
    }
}

/// The one strategy among the keys.
fn strategy(keys: &Keys, sink: &mut Sink) -> Option<Strategy> {
    let (required, preference) = (keys.key("required"), keys.key("preference"));
    let mut named = keys
        .entries()
        .iter()
        .filter(|e| e.key != "required" && e.key != "preference");
    let first = named.next()?;
    let mut two = false;
    for more in named {
        two = true;
        let (first, second) = (first.key.to_string(), more.key.to_string());
        sink.push(&more.key, Diagnostic::TwoStrategies { first, second });
    }
    let strategy = first.key.to_string();
    if two {
        return None;
    }
    let widens = matches!(strategy.as_str(), "max" | "or" | "client" | "with");
    if widens && preference.is_none() {
        let written = if strategy == "with" {
            "with = ..".to_owned()
        } else {
            strategy.clone()
        };
        sink.push(
            &first.key,
            Diagnostic::WantsPreference { strategy: written },
        );
    }
    if let Some(key) = preference.filter(|_| !widens) {
        sink.push(
            key,
            Diagnostic::NeedlessPreference {
                strategy: strategy.clone(),
            },
        );
    }
    let can_be_empty = matches!(strategy.as_str(), "intersect" | "prefer");
    if let Some(key) = required.filter(|_| !can_be_empty) {
        sink.push(
            key,
            Diagnostic::RequiredOn {
                strategy: strategy.clone(),
            },
        );
    }
    let method = match strategy.as_str() {
        "with" => "custom".to_owned(),
        _ if can_be_empty && required.is_some() => format!("{strategy}_required"),
        _ => strategy.clone(),
    };
    let sides = match strategy.as_str() {
        "server" => Sides::Server,
        "client" => Sides::Client,
        _ => Sides::Both,
    };
    Some(Strategy {
        name: strategy,
        method,
        sides,
        with: keys.path("with").cloned(),
    })
}

/// Types of the standard library that are plainly no limit.
const NO_LIMITS: &[&str] = &[
    "bool", "char", "str", "String", "Vec", "BTreeSet", "BTreeMap", "HashSet", "HashMap", "Value",
];

/// Whether the type goes with the strategy, as far as its name tells; what another type can do, the types decide.
fn check_field(field: &Ident, ty: &Type, strategy: &str, sink: &mut Sink) -> bool {
    let name = |ty: &Type| match ty {
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|s| s.ident.to_string())
        }
        _ => None,
    };
    let inside = option(ty);
    let Some(seen) = name(inside.unwrap_or(ty)) else {
        return true;
    };
    let field_name = || field.unraw().to_string();
    let limit = matches!(strategy, "min" | "max");
    let diagnostic = if matches!(seen.as_str(), "f32" | "f64") {
        Diagnostic::FloatSetting {
            field: field_name(),
            seen,
        }
    } else if limit && NO_LIMITS.contains(&seen.as_str()) {
        Diagnostic::LimitType {
            field: field_name(),
            strategy: strategy.to_owned(),
            seen: format!("`{seen}`"),
        }
    } else if strategy == "min" && inside.is_none() && is_integer(&seen) {
        Diagnostic::BareLimit {
            field: field_name(),
            seen,
        }
    } else {
        return true;
    };
    sink.push(ty, diagnostic);
    false
}

/// `T` of `Option<T>`.
fn option(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let segment = path.path.segments.last()?;
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    match arguments.args.first()? {
        syn::GenericArgument::Type(inside) if segment.ident == "Option" => Some(inside),
        _ => None,
    }
}

fn is_integer(name: &str) -> bool {
    let bits = name.strip_prefix(['u', 'i']);
    bits.is_some_and(|bits| matches!(bits, "8" | "16" | "32" | "64" | "128" | "size"))
}

/// The last names of the traits that the user derives.
fn derived(attrs: &[Attribute]) -> Vec<String> {
    attrs
        .iter()
        .filter(|a| a.path().is_ident("derive"))
        .filter_map(|a| {
            a.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)
                .ok()
        })
        .flatten()
        .filter_map(|path| path.segments.last().map(|s| s.ident.to_string()))
        .collect()
}

/// Keys of `#[serde(..)]`, each with its text if it has one.
fn serde_keys(attrs: &[Attribute]) -> Vec<(Path, Option<String>)> {
    let mut keys = Vec::new();
    for attr in attrs.iter().filter(|a| a.path().is_ident("serde")) {
        // serde reads the attribute after us and says what is wrong with it.
        let _ = attr.parse_nested_meta(|meta| {
            let mut text = None;
            if meta.input.peek(Token![=]) {
                let lit: syn::Lit = meta.value()?.parse()?;
                if let syn::Lit::Str(lit) = lit {
                    text = Some(lit.value());
                }
            } else if meta.input.peek(syn::token::Paren) {
                let content;
                syn::parenthesized!(content in meta.input);
                let _: TokenStream = content.parse()?;
            }
            keys.push((meta.path, text));
            Ok(())
        });
    }
    keys
}

/// Judges what the user's own `#[serde(..)]` on the struct says, and gives its keys.
fn container_serde(attrs: &[Attribute], sink: &mut Sink) -> Vec<String> {
    let mut written = Vec::new();
    for (path, _) in serde_keys(attrs) {
        let key = attributes::shown(&path);
        written.push(key.clone());
        let why = match key.as_str() {
            "rename_all" => "names on the wire are camelCase; rename a single field if you must",
            "default" => "`#[settings]` says it already: `{}` is always valid",
            "deny_unknown_fields" => {
                "a newer peer may send members that this side does not know, and they are ignored"
            }
            "transparent" | "untagged" | "tag" => "settings are a JSON object with named members",
            "crate" => "the path comes from `#[settings(crate = ..)]`",
            _ => continue,
        };
        sink.push(
            &path,
            Diagnostic::SerdeKey {
                key,
                why: why.to_owned(),
            },
        );
    }
    written
}

/// The name a field is given, and whether it says itself how it is read.
fn field_serde(attrs: &[Attribute], sink: &mut Sink) -> (Option<String>, bool) {
    let (mut renamed, mut reads_itself) = (None, false);
    for (path, text) in serde_keys(attrs) {
        let key = attributes::shown(&path);
        match key.as_str() {
            "rename" => renamed = text,
            "with" | "deserialize_with" => reads_itself = true,
            "flatten" => {
                let why = "each member is combined by its own strategy; write the fields out, or use `nested`";
                sink.push(
                    &path,
                    Diagnostic::SerdeKey {
                        key,
                        why: why.to_owned(),
                    },
                );
            }
            "skip" | "skip_serializing" | "skip_deserializing" => {
                let why = "both sides must see what is combined";
                sink.push(
                    &path,
                    Diagnostic::SerdeKey {
                        key,
                        why: why.to_owned(),
                    },
                );
            }
            _ => {}
        }
    }
    (renamed, reads_itself)
}

/// A path inside the private module, as the text that serde and schemars want.
fn lit(rt: &TokenStream, path: &str) -> LitStr {
    let rt = rt.to_string().replace(' ', "");
    LitStr::new(&format!("{rt}::{path}"), Span::call_site())
}
