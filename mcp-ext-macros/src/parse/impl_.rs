//! `impl Trait for Provider { .. }` with the bodies of its fns left as tokens, so that a half-typed one still expands.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Generics, Ident, ImplItem, Path, Signature, Token, Type, Visibility, braced, token,
};

/// The impl, taken apart as far as needed.
pub struct RawImpl {
    pub attrs: Vec<Attribute>,
    pub unsafety: Option<Token![unsafe]>,
    pub impl_token: Token![impl],
    pub generics: Generics,
    /// The trait; without one it is an inherent impl.
    pub trait_: Option<(Option<Token![!]>, Path)>,
    pub self_ty: Type,
    pub brace: token::Brace,
    pub parts: Vec<Part>,
}

/// One thing in the impl.
pub enum Part {
    Fn(Box<RawHandler>),
    Other(Box<ImplItem>),
}

/// A fn with its body as tokens.
pub struct RawHandler {
    pub attrs: Vec<Attribute>,
    pub vis: Visibility,
    pub sig: Signature,
    pub body: TokenTree,
}

impl Parse for RawImpl {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let unsafety = input.parse()?;
        let impl_token = input.parse()?;
        let mut generics = if input.peek(Token![<]) {
            input.parse()?
        } else {
            Generics::default()
        };
        let bang: Option<Token![!]> = input.parse()?;
        let first: Type = input.parse()?;
        let (trait_, self_ty) = if input.parse::<Option<Token![for]>>()?.is_some() {
            let path = match first {
                Type::Path(path) if path.qself.is_none() => path.path,
                other => {
                    return Err(syn::Error::new_spanned(
                        other,
                        "expected the path of a trait",
                    ));
                }
            };
            (Some((bang, path)), input.parse()?)
        } else {
            (None, first)
        };
        generics.where_clause = input.parse()?;
        let content;
        let brace = braced!(content in input);
        let mut parts = Vec::new();
        while !content.is_empty() {
            parts.push(content.parse()?);
        }
        Ok(Self {
            attrs,
            unsafety,
            impl_token,
            generics,
            trait_,
            self_ty,
            brace,
            parts,
        })
    }
}

impl Parse for Part {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ahead = input.fork();
        let handler = (|| {
            let attrs = ahead.call(Attribute::parse_outer)?;
            let vis = ahead.parse()?;
            let sig: Signature = ahead.parse()?;
            if !ahead.peek(token::Brace) {
                return Err(ahead.error("expected a body"));
            }
            Ok(RawHandler {
                attrs,
                vis,
                sig,
                body: ahead.parse()?,
            })
        })();
        match handler {
            Ok(handler) => {
                use syn::parse::discouraged::Speculative as _;
                input.advance_to(&ahead);
                Ok(Self::Fn(Box::new(handler)))
            }
            Err(_) => input.parse().map(|item| Self::Other(Box::new(item))),
        }
    }
}

impl RawImpl {
    /// The impl again, with something more at its end.
    pub fn with(&self, more: &TokenStream) -> TokenStream {
        let Self {
            attrs,
            unsafety,
            impl_token,
            generics,
            trait_,
            self_ty,
            brace,
            parts,
        } = self;
        let where_clause = &generics.where_clause;
        let of = trait_.iter().map(|(bang, path)| quote!(#bang #path for));
        let mut out =
            quote!(#(#attrs)* #unsafety #impl_token #generics #(#of)* #self_ty #where_clause);
        brace.surround(&mut out, |inner| {
            for part in parts {
                part.to_tokens(inner);
            }
            more.to_tokens(inner);
        });
        out
    }
}

impl ToTokens for Part {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Fn(handler) => {
                let RawHandler {
                    attrs,
                    vis,
                    sig,
                    body,
                } = &**handler;
                quote!(#(#attrs)* #vis #sig #body).to_tokens(tokens);
            }
            Self::Other(other) => other.to_tokens(tokens),
        }
    }
}

/// Whether a type says `impl Future`, which an `async fn` can be written out as.
pub fn is_future(ty: &Type) -> bool {
    matches!(ty, Type::ImplTrait(_)) && ty.to_token_stream().into_iter().any(|t| is(&t, "Future"))
}

fn is(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if *ident == Ident::new(word, ident.span()))
}
