//! The signature of a method or tool: `async fn name(&self, cx: &Cx<E>, params: P) -> R`.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::spanned::Spanned as _;
use syn::{
    FnArg, GenericArgument, Pat, PatType, PathArguments, Receiver, ReceiverKind, ReturnType,
    Safety, Signature, Type,
};

use crate::diag::{Diagnostic, Sink};
use crate::model::Places;

/// The parts of a signature that is as it must be.
pub struct Parts {
    pub receiver: TokenStream,
    pub cx_arg: TokenStream,
    pub params_arg: Option<TokenStream>,
    pub params: Option<Type>,
    pub output: Type,
    pub at: Places,
    /// Whether the context that was written is `Cx`; `None` when that cannot be seen.
    pub full_cx: Option<bool>,
}

/// Which context an item takes, and why.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// `Cx` or `ToolCx`.
    pub cx: &'static str,
    /// The marker of the extension.
    pub marker: &'a str,
    /// Why it is not the other one.
    pub why: &'static str,
}

impl Wanted<'_> {
    fn shown(&self) -> String {
        format!("&{}<{}>", self.cx, self.marker)
    }
}

/// Takes the signature apart; `None` when something in it is at fault.
pub fn parts(sig: &Signature, wanted: Wanted<'_>, sink: &mut Sink) -> Option<Parts> {
    let before = sink.len();
    let name = sig.ident.to_string();
    head(sig, &name, sink);
    // Lifetimes that were declared have been told of already.
    let lifetimes = sig.generics.lifetimes().next().is_some();
    if sig.asyncness.is_none() {
        sink.push(sig.fn_token, Diagnostic::NotAsync { name: name.clone() });
    }
    let mut inputs = sig.inputs.iter();
    let receiver = match inputs.next() {
        Some(FnArg::Receiver(receiver)) => {
            check_receiver(receiver, &name, lifetimes, sink);
            receiver.to_token_stream()
        }
        Some(other) => {
            sink.push(other, Diagnostic::MissingReceiver { name: name.clone() });
            inputs = sig.inputs.iter();
            quote!(&self)
        }
        None => {
            sink.push(
                &sig.ident,
                Diagnostic::MissingReceiver { name: name.clone() },
            );
            quote!(&self)
        }
    };
    let rest: Vec<&PatType> = inputs
        .filter_map(|arg| match arg {
            FnArg::Typed(arg) => Some(arg),
            FnArg::Receiver(_) => None,
        })
        .collect();
    for arg in &rest {
        if !matches!(&*arg.pat, Pat::Ident(p) if p.by_ref.is_none() && p.mutability.is_none() && p.subpat.is_none())
            && !matches!(&*arg.pat, Pat::Wild(_))
        {
            sink.push(&arg.pat, Diagnostic::ParamPattern { name: name.clone() });
        }
    }
    let (cx, params) = match rest.as_slice() {
        [] => {
            sink.push(
                &sig.ident,
                Diagnostic::MissingCx {
                    name: name.clone(),
                    expected: wanted.shown(),
                },
            );
            (None, None)
        }
        [only] if !is_reference(&only.ty) && !names_cx(&only.ty) => {
            sink.push(
                *only,
                Diagnostic::MissingCx {
                    name: name.clone(),
                    expected: wanted.shown(),
                },
            );
            (None, Some(*only))
        }
        [cx] => (Some(*cx), None),
        [cx, params] => (Some(*cx), Some(*params)),
        [cx, params, more @ ..] => {
            let tokens: TokenStream = more.iter().map(|m| m.to_token_stream()).collect();
            sink.push(tokens, Diagnostic::TooManyParams { name: name.clone() });
            (Some(*cx), Some(*params))
        }
    };
    // The wrong context is told of, and the rest goes by what was written.
    let mut harmless = 0;
    let mut cx = cx.cloned();
    if let Some(cx) = &mut cx
        && let Some((at, diagnostic)) = judge_cx(&cx.ty, &name, lifetimes, wanted)
    {
        let of_the_trait = matches!(diagnostic, Diagnostic::TraitAsMarker { .. });
        harmless = usize::from(of_the_trait || matches!(diagnostic, Diagnostic::WrongCx { .. }));
        if of_the_trait {
            // A trait that names itself as a type is a cycle, of which rustc tells at length.
            put_marker(&mut cx.ty, wanted.marker);
        }
        sink.push(at, diagnostic);
    }
    if let Some(params) = params {
        check_type(&params.ty, &name, true, sink);
    }
    let output = match &sig.output {
        ReturnType::Default => {
            sink.push(&sig.ident, Diagnostic::MissingReturn { name: name.clone() });
            None
        }
        ReturnType::Type(_, ty) => {
            check_type(ty, &name, false, sink);
            check_result(ty, &name, sink);
            Some((**ty).clone())
        }
    };
    if sink.len() > before + harmless {
        return None;
    }
    let cx = cx?;
    Some(Parts {
        receiver,
        cx_arg: cx.to_token_stream(),
        params_arg: params.map(ToTokens::to_token_stream),
        params: params.map(|p| (*p.ty).clone()),
        output: output?,
        at: places(&cx, params, &sig.output),
        full_cx: cx_segment(&cx.ty).map(|s| s.ident == "Cx"),
    })
}

/// Where generated code stands: at punctuation, and resolved as the rest of it.
fn places(cx: &PatType, params: Option<&PatType>, output: &ReturnType) -> Places {
    let here = |span: Span| span.resolved_at(Span::call_site());
    let cx = match &*cx.ty {
        Type::Reference(reference) => reference.and_token.span,
        _ => cx.colon_token.span,
    };
    let output = match output {
        ReturnType::Type(arrow, _) => arrow.spans[0],
        ReturnType::Default => cx,
    };
    let params = params.map_or(output, |p| p.colon_token.span);
    Places {
        cx: here(cx),
        params: here(params),
        output: here(output),
    }
}

/// What no fn of ours may be.
pub fn head(sig: &Signature, name: &str, sink: &mut Sink) {
    let mut qualifier = |tokens: TokenStream, word: &str| {
        sink.push(
            tokens,
            Diagnostic::FnQualifier {
                name: name.to_owned(),
                word: word.to_owned(),
            },
        );
    };
    if let Some(word) = &sig.constness {
        qualifier(word.to_token_stream(), "const");
    }
    if let Safety::Unsafe(word) = &sig.safety {
        qualifier(word.to_token_stream(), "unsafe");
    }
    if let Some(abi) = &sig.abi {
        qualifier(abi.to_token_stream(), "extern");
    }
    let generics = &sig.generics;
    let lifetimes_only = generics
        .params
        .iter()
        .all(|p| matches!(p, syn::GenericParam::Lifetime(_)));
    if !generics.params.is_empty() {
        let name = name.to_owned();
        let diagnostic = if lifetimes_only {
            Diagnostic::FnLifetime { name }
        } else {
            Diagnostic::FnGenerics { name }
        };
        sink.push(generics, diagnostic);
    } else if let Some(clause) = &generics.where_clause {
        sink.push(
            clause,
            Diagnostic::FnWhere {
                name: name.to_owned(),
            },
        );
    }
}

fn check_receiver(receiver: &Receiver, name: &str, declared: bool, sink: &mut Sink) {
    let seen = match &receiver.kind {
        ReceiverKind::Reference(_, lifetime, mutability) => match (lifetime, mutability) {
            (_, Some(_)) => "&mut self",
            (Some(_), None) if declared => return,
            (Some(lifetime), None) => {
                return sink.push(
                    lifetime,
                    Diagnostic::FnLifetime {
                        name: name.to_owned(),
                    },
                );
            }
            (None, None) => return,
        },
        ReceiverKind::Typed(..) => "self: ..",
        _ => "self",
    };
    sink.push(
        receiver,
        Diagnostic::ReceiverForm {
            name: name.to_owned(),
            seen: seen.to_owned(),
        },
    );
}

fn is_cx(segment: &syn::PathSegment) -> bool {
    segment.ident == "Cx" || segment.ident == "ToolCx"
}

/// The last segment of a lent context, where it can be seen to be one.
fn cx_segment(ty: &Type) -> Option<&syn::PathSegment> {
    let Type::Reference(reference) = ty else {
        return None;
    };
    last_segment(&reference.elem).filter(|s| is_cx(s))
}

fn is_reference(ty: &Type) -> bool {
    matches!(ty, Type::Reference(_))
}

fn names_cx(ty: &Type) -> bool {
    last_segment(ty).is_some_and(is_cx)
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    }
}

/// Writes the marker where the context has another type.
fn put_marker(ty: &mut Type, marker: &str) {
    if let Type::Reference(reference) = ty
        && let Type::Path(path) = &mut *reference.elem
        && let Some(segment) = path.path.segments.last_mut()
        && let PathArguments::AngleBracketed(arguments) = &mut segment.arguments
        && let Some(GenericArgument::Type(argument)) = arguments.args.first_mut()
    {
        let marker = Ident::new(marker, argument.span());
        *argument = syn::parse_quote!(#marker);
    }
}

/// Judges the context by its last path segment; under an alias, the types judge.
fn judge_cx(
    ty: &Type,
    name: &str,
    declared: bool,
    wanted: Wanted<'_>,
) -> Option<(TokenStream, Diagnostic)> {
    let (name, expected) = (name.to_owned(), wanted.shown());
    let form = |name, seen: &str, expected| {
        let seen = seen.to_owned();
        let diagnostic = Diagnostic::CxForm {
            name,
            seen,
            expected,
        };
        Some((ty.to_token_stream(), diagnostic))
    };
    let Type::Reference(reference) = ty else {
        let seen = if names_cx(ty) {
            "a context by value"
        } else {
            "this"
        };
        return form(name, seen, expected);
    };
    if reference.mutability.is_some() {
        return form(name, "a `&mut`", expected);
    }
    if let Some(lifetime) = reference.lifetime.as_ref().filter(|_| !declared) {
        return Some((lifetime.to_token_stream(), Diagnostic::FnLifetime { name }));
    }
    let Some(segment) = last_segment(&reference.elem) else {
        return form(name, "this", expected);
    };
    if !is_cx(segment) {
        return None;
    }
    if segment.ident != wanted.cx {
        let why = wanted.why.to_owned();
        let diagnostic = Diagnostic::WrongCx {
            name,
            expected,
            why,
        };
        return Some((segment.ident.to_token_stream(), diagnostic));
    }
    let argument = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => arguments.args.first(),
        _ => {
            let seen = "nothing".to_owned();
            let diagnostic = Diagnostic::CxArgument {
                name,
                seen,
                expected,
            };
            return Some((segment.to_token_stream(), diagnostic));
        }
    };
    let Some(GenericArgument::Type(argument)) = argument else {
        return None;
    };
    let seen = &last_segment(argument)?.ident;
    if wanted
        .marker
        .strip_suffix("Extension")
        .is_some_and(|trait_| seen == trait_)
    {
        let diagnostic = Diagnostic::TraitAsMarker {
            name,
            seen: seen.to_string(),
            expected,
        };
        return Some((seen.to_token_stream(), diagnostic));
    }
    // An alias of the marker is the types' business; the marker of another extension is told of here.
    if seen == wanted.marker || !seen.to_string().ends_with("Extension") {
        return None;
    }
    let diagnostic = Diagnostic::CxArgument {
        name,
        seen: format!("`{seen}`"),
        expected,
    };
    Some((seen.to_token_stream(), diagnostic))
}

/// Refuses what cannot be the type of params (or of a result) by syntax alone.
pub fn check_type(ty: &Type, name: &str, params: bool, sink: &mut Sink) {
    let found = if is_reference(ty) {
        Some((
            ty.to_token_stream(),
            "a reference",
            "it is read from the wire, and nothing is there to refer to",
        ))
    } else {
        offence(ty.to_token_stream())
    };
    let Some((at, seen, why)) = found else { return };
    let (name, seen, why) = (name.to_owned(), seen.to_owned(), why.to_owned());
    let diagnostic = if params {
        Diagnostic::ParamType { name, seen, why }
    } else if seen == "a reference" {
        let why = "the result outlives the call; write an owned type".to_owned();
        Diagnostic::ReturnType { name, seen, why }
    } else {
        Diagnostic::ReturnType { name, seen, why }
    };
    sink.push(at, diagnostic);
}

/// Types of the standard library that are plainly no `Result`; whether others are one, the types decide.
const NO_RESULTS: &[&str] = &[
    "Option", "Vec", "Box", "String", "bool", "u8", "u32", "u64", "usize", "i32", "i64", "f64",
    "Value",
];

fn check_result(ty: &Type, name: &str, sink: &mut Sink) {
    let plain = match ty {
        Type::Tuple(_) | Type::Array(_) | Type::Never(_) => true,
        _ => last_segment(ty).is_some_and(|s| NO_RESULTS.iter().any(|no| s.ident == no)),
    };
    if plain {
        let why =
            "it is no `Result<T, E>`, with `std::convert::Infallible` as `E` if nothing can fail";
        let (name, seen) = (name.to_owned(), "this".to_owned());
        sink.push(
            ty,
            Diagnostic::ReturnType {
                name,
                seen,
                why: why.to_owned(),
            },
        );
    }
}

fn offence(tokens: TokenStream) -> Option<(TokenStream, &'static str, &'static str)> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Ident(word) if word == "impl" => {
                return Some((
                    word.to_token_stream(),
                    "`impl Trait`",
                    "the schema needs one type; write its name",
                ));
            }
            TokenTree::Ident(word) if word == "dyn" => {
                return Some((
                    word.to_token_stream(),
                    "`dyn Trait`",
                    "the schema needs one type; write its name",
                ));
            }
            TokenTree::Ident(word) if word == "Self" => {
                return Some((
                    word.to_token_stream(),
                    "`Self`",
                    "the type is the same for every provider and for the client",
                ));
            }
            TokenTree::Punct(tick) if tick.as_char() == '\'' => {
                if let Some(TokenTree::Ident(lifetime)) = tokens.peek()
                    && lifetime != "static"
                {
                    return Some((
                        quote!(#tick #lifetime),
                        "a lifetime",
                        "params and results are owned",
                    ));
                }
            }
            TokenTree::Group(group) => {
                if let Some(found) = offence(group.stream()) {
                    return Some(found);
                }
            }
            _ => {}
        }
    }
    None
}

/// Makes a signature at fault one that compiles, as far as that follows from what was reported.
pub fn mend(sig: &mut Signature, marker: &str) {
    let marker = quote::format_ident!("{marker}");
    for arg in &mut sig.inputs {
        let FnArg::Typed(arg) = arg else { continue };
        if !matches!(&*arg.pat, Pat::Ident(_) | Pat::Wild(_)) {
            *arg.pat = syn::parse_quote!(_);
        }
        if let Type::Reference(reference) = &mut *arg.ty
            && let Type::Path(path) = &mut *reference.elem
            && let Some(segment) = path.path.segments.last_mut()
            && is_cx(segment)
            && segment.arguments.is_none()
        {
            segment.arguments = PathArguments::AngleBracketed(syn::parse_quote!(<#marker>));
        }
    }
}
