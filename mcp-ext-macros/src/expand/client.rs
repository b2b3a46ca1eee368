//! The client's side: a typed fn for each method and each tool.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use crate::expand::{Names, params_type, result_types, vis};
use crate::model::{Extension, Item};
use crate::parse::docs;
use crate::validate::item::tool_fn;

/// `GradingClient<C>` and `GradingExtension::client`, where mcp-ext-core has its feature `client`.
pub fn expand(extension: &Extension, names: &Names) -> TokenStream {
    let (vis, rt) = (vis(extension), &extension.rt);
    let Names {
        marker,
        client,
        caller,
        ..
    } = names;
    let id = &extension.id;
    let doc = format!("A typed client of `{id}`, negotiated with one server.");
    let entry =
        format!("A client of `{id}` that sends through `caller`; negotiate before calling.");
    let fns = extension.items.iter().flat_map(|item| {
        let name = &item.common.name;
        let method = item
            .method
            .as_ref()
            .map(|m| function(item, extension, name, "method", &m.wire));
        let tool = item.tool.as_ref().map(|t| match method {
            Some(_) => function(item, extension, &tool_fn(name), "tool", &t.name),
            None => function(item, extension, name, "tool", &t.name),
        });
        method.into_iter().chain(tool)
    });
    quote! {
        #rt::client! {
            #[doc = #doc]
            #vis struct #client<#caller>(#rt::Active<#marker, #caller>);

            #[allow(dead_code, deprecated)]
            impl<#caller: #rt::Caller> #client<#caller> {
                #(#fns)*
            }

            #[allow(dead_code)]
            impl #marker {
                #[doc = #entry]
                #vis fn client<#caller: #rt::Caller>(caller: #caller) -> #rt::Client<Self, #caller> {
                    #rt::Client::new(caller)
                }
            }

            #[automatically_derived]
            impl<#caller> ::core::ops::Deref for #client<#caller> {
                type Target = #rt::Active<#marker, #caller>;
                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }

            #[automatically_derived]
            impl<#caller> ::core::convert::From<#rt::Active<#marker, #caller>> for #client<#caller> {
                fn from(active: #rt::Active<#marker, #caller>) -> Self {
                    Self(active)
                }
            }

            #[automatically_derived]
            impl #rt::HasClient for #marker {
                type Typed<#caller: #rt::Caller> = #client<#caller>;
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
    let (vis, rt) = (vis(extension), &extension.rt);
    let common = &item.common;
    let (cfgs, text) = (&common.cfgs, common.name.to_string());
    let text = text.trim_start_matches("r#");
    let docs = docs::attributes(&common.attrs);
    let deprecated = common.deprecated.iter().map(|(attr, _)| attr);
    let doc = format!("Calls the {kind} `{wire}`.");
    // Docs of the trait come first; rustdoc wants a line between them.
    let gap = (!docs.is_empty()).then(|| quote!(#[doc = ""]));
    let (ok, err) = result_types(&item.output, rt);
    let call = quote::format_ident!("{kind}");
    let (arg, value) = match &item.params {
        Some(ty) => (quote!(, params: #ty), quote!(&params)),
        None => {
            let none = params_type(item, rt);
            (quote!(), quote!(&#none {}))
        }
    };
    quote! {
        #(#cfgs)* #(#docs)* #gap
        #[doc = #doc]
        #(#deprecated)*
        #vis async fn #name(&self #arg) -> ::core::result::Result<#ok, #rt::CallError<#err>> {
            self.0.#call(#text, #value).await
        }
    }
}
