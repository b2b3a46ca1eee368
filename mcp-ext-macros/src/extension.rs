//! `#[extension]`: parse, model and validate, expand.

use proc_macro2::TokenStream;
use syn::{Item, ItemTrait};

use crate::diag::{Diagnostic, Sink};
use crate::parse::trait_::RawTrait;
use crate::{expand, validate};

/// Expands `#[extension]`.
pub fn expand(
    args: TokenStream,
    input: TokenStream,
    default_crate: &str,
    sink: &mut Sink,
) -> TokenStream {
    let item: ItemTrait = match syn::parse2(input.clone()) {
        Ok(item) => item,
        Err(error) => {
            match syn::parse2::<Item>(input.clone()) {
                Ok(item) => {
                    let seen = crate::item_kind(&item).to_owned();
                    sink.push(crate::item_name(&item), Diagnostic::NotATrait { seen });
                }
                Err(_) => {
                    let what = "trait".to_owned();
                    sink.push_at(
                        error.span(),
                        Diagnostic::Unparsable {
                            what,
                            error: error.to_string(),
                        },
                    );
                }
            }
            return input;
        }
    };
    let raw = RawTrait::new(args, item, sink);
    let extension = validate::trait_::extension(raw, default_crate, sink);
    expand::extension(&extension)
}
