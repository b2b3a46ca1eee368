//! The typed sender of an extension's notifications, the publisher of those on listen streams, and how a client reads them.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;

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
    let received = received(extension, names);
    quote! {
        #[doc = #doc]
        #[allow(missing_debug_implementations)]
        #vis struct #sender(#rt::NotificationHandle);
        #publisher
        #received
    }
}

/// `pub enum GradingNotification`, where mcp-ext-core has its feature `client`.
fn received(extension: &Extension, names: &Names) -> TokenStream {
    let (vis, rt, notification) = (vis(extension), &extension.rt, &names.notification);
    let doc = format!("A notification of `{}`, as a client gets it.", extension.id);
    let variants = extension.notifications.iter().map(|n| {
        let Sent {
            head, deprecated, ..
        } = sent(n, "The notification");
        let name = variant(n);
        let params = n.params.iter();
        quote!(#head #deprecated #name #((#params))*,)
    });
    quote! {
        #rt::client! {
            #[doc = #doc]
            #[allow(dead_code, deprecated, missing_debug_implementations, clippy::large_enum_variant)]
            #[non_exhaustive]
            #vis enum #notification {
                #(#variants)*
            }
        }
    }
}

/// `GradeChanged` of `grade_changed`.
fn variant(notification: &Notification) -> Ident {
    let name = notification.common.name.unraw().to_string();
    let mut out = String::new();
    for word in name.split('_') {
        let mut letters = word.chars();
        out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        out.push_str(letters.as_str());
    }
    // What starts with a digit, or is a word of the language, is no name.
    let plain = syn::parse_str::<Ident>(&out).is_ok();
    let out = if plain { out } else { format!("Event{out}") };
    Ident::new(&out, notification.common.name.span())
}

/// How a client reads one.
fn reader(extension: &Extension, names: &Names) -> TokenStream {
    let (vis, notification) = (vis(extension), &names.notification);
    // Checked where a client reads, not here: a server's params need no more with the feature `client` than without it.
    let bounds = extension
        .notifications
        .iter()
        .filter(|n| n.common.cfgs.is_empty())
        .filter_map(|n| n.params.as_ref())
        .map(|ty| quote!(for<'__a> #ty: __rt::serde::de::DeserializeOwned,));
    let arms = extension.notifications.iter().map(|n| {
        let (cfgs, wire, name) = (&n.common.cfgs, &n.wire, variant(n));
        let read = match &n.params {
            Some(_) => quote!(__rt::read_notification(params).map(Self::#name)),
            None => quote!(::core::result::Result::Ok(Self::#name)),
        };
        quote!(#(#cfgs)* #wire => #read,)
    });
    quote! {
        __rt::client! {
            impl #notification {
                /// Reads what a server has sent; `None` when it is none of this extension's.
                ///
                /// # Errors
                /// When its params do not fit.
                #vis fn read(
                    method: &str,
                    params: &__rt::serde_json::Value,
                ) -> ::core::option::Option<::core::result::Result<Self, __rt::serde_json::Error>>
                where
                    #(#bounds)*
                {
                    ::core::option::Option::Some(match method {
                        #(#arms)*
                        _ => return ::core::option::Option::None,
                    })
                }
            }
        }
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
    let reader = reader(extension, names);
    quote! {
        impl #sender {
            #(#fns)*
        }

        #publisher

        #reader

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
