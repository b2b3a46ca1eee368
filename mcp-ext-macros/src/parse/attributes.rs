//! Tells our attributes on an item from those of others.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Path};

use crate::diag::{Diagnostic, Sink, nearest};
use crate::parse::keys::{Key, Keys};

/// An attribute of ours.
pub struct Marker {
    /// Its name.
    pub name: Ident,
    /// Its keys.
    pub keys: Keys,
}

/// Attributes that are the compiler's and therefore never a misspelling of ours.
const BUILTIN: &[&str] = &[
    "allow",
    "cfg",
    "cfg_attr",
    "cold",
    "deny",
    "deprecated",
    "derive",
    "doc",
    "expect",
    "forbid",
    "inline",
    "must_use",
    "non_exhaustive",
    "repr",
    "track_caller",
    "warn",
];

/// Takes our attributes out of `attrs`. On the item of a derive, texts may stand among the keys.
pub fn take(
    attrs: &mut Vec<Attribute>,
    ours: &[(&'static str, &'static [Key])],
    derive: bool,
    sink: &mut Sink,
) -> Vec<Marker> {
    let mut markers: Vec<Marker> = Vec::new();
    attrs.retain(|attr| {
        let Some(name) = attr.path().get_ident() else {
            return true;
        };
        let text = name.to_string();
        let Some((marker, table)) = ours.iter().find(|(marker, _)| *marker == text) else {
            let known = ours.iter().map(|(marker, _)| *marker);
            if let Some(marker) = conditional(attr, ours) {
                let marker = marker.to_owned();
                sink.push(attr, Diagnostic::ConditionalMarker { marker });
                return false;
            }
            // A derive cannot take an attribute away, and rustc itself speaks of one that nobody knows.
            if !derive
                && !BUILTIN.contains(&text.as_str())
                && let Some(near) = nearest(&text, known)
            {
                sink.push(
                    name,
                    Diagnostic::MisspeltAttribute {
                        seen: text,
                        nearest: near.to_owned(),
                    },
                );
                return false;
            }
            return true;
        };
        let tokens = match &attr.meta {
            Meta::Path(_) => TokenStream::new(),
            Meta::List(list) => list.tokens.clone(),
            Meta::NameValue(_) => {
                sink.push(
                    &attr.meta,
                    Diagnostic::MarkerForm {
                        marker: text.clone(),
                    },
                );
                TokenStream::new()
            }
        };
        let place = format!("#[{marker}(..)]");
        let keys = if derive {
            Keys::parse_with_text(tokens, &place, table, sink)
        } else {
            Keys::parse(tokens, &place, table, sink)
        };
        match markers.iter().find(|m| m.name == *name) {
            Some(first) => {
                let what = format!("`#[{marker}]`");
                sink.twice(
                    &first.name,
                    name,
                    &what,
                    Diagnostic::DuplicateMarker { marker: text },
                );
            }
            None => markers.push(Marker {
                name: name.clone(),
                keys,
            }),
        }
        false
    });
    markers
}

/// The attribute of ours that a `cfg_attr` holds.
fn conditional(attr: &Attribute, ours: &[(&'static str, &'static [Key])]) -> Option<&'static str> {
    let Meta::List(list) = &attr.meta else {
        return None;
    };
    if !attr.path().is_ident("cfg_attr") {
        return None;
    }
    list.tokens
        .clone()
        .into_iter()
        .find_map(|token| match token {
            TokenTree::Ident(word) => ours
                .iter()
                .map(|(marker, _)| *marker)
                .find(|marker| word == marker),
            _ => None,
        })
}

/// The `#[cfg]`s among the attributes.
pub fn cfgs(attrs: &[Attribute]) -> Vec<Attribute> {
    attrs
        .iter()
        .filter(|a| a.path().is_ident("cfg"))
        .cloned()
        .collect()
}

/// `#[deprecated]`, and the words that go with it.
pub fn deprecated(attrs: &[Attribute]) -> Option<(Attribute, String)> {
    let attr = attrs.iter().find(|a| a.path().is_ident("deprecated"))?;
    let mut note = String::new();
    match &attr.meta {
        Meta::NameValue(value) => {
            if let Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) = &value.value
            {
                note = text.value();
            }
        }
        Meta::List(_) => {
            // rustc has judged the attribute; what cannot be read here says nothing.
            let _ = attr.parse_nested_meta(|meta| {
                let text: syn::LitStr = meta.value()?.parse()?;
                if meta.path.is_ident("note") {
                    note = text.value();
                }
                Ok(())
            });
        }
        Meta::Path(_) => {}
    }
    Some((attr.clone(), note))
}

/// The path of the private module of mcp-ext-core, through the crate that the user depends on.
pub fn private_module(keys: &Keys, default: &str, sink: &mut Sink) -> TokenStream {
    let module = quote::format_ident!("{}", MODULE);
    let default = quote::format_ident!("{default}");
    let Some(path) = keys.path("crate") else {
        return quote!(::#default::#module);
    };
    let first = path
        .segments
        .first()
        .map(|s| s.ident.to_string())
        .unwrap_or_default();
    if path.leading_colon.is_none() && first != "crate" && first != "$crate" {
        sink.push(path, Diagnostic::RelativeCrate { path: shown(path) });
        return quote!(::#default::#module);
    }
    quote!(#path::#module)
}

/// The name of the private module: it changes with every release, so that nothing written by hand can depend on it.
pub const MODULE: &str = {
    const LEN: usize = "__private_".len() + env!("CARGO_PKG_VERSION").len();
    const BYTES: [u8; LEN] = {
        let (prefix, version) = (b"__private_", env!("CARGO_PKG_VERSION").as_bytes());
        let mut bytes = [b'_'; LEN];
        let mut i = 0;
        while i < LEN {
            let byte = if i < prefix.len() {
                prefix[i]
            } else {
                version[i - prefix.len()]
            };
            if byte.is_ascii_alphanumeric() {
                bytes[i] = byte;
            }
            i += 1;
        }
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(name) => name,
        Err(_) => "__private",
    }
};

/// A path without the spaces that tokens are printed with.
pub fn shown(path: &Path) -> String {
    let leading = if path.leading_colon.is_some() {
        "::"
    } else {
        ""
    };
    let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
    format!("{leading}{}", names.join("::"))
}
