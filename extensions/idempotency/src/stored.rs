//! An outcome as it is kept, with all that the blocks further in have added to it.

use mcp_ext_core::block::{BlockOutcome, Failure};
use mcp_ext_core::wire::JsonObject;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(flatten)]
    result: StoredResult,
    #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
    meta: JsonObject,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredResult {
    Ok(Value),
    Error {
        code: i32,
        kind: String,
        message: String,
        #[serde(default, skip_serializing_if = "JsonObject::is_empty")]
        details: JsonObject,
        #[serde(default)]
        retryable: bool,
    },
}

/// The outcome as text; `None` if it is none of the handler's own answers, which are all that is ever given again.
pub(crate) fn write(outcome: &BlockOutcome) -> Option<String> {
    let result = match &outcome.result {
        Ok(value) => StoredResult::Ok(value.clone()),
        Err(Failure::Own {
            code,
            kind,
            message,
            details,
            retryable,
        }) => StoredResult::Error {
            code: *code,
            kind: kind.clone().into_owned(),
            message: message.clone(),
            details: details.clone(),
            retryable: *retryable,
        },
        Err(_) => return None,
    };
    serde_json::to_string(&Stored {
        result,
        meta: outcome.meta.clone(),
        notes: outcome.notes.clone(),
    })
    .ok()
}

/// The outcome again.
pub(crate) fn read(text: &str) -> Result<BlockOutcome, serde_json::Error> {
    let Stored {
        result,
        meta,
        notes,
    } = serde_json::from_str(text)?;
    let result = match result {
        StoredResult::Ok(value) => Ok(value),
        StoredResult::Error {
            code,
            kind,
            message,
            details,
            retryable,
        } => Err(Failure::Own {
            code,
            kind: kind.into(),
            message,
            details,
            retryable,
        }),
    };
    Ok(BlockOutcome {
        result,
        meta,
        notes,
    })
}

#[cfg(test)]
mod tests {
    use mcp_ext_core::block::{BlockOutcome, Failure};
    use mcp_ext_core::wire::JsonObject;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{read, write};

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object(value: &Value) -> JsonObject {
        JsonObject::from_iter([("a".to_owned(), value.clone())])
    }

    proptest! {
        // To the last digit of a float, which is why serde_json's float_roundtrip is on.
        #[test]
        fn what_is_stored_comes_back_as_it_was(value in values(), own in any::<bool>(), code in any::<i32>()) {
            let result = if own {
                Err(Failure::Own {
                    code,
                    kind: "sold_out".into(),
                    message: value.to_string(),
                    details: object(&value),
                    retryable: code % 2 == 0,
                })
            } else {
                Ok(value.clone())
            };
            let outcome = BlockOutcome {
                result,
                meta: object(&value),
                notes: vec![value.to_string(), String::new()],
            };
            let again = read(&write(&outcome).unwrap()).unwrap();
            prop_assert_eq!(again.result, outcome.result);
            prop_assert_eq!(again.meta, outcome.meta);
            prop_assert_eq!(again.notes, outcome.notes);
        }
    }

    #[test]
    fn only_answers_of_the_handler_are_stored() {
        let params = BlockOutcome::new(Err(Failure::Params(Vec::new())));
        assert_eq!(write(&params), None);
        for text in ["", "{}", "[]", "{\"other\":1}"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(
            write(&BlockOutcome::new(Ok(json!({"n": 1})))).as_deref(),
            Some("{\"ok\":{\"n\":1}}")
        );
    }
}
