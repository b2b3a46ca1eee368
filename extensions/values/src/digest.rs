//! One digest for JSON values that mean the same: order of members, the way a number is written and escapes do not
//! matter, all else does.
//!
//! Text is not normalised: `é` in one code point and in two are different values, as they are to every handler.

use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

/// What every digest starts with, so that it is never taken for the digest of something else.
const DOMAIN: &[u8] = b"mcp-ext/json-value/1\0";

/// SHA-256 over a form in which equal values are one sequence of bytes.
///
/// Equality is that of the parsed values. An integer of 64 bits counts exactly; what JSON text holds beyond that has
/// become the nearest 64-bit float by the time there is a [`Value`], for the handler as for the digest.
///
/// ```
/// use mcp_ext_values::digest;
/// use serde_json::from_str;
///
/// let one = digest::of(&from_str(r#"{"a": 1, "b": "\u0041"}"#)?);
/// assert_eq!(one, digest::of(&from_str(r#"{"b": "A", "a": 1.0}"#)?));
/// assert_eq!(one, digest::of(&from_str(r#"{"b": "A", "a": 1e0}"#)?));
/// assert_ne!(one, digest::of(&from_str(r#"{"b": "A", "a": "1"}"#)?));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn of(value: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    any(&mut hash, value);
    hash.finalize().into()
}

fn any(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Number(number) => {
            hash.update(b"d");
            text(hash, &written(number));
        }
        Value::String(string) => {
            hash.update(b"s");
            text(hash, string);
        }
        Value::Array(items) => {
            hash.update(b"a");
            length(hash, items.len());
            items.iter().for_each(|item| any(hash, item));
        }
        Value::Object(members) => object(hash, members),
    }
}

fn object(hash: &mut Sha256, members: &Map<String, Value>) {
    // Sorted here: a crate elsewhere in the program may have switched serde_json to the order of the text.
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| name.as_bytes());
    hash.update(b"o");
    length(hash, sorted.len());
    for (name, value) in sorted {
        text(hash, name);
        any(hash, value);
    }
}

/// Lengths stand before what they measure, so that no value runs into the next.
fn length(hash: &mut Sha256, length: usize) {
    hash.update((length as u64).to_le_bytes());
}

fn text(hash: &mut Sha256, text: &str) {
    length(hash, text.len());
    hash.update(text.as_bytes());
}

/// Equal numbers written the same way: whole ones of 64 bits by all their digits, others by the fewest digits that no
/// other float shares.
fn written(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    match number.as_f64() {
        // Zero has one value, with either sign.
        Some(0.0) => "0".to_owned(),
        // Both bounds are floats themselves, and between them a whole float is an exact integer.
        Some(float)
            if float.fract() == 0.0
                && (-9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0)
                    .contains(&float) =>
        {
            (float as i128).to_string()
        }
        Some(float) => format!("{float:e}"),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, from_str, json};

    use super::of;

    fn same(a: &str, b: &str) -> bool {
        of(&from_str(a).unwrap()) == of(&from_str(b).unwrap())
    }

    #[test]
    fn what_means_the_same_has_one_digest() {
        for (a, b) in [
            (r#"{"a":1,"b":2}"#, r#"{"b":2.0,"a":1}"#),
            ("1", "1.0"),
            ("1", "1e0"),
            ("100", "1e2"),
            ("0", "-0"),
            ("0", "-0.0"),
            ("-9223372036854775808", "-9223372036854775808.0"),
            ("9007199254740992", "9007199254740992.0"),
            ("0.5", "5e-1"),
            ("1e300", "10e299"),
            (r#""\u0041\n\/""#, "\"A\\u000a/\""),
            (r#""\ud83d\ude00""#, "\"😀\""),
            (
                r#"{"a":{"x":[1.0],"y":null}}"#,
                r#"{"a":{"y":null,"x":[1]}}"#,
            ),
        ] {
            assert!(same(a, b), "{a} and {b}");
        }
    }

    #[test]
    fn what_differs_has_another_digest() {
        for (a, b) in [
            ("1", "\"1\""),
            ("1", "true"),
            ("0", "null"),
            ("0", "false"),
            ("null", "{}"),
            ("{}", "[]"),
            ("[]", "\"\""),
            ("[1,2]", "[2,1]"),
            ("[[1],2]", "[[1,2]]"),
            (r#"["a","b"]"#, r#"["ab",""]"#),
            (r#"{"a":"bc"}"#, r#"{"ab":"c"}"#),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
            // Integers that one float cannot tell apart.
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551614", "18446744073709551615"),
            ("0.1", "0.10000000000000002"),
            ("1", "1.0000000000000002"),
            // Two ways to write é: not normalised.
            ("\"\\u00e9\"", "\"e\\u0301\""),
            ("\"a\"", "\"A\""),
            ("\"a\"", "\"a \""),
        ] {
            assert!(!same(a, b), "{a} and {b}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (-3i8..3).prop_map(|n| json!(f64::from(n))),
            (-3i8..3).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Equality written down again, without a canonical form.
    fn equal(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => {
                let whole = |n: &serde_json::Number| {
                    n.as_i64()
                        .map(i128::from)
                        .or_else(|| n.as_u64().map(i128::from))
                };
                match (whole(a), whole(b)) {
                    (Some(a), Some(b)) => a == b,
                    (None, None) => a.as_f64() == b.as_f64(),
                    (Some(whole), None) | (None, Some(whole)) => {
                        let float = a.as_f64().filter(|_| !a.is_i64() && !a.is_u64());
                        let float = float.or(b.as_f64()).unwrap();
                        // A float this small is converted without loss.
                        float.fract() == 0.0 && float.abs() < 1e30 && float as i128 == whole
                    }
                }
            }
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(k, a)| b.get(k).is_some_and(|b| equal(a, b)))
            }
            _ => a == b,
        }
    }

    proptest! {
        #[test]
        fn digests_are_equal_exactly_where_values_are(a in values(), b in values()) {
            prop_assert_eq!(of(&a) == of(&b), equal(&a, &b));
        }

        #[test]
        fn the_order_of_members_and_the_kind_of_number_do_not_matter(n in any::<i32>(), rest in values()) {
            let (mut a, mut b) = (serde_json::Map::new(), serde_json::Map::new());
            a.insert("n".into(), n.into());
            a.insert("rest".into(), rest.clone());
            b.insert("rest".into(), rest);
            b.insert("n".into(), f64::from(n).into());
            prop_assert_eq!(of(&Value::Object(a)), of(&Value::Object(b)));
        }
    }
}
