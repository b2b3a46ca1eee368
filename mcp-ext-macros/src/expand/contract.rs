//! The marker type, and the contract on it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;

use crate::expand::{Names, params_type, settings_types, vis};
use crate::model::{Extension, Item, Notification, Settings};

/// `pub struct GradingExtension;`
pub fn marker(extension: &Extension, names: &Names) -> TokenStream {
    let (vis, marker, trait_) = (vis(extension), &names.marker, &names.trait_);
    let doc = format!(
        "The extension `{}`: its types, and where it is enabled. Made of [`{trait_}`] by `#[extension]`.",
        extension.id
    );
    let deprecated = extension
        .item
        .attrs
        .iter()
        .filter(|a| a.path().is_ident("deprecated"));
    quote! {
        #[doc = #doc]
        #(#deprecated)*
        #[derive(::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug)]
        #vis struct #marker;
    }
}

/// `impl Extension for GradingExtension`
pub fn implementation(extension: &Extension, names: &Names) -> TokenStream {
    let marker = &names.marker;
    let [server, client, negotiated] = settings_types(extension);
    let notifications = if extension.notifications.is_empty() {
        quote!(__rt::NoNotifications)
    } else {
        names.notifications.to_token_stream()
    };
    let contract = contract(extension, names);
    let fallback = match &extension.fallback {
        Some(expr) => expr.to_token_stream(),
        None => quote!(::core::default::Default::default()),
    };
    quote! {
        #[automatically_derived]
        impl __rt::Extension for #marker {
            type Server = #server;
            type Client = #client;
            type Negotiated = #negotiated;
            type Notifications = #notifications;
            const CONTRACT: &'static __rt::Contract = &#contract;
            fn fallback() -> #negotiated {
                #fallback
            }
        }
    }
}

fn contract(extension: &Extension, names: &Names) -> TokenStream {
    let id = &extension.id;
    let id = if extension.official {
        quote!(__rt::ExtensionId::from_static_official(#id))
    } else {
        quote!(__rt::ExtensionId::from_static(#id))
    };
    let name = names.trait_.to_string();
    let mut contract = quote!(__rt::Contract::new(#id, #name));
    let mut call = |tokens: TokenStream| contract.extend(tokens);
    if let Some(title) = &extension.title {
        call(quote!(.title(#title)));
    }
    if let Some(docs) = &extension.docs {
        call(quote!(.docs(#docs)));
    }
    if let Some(revision) = &extension.revision {
        call(quote!(.revision(#revision)));
    }
    if !extension.known_revisions.is_empty() {
        let known = &extension.known_revisions;
        call(quote!(.known_revisions(&[#(#known),*])));
    }
    match (&extension.protocol_min, &extension.protocol_max) {
        (None, None) => {}
        (Some(min), None) => {
            call(quote!(.protocol(__rt::ProtocolRange::from(__rt::ProtocolVersion::#min))));
        }
        (min, Some(max)) => {
            let min = match min {
                Some(min) => quote!(__rt::ProtocolVersion::#min),
                None => quote!(__rt::ProtocolRange::ALL.min),
            };
            call(
                quote!(.protocol(__rt::ProtocolRange::between(#min, __rt::ProtocolVersion::#max))),
            );
        }
    }
    if let Some(stability) = &extension.stability {
        call(quote!(.stability(__rt::Stability::#stability)));
    }
    if extension.official {
        call(quote!(.official()));
    }
    match &extension.settings {
        Settings::None => {}
        Settings::Same(ty) => call(quote!(.settings(__rt::SettingsSpec::same::<#ty>()))),
        Settings::Split {
            server,
            client,
            negotiated,
        } => {
            call(quote!(.settings(__rt::SettingsSpec::of::<#server, #client, #negotiated>())));
        }
    }
    let marker = &names.marker;
    call(quote!(.fallback(__rt::fallback_json::<#marker>)));
    if !extension.items.is_empty() {
        let items = extension.items.iter().map(item);
        call(quote!(.items(&[#(#items),*])));
    }
    if !extension.notifications.is_empty() {
        let notifications = extension.notifications.iter().map(notification);
        call(quote!(.notifications(&[#(#notifications),*])));
    }
    if !extension.meta.is_empty() {
        let keys = extension.meta.iter().map(|meta| {
            let (place, key, ty) = (&meta.place, &meta.key, &meta.ty);
            quote!(__rt::MetaKeySpec { key: #key, place: #place, value: __rt::TypeSchema::of::<#ty>() })
        });
        call(quote!(.meta_keys(&[#(#keys),*])));
    }
    if !extension.requires.is_empty() {
        let requires = &extension.requires;
        call(quote!(.requires(&[#(<#requires as __rt::Extension>::CONTRACT),*])));
    }
    if !extension.needs.is_empty() {
        let needs = &extension.needs;
        call(quote!(.needs(&[#(<#needs as __rt::BlockName>::NAME),*])));
    }
    call(quote!(.source(::core::module_path!(), ::core::file!(), ::core::line!())));
    contract
}

fn item(item: &Item) -> TokenStream {
    let (cfgs, name, output) = (
        &item.common.cfgs,
        item.common.name.to_string(),
        &item.output,
    );
    let name = name.trim_start_matches("r#");
    let params = params_type(item);
    let of = quote_spanned!(item.at.output=> __rt::Item::of::<#params, #output>(#name));
    let mut row = quote!(#(#cfgs)* #of);
    if let Some(docs) = &item.common.docs {
        row.extend(quote!(.docs(#docs)));
    }
    if let Some(method) = &item.method {
        let wire = &method.wire;
        let mcp_name = method.mcp_name.iter();
        let shape_clash = method.shape_clash.iter();
        row.extend(quote! {
            .method(__rt::MethodSpec::new(#wire) #(.mcp_name(#mcp_name))* #(.shape_clash(#shape_clash))*)
        });
    }
    if let Some(tool) = &item.tool {
        let name = &tool.name;
        let title = tool.title.iter();
        let gated = tool.gated.then(|| quote!(.gated()));
        let hints = if tool.hints.is_empty() {
            quote!()
        } else {
            let fields = tool
                .hints
                .iter()
                .map(|(hint, on)| quote!(#hint: ::core::option::Option::Some(#on)));
            quote!(.hints(__rt::Hints { #(#fields,)* ..__rt::Hints::NONE }))
        };
        row.extend(quote!(.tool(__rt::ToolSpec::new(#name) #(.title(#title))* #hints #gated)));
    }
    if let Some(flag) = &item.optional {
        row.extend(quote!(.optional(#flag)));
    }
    if !item.needs.is_empty() {
        let needs = &item.needs;
        row.extend(quote!(.needs(&[#(<#needs as __rt::BlockName>::NAME),*])));
    }
    if !item.echo.is_empty() {
        let echo = &item.echo;
        row.extend(quote!(.echo(&[#(#echo),*])));
    }
    if item.sensitive {
        row.extend(quote!(.sensitive()));
    }
    if let Some((_, note)) = &item.common.deprecated {
        row.extend(quote!(.deprecated(#note)));
    }
    row
}

fn notification(notification: &Notification) -> TokenStream {
    let (cfgs, wire) = (&notification.common.cfgs, &notification.wire);
    let name = notification.common.name.to_string();
    let name = name.trim_start_matches("r#");
    let docs = notification
        .common
        .docs
        .clone()
        .unwrap_or_else(|| quote!(""));
    let channel = if notification.listen {
        quote!(Listen)
    } else {
        quote!(Request)
    };
    let params = match &notification.params {
        Some(ty) => ty.to_token_stream(),
        None => quote!(__rt::NoParams),
    };
    let filter = match &notification.filter {
        Some(filter) => {
            let of = quote_spanned!(filter.span()=> __rt::FilterSpec::of::<#filter, #params>());
            quote!(::core::option::Option::Some(#of))
        }
        None => quote!(::core::option::Option::None),
    };
    quote! {
        #(#cfgs)*
        __rt::NotificationSpec {
            name: #name,
            wire: #wire,
            docs: #docs,
            channel: __rt::Channel::#channel,
            params: __rt::TypeSchema::of::<#params>(),
            filter: #filter,
        }
    }
}
