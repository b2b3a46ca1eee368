//! The typed sender of an extension's notifications, and the publisher of those on listen streams.

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
    let publisher = publishes(extension).then(|| {
        let publisher = &names.publisher;
        let doc = format!(
            "Publishes the notifications of `{}` to the `subscriptions/listen` streams that asked for them, at any time.",
            extension.id
        );
        quote! {
            #[doc = #doc]
            #[derive(::core::clone::Clone, ::core::fmt::Debug)]
            #vis struct #publisher(#rt::Publisher);
        }
    });
    quote! {
        #[doc = #doc]
        #[allow(missing_debug_implementations)]
        #vis struct #sender(#rt::NotificationHandle);
        #publisher
    }
}

/// Whether any notification travels on listen streams.
fn publishes(extension: &Extension) -> bool {
    extension.notifications.iter().any(|n| n.listen)
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
    let publisher = publishes(extension).then(|| publisher(extension, names));
    quote! {
        impl #sender {
            #(#fns)*
        }

        #publisher

        #[automatically_derived]
        impl ::core::convert::From<__rt::NotificationHandle> for #sender {
            fn from(handle: __rt::NotificationHandle) -> Self {
                Self(handle)
            }
        }
    }
}

/// `GradingExtension::publisher` and what it gives.
fn publisher(extension: &Extension, names: &Names) -> TokenStream {
    let vis = vis(extension);
    let (marker, publisher) = (&names.marker, &names.publisher);
    let listened = || extension.notifications.iter().filter(|n| n.listen);
    let fns = listened().map(|n| publish(n, extension));
    // A notification of this name comes first.
    let only_to = listened().all(|n| n.common.name != "only_to").then(|| {
        quote! {
            /// The same, for the streams of one principal alone.
            #[must_use]
            #vis fn only_to(&self, principal: __rt::Principal) -> Self {
                Self(::core::clone::Clone::clone(&self.0).only_to(principal))
            }
        }
    });
    let doc = format!(
        "Publishes the notifications of `{}` to those who listen.",
        extension.id
    );
    quote! {
        impl #marker {
            #[doc = #doc]
            #vis fn publisher(set: &__rt::ExtensionSet) -> #publisher {
                #publisher(__rt::Publisher::of::<Self>(set))
            }
        }

        impl #publisher {
            #(#fns)*
            #only_to
        }
    }
}

fn publish(notification: &Notification, extension: &Extension) -> TokenStream {
    let vis = vis(extension);
    let Sent {
        head,
        deprecated,
        text,
        arg,
        value,
    } = sent(notification, "Publishes");
    let name = &notification.common.name;
    quote! {
        #head
        #[doc = ""]
        #[doc = "Gives how many streams it was queued for."]
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "When the extension is not enabled in the set."]
        #deprecated
        #vis fn #name(&self #arg) -> ::core::result::Result<usize, __rt::NotifyError> {
            self.0.publish(#text, &#value)
        }
    }
}

fn function(notification: &Notification, extension: &Extension) -> TokenStream {
    let vis = vis(extension);
    let Sent {
        head,
        deprecated,
        text,
        arg,
        value,
    } = sent(notification, "Sends");
    let name = &notification.common.name;
    quote! {
        #head
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "When it could not be sent."]
        #deprecated
        #vis async fn #name(&self #arg) -> ::core::result::Result<(), __rt::NotifyError> {
            self.0.send(#text, #value).await
        }
    }
}

/// What the fns for one notification have in common.
struct Sent {
    /// Conditions and docs.
    head: TokenStream,
    deprecated: TokenStream,
    /// The name as a text.
    text: String,
    arg: TokenStream,
    value: TokenStream,
}

fn sent(notification: &Notification, verb: &str) -> Sent {
    let common = &notification.common;
    let cfgs = &common.cfgs;
    let docs = docs::attributes(&common.attrs);
    let fallback = docs.is_empty().then(|| {
        let doc = format!("{verb} `{}`.", notification.wire);
        quote!(#[doc = #doc])
    });
    let deprecated = common.deprecated.iter().map(|(attr, _)| attr);
    let (arg, value) = match &notification.params {
        Some(ty) => (quote!(, params: #ty), quote!(params)),
        None => (quote!(), quote!(__rt::NoParams {})),
    };
    let text = common.name.to_string();
    Sent {
        head: quote!(#(#cfgs)* #(#docs)* #fallback),
        deprecated: quote!(#(#deprecated)*),
        text: text.trim_start_matches("r#").to_owned(),
        arg,
        value,
    }
}
