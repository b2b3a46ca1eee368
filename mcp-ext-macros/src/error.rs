//! `#[derive(ExtensionError)]`: an enum as the table of an extension's own errors.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{Attribute, Fields, Generics, Item, ItemEnum, LitStr, Variant};

use crate::diag::{Diagnostic, Sink, hint};
use crate::names;
use crate::parse::attributes;
use crate::parse::docs;
use crate::parse::item;
use crate::parse::keys::{Key, Keys, Kind, Value};
use crate::parse::trait_::keys;

pub const ENUM: &[Key] = keys! { "crate" Kind::Path => "crate = ::path" };

pub const VARIANT: &[Key] = keys! {
    "code" Kind::Int => "code = 4100",
    "kind" Kind::Text => "kind = \"unknown_course\"",
    "retryable" Kind::Flag => "retryable",
};

pub const FIELD: &[Key] = keys! { "private" Kind::Flag => "private" };

/// One error.
struct Row {
    cfgs: Vec<Attribute>,
    name: Ident,
    kind: String,
    code: i32,
    docs: TokenStream,
    retryable: bool,
    message: LitStr,
    /// The fields that the message names.
    shown: Vec<Ident>,
    fields: Vec<Field>,
    /// Whether its fields have no names, which has been reported.
    tuple: bool,
}

struct Field {
    cfgs: Vec<Attribute>,
    name: Ident,
    private: bool,
}

/// Expands `#[derive(ExtensionError)]`.
pub fn expand(input: TokenStream, default_crate: &str, sink: &mut Sink) -> TokenStream {
    let mut input: ItemEnum = match syn::parse2(input) {
        Ok(Item::Enum(item)) => item,
        Ok(other) => {
            let seen = item::kind(&other).to_owned();
            sink.push(item::name(&other), Diagnostic::NotAnEnum { seen });
            let rt = attributes::private_module(&Keys::default(), default_crate, sink);
            return match other {
                Item::Struct(item) => stub(&rt, &item.ident, &item.generics),
                Item::Union(item) => stub(&rt, &item.ident, &item.generics),
                _ => TokenStream::new(),
            };
        }
        Err(error) => {
            item::unparsable(&error, "an enum", sink);
            return TokenStream::new();
        }
    };
    let markers = attributes::take(&mut input.attrs, &[("error", ENUM)], false, sink);
    let none = Keys::default();
    let keys = markers.first().map_or(&none, |m| &m.keys);
    let rt = attributes::private_module(keys, default_crate, sink);
    let name = &input.ident;
    if !input.generics.params.is_empty() {
        sink.push(
            &input.generics,
            Diagnostic::ErrorGenerics {
                name: name.to_string(),
            },
        );
        return stub(&rt, name, &input.generics);
    }
    let mut seen = Seen::default();
    let rows: Vec<Row> = input
        .variants
        .iter()
        .map(|v| row(v.clone(), &mut seen, sink))
        .collect();
    table(&rt, name, &rows)
}

/// Codes and kinds so far, each with where it stands and whether a `#[cfg]` may take it away.
#[derive(Default)]
struct Seen {
    codes: Vec<(i32, TokenStream, bool)>,
    kinds: Vec<(String, TokenStream, bool)>,
}

fn row(mut variant: Variant, seen: &mut Seen, sink: &mut Sink) -> Row {
    let before = sink.len();
    let name = variant.ident.clone();
    let mut markers = take_error(&mut variant.attrs, VARIANT, sink);
    let misread = sink.len() > before;
    let keys = markers.pop();
    if keys.is_none() && !misread {
        sink.push(
            &name,
            Diagnostic::NoErrorAttribute {
                variant: name.to_string(),
            },
        );
    }
    let tuple = matches!(variant.fields, Fields::Unnamed(_));
    if tuple {
        sink.push(
            &variant.fields,
            Diagnostic::TupleVariant {
                variant: name.to_string(),
            },
        );
    }
    let mut fields = Vec::new();
    for field in &mut variant.fields {
        let private = take_error(&mut field.attrs, FIELD, sink)
            .iter()
            .any(|keys| keys.has("private"));
        if let Some(name) = &field.ident {
            fields.push(Field {
                cfgs: attributes::cfgs(&field.attrs),
                name: name.clone(),
                private,
            });
        }
    }
    let keys = keys.unwrap_or_default();
    let missing = !misread && !nothing(&keys);
    let (kind, kind_at) = kind(&keys, &name, sink);
    let conditional = !attributes::cfgs(&variant.attrs).is_empty();
    let same = |(k, _, c): &&(String, TokenStream, bool)| *k == kind && !(conditional && *c);
    if let Some((_, first, _)) = seen.kinds.iter().find(same) {
        sink.twice(
            first,
            &kind_at,
            &format!("kind `{kind}`"),
            Diagnostic::DuplicateKind { kind: kind.clone() },
        );
    } else {
        seen.kinds.push((kind.clone(), kind_at, conditional));
    }
    let code = code(&keys, &name, missing, conditional, seen, sink);
    for more in keys.bare.iter().skip(1) {
        sink.push(more, Diagnostic::TwoMessages);
    }
    let (message, shown) = match keys.bare.first() {
        Some(text) => message(text, &name, &fields, tuple, sink),
        None => {
            if missing {
                sink.push(
                    &name,
                    Diagnostic::MissingMessage {
                        variant: name.to_string(),
                    },
                );
            }
            (LitStr::new("", name.span()), Vec::new())
        }
    };
    Row {
        cfgs: attributes::cfgs(&variant.attrs),
        kind,
        code,
        docs: docs::expression(&variant.attrs).unwrap_or_else(|| quote!("")),
        retryable: keys.has("retryable"),
        message,
        shown,
        fields,
        tuple,
        name,
    }
}

/// Nothing was written at all: that has been said, and what is missing follows from it.
fn nothing(keys: &Keys) -> bool {
    keys.entries().is_empty() && keys.bare.is_empty()
}

/// The keys of every `#[error(..)]` here.
fn take_error(attrs: &mut Vec<Attribute>, table: &'static [Key], sink: &mut Sink) -> Vec<Keys> {
    attributes::take(attrs, &[("error", table)], true, sink)
        .into_iter()
        .map(|m| m.keys)
        .collect()
}

fn kind(keys: &Keys, name: &Ident, sink: &mut Sink) -> (String, TokenStream) {
    let default = names::snake_case(name);
    let Some(lit) = keys.text("kind") else {
        return (default, quote!(#name));
    };
    let kind = lit.value();
    let sound = kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
    if !sound {
        sink.push(
            lit,
            Diagnostic::ErrorKind {
                kind: kind.escape_debug().to_string(),
            },
        );
        return (default, quote!(#lit));
    }
    (kind, quote!(#lit))
}

fn code(
    keys: &Keys,
    name: &Ident,
    missing: bool,
    conditional: bool,
    seen: &mut Seen,
    sink: &mut Sink,
) -> i32 {
    let Some(Value::Int(code, at)) = keys.get("code").map(|e| &e.value) else {
        if missing && !keys.was_seen("code") {
            sink.push(
                name,
                Diagnostic::MissingCode {
                    variant: name.to_string(),
                },
            );
        }
        return 0;
    };
    if let Some(why) = names::reserved_code(*code) {
        sink.push(
            at,
            Diagnostic::ReservedCode {
                code: code.to_string(),
                why: why.to_owned(),
            },
        );
        return 0;
    }
    let Ok(code) = i32::try_from(*code) else {
        sink.push(
            at,
            Diagnostic::CodeRange {
                code: code.to_string(),
            },
        );
        return 0;
    };
    match seen
        .codes
        .iter()
        .find(|(c, _, other)| *c == code && !(conditional && *other))
    {
        Some((_, first, _)) => {
            let what = format!("code {code}");
            sink.twice(
                first,
                at,
                &what,
                Diagnostic::DuplicateCode {
                    code: code.to_string(),
                },
            );
        }
        None => seen.codes.push((code, at.clone(), conditional)),
    }
    code
}

/// Checks a message and finds the fields it names. A message at fault is shown as it is.
fn message(
    text: &LitStr,
    variant: &Ident,
    fields: &[Field],
    tuple: bool,
    sink: &mut Sink,
) -> (LitStr, Vec<Ident>) {
    let before = sink.len();
    let mut shown: Vec<Ident> = Vec::new();
    match placeholders(&text.value()) {
        Err(why) => sink.push(
            text,
            Diagnostic::BadFormat {
                variant: variant.to_string(),
                why: why.to_owned(),
            },
        ),
        Ok(names) => {
            for name in names {
                let counted = name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit());
                if counted {
                    if !tuple {
                        sink.push(
                            text,
                            Diagnostic::Positional {
                                variant: variant.to_string(),
                            },
                        );
                    }
                    continue;
                }
                match fields.iter().find(|f| f.name.unraw() == name) {
                    Some(field) if field.private => {
                        sink.push(text, Diagnostic::PrivateInMessage { field: name });
                    }
                    Some(field) => {
                        if !shown.contains(&field.name) {
                            shown.push(field.name.clone());
                        }
                    }
                    None if tuple => {}
                    None => {
                        let known: Vec<String> =
                            fields.iter().map(|f| f.name.unraw().to_string()).collect();
                        let known: Vec<&str> = known.iter().map(String::as_str).collect();
                        let hint = if known.is_empty() {
                            "; it has none".to_owned()
                        } else {
                            hint(&name, &known)
                        };
                        let variant = variant.to_string();
                        sink.push(
                            text,
                            Diagnostic::UnknownField {
                                variant,
                                field: name,
                                hint,
                            },
                        );
                    }
                }
            }
        }
    }
    if sink.len() > before || tuple {
        return (LitStr::new("", text.span()), Vec::new());
    }
    (text.clone(), shown)
}

/// The names in the braces of a format string, those of widths and precisions included.
fn placeholders(text: &str) -> Result<Vec<String>, &'static str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let doubled = rest[at + 1..].chars().next() == rest[at..].chars().next();
        if doubled {
            rest = &rest[at + 2..];
            continue;
        }
        if rest[at..].starts_with('}') {
            return Err("a `}` stands alone; double it to show one");
        }
        let end = rest[at..]
            .find('}')
            .ok_or("a `{` is not closed; double it to show one")?;
        let inner = &rest[at + 1..at + end];
        let (name, spec) = inner.split_once(':').unwrap_or((inner, ""));
        let name = name.trim();
        if !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(
                "between the braces stands the name of a field, and after a `:` how it is shown",
            );
        }
        names.push(name.to_owned());
        names.extend(spec.split('$').rev().skip(1).map(|part| {
            let start = part
                .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
                .map_or(0, |i| i + 1);
            part[start..].to_owned()
        }));
        rest = &rest[at + end + 1..];
    }
    Ok(names)
}

fn table(rt: &TokenStream, name: &Ident, rows: &[Row]) -> TokenStream {
    let rows: Vec<&Row> = rows.iter().collect();
    let specs = rows.iter().map(|row| {
        let Row { cfgs, kind, code, docs, retryable, .. } = row;
        quote!(#(#cfgs)* __rt::ErrorSpec { kind: #kind, code: #code, docs: #docs, retryable: #retryable })
    });
    // A `#[cfg]` may take rows away, so the position is looked up by kind.
    let conditional = rows.iter().any(|row| !row.cfgs.is_empty());
    let index = rows.iter().enumerate().map(|(i, row)| {
        let Row {
            cfgs, name, kind, ..
        } = row;
        let value = if conditional {
            quote!(Self::ERRORS.iter().position(|e| e.kind == #kind).unwrap_or_default())
        } else {
            quote!(#i)
        };
        quote!(#(#cfgs)* Self::#name { .. } => #value,)
    });
    let messages = rows.iter().map(|row| {
        let Row {
            cfgs,
            name,
            message,
            shown,
            ..
        } = row;
        quote!(#(#cfgs)* Self::#name { #(#shown,)* .. } => ::core::write!(f, #message),)
    });
    let details = rows.iter().map(|row| {
        let Row {
            cfgs, name, fields, ..
        } = row;
        let told = || fields.iter().filter(|f| !f.private);
        let pattern = told().map(|f| {
            let (cfgs, name) = (&f.cfgs, &f.name);
            quote!(#(#cfgs)* #name)
        });
        let puts = told().map(|f| {
            let (cfgs, name, wire) = (&f.cfgs, &f.name, names::camel_case(&f.name));
            quote!(#(#cfgs)* __rt::put_detail(&mut details, #wire, #name);)
        });
        quote!(#(#cfgs)* Self::#name { #(#pattern,)* .. } => { #(#puts)* })
    });
    let back = rows.iter().filter(|row| !row.tuple).map(|row| {
        let Row {
            cfgs,
            name,
            kind,
            fields,
            ..
        } = row;
        let values = fields.iter().map(|f| {
            let (cfgs, name, wire) = (&f.cfgs, &f.name, names::camel_case(&f.name));
            if f.private {
                quote!(#(#cfgs)* #name: ::core::default::Default::default())
            } else {
                quote!(#(#cfgs)* #name: __rt::take_detail(details, #wire)?)
            }
        });
        quote!(#(#cfgs)* #kind => ::core::option::Option::Some(Self::#name { #(#values),* }),)
    });
    // A reference is never empty, so an enum without variants is looked at itself.
    let (index_of, shown) = if rows.is_empty() {
        (quote!(match *self {}), quote!(match *self {}))
    } else {
        (
            quote!(match self { #(#index)* }),
            quote!(match self { #(#messages)* }),
        )
    };
    let details = if rows.is_empty() {
        quote!(match *self {})
    } else {
        quote!({
            let mut details = __rt::JsonObject::new();
            match self { #(#details)* }
            details
        })
    };
    quote! {
        #[allow(deprecated, unreachable_patterns, unused_variables, unused_mut, clippy::all, clippy::pedantic)]
        const _: () = {
            use #rt as __rt;
            #[automatically_derived]
            impl __rt::ExtensionError for #name {
                const ERRORS: &'static [__rt::ErrorSpec] = &[#(#specs),*];
                fn index(&self) -> usize {
                    #index_of
                }
                fn message(&self) -> ::std::string::String {
                    ::std::string::ToString::to_string(self)
                }
                fn details(&self) -> __rt::JsonObject {
                    #details
                }
                fn from_wire(kind: &str, details: &__rt::serde_json::Value) -> ::core::option::Option<Self> {
                    match kind {
                        #(#back)*
                        _ => ::core::option::Option::None,
                    }
                }
            }
            #[automatically_derived]
            impl ::core::fmt::Display for #name {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    #shown
                }
            }
            #[automatically_derived]
            impl ::core::error::Error for #name where for<'__a> Self: ::core::fmt::Debug {}
        };
    }
}

/// The impls that other code asks for, of an item that cannot have them.
fn stub(rt: &TokenStream, name: &Ident, generics: &Generics) -> TokenStream {
    let (generics, types, bounds) = generics.split_for_impl();
    let never = quote!(::core::unreachable!("this error did not compile"));
    quote! {
        #[allow(unused_variables)]
        const _: () = {
            use #rt as __rt;
            impl #generics __rt::ExtensionError for #name #types #bounds {
                const ERRORS: &'static [__rt::ErrorSpec] = &[];
                fn index(&self) -> usize { #never }
                fn message(&self) -> ::std::string::String { #never }
                fn details(&self) -> __rt::JsonObject { #never }
                fn from_wire(kind: &str, details: &__rt::serde_json::Value) -> ::core::option::Option<Self> {
                    #never
                }
            }
            impl #generics ::core::fmt::Display for #name #types #bounds {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { #never }
            }
        };
    }
}
