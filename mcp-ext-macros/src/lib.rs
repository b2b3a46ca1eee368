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

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::Item;

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
    extension __facade_extension extension
}

attribute! {
    /// Stands above the impl of an extension's trait: checks the signatures and notes which items are provided.
    handlers __facade_handlers handlers
}

attribute! {
    /// Makes a struct the settings of an extension.
    settings __facade_settings settings
}

/// Makes an enum the errors of an extension.
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

/// What an item is, with its article.
fn item_kind(item: &Item) -> &'static str {
    match item {
        Item::Struct(_) => "a struct",
        Item::Enum(_) => "an enum",
        Item::Union(_) => "a union",
        Item::Trait(_) => "a trait",
        Item::Impl(_) => "an impl",
        Item::Fn(_) => "a function",
        Item::Mod(_) => "a module",
        _ => "this",
    }
}

/// The name of an item, to point at.
fn item_name(item: &Item) -> TokenStream {
    let name: Option<&Ident> = match item {
        Item::Struct(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Mod(item) => Some(&item.ident),
        _ => None,
    };
    match (name, item) {
        (Some(name), _) => quote!(#name),
        (None, Item::Impl(item)) => {
            let ty = &item.self_ty;
            quote!(#ty)
        }
        (None, other) => quote!(#other),
    }
}
