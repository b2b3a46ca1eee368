//! What the types here share on the wire. Serde is laxer than JSON Schema: it takes `["x"]` for a struct of one member and
//! `{"word": null}` for a word. A type must take what its schema says, and nothing else, so these are written once here.

/// A type that is a text on the wire: `FromStr` checks it, and `as_str` gives it back.
macro_rules! text_type {
    ($ty:ident $(<const $n:ident: $nt:ty>)?, $expected:literal, $schema:expr) => {
        impl $(<const $n: $nt>)? serde::Serialize for $ty $(<$n>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de $(, const $n: $nt)?> serde::Deserialize<'de> for $ty $(<$n>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = String;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
                        Ok(text.to_owned())
                    }
                    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<String, E> {
                        Ok(text)
                    }
                }
                let text = deserializer.deserialize_str(Text)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl $(<const $n: $nt>)? schemars::JsonSchema for $ty $(<$n>)? {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($ty).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
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

/// An enum whose variants are words on the wire.
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

        impl serde::Serialize for $ty {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $ty {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Word;
                impl serde::de::Visitor<'_> for Word {
                    type Value = $ty;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<$ty, E> {
                        match word {
                            $( $word => Ok($ty::$variant), )*
                            _ => Err(E::unknown_variant(word, &[$($word),*])),
                        }
                    }
                }
                deserializer.deserialize_str(Word)
            }
        }

        impl schemars::JsonSchema for $ty {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($ty).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($word),*] })
            }
        }
    };
}

/// Makes a type with `#[serde(remote = "Self")]` read from a JSON object and from nothing else.
macro_rules! object_type {
    ($ty:ident $(<$t:ident>)?) => {
        impl $(<$t: serde::Serialize>)? serde::Serialize for $ty $(<$t>)? {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de $(, $t: serde::Deserialize<'de>)?> serde::Deserialize<'de> for $ty $(<$t>)? {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectOnly<T>(std::marker::PhantomData<T>);
                impl<'de $(, $t: serde::Deserialize<'de>)?> serde::de::Visitor<'de> for ObjectOnly<$ty $(<$t>)?> {
                    type Value = $ty $(<$t>)?;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                        <$ty $(<$t>)?>::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_map(ObjectOnly(std::marker::PhantomData::<Self>))
            }
        }
    };
}

pub(crate) use {object_type, text_type, words};
