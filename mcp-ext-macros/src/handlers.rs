//! `#[handlers]`: checks the signatures of a provider's fns and notes their names.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt as _;
use syn::{FnArg, ImplItem, ReceiverKind, ReturnType};

use crate::diag::{Diagnostic, Sink};
use crate::model::PROVIDED;
use crate::parse::attributes;
use crate::parse::impl_::{Part, RawHandler, RawImpl, is_future};
use crate::parse::item;
use crate::parse::keys::{Key, Keys, Kind};
use crate::parse::trait_::{MARKERS, keys};

const HANDLERS: &[Key] = keys! { "crate" Kind::Path => "crate = ::path" };

/// Expands `#[handlers]`.
pub fn expand(
    args: TokenStream,
    input: TokenStream,
    default_crate: &str,
    sink: &mut Sink,
) -> TokenStream {
    let keys = Keys::parse(args, "#[handlers(..)]", HANDLERS, sink);
    // Only to judge the path: what is written here needs nothing of mcp-ext-core.
    attributes::private_module(&keys, default_crate, sink);
    let other = |seen| Diagnostic::NotAnImpl { seen };
    let Some(mut raw) = item::expect::<RawImpl>(&input, "an impl", other, sink) else {
        return input;
    };
    if raw.trait_.is_none() {
        sink.push(&raw.self_ty, Diagnostic::InherentImpl);
        return input;
    }
    let mut names = Vec::new();
    let mut by_hand = false;
    for part in &mut raw.parts {
        match part {
            Part::Fn(handler) => {
                strip(handler, sink);
                check(handler, sink);
                let (cfgs, name) = (
                    attributes::cfgs(&handler.attrs),
                    handler.sig.ident.unraw().to_string(),
                );
                names.push(quote!(#(#cfgs)* #name));
            }
            Part::Other(other) => {
                if let ImplItem::Const(c) = &**other
                    && c.ident == PROVIDED
                {
                    by_hand = true;
                    sink.push(
                        &c.ident,
                        Diagnostic::ConstByHand {
                            name: PROVIDED.to_owned(),
                        },
                    );
                }
            }
        }
    }
    let provided = format_ident!("{PROVIDED}");
    let constant = quote!(const #provided: &'static [&'static str] = &[#(#names),*];);
    raw.with(&if by_hand {
        TokenStream::new()
    } else {
        constant
    })
}

/// Takes attributes away that belong into the trait.
fn strip(handler: &mut RawHandler, sink: &mut Sink) {
    handler.attrs.retain(|attr| {
        let Some((marker, _)) = MARKERS
            .iter()
            .find(|(marker, _)| attr.path().is_ident(marker))
        else {
            return true;
        };
        sink.push(
            attr,
            Diagnostic::MarkerInImpl {
                marker: (*marker).to_owned(),
            },
        );
        false
    });
}

fn check(handler: &RawHandler, sink: &mut Sink) {
    let sig = &handler.sig;
    let name = sig.ident.to_string();
    let future = matches!(&sig.output, ReturnType::Type(_, ty) if is_future(ty));
    if sig.asyncness.is_none() && !future {
        sink.push(
            sig.fn_token,
            Diagnostic::HandlerNotAsync { name: name.clone() },
        );
    }
    match sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) => {
            if !matches!(receiver.kind, ReceiverKind::Reference(_, _, None)) {
                sink.push(receiver, Diagnostic::HandlerReceiver { name: name.clone() });
            }
        }
        _ => sink.push(
            &sig.ident,
            Diagnostic::HandlerReceiver { name: name.clone() },
        ),
    }
    let typed = sig
        .inputs
        .iter()
        .filter(|arg| matches!(arg, FnArg::Typed(_)));
    let more: TokenStream = typed
        .clone()
        .skip(2)
        .map(ToTokens::to_token_stream)
        .collect();
    if !more.is_empty() {
        sink.push(more, Diagnostic::HandlerArity { name });
    } else if typed.count() == 0 {
        sink.push(&sig.ident, Diagnostic::HandlerArity { name });
    }
}
