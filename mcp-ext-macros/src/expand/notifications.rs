//! The typed sender of an extension's notifications.

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand::{Names, vis};
use crate::model::{Extension, Notification};
use crate::parse::docs;

/// `pub struct GradingNotifications` with one method for each notification.
pub fn expand(extension: &Extension, names: &Names) -> TokenStream {
    if extension.notifications.is_empty() {
        return TokenStream::new();
    }
    let (vis, rt, sender) = (vis(extension), &extension.rt, &names.notifications);
    let doc = format!(
        "Sends the notifications of `{}`; a handler reaches it through its context.",
        extension.id
    );
    let fns = extension
        .notifications
        .iter()
        .map(|n| function(n, extension));
    quote! {
        #[doc = #doc]
        #vis struct #sender(#rt::NotificationHandle);

        #[allow(dead_code)]
        impl #sender {
            #(#fns)*
        }
    }
}

fn function(notification: &Notification, extension: &Extension) -> TokenStream {
    let (vis, rt) = (vis(extension), &extension.rt);
    let common = &notification.common;
    let (cfgs, name, text) = (&common.cfgs, &common.name, common.name.to_string());
    let text = text.trim_start_matches("r#");
    let docs = docs::attributes(&common.attrs);
    let fallback = docs.is_empty().then(|| {
        let doc = format!("Sends `{}`.", notification.wire);
        quote!(#[doc = #doc])
    });
    let deprecated = common.deprecated.iter().map(|(attr, _)| attr);
    let (arg, value) = match &notification.params {
        Some(ty) => (quote!(, params: #ty), quote!(params)),
        None => (quote!(), quote!(#rt::NoParams {})),
    };
    quote! {
        #(#cfgs)* #(#docs)* #fallback
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "When it could not be sent."]
        #(#deprecated)*
        #vis async fn #name(&self #arg) -> ::core::result::Result<(), #rt::NotifyError> {
            self.0.send(#text, #value).await
        }
    }
}

/// How the context makes the sender.
pub fn sender(extension: &Extension, names: &Names) -> TokenStream {
    if extension.notifications.is_empty() {
        return TokenStream::new();
    }
    let sender = &names.notifications;
    quote! {
        #[automatically_derived]
        impl ::core::convert::From<__rt::NotificationHandle> for #sender {
            fn from(handle: __rt::NotificationHandle) -> Self {
                Self(handle)
            }
        }
    }
}
