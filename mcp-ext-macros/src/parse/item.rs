//! The item that a macro stands on.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Item;
use syn::parse::Parse;

use crate::diag::{Diagnostic, Sink};

/// Reads the item as what it must be (`"a trait"`); says so when it is another one, or none that can be read.
pub fn expect<T: Parse>(
    input: &TokenStream,
    kind: &str,
    other: impl FnOnce(String) -> Diagnostic,
    sink: &mut Sink,
) -> Option<T> {
    let error = match syn::parse2::<T>(input.clone()) {
        Ok(item) => return Some(item),
        Err(error) => error,
    };
    match syn::parse2::<Item>(input.clone()) {
        Ok(item) if self::kind(&item) != kind => {
            sink.push(name(&item), other(self::kind(&item).to_owned()));
        }
        _ => unparsable(&error, kind, sink),
    }
    None
}

/// Says that an item cannot be read.
pub fn unparsable(error: &syn::Error, kind: &str, sink: &mut Sink) {
    let what = kind.rsplit(' ').next().unwrap_or(kind).to_owned();
    let error_text = error.to_string();
    sink.push_at(
        error.span(),
        Diagnostic::Unparsable {
            what,
            error: error_text,
        },
    );
}

/// What an item is, with its article.
pub fn kind(item: &Item) -> &'static str {
    match item {
        Item::Struct(_) => "a struct",
        Item::Enum(_) => "an enum",
        Item::Union(_) => "a union",
        Item::Trait(_) => "a trait",
        Item::Impl(_) => "an impl",
        Item::Fn(_) => "a function",
        Item::Mod(_) => "a module",
        _ => "something else",
    }
}

/// The name of an item, to point at.
pub fn name(item: &Item) -> TokenStream {
    let name = match item {
        Item::Struct(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Mod(item) => &item.ident,
        Item::Impl(item) => return item.self_ty.to_token_stream(),
        other => return quote!(#other),
    };
    name.to_token_stream()
}
