//! What types of exact values share on the wire, for these and for those of other crates. Serde is laxer than JSON Schema: it
//! takes `["x"]` for a struct of one member and `{"word": null}` for a word. A type must take what its schema says, and
//! nothing else, so this is written once here.

/// Makes a type a text on the wire: its `FromStr` checks it, its `as_str` gives it back, and its schema says the same.
///
/// ```
/// use mcp_ext_values::text_type;
///
/// /// A market, by the four letters of ISO 10383.
/// #[derive(Debug)]
/// struct Market(String);
///
/// impl Market {
///     fn as_str(&self) -> &str {
///         &self.0
///     }
/// }
///
/// impl std::str::FromStr for Market {
///     type Err = &'static str;
///     fn from_str(text: &str) -> Result<Self, Self::Err> {
///         let fits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase());
///         fits.then(|| Self(text.to_owned())).ok_or("expected four capital letters")
///     }
/// }
///
/// text_type!(
///     Market,
///     "a market, such as \"XETR\"",
///     schemars::json_schema!({ "type": "string", "pattern": "^[A-Z]{4}$" })
/// );
///
/// assert!(serde_json::from_str::<Market>(r#""XETR""#).is_ok());
/// assert!(serde_json::from_str::<Market>(r#""xetr""#).is_err());
/// ```
#[macro_export]
macro_rules! text_type {
    ($ty:ident $(<const $n:ident: $nt:ty>)?, $expected:literal, $schema:expr) => {
        impl $(<const $n: $nt>)? $crate::__private::serde::Serialize for $ty $(<$n>)? {
            fn serialize<S: $crate::__private::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de $(, const $n: $nt)?> $crate::__private::serde::Deserialize<'de> for $ty $(<$n>)? {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl $crate::__private::serde::de::Visitor<'_> for Text {
                    type Value = String;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: $crate::__private::serde::de::Error>(self, text: &str) -> Result<String, E> {
                        Ok(text.to_owned())
                    }
                    fn visit_string<E: $crate::__private::serde::de::Error>(self, text: String) -> Result<String, E> {
                        Ok(text)
                    }
                }
                let text = deserializer.deserialize_str(Text)?;
                text.parse().map_err($crate::__private::serde::de::Error::custom)
            }
        }

        impl $(<const $n: $nt>)? $crate::__private::schemars::JsonSchema for $ty $(<$n>)? {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($ty).into()
            }
            fn json_schema(_: &mut $crate::__private::schemars::SchemaGenerator) -> $crate::__private::schemars::Schema {
                $schema
            }
        }

        impl $(<const $n: $nt>)? AsRef<str> for $ty $(<$n>)? {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    };
}

/// Declares an enum whose variants are words on the wire.
///
/// ```
/// mcp_ext_values::words! {
///     /// Which way a payment goes.
///     pub enum Direction: "`in` or `out`" {
///         /// To us.
///         In = "in",
///         /// From us.
///         Out = "out",
///     }
/// }
///
/// assert_eq!(serde_json::to_string(&Direction::In)?, r#""in""#);
/// assert!(serde_json::from_str::<Direction>(r#"{"in": null}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $ty:ident: $expected:literal { $( $(#[$doc:meta])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $ty { $( $(#[$doc])* $variant, )* }

        impl $ty {
            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl std::fmt::Display for $ty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::__private::serde::Serialize for $ty {
            fn serialize<S: $crate::__private::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $ty {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl $crate::__private::serde::de::Visitor<'_> for Word {
                    type Value = $ty;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: $crate::__private::serde::de::Error>(self, word: &str) -> Result<$ty, E> {
                        match word {
                            $( $word => Ok($ty::$variant), )*
                            _ => Err(E::unknown_variant(word, &[$($word),*])),
                        }
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }

        impl $crate::__private::schemars::JsonSchema for $ty {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($ty).into()
            }
            fn json_schema(_: &mut $crate::__private::schemars::SchemaGenerator) -> $crate::__private::schemars::Schema {
                $crate::__private::schemars::json_schema!({ "type": "string", "enum": [$($word),*] })
            }
        }
    };
}

/// Makes a struct with `#[serde(remote = "Self")]` read from a JSON object and from nothing else.
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// /// A party to a payment.
/// #[derive(Serialize, Deserialize)]
/// #[serde(remote = "Self")]
/// struct Party {
///     name: String,
/// }
///
/// mcp_ext_values::object_type!(Party);
///
/// assert!(serde_json::from_str::<Party>(r#"{"name": "A"}"#).is_ok());
/// assert!(serde_json::from_str::<Party>(r#"["A"]"#).is_err());
/// ```
#[macro_export]
macro_rules! object_type {
    ($ty:ident $(<$t:ident>)?) => {
        impl $(<$t: $crate::__private::serde::Serialize>)? $crate::__private::serde::Serialize for $ty $(<$t>)? {
            fn serialize<S: $crate::__private::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de $(, $t: $crate::__private::serde::Deserialize<'de>)?> $crate::__private::serde::Deserialize<'de> for $ty $(<$t>)? {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectOnly<T>(std::marker::PhantomData<T>);
                impl<'de $(, $t: $crate::__private::serde::Deserialize<'de>)?> $crate::__private::serde::de::Visitor<'de> for ObjectOnly<$ty $(<$t>)?> {
                    type Value = $ty $(<$t>)?;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: $crate::__private::serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                        <$ty $(<$t>)?>::deserialize($crate::__private::serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(ObjectOnly(std::marker::PhantomData::<Self>))
            }
        }
    };
}
