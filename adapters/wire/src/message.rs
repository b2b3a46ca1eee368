//! One JSON-RPC message, its parts still as text.

use std::borrow::Cow;
use std::fmt;

#[cfg(feature = "http")]
use serde::de::Error;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The longest `id` that is remembered, in bytes of its JSON text.
const MAX_ID_BYTES: usize = 1024;

/// The members of a message that decide where it goes. Absent and `null` are told apart.
#[derive(Default, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    pub jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub error: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl<'a> Message<'a> {
    /// Reads one message; `None` when the text is not an object that could be one.
    pub fn read(text: &'a [u8]) -> Option<Self> {
        // Sequences would be read as well.
        if text.first() != Some(&b'{') {
            return None;
        }
        // From bytes, serde would not look at the encoding of members that are passed over.
        serde_json::from_str(std::str::from_utf8(text).ok()?).ok()
    }

    /// Reads one message, and the members of the params of a request whose method is one of those that `owns` names,
    /// where it stands before them: they are passed over once and not twice. `None` as [`read`](Self::read), and where
    /// such params are no object.
    #[cfg(feature = "http")]
    pub fn read_owned(
        text: &'a [u8],
        owns: impl Fn(&str) -> bool,
    ) -> Option<(Self, Option<Members<'a>>)> {
        let mut from = serde_json::Deserializer::from_str(std::str::from_utf8(text).ok()?);
        let read = from.deserialize_map(Owned(owns)).ok()?;
        from.end().ok()?;
        Some(read)
    }

    /// The method, if it is a string.
    pub fn method(&self) -> Option<Cow<'a, str>> {
        self.method.and_then(text)
    }

    /// The id, if it is one the protocol allows: a string or an integer.
    pub fn id(&self) -> Option<Id> {
        self.id.and_then(Id::read)
    }

    /// Whether this is an answer, not a request or notification.
    pub fn is_response(&self) -> bool {
        self.method.is_none() && (self.result.is_some() || self.error.is_some())
    }
}

#[cfg(feature = "http")]
struct Owned<F>(F);

#[cfg(feature = "http")]
impl<'de, F: Fn(&str) -> bool> Visitor<'de> for Owned<F> {
    type Value = (Message<'de>, Option<Members<'de>>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut message = Message::default();
        let mut own = None;
        while let Some(Name(key)) = map.next_key()? {
            let slot = match &*key {
                "jsonrpc" => &mut message.jsonrpc,
                "id" => &mut message.id,
                "method" => &mut message.method,
                "params" => {
                    let method = message.method.and_then(text);
                    if own.is_none() && method.is_some_and(|method| (self.0)(&method)) {
                        own = Some(map.next_value::<AllMembers<'_>>()?.0);
                        continue;
                    }
                    &mut message.params
                }
                "result" => &mut message.result,
                "error" => &mut message.error,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value()?).is_some() || (own.is_some() && key == "params") {
                return Err(A::Error::custom("a member that stands there twice"));
            }
        }
        Ok((message, own))
    }
}

/// The text of a JSON string, borrowed where it has no escapes.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// One member of an object, as text; the last one if there are several.
pub(crate) fn member<'a>(object: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    struct Find<'n>(&'n str);
    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(Name(key)) = map.next_key()? {
                if key == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(object.get())
        .deserialize_map(Find(name))
        .ok()
        .flatten()
}

/// The members of an object in order, as text.
pub(crate) type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

struct AllMembers<'a>(Members<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for AllMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some((Name(key), value)) = map.next_entry()? {
                    all.push((key, value));
                }
                Ok(all)
            }
        }
        from.deserialize_map(All).map(Self)
    }
}

/// The members of an object; `None` when it is not an object.
pub(crate) fn members(object: &RawValue) -> Option<Members<'_>> {
    let AllMembers(all) = serde_json::from_str(object.get()).ok()?;
    Some(all)
}

/// The name of a member, borrowed where it has no escapes.
#[derive(Deserialize)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Whether an error object is -32601.
pub(crate) fn is_method_not_found(error: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }
    serde_json::from_str::<Code>(error.get())
        .is_ok_and(|error| error.code == i64::from(mcp_ext_core::wire::code::METHOD_NOT_FOUND))
}

/// What one direction of a connection calls its requests by. `1` and `"1"` differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Id {
    Text(Box<str>),
    Number(i128),
}

impl Id {
    pub fn read(raw: &RawValue) -> Option<Self> {
        if raw.get().len() > MAX_ID_BYTES {
            return None;
        }
        match text(raw) {
            Some(text) => Some(Self::Text(text.into())),
            None => raw.get().parse().ok().map(Self::Number),
        }
    }
}

/// A message without what may legally stand around it on a line: a byte order mark, blanks, a carriage return.
pub(crate) fn trimmed(line: &[u8]) -> &[u8] {
    // A form feed, which ASCII counts as a blank, is none in JSON.
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let start = line.iter().take_while(|byte| blank(byte)).count();
    let line = line.get(start..).unwrap_or_default();
    let end = line.iter().rev().take_while(|byte| blank(byte)).count();
    line.get(..line.len() - end).unwrap_or_default()
}

/// `{"jsonrpc":"2.0","id":ID,"result":RESULT}`
pub(crate) fn result_frame(id: &str, result: &str) -> String {
    frame(id, "result", result)
}

/// `{"jsonrpc":"2.0","id":ID,"error":ERROR}`
pub(crate) fn error_frame(id: &str, error: &mcp_ext_core::RpcError) -> String {
    // An error object is plain data, so it always has a JSON form.
    let error = serde_json::to_string(error).unwrap_or_else(|_| {
        r#"{"code":-32603,"message":"the error cannot be written as JSON"}"#.to_owned()
    });
    frame(id, "error", &error)
}

fn frame(id: &str, member: &str, value: &str) -> String {
    let parts = [
        r#"{"jsonrpc":"2.0","id":"#,
        id,
        ",\"",
        member,
        "\":",
        value,
        "}",
    ];
    parts.concat()
}

/// The answer to one request, as a frame without its line end.
pub(crate) fn answer_frame(id: &str, answer: &Result<String, mcp_ext_core::RpcError>) -> String {
    match answer {
        Ok(result) => result_frame(id, result),
        Err(error) => error_frame(id, error),
    }
}

/// A notification of ours.
pub(crate) fn notification_frame(method: &str, params: mcp_ext_core::wire::JsonObject) -> String {
    serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_json_counts_as_blank_stands_around_a_message() {
        assert_eq!(trimmed(b"\xef\xbb\xbf \t{ }\r\n"), b"{ }");
        assert_eq!(trimmed(b"\x0c{}\x0b\n"), b"\x0c{}\x0b");
        assert_eq!(trimmed(b" \r\n"), b"");
        assert!(Message::read(trimmed(b"{\"id\":1,\"method\":\"a\"}\x0c\n")).is_none());
    }

    #[test]
    fn ids_keep_their_type() {
        let id = |text: &str| Id::read(&RawValue::from_string(text.to_owned()).unwrap());
        assert_ne!(id("1"), id("\"1\""));
        assert_eq!(id("\"\\u0061\""), id("\"a\""));
        assert_eq!(id("18446744073709551616"), Some(Id::Number(1 << 64)));
        for bad in ["null", "1.5", "1e3", "true", "{}", "[]"] {
            assert_eq!(id(bad), None, "{bad}");
        }
        assert_eq!(id(&format!("\"{}\"", "x".repeat(2000))), None);
    }

    #[test]
    fn absent_and_null_differ() {
        let message = Message::read(br#"{"id":null,"method":"m"}"#).unwrap();
        assert!(message.id.is_some());
        assert!(message.params.is_none());
        assert_eq!(message.id(), None);
        assert!(Message::read(b"[]").is_none());
        assert!(Message::read(br#"{"method":"a","method":"b"}"#).is_none());
    }

    #[cfg(feature = "http")]
    #[test]
    fn params_of_ours_are_read_on_the_way() {
        let read = |text: &'static str| Message::read_owned(text.as_bytes(), |name| name == "ours");
        let (message, own) =
            read(r#"{"id":1,"method":"ours","params":{"_meta":{},"a":1}}"#).unwrap();
        assert!(message.params.is_none() && message.id.is_some() && own.is_some());
        for text in [
            r#"{"id":1,"method":"theirs","params":{"a":1}}"#,
            r#"{"id":1,"params":{"a":1},"method":"ours"}"#,
        ] {
            let (message, own) = read(text).unwrap();
            assert!(message.params.is_some() && own.is_none(), "{text}");
        }
        assert!(read(r#"{"id":1,"method":"ours"}"#).unwrap().1.is_none());
        for bad in [
            r#"{"method":"ours","params":[]}"#,
            r#"{"method":"ours","params":{},"params":{}}"#,
            r#"{"method":"ours","method":"ours"}"#,
            r#"{"method":"ours"} x"#,
            r#"["ours"]"#,
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_no_message() {
        assert!(Message::read("{\"id\":1,\"result\":{},\"x\":\"é\"}".as_bytes()).is_some());
        assert!(Message::read(b"{\"id\":1,\"result\":{},\"x\":\"\xe9\"}").is_none());
    }
}
