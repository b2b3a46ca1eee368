//! The client's side: a typed fn for each method and each tool.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::expand::{Names, params_type, result_types, vis};
use crate::model::{Extension, Item};
use crate::parse::docs;
use crate::validate::item::tool_fn;

/// `pub struct GradingClient<C>`, where mcp-ext-core has its feature `client`.
pub fn expand(extension: &Extension, names: &Names) -> TokenStream {
    let (vis, rt) = (vis(extension), &extension.rt);
    let Names {
        marker,
        client,
        caller,
        ..
    } = names;
    let doc = format!(
        "A typed client of `{}`, negotiated with one server.",
        extension.id
    );
    quote! {
        #rt::client! {
            #[doc = #doc]
            #[allow(deprecated, missing_debug_implementations)]
            #vis struct #client<#caller>(#rt::Active<#marker, #caller>);
        }
    }
}

/// One fn for each method and each tool, and `GradingExtension::client`.
pub fn implementation(extension: &Extension, names: &Names) -> TokenStream {
    let vis = vis(extension);
    let Names {
        marker,
        client,
        caller,
        ..
    } = names;
    let entry = format!(
        "A client of `{}` that sends through `caller`; negotiate before calling.",
        extension.id
    );
    let taken = |name: &Ident| extension.items.iter().any(|item| item.common.name == *name);
    let fns = extension.items.iter().flat_map(|item| {
        let name = &item.common.name;
        let method = item
            .method
            .as_ref()
            .map(|m| function(item, extension, name, "method", &m.wire));
        let tool = item.tool.as_ref().map(|t| match method {
            Some(_) => Some(tool_fn(name))
                // A clash, which has been reported.
                .filter(|name| !taken(name))
                .map(|name| function(item, extension, &name, "tool", &t.name)),
            None => Some(function(item, extension, name, "tool", &t.name)),
        });
        method.into_iter().chain(tool.flatten())
    });
    quote! {
        __rt::client! {
            impl<#caller: __rt::Caller> #client<#caller> {
                #(#fns)*
            }

            impl #marker {
                #[doc = #entry]
                #vis fn client<#caller: __rt::Caller>(caller: #caller) -> __rt::Client<Self, #caller> {
                    __rt::Client::new(caller)
                }
            }

            #[automatically_derived]
            impl<#caller> ::core::ops::Deref for #client<#caller> {
                type Target = __rt::Active<#marker, #caller>;
                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }

            #[automatically_derived]
            impl<#caller> ::core::convert::From<__rt::Active<#marker, #caller>> for #client<#caller> {
                fn from(active: __rt::Active<#marker, #caller>) -> Self {
                    Self(active)
                }
            }

            #[automatically_derived]
            impl __rt::HasClient for #marker {
                type Typed<#caller: __rt::Caller> = #client<#caller>;
            }
        }
    }
}

fn function(
    item: &Item,
    extension: &Extension,
    name: &Ident,
    kind: &str,
    wire: &str,
) -> TokenStream {
    let vis = vis(extension);
    let common = &item.common;
    let (cfgs, text) = (&common.cfgs, common.name.to_string());
    let text = text.trim_start_matches("r#");
    let docs = docs::attributes(&common.attrs);
    let deprecated = common.deprecated.iter().map(|(attr, _)| attr);
    let doc = docs.is_empty().then(|| {
        let doc = format!("Calls the {kind} `{wire}`.");
        quote!(#[doc = #doc])
    });
    let (ok, err) = result_types(&item.output, item.at.output);
    let call = Ident::new(kind, item.at.output);
    // Checked where a client calls, not here: a server's types need no more with the feature `client` than without it.
    // The unused lifetime is what puts the check off.
    let sends = item
        .params
        .as_ref()
        .map(|ty| quote!(for<'__a> #ty: __rt::serde::Serialize,));
    let (arg, value) = match &item.params {
        Some(ty) => (
            quote!(, params: #ty),
            quote_spanned!(item.at.params=> &params),
        ),
        None => {
            let none = params_type(item);
            (quote!(), quote!(&#none {}))
        }
    };
    let sent = quote_spanned!(item.at.output=> self.0.#call(#text, #value).await);
    quote! {
        #(#cfgs)* #(#docs)* #doc
        #(#deprecated)*
        #vis async fn #name(&self #arg) -> ::core::result::Result<#ok, __rt::CallError<#err>>
        where
            #sends
            for<'__a> #ok: __rt::serde::de::DeserializeOwned,
        {
            #sent
        }
    }
}
