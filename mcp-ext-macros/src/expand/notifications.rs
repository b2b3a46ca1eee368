//! The typed sender of an extension's notifications.

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand::{Names, vis};
use crate::model::{Extension, Notification};
use crate::parse::docs;

/// `pub struct GradingNotifications`
pub fn expand(extension: &Extension, names: &Names) -> TokenStream {
    if extension.notifications.is_empty() {
        return TokenStream::new();
    }
    let (vis, rt, sender) = (vis(extension), &extension.rt, &names.notifications);
    let doc = format!(
        "Sends the notifications of `{}`; a handler reaches it through its context.",
        extension.id
    );
    quote! {
        #[doc = #doc]
        #[allow(missing_debug_implementations)]
        #vis struct #sender(#rt::NotificationHandle);
    }
}

/// The methods of the sender, and how the context makes it.
pub fn implementation(extension: &Extension, names: &Names) -> TokenStream {
    if extension.notifications.is_empty() {
        return TokenStream::new();
    }
    let sender = &names.notifications;
    let fns = extension
        .notifications
        .iter()
        .map(|n| function(n, extension));
    quote! {
        impl #sender {
            #(#fns)*
        }

        #[automatically_derived]
        impl ::core::convert::From<__rt::NotificationHandle> for #sender {
            fn from(handle: __rt::NotificationHandle) -> Self {
                Self(handle)
            }
        }
    }
}

fn function(notification: &Notification, extension: &Extension) -> TokenStream {
    let vis = vis(extension);
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
        None => (quote!(), quote!(__rt::NoParams {})),
    };
    quote! {
        #(#cfgs)* #(#docs)* #fallback
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "When it could not be sent."]
        #(#deprecated)*
        #vis async fn #name(&self #arg) -> ::core::result::Result<(), __rt::NotifyError> {
            self.0.send(#text, #value).await
        }
    }
}
