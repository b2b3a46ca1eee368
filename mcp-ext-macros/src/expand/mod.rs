//! From the model to tokens; one file for each thing that is made.

pub mod client;
pub mod contract;
pub mod notifications;
pub mod provider;
pub mod trait_;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Type, Visibility};

use crate::model::{Extension, Item, Settings};

/// The names of what is made of one trait.
pub struct Names {
    pub trait_: Ident,
    pub marker: Ident,
    pub notifications: Ident,
    pub publisher: Ident,
    pub notification: Ident,
    pub client: Ident,
    /// Parameter of generated generics, none of the user's names.
    pub provider: Ident,
    pub caller: Ident,
}

impl Names {
    fn new(extension: &Extension) -> Self {
        let trait_ = &extension.item.ident;
        let base = trait_.unraw();
        let fresh = |short: &str| {
            let taken = extension.taken.iter().any(|t| t == short);
            if taken {
                format_ident!("__{short}")
            } else {
                format_ident!("{short}")
            }
        };
        Self {
            trait_: trait_.clone(),
            marker: format_ident!("{base}Extension", span = trait_.span()),
            notifications: format_ident!("{base}Notifications", span = trait_.span()),
            notification: format_ident!("{base}Notification", span = trait_.span()),
            publisher: format_ident!("{base}Publisher", span = trait_.span()),
            client: format_ident!("{base}Client", span = trait_.span()),
            provider: fresh("P"),
            caller: fresh("C"),
        }
    }
}

/// Everything that `#[extension]` makes.
pub fn extension(extension: &Extension) -> TokenStream {
    let names = Names::new(extension);
    let trait_ = trait_::expand(extension, &names);
    let marker = contract::marker(extension, &names);
    let notifications = notifications::expand(extension, &names);
    let client = client::expand(extension, &names);
    let impls = [
        provider::provide(extension, &names),
        contract::implementation(extension, &names),
        provider::serves(extension, &names),
        notifications::implementation(extension, &names),
        client::implementation(extension, &names),
    ];
    let rt = &extension.rt;
    let marker_name = &names.marker;
    quote! {
        #trait_
        #marker
        #notifications
        #client
        #[allow(dead_code, deprecated, clippy::all, clippy::pedantic)]
        const _: () = {
            use #rt as __rt;
            #(#impls)*
            __rt::inventory::submit! {
                __rt::Registered(<#marker_name as __rt::Extension>::CONTRACT)
            }
        };
    }
}

/// The visibility of the trait, which everything made of it shares.
fn vis(extension: &Extension) -> &Visibility {
    &extension.item.vis
}

/// The type of an item's params.
fn params_type(item: &Item) -> TokenStream {
    match &item.params {
        Some(ty) => ty.to_token_stream(),
        None => quote!(__rt::NoParams),
    }
}

/// The types of the settings: server, client, negotiated.
fn settings_types(extension: &Extension) -> [TokenStream; 3] {
    match &extension.settings {
        Settings::None => [
            quote!(__rt::NoSettings),
            quote!(__rt::NoSettings),
            quote!(__rt::NoSettings),
        ],
        Settings::Same(ty) => [quote!(#ty), quote!(#ty), quote!(#ty)],
        Settings::Split {
            server,
            client,
            negotiated,
        } => [quote!(#server), quote!(#client), quote!(#negotiated)],
    }
}

/// `T` and `E` of an output that is written `Result<T, E>`; an alias is taken apart by the types.
fn result_types(output: &Type, at: Span) -> (TokenStream, TokenStream) {
    if let Type::Path(path) = output
        && path.qself.is_none()
        && let Some(segment) = path.path.segments.last()
        && segment.ident == "Result"
        && let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments
        && let [
            syn::GenericArgument::Type(ok),
            syn::GenericArgument::Type(err),
        ] = arguments.args.iter().collect::<Vec<_>>().as_slice()
    {
        return (ok.to_token_stream(), err.to_token_stream());
    }
    (
        quote_spanned!(at=> <#output as __rt::HandlerResult>::Ok),
        quote_spanned!(at=> <#output as __rt::HandlerResult>::Err),
    )
}
