//! The trait itself, with its `async fn`s spelt out as futures that can be sent.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::expand::Names;
use crate::model::{Extension, Item, PROVIDED};

/// The trait.
pub fn expand(extension: &Extension, names: &Names) -> TokenStream {
    let mut item = extension.item.clone();
    let attrs = std::mem::take(&mut item.attrs);
    let (vis, trait_, generics) = (&item.vis, &names.trait_, &item.generics);
    let where_clause = &generics.where_clause;
    let fns = extension.items.iter().map(function);
    let broken = extension.broken.iter().map(|broken| {
        let (attrs, sig) = (&broken.attrs, &broken.sig);
        let body = broken.body.clone().unwrap_or_else(|| quote!(;));
        quote!(#[allow(async_fn_in_trait)] #(#attrs)* #sig #body)
    });
    let others = &extension.others;
    let unsafety = &item.unsafety;
    // Supertraits that were refused stay, so that what relies on them is not reported again.
    let bounds = item.supertraits.iter();
    let bounds = if extension.stub {
        quote!(#(+ #bounds)*)
    } else {
        quote!()
    };
    let provided = format_ident!("{PROVIDED}");
    quote! {
        #(#attrs)*
        #vis #unsafety trait #trait_ #generics: ::core::marker::Send + ::core::marker::Sync + 'static #bounds #where_clause {
            #(#fns)*
            #(#broken)*
            #(#others)*
            /// The names of the items that the provider has. `#[handlers]` above the impl writes this.
            #[doc(hidden)]
            const #provided: &'static [&'static str];
        }
    }
}

fn function(item: &Item) -> TokenStream {
    let (attrs, name, output) = (&item.common.attrs, &item.common.name, &item.output);
    let (receiver, cx) = (&item.receiver, &item.cx_arg);
    let params = item.params_arg.iter();
    let head = quote! {
        fn #name(#receiver, #cx #(, #params)*) -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
    };
    if item.optional.is_none() {
        return quote!(#(#attrs)* #head;);
    }
    // The gate lets no call through to an item that the provider does not have.
    quote! {
        #(#attrs)*
        #[allow(unused_variables, clippy::manual_async_fn)]
        #head {
            async { ::core::unreachable!("not provided, so the gate lets no call through") }
        }
    }
}
