//! The rules of `#[extension]` that concern the trait as a whole.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident};
use syn::ext::IdentExt as _;
use syn::{ItemTrait, LitStr, TraitItem, TypeParamBound};

use crate::diag::{Diagnostic, Sink, hint};
use crate::model::{Extension, MetaKey, Settings};
use crate::names;
use crate::parse::attributes;
use crate::parse::docs;
use crate::parse::keys::{Keys, Value};
use crate::parse::trait_::RawTrait;
use crate::validate::item;

/// The identifier an extension has whose own one is at fault, which has been reported.
const PLACEHOLDER: &str = "invalid.placeholder/extension";

/// The published revisions of the core protocol, oldest first.
pub const PROTOCOLS: &[&str] = &[
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// Checks everything and makes the model.
pub fn extension(raw: RawTrait, default_crate: &str, sink: &mut Sink) -> Extension {
    let RawTrait {
        keys,
        item,
        fns,
        others,
    } = raw;
    let rt = attributes::private_module(&keys, default_crate, sink);
    let stub = head(&item, sink);
    for other in &others {
        refuse(other, sink);
    }
    let identifier = identifier(&keys, &item, sink);
    let taken = idents(
        &item,
        &fns.iter().map(|f| f.sig.to_token_stream()).collect(),
    );
    let (revision, known_revisions) = revisions(&keys, sink);
    let (protocol_min, protocol_max) = protocol(&keys, sink);
    let settings = settings(&keys, sink);
    let meta = meta(&keys, identifier.prefix(), sink);
    let mut extension = Extension {
        rt,
        docs: docs::expression(&item.attrs),
        title: keys.filled_text("title", sink),
        revision,
        known_revisions,
        stability: stability(&keys, sink),
        protocol_min,
        protocol_max,
        fallback: fallback(&keys, &settings, sink),
        settings,
        requires: keys.paths("requires").to_vec(),
        needs: keys.paths("needs").to_vec(),
        meta,
        official: identifier.official,
        items: Vec::new(),
        notifications: Vec::new(),
        broken: Vec::new(),
        others,
        stub,
        taken,
        item,
        id: identifier.id.clone(),
    };
    item::all(fns, &identifier, &mut extension, sink);
    extension
}

/// The identifier and what stands before a verb on the wire.
pub struct Identifier {
    pub id: String,
    pub official: bool,
    /// The identifier, or the bare prefix of an official extension.
    pub namespace: String,
}

impl Identifier {
    fn prefix(&self) -> &str {
        self.id.split('/').next().unwrap_or(&self.id)
    }
}

/// Whether the head of the trait is at fault.
fn head(item: &ItemTrait, sink: &mut Sink) -> bool {
    let before = sink.len();
    let name = item.ident.to_string();
    if !item.generics.params.is_empty() {
        sink.push(
            &item.generics,
            Diagnostic::TraitGenerics { name: name.clone() },
        );
    } else if let Some(clause) = &item.generics.where_clause {
        sink.push(clause, Diagnostic::TraitWhere { name: name.clone() });
    }
    if let Some(word) = &item.unsafety {
        sink.push(word, Diagnostic::TraitUnsafe { name: name.clone() });
    }
    // syn keeps the words that it does not spell out as fields.
    let head: TokenStream = {
        let mut item = item.clone();
        item.attrs.clear();
        item.into_token_stream()
    };
    for token in head {
        match token {
            TokenTree::Ident(word) if word == "auto" => {
                sink.push(word, Diagnostic::TraitAuto { name: name.clone() })
            }
            TokenTree::Ident(word) if word == "trait" => break,
            _ => {}
        }
    }
    for bound in &item.supertraits {
        let fine = match bound {
            TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
            TypeParamBound::Trait(bound) => bound
                .path
                .segments
                .last()
                .is_some_and(|s| s.ident == "Send" || s.ident == "Sync"),
            _ => false,
        };
        if !fine {
            sink.push(bound, Diagnostic::Supertrait { name: name.clone() });
        }
    }
    sink.len() > before
}

fn refuse(other: &TraitItem, sink: &mut Sink) {
    match other {
        TraitItem::Const(c) => sink.push(
            &c.ident,
            Diagnostic::TraitConst {
                name: c.ident.to_string(),
            },
        ),
        TraitItem::Type(t) => sink.push(
            &t.ident,
            Diagnostic::TraitType {
                name: t.ident.to_string(),
            },
        ),
        TraitItem::Macro(m) => sink.push(&m.mac.path, Diagnostic::TraitMacro),
        _ => {}
    }
}

fn identifier(keys: &Keys, item: &ItemTrait, sink: &mut Sink) -> Identifier {
    let placeholder = |official| Identifier {
        id: PLACEHOLDER.into(),
        official,
        namespace: PLACEHOLDER.into(),
    };
    let official = keys.has("official");
    let Some(lit) = keys.text("id") else {
        // A value that could not be read has been reported already.
        if !keys.was_seen("id") {
            let name = names::snake_case(&item.ident).replace('_', "-");
            sink.push(&item.ident, Diagnostic::MissingId { name });
        }
        return placeholder(official);
    };
    let id = lit.value();
    if let Err(expected) = names::check_id(&id) {
        sink.push(
            lit,
            Diagnostic::BadId {
                id: shorten(&id),
                expected,
            },
        );
        return placeholder(official);
    }
    if official {
        if id.split('/').next() != Some("io.modelcontextprotocol") {
            sink.push(lit, Diagnostic::OfficialId { id });
            return placeholder(false);
        }
    } else if names::is_reserved(&id) {
        sink.push(lit, Diagnostic::ReservedId { id });
        return placeholder(false);
    } else if names::takes_a_method_prefix(&id, false) {
        let prefix = id.split('/').next().unwrap_or(&id).to_owned();
        sink.push(lit, Diagnostic::IdPrefix { prefix });
        return placeholder(false);
    }
    let mut namespace = if official {
        id.split('/').next_back().unwrap_or(&id).to_owned()
    } else {
        id.clone()
    };
    if let Some(lit) = keys.keys("official").and_then(|k| k.text("prefix")) {
        let prefix = lit.value();
        let reason = match names::check_name(&prefix) {
            Err(expected) => Some(expected),
            Ok(()) if names::takes_a_method_prefix(&prefix, true) => {
                Some("one that the core protocol does not have itself".to_owned())
            }
            Ok(()) => None,
        };
        match reason {
            Some(expected) => sink.push(
                lit,
                Diagnostic::OfficialPrefix {
                    prefix: shorten(&prefix),
                    expected,
                },
            ),
            None => namespace = prefix,
        }
    }
    Identifier {
        id,
        official,
        namespace,
    }
}

fn revisions(keys: &Keys, sink: &mut Sink) -> (Option<LitStr>, Vec<LitStr>) {
    let revision = keys.filled_text("revision", sink);
    let known = keys.texts("known_revisions").to_vec();
    if let Some(key) = keys
        .key("known_revisions")
        .filter(|_| !keys.was_seen("revision"))
    {
        sink.push(key, Diagnostic::KnownWithoutRevision);
    }
    let mut seen: Vec<&LitStr> = revision.iter().collect();
    for lit in &known {
        match seen.iter().find(|s| s.value() == lit.value()) {
            Some(first) => {
                let revision = lit.value();
                sink.twice(
                    first,
                    lit,
                    "the revision",
                    Diagnostic::DuplicateRevision { revision },
                );
            }
            None => seen.push(lit),
        }
    }
    (revision, known)
}

fn stability(keys: &Keys, sink: &mut Sink) -> Option<Ident> {
    let lit = keys.text("stability")?;
    let name = match lit.value().as_str() {
        "experimental" => "Experimental",
        "beta" => "Beta",
        "stable" => "Stable",
        seen => {
            let hint = hint(seen, &["experimental", "beta", "stable"]);
            sink.push(
                lit,
                Diagnostic::UnknownStability {
                    seen: shorten(seen),
                    hint,
                },
            );
            return None;
        }
    };
    Some(Ident::new(name, Span::call_site()))
}

fn protocol(keys: &Keys, sink: &mut Sink) -> (Option<Ident>, Option<Ident>) {
    let Some(range) = keys.keys("protocol") else {
        return (None, None);
    };
    let mut read = |name: &str| {
        let lit = range.text(name)?;
        let seen = lit.value();
        let found = PROTOCOLS.iter().position(|p| *p == seen);
        if found.is_none() {
            let hint = hint(&seen, PROTOCOLS);
            sink.push(
                lit,
                Diagnostic::UnknownProtocol {
                    seen: shorten(&seen),
                    hint,
                },
            );
        }
        found
    };
    let (min, max) = (read("min"), read("max"));
    if let (Some(min), Some(max), Some(lit)) = (min, max, range.text("max"))
        && min > max
    {
        let (min, max) = (PROTOCOLS[min].to_owned(), PROTOCOLS[max].to_owned());
        sink.push(lit, Diagnostic::ProtocolOrder { min, max });
        return (None, None);
    }
    let variant = |index: usize| format_ident!("V{}", PROTOCOLS[index].replace('-', "_"));
    (min.map(variant), max.map(variant))
}

fn settings(keys: &Keys, sink: &mut Sink) -> Settings {
    if let Some(ty) = keys.ty("settings") {
        return Settings::Same(Box::new(ty.clone()));
    }
    let (Some(split), Some(key)) = (keys.keys("settings"), keys.key("settings")) else {
        return Settings::None;
    };
    let (server, client, negotiated) = (
        split.ty("server"),
        split.ty("client"),
        split.ty("negotiated"),
    );
    if let (Some(server), Some(client), Some(negotiated)) = (server, client, negotiated) {
        return Settings::Split {
            server: Box::new(server.clone()),
            client: Box::new(client.clone()),
            negotiated: Box::new(negotiated.clone()),
        };
    }
    let missing: Vec<&str> = [
        ("server", server),
        ("client", client),
        ("negotiated", negotiated),
    ]
    .into_iter()
    .filter(|(name, ty)| ty.is_none() && !split.was_seen(name))
    .map(|(name, _)| name)
    .collect();
    if !missing.is_empty() {
        sink.push(
            key,
            Diagnostic::SettingsIncomplete {
                missing: missing.join("`, `"),
            },
        );
    }
    server
        .or(client)
        .or(negotiated)
        .map_or(Settings::None, |ty| Settings::Same(Box::new(ty.clone())))
}

fn fallback(keys: &Keys, settings: &Settings, sink: &mut Sink) -> Option<syn::Expr> {
    let entry = keys.get("fallback")?;
    let Value::Expr(expr) = &entry.value else {
        return None;
    };
    if matches!(settings, Settings::None) {
        if !keys.was_seen("settings") {
            sink.push(&entry.key, Diagnostic::FallbackWithoutSettings);
        }
        return None;
    }
    Some((**expr).clone())
}

fn meta(keys: &Keys, prefix: &str, sink: &mut Sink) -> Vec<MetaKey> {
    let mut all: Vec<MetaKey> = Vec::new();
    let mut seen: Vec<(String, LitStr)> = Vec::new();
    for entry in keys.keys("meta").map(Keys::entries).unwrap_or_default() {
        let Value::Pairs(pairs) = &entry.value else {
            continue;
        };
        for (suffix, ty) in pairs {
            let text = suffix.value();
            if let Err(expected) = names::check_name(&text) {
                sink.push(
                    suffix,
                    Diagnostic::MetaSuffix {
                        suffix: shorten(&text),
                        expected,
                    },
                );
                continue;
            }
            let (place, key) = (entry.key.to_string(), format!("{prefix}/{text}"));
            let both = format!("{place} {key}");
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == both) {
                sink.twice(
                    first,
                    suffix,
                    &format!("`{key}`"),
                    Diagnostic::DuplicateMeta { key: key.clone() },
                );
                continue;
            }
            seen.push((both, suffix.clone()));
            all.push(MetaKey {
                place,
                key,
                ty: ty.clone(),
            });
        }
    }
    all
}

/// A text short enough for a message.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

/// Every identifier in the trait.
fn idents(item: &ItemTrait, fns: &TokenStream) -> Vec<String> {
    fn collect(tokens: TokenStream, all: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => all.push(ident.unraw().to_string()),
                TokenTree::Group(group) => collect(group.stream(), all),
                _ => {}
            }
        }
    }
    let mut all = vec![item.ident.to_string()];
    collect(fns.clone(), &mut all);
    all
}
