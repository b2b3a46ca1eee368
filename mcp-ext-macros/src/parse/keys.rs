//! `key = value, flag, key(..)`: what stands in the parentheses of our attributes, read by table.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::{Expr, LitBool, LitInt, LitStr, Path, Token, Type, parenthesized};

use crate::diag::{Diagnostic, Sink, hint, nearest};

/// One key that an attribute takes.
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What follows the name.
    pub kind: Kind,
    /// How it is written, for messages.
    pub usage: &'static str,
}

/// What follows a key.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Nothing.
    Flag,
    /// Nothing, or `= true` and `= false`.
    Bool,
    /// `= "text"`
    Text,
    /// `= 4100`
    Int,
    /// `= expression`
    Expr,
    /// `= path`
    Path,
    /// `= Type`, or `(key = .., ..)`
    TypeOrKeys(&'static [Key]),
    /// `= Type`
    Type,
    /// `(path, ..)`
    Paths,
    /// `("text", ..)`
    Texts,
    /// `("text": Type, ..)`
    Pairs,
    /// `(key = .., ..)`
    Keys(&'static [Key]),
    /// Nothing, or `(key = .., ..)`
    FlagOrKeys(&'static [Key]),
}

/// The value that was read.
pub enum Value {
    Flag,
    Bool(bool),
    Text(LitStr),
    Int(i128, TokenStream),
    Expr(Box<Expr>),
    Path(Path),
    Type(Box<Type>),
    Paths(Vec<Path>),
    Texts(Vec<LitStr>),
    Pairs(Vec<(LitStr, Type)>),
    Keys(Keys),
}

/// A key with its value.
pub struct Entry {
    pub key: Ident,
    pub value: Value,
}

/// The keys of one attribute, each at most once.
#[derive(Default)]
pub struct Keys {
    entries: Vec<Entry>,
    /// Keys whose value could not be read, which has been reported.
    unread: Vec<String>,
    /// Texts that stand without a key.
    pub bare: Vec<LitStr>,
}

impl Keys {
    /// Reads the keys; what is wrong is noted and left out, and the rest is read on.
    pub fn parse(tokens: TokenStream, place: &str, table: &'static [Key], sink: &mut Sink) -> Self {
        Self::read(tokens, place, table, false, sink)
    }

    /// As [`Self::parse`], and a text may stand without a key.
    pub fn parse_with_text(
        tokens: TokenStream,
        place: &str,
        table: &'static [Key],
        sink: &mut Sink,
    ) -> Self {
        Self::read(tokens, place, table, true, sink)
    }

    fn read(
        tokens: TokenStream,
        place: &str,
        table: &'static [Key],
        texts: bool,
        sink: &mut Sink,
    ) -> Self {
        let mut keys = Self::default();
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                keys.read_one(input, place, table, texts, sink);
                if input.is_empty() {
                    break;
                }
                if input.peek(Token![,]) {
                    input.parse::<Token![,]>()?;
                } else {
                    let rest = skip_to_comma(input);
                    sink.push(
                        first_token(&rest),
                        Diagnostic::ExpectedComma {
                            place: place.to_owned(),
                        },
                    );
                    let _ = input.parse::<Token![,]>();
                }
            }
            Ok(())
        };
        // The closure reads to the end whatever it meets.
        let _ = parser.parse2(tokens);
        keys
    }

    fn read_one(
        &mut self,
        input: ParseStream<'_>,
        place: &str,
        table: &'static [Key],
        texts: bool,
        sink: &mut Sink,
    ) {
        if texts && input.peek(LitStr) {
            if let Ok(text) = input.parse() {
                self.bare.push(text);
            }
            return;
        }
        let Ok(key) = input.call(Ident::parse_any) else {
            let names: Vec<&str> = table.iter().map(|k| k.name).collect();
            let seen = skip_to_comma(input);
            let keys = crate::diag::list(&names);
            return sink.push(
                first_token(&seen),
                Diagnostic::ExpectedKey {
                    place: place.to_owned(),
                    keys,
                },
            );
        };
        let name = key.to_string();
        let Some(known) = table.iter().find(|k| k.name == name) else {
            skip_to_comma(input);
            let names: Vec<&str> = table.iter().map(|k| k.name).collect();
            // What was meant counts as written, so that it is not reported missing as well.
            self.unread
                .extend(nearest(&name, names.iter().copied()).map(str::to_owned));
            let hint = hint(&name, &names);
            return sink.push(
                &key,
                Diagnostic::UnknownKey {
                    place: place.to_owned(),
                    key: name,
                    hint,
                },
            );
        };
        let before = input.fork();
        match read_value(input, known, sink) {
            Ok(value) => match self.entries.iter().find(|e| e.key == key) {
                Some(first) => {
                    sink.twice(
                        &first.key,
                        &key,
                        &format!("`{name}`"),
                        Diagnostic::DuplicateKey { key: name.clone() },
                    );
                }
                None => self.entries.push(Entry { key, value }),
            },
            Err(_) => {
                skip_to_comma(input);
                let value = skip_to_comma(&before);
                let at = if value.is_empty() {
                    key.to_token_stream()
                } else {
                    value
                };
                self.unread.push(name.clone());
                sink.push(
                    at,
                    Diagnostic::BadValue {
                        key: name,
                        usage: known.usage.to_owned(),
                    },
                );
            }
        }
    }

    /// The entry of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == name)
    }

    /// Whether the key is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the key was written, with a value that could be read or not.
    pub fn was_seen(&self, name: &str) -> bool {
        self.has(name) || self.unread.iter().any(|unread| unread == name)
    }

    /// The key itself, to point at.
    pub fn key(&self, name: &str) -> Option<&Ident> {
        self.get(name).map(|e| &e.key)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&LitStr> {
        match &self.get(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text that is not empty.
    pub fn filled_text(&self, name: &str, sink: &mut Sink) -> Option<LitStr> {
        let text = self.text(name)?;
        if text.value().trim().is_empty() {
            sink.push(
                text,
                Diagnostic::EmptyText {
                    key: name.to_owned(),
                },
            );
            return None;
        }
        Some(text.clone())
    }

    /// A bool.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match &self.get(name)?.value {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// A path.
    pub fn path(&self, name: &str) -> Option<&Path> {
        match &self.get(name)?.value {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    /// A type.
    pub fn ty(&self, name: &str) -> Option<&Type> {
        match &self.get(name)?.value {
            Value::Type(ty) => Some(ty),
            _ => None,
        }
    }

    /// Paths; none when the key is not there.
    pub fn paths(&self, name: &str) -> &[Path] {
        match self.get(name).map(|e| &e.value) {
            Some(Value::Paths(paths)) => paths,
            _ => &[],
        }
    }

    /// Texts; none when the key is not there.
    pub fn texts(&self, name: &str) -> &[LitStr] {
        match self.get(name).map(|e| &e.value) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// Keys inside the key.
    pub fn keys(&self, name: &str) -> Option<&Keys> {
        match &self.get(name)?.value {
            Value::Keys(keys) => Some(keys),
            _ => None,
        }
    }

    /// All entries, in the order they stand in.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

fn read_value(input: ParseStream<'_>, key: &Key, sink: &mut Sink) -> syn::Result<Value> {
    let value = match key.kind {
        Kind::Flag => Value::Flag,
        Kind::Bool if input.peek(Token![=]) => Value::Bool(assigned::<LitBool>(input)?.value),
        Kind::Bool => Value::Bool(true),
        Kind::Text => Value::Text(assigned(input)?),
        Kind::Int => int(input)?,
        Kind::Expr => Value::Expr(Box::new(assigned(input)?)),
        Kind::Path => {
            input.parse::<Token![=]>()?;
            Value::Path(input.parse()?)
        }
        Kind::Type => Value::Type(Box::new(assigned(input)?)),
        Kind::TypeOrKeys(_) if input.peek(Token![=]) => Value::Type(Box::new(assigned(input)?)),
        Kind::FlagOrKeys(_) if !input.peek(syn::token::Paren) && !input.peek(Token![=]) => {
            Value::Flag
        }
        Kind::Keys(table) | Kind::TypeOrKeys(table) | Kind::FlagOrKeys(table) => {
            let content;
            parenthesized!(content in input);
            let place = format!("{}(..)", key.name);
            Value::Keys(Keys::parse(content.parse()?, &place, table, sink))
        }
        Kind::Paths => Value::Paths(several(input, |input| input.parse())?),
        Kind::Texts => Value::Texts(several(input, |input| input.parse())?),
        Kind::Pairs => Value::Pairs(several(input, |input| {
            let text = input.parse()?;
            input.parse::<Token![:]>()?;
            Ok((text, input.parse()?))
        })?),
    };
    // Something after the value, as in `gated = "x"` or `gated(..)`, belongs to it and is wrong.
    if input.is_empty()
        || input.peek(Token![,])
        || !(input.peek(Token![=]) || input.peek(syn::token::Paren))
    {
        Ok(value)
    } else {
        Err(input.error("unexpected value"))
    }
}

fn assigned<T: Parse>(input: ParseStream<'_>) -> syn::Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn int(input: ParseStream<'_>) -> syn::Result<Value> {
    input.parse::<Token![=]>()?;
    let minus: Option<Token![-]> = input.parse()?;
    let digits: LitInt = input.parse()?;
    let number = digits.base10_parse::<i128>()?;
    let mut tokens = minus.to_token_stream();
    digits.to_tokens(&mut tokens);
    Ok(Value::Int(
        if minus.is_some() { -number } else { number },
        tokens,
    ))
}

/// `(one, two, ..)`, at least one.
fn several<T>(
    input: ParseStream<'_>,
    one: impl Fn(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<Vec<T>> {
    let content;
    parenthesized!(content in input);
    let mut all = vec![one(&content)?];
    while !content.is_empty() {
        content.parse::<Token![,]>()?;
        if !content.is_empty() {
            all.push(one(&content)?);
        }
    }
    Ok(all)
}

/// Takes everything before the next comma at this level.
fn skip_to_comma(input: ParseStream<'_>) -> TokenStream {
    let mut skipped = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        match input.parse::<TokenTree>() {
            Ok(token) => skipped.extend([token]),
            Err(_) => break,
        }
    }
    skipped
}

fn first_token(tokens: &TokenStream) -> TokenStream {
    tokens.clone().into_iter().take(1).collect()
}
