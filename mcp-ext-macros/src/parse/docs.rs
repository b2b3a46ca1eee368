//! Documentation as a constant expression.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The docs among the attributes as one expression of type `&'static str`; `None` when there are none.
///
/// Docs that are no literal (`#[doc = include_str!(..)]`) are kept as they are.
pub fn expression(attrs: &[Attribute]) -> Option<TokenStream> {
    let mut parts: Vec<TokenStream> = Vec::new();
    let mut text = String::new();
    for attr in attrs.iter().filter(|a| a.path().is_ident("doc")) {
        let Meta::NameValue(doc) = &attr.meta else {
            continue;
        };
        match &doc.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) => {
                let line = line.value();
                text.push_str(line.strip_prefix(' ').unwrap_or(&line));
                text.push('\n');
            }
            other => {
                // The line break stands before what follows, so that none is left at the end.
                parts.push(quote!(#text, #other));
                text = "
"
                .to_owned();
            }
        }
    }
    let rest = text.trim_end();
    match (parts.is_empty(), rest.is_empty()) {
        (true, true) => None,
        (true, false) => Some(quote!(#rest)),
        (false, _) => Some(quote!(::core::concat!(#(#parts,)* #rest))),
    }
}

/// The docs among the attributes, to stand on something generated.
pub fn attributes(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs.iter().filter(|a| a.path().is_ident("doc")).collect()
}
