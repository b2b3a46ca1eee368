//! The server's side: how a provider is enabled, and how a call reaches it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};

use crate::expand::{Names, params_type, vis};
use crate::model::{Extension, Item, PROVIDED};

/// `GradingExtension::provide`
pub fn provide(extension: &Extension, names: &Names) -> TokenStream {
    let vis = vis(extension);
    let Names {
        marker,
        trait_,
        provider,
        ..
    } = names;
    let doc = format!(
        "Enables `{}` with a provider, or an `Arc` of one; hand it to the builder of an `ExtensionSet`.",
        extension.id
    );
    let (bound, argument, body) = if extension.stub {
        (
            quote!(::core::marker::Send + ::core::marker::Sync + 'static),
            quote!(#provider),
            quote! {
                let _ = provider;
                ::core::unreachable!("this extension did not compile")
            },
        )
    } else {
        (
            quote!(#trait_),
            quote!(impl __rt::IntoProvider<Self, #provider>),
            quote!(__rt::Enable::new(provider)),
        )
    };
    quote! {
        impl #marker {
            #[doc = #doc]
            #vis fn provide<#provider: #bound>(provider: #argument) -> __rt::Enable<Self> {
                #body
            }
        }
    }
}

/// `impl<P: Grading> Serves<P> for GradingExtension`
pub fn serves(extension: &Extension, names: &Names) -> TokenStream {
    if extension.stub {
        return TokenStream::new();
    }
    let Names {
        marker,
        trait_,
        provider,
        ..
    } = names;
    let provided = format_ident!("{PROVIDED}");
    let arms = extension.items.iter().map(|item| arm(item, names));
    quote! {
        #[automatically_derived]
        impl<#provider: #trait_> __rt::Serves<#provider> for #marker {
            const PROVIDED: &'static [&'static str] = #provider::#provided;
            #[allow(unused_variables)]
            fn serve<'__a>(
                provider: &'__a #provider,
                item: &'static str,
                call: __rt::Call<'__a>,
            ) -> __rt::BoxFuture<'__a, __rt::Outcome> {
                match item {
                    #(#arms)*
                    _ => call.no_such_item(),
                }
            }
        }
    }
}

fn arm(item: &Item, names: &Names) -> TokenStream {
    let (cfgs, name, text) = (
        &item.common.cfgs,
        &item.common.name,
        item.common.name.to_string(),
    );
    let text = text.trim_start_matches("r#");
    let context = if item.gated {
        quote_spanned!(item.at.cx=> __rt::Cx<Self>)
    } else {
        quote_spanned!(item.at.cx=> __rt::ToolCx<Self>)
    };
    let params = params_type(item);
    // Every token of the handler at one place, or rustc would underline all between two.
    let (mut provider, mut handler) = (names.provider.clone(), name.clone());
    provider.set_span(item.at.output);
    handler.set_span(item.at.output);
    let mut handler = quote_spanned!(item.at.output=> #provider::#handler);
    if item.params.is_none() {
        handler = quote_spanned!(item.at.output=> __rt::WithoutParams(#handler));
    }
    // What is wrong with the fn is shown where its type is inferred.
    let fn_type = quote_spanned!(item.at.output=> _);
    quote! {
        #(#cfgs)*
        #text => call.run::<#context, _, #params, #fn_type>(provider, #handler),
    }
}
