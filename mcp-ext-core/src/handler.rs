//! From a call to the provider's fn and back: what the generated `match` hands each item to.
//!
//! What is generic over the types of a method is compiled once for each method of every user, so it holds no more than
//! it must; all that needs no such type stands in fns that name none.

use std::borrow::Cow;
use std::future::ready;
use std::sync::Arc;

use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::{Value, json};

use crate::call::{Call, Failure, Form, Outcome, Payload, unserialisable};
use crate::contract::Item;
use crate::cx::{CallCx, Cx, ToolCx};
use crate::error::ExtensionError;
use crate::extension::{AnySettings, Extension, ItemParams, NoParams};
use crate::faults::{self, Fault};
use crate::request::{BoxFuture, Params};
use crate::wire::{JsonObject, RpcError, code, kind_of};

/// A provider's fn, `async fn(&P, &C, T) -> Result<Ok, Err>`, for one lifetime of the call.
///
/// It is there for the bound `for<'a> Handler<'a, ..>`: that the answer can be sent is then shown once, here, and not
/// again for each item of each extension.
#[diagnostic::on_unimplemented(
    message = "this fn cannot handle a call with `&{C}` and `{T}`",
    note = "a handler is an `async fn(&self, &{C}, {T}) -> Result<T, E>`, with `T: Serialize` and `E: ExtensionError`"
)]
pub trait Handler<'a, P, C, T>: Send {
    /// The result.
    type Ok: Serialize;
    /// The error.
    type Err: ExtensionError;
    /// What the fn returns when it is called.
    type Answer: Future<Output = Result<Self::Ok, Self::Err>> + Send;

    /// Calls the fn.
    fn answer(self, provider: &'a P, cx: &'a C, params: T) -> Self::Answer;
}

impl<'a, P: 'a, C: 'a, T, F, A, R, X> Handler<'a, P, C, T> for F
where
    F: FnOnce(&'a P, &'a C, T) -> A + Send,
    A: Future<Output = Result<R, X>> + Send,
    R: Serialize,
    X: ExtensionError,
{
    type Ok = R;
    type Err = X;
    type Answer = A;

    fn answer(self, provider: &'a P, cx: &'a C, params: T) -> A {
        self(provider, cx, params)
    }
}

/// A provider's fn that takes no params.
pub struct WithoutParams<F>(pub F);

impl<'a, P: 'a, C: 'a, F, A, R, X> Handler<'a, P, C, NoParams> for WithoutParams<F>
where
    F: FnOnce(&'a P, &'a C) -> A + Send,
    A: Future<Output = Result<R, X>> + Send,
    R: Serialize,
    X: ExtensionError,
{
    type Ok = R;
    type Err = X;
    type Answer = A;

    fn answer(self, provider: &'a P, cx: &'a C, NoParams {}: NoParams) -> A {
        self.0(provider, cx)
    }
}

/// What a handler is given beside the params.
pub trait Context: Sized + Send + Sync {
    #[doc(hidden)]
    fn open(call: Arc<CallCx>, settings: AnySettings, negotiated: bool) -> Result<Self, Failure>;
}

/// Of a call that only comes this far when the extension was negotiated.
impl<E: Extension> Context for Cx<E> {
    fn open(call: Arc<CallCx>, settings: AnySettings, _: bool) -> Result<Self, Failure> {
        Ok(Self::new(call, settings_of::<E>(settings)?))
    }
}

/// Of a call that any client may make.
impl<E: Extension> Context for ToolCx<E> {
    fn open(call: Arc<CallCx>, settings: AnySettings, negotiated: bool) -> Result<Self, Failure> {
        Ok(Self::new(call, settings_of::<E>(settings)?, negotiated))
    }
}

impl<'a> Call<'a> {
    /// Reads the params, calls the handler and writes its answer.
    pub fn run<C, P, T, F>(self, provider: &'a P, handler: F) -> BoxFuture<'a, Outcome>
    where
        C: Context + 'a,
        P: Sync,
        T: ItemParams + 'a,
        F: for<'c> Handler<'c, P, C, T> + 'a,
    {
        // `match`, not `?`, which would make two more fns of each type.
        Box::pin(async move {
            let form = self.form;
            let cx = match C::open(self.cx, self.settings, self.negotiated) {
                Ok(cx) => cx,
                Err(failure) => return Err(failure),
            };
            let params = match decode(self.params, self.item) {
                Ok(params) => params,
                Err(failure) => return Err(failure),
            };
            reply(form, handler.answer(provider, &cx, params).await)
        })
    }

    /// The answer when the item is none of the contract: the generated `match` needs it, the set never asks.
    pub fn no_such_item(self) -> BoxFuture<'a, Outcome> {
        let error = RpcError::method_not_found(self.item.name);
        Box::pin(ready(Err(Failure::Rpc(error))))
    }
}

fn settings_of<E: Extension>(settings: AnySettings) -> Result<Arc<E::Negotiated>, Failure> {
    settings
        .downcast()
        .map_err(|_| foreign_settings(E::CONTRACT.id.as_str()))
}

fn foreign_settings(extension: &str) -> Failure {
    Failure::Rpc(
        RpcError::new(
            code::INTERNAL_ERROR,
            "the negotiated settings are of another extension",
        )
        .with_data(json!({ "kind": "settings_type", "extension": extension })),
    )
}

#[allow(clippy::question_mark, reason = "`?` makes more fns of each type")]
fn decode<T: DeserializeOwned>(params: Params<'_>, item: &Item) -> Result<T, Failure> {
    let object = match object(params) {
        Ok(object) => object,
        Err(failure) => return Err(failure),
    };
    match T::deserialize(Whole(&object)) {
        Ok(params) => Ok(params),
        Err(error) => Err(explain(&error, object, item)),
    }
}

/// Params as a value, whatever the adapter has: text becomes one first, so that each type is read from one form only.
fn object(params: Params<'_>) -> Result<JsonObject, Failure> {
    let value = match params {
        Params::Value(value) => value,
        Params::None => Value::Null,
        Params::Raw(raw) => value_of(raw)?,
    };
    match value {
        Value::Object(object) => Ok(object),
        Value::Null => Ok(JsonObject::new()),
        other => {
            let seen = kind_of(&other);
            Err(Failure::Params(vec![Fault {
                pointer: String::new(),
                expected: "an object".to_owned(),
                seen: seen.to_owned(),
                message: format!("expected an object, saw {seen}"),
            }]))
        }
    }
}

/// Text of params as a value.
pub(crate) fn value_of(raw: &serde_json::value::RawValue) -> Result<Value, Failure> {
    serde_json::from_str(raw.get()).map_err(|_| unreadable())
}

// Well-formed text that makes no value: a frame may hold numbers and nesting that no reader takes.
fn unreadable() -> Failure {
    Failure::Params(vec![Fault {
        pointer: String::new(),
        expected: "numbers that a 64-bit float holds, whole surrogate pairs, and at most 128 levels".to_owned(),
        seen: "text that cannot be read".to_owned(),
        message: "cannot be read: a number is out of range, an escape is half a pair, or the nesting is too deep"
            .to_owned(),
    }])
}

fn explain(error: &serde_json::Error, params: JsonObject, item: &Item) -> Failure {
    let value = Value::Object(params);
    let mut found = faults::find(&value, &item.params, item.echo);
    if found.is_empty() {
        found.push(faults::from_serde(error, &value));
    }
    Failure::Params(found)
}

/// An object as a whole, which is never read as a sequence or a scalar: serde would make code for each type that reads
/// a struct by position, and on the wire params are an object.
struct Whole<'de>(&'de JsonObject);

impl<'de> Deserializer<'de> for Whole<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

fn reply<T: Serialize, X: ExtensionError>(form: Form, answer: Result<T, X>) -> Outcome {
    match answer {
        Ok(value) => match form {
            Form::Text => {
                let mut text = Vec::with_capacity(128);
                let written = value.serialize(&mut serde_json::Serializer::new(&mut text));
                finish_text(text, written)
            }
            Form::Value => finish_value(value.serialize(serde_json::value::Serializer)),
        },
        Err(error) => Err(own(&error)),
    }
}

fn finish_text(text: Vec<u8>, written: Result<(), serde_json::Error>) -> Outcome {
    written.map_err(unserialisable)?;
    String::from_utf8(text)
        .map(Payload::Text)
        .map_err(|error| unserialisable(<serde_json::Error as serde::ser::Error>::custom(error)))
}

fn finish_value(written: Result<Value, serde_json::Error>) -> Outcome {
    written.map(Payload::Value).map_err(unserialisable)
}

fn own<X: ExtensionError>(error: &X) -> Failure {
    let spec = X::ERRORS.get(error.index());
    Failure::Own {
        code: spec.map_or(code::INTERNAL_ERROR, |s| s.code),
        kind: Cow::Borrowed(spec.map_or("undeclared", |s| s.kind)),
        message: error.message(),
        details: error.details(),
        retryable: spec.is_some_and(|s| s.retryable),
    }
}

#[cfg(test)]
mod tests {
    use super::Whole;
    use crate::wire::JsonObject;
    use serde::{Deserialize, de::DeserializeOwned};
    use serde_json::{Value, json};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Plain {
        id: u32,
        name: Option<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Newtype(Plain);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Flat {
        id: u32,
        #[serde(flatten)]
        rest: JsonObject,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind", rename_all = "camelCase")]
    enum Tagged {
        One { id: u32 },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        One { id: u32 },
        Two { name: String },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Outside {
        One { id: u32 },
    }

    fn same<T: DeserializeOwned + PartialEq + std::fmt::Debug>(value: &Value) -> bool {
        let whole = T::deserialize(Whole(value.as_object().unwrap()));
        let plain = T::deserialize(value);
        assert_eq!(
            whole.as_ref().map_err(ToString::to_string),
            plain.as_ref().map_err(ToString::to_string)
        );
        plain.is_ok()
    }

    #[test]
    fn an_object_reads_as_the_same_value_would() {
        let values = [
            json!({"id": 1}),
            json!({"id": 1, "name": "a", "more": [1, {}]}),
            json!({"id": "one"}),
            json!({"kind": "one", "id": 2}),
            json!({"one": {"id": 3}}),
            json!({"one": {"id": 3}, "two": 1}),
            json!({"name": null}),
            json!({}),
        ];
        let mut read = [0; 10];
        for value in &values {
            let answers = [
                same::<Plain>(value),
                same::<Newtype>(value),
                same::<Flat>(value),
                same::<Tagged>(value),
                same::<Either>(value),
                same::<Outside>(value),
                same::<Option<Plain>>(value),
                same::<Box<Plain>>(value),
                same::<Value>(value),
                same::<(u32,)>(value) | same::<Vec<u32>>(value) | same::<String>(value),
            ];
            for (count, answer) in read.iter_mut().zip(answers) {
                *count += usize::from(answer);
            }
        }
        // Each shape was read at least once, but for those that no object is.
        assert!(read[..9].iter().all(|count| *count > 0), "{read:?}");
        assert_eq!(read[9], 0);
    }
}
