//! The server's side: how a provider is enabled, and how a call reaches it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::TraitItem;

use crate::expand::{Names, vis};
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
        "Enables `{}` with a provider; hand it to the builder of an `ExtensionSet`.",
        extension.id
    );
    let (bound, body) = if extension.stub {
        let bound = quote!(::core::marker::Send + ::core::marker::Sync + 'static);
        (
            bound,
            quote!({
                let _ = provider;
                ::core::unreachable!("this extension did not compile")
            }),
        )
    } else {
        (quote!(#trait_), quote!({ __rt::Enable::new(provider) }))
    };
    quote! {
        impl #marker {
            #[doc = #doc]
            #vis fn provide<#provider: #bound>(provider: #provider) -> __rt::Enable<Self> #body
        }
    }
}

/// `impl<P: Grading> Grading for Arc<P>`
pub fn arc(extension: &Extension, names: &Names) -> TokenStream {
    if extension.stub {
        return TokenStream::new();
    }
    let Names {
        trait_, provider, ..
    } = names;
    let provided = format_ident!("{PROVIDED}");
    let fns = extension.items.iter().map(|item| {
        let (cfgs, name, output) = (&item.common.cfgs, &item.common.name, &item.output);
        let cx = &item.cx_type;
        let (arg, pass) = match &item.params {
            Some(ty) => (quote!(, params: #ty), quote!(, params)),
            None => (quote!(), quote!()),
        };
        quote! {
            #(#cfgs)*
            fn #name(&self, cx: #cx #arg) -> impl __Future<Output = #output> + __Send {
                #provider::#name(self, cx #pass)
            }
        }
    });
    let broken = extension.broken.iter().map(|broken| {
        let (cfgs, sig) = (&broken.cfgs, &broken.sig);
        quote! {
            #(#cfgs)*
            #[allow(unused_variables)]
            #sig { ::core::unreachable!("this extension did not compile") }
        }
    });
    let others = extension.others.iter().map(|other| match other {
        TraitItem::Const(c) => {
            let (name, ty) = (&c.ident, &c.ty);
            quote!(const #name: #ty = #provider::#name;)
        }
        TraitItem::Type(t) => {
            let name = &t.ident;
            quote!(type #name = #provider::#name;)
        }
        _ => quote!(),
    });
    quote! {
        #[automatically_derived]
        impl<#provider: #trait_> #trait_ for ::std::sync::Arc<#provider> {
            #(#fns)*
            #(#broken)*
            #(#others)*
            const #provided: &'static [&'static str] = #provider::#provided;
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
    let (call, body) = if extension.items.is_empty() {
        (
            quote!(call),
            quote!(let _ = (provider, item); call.no_such_item()),
        )
    } else {
        (
            quote!(mut call),
            quote! {
                match item {
                    #(#arms)*
                    _ => call.no_such_item(),
                }
            },
        )
    };
    quote! {
        #[automatically_derived]
        impl<#provider: #trait_> __rt::Serves<#provider> for #marker {
            const PROVIDED: &'static [&'static str] = #provider::#provided;
            #[allow(unused_mut, unused_variables)]
            async fn serve(provider: &#provider, item: &'static str, #call: __rt::Call<'_>) -> __rt::Outcome {
                #body
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
    let open = if item.gated {
        quote!(method)
    } else {
        quote!(tool)
    };
    let (pattern, pass) = match &item.params {
        Some(_) => (quote!(params), quote!(, params)),
        None => (quote!(__rt::NoParams {}), quote!()),
    };
    let opened = quote_spanned!(item.at.params=> call.#open::<Self, _>()?);
    let context = quote_spanned!(item.at.cx=> &cx);
    // Every token of the call at one place, or rustc would underline all between two.
    let (mut provider, mut handler) = (names.provider.clone(), name.clone());
    provider.set_span(item.at.output);
    handler.set_span(item.at.output);
    let handled = quote_spanned!(item.at.output=> #provider::#handler(provider, #context #pass));
    let replied = quote_spanned!(item.at.output=> call.reply(#handled.await));
    quote! {
        #(#cfgs)*
        #text => {
            let (cx, #pattern) = #opened;
            #replied
        }
    }
}
