//! `#[extension]`: parse, model and validate, expand.

use proc_macro2::TokenStream;
use syn::ItemTrait;

use crate::diag::{Diagnostic, Sink};
use crate::parse::item;
use crate::parse::trait_::RawTrait;
use crate::{expand, validate};

/// Expands `#[extension]`.
pub fn expand(
    args: TokenStream,
    input: TokenStream,
    default_crate: &str,
    sink: &mut Sink,
) -> TokenStream {
    let other = |seen| Diagnostic::NotATrait { seen };
    let Some(item) = item::expect::<ItemTrait>(&input, "a trait", other, sink) else {
        return input;
    };
    let raw = RawTrait::new(args, item, sink);
    let extension = validate::trait_::extension(raw, default_crate, sink);
    expand::extension(&extension)
}
