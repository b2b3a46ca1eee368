//! Leaves out absent members of a tool's structured result.
//!
//! Hosts refuse `["integer", "null"]` in a schema, so the tool schema says only that such a member may be missing. A
//! handler's `None` is written as `null`; sent like that, a client that validates would refuse the whole result.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// Drops each member that is `null` where the schema knows it and does not admit `null`.
pub(super) fn leave_out(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(members) => {
            members
                .retain(|name, member| !(member.is_null() && absent(member_schema(schema, name))));
            for (name, member) in members {
                if let Some(schema) = member_schema(schema, name) {
                    leave_out(member, schema);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| leave_out(item, schema));
            }
        }
        _ => {}
    }
}

/// The same on text, whose digits stay as they are. `None`: nothing had to change.
pub(super) fn leave_out_of_text(text: &str, schema: &Value) -> Option<String> {
    if !text.contains("null") {
        return None;
    }
    if let Ok(mut members) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text) {
        let before = members.len();
        members.retain(|name, member| {
            !(member.get() == "null" && absent(member_schema(schema, name)))
        });
        let mut changed = members.len() != before;
        for (name, member) in &mut members {
            if let Some(schema) = member_schema(schema, name)
                && let Some(text) = leave_out_of_text(member.get(), schema)
            {
                *member = RawValue::from_string(text).ok()?;
                changed = true;
            }
        }
        return if changed {
            serde_json::to_string(&members).ok()
        } else {
            None
        };
    }
    let schema = schema.get("items")?;
    let mut items = serde_json::from_str::<Vec<Box<RawValue>>>(text).ok()?;
    let mut changed = false;
    for item in &mut items {
        if let Some(text) = leave_out_of_text(item.get(), schema) {
            *item = RawValue::from_string(text).ok()?;
            changed = true;
        }
    }
    if changed {
        serde_json::to_string(&items).ok()
    } else {
        None
    }
}

fn member_schema<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|rest| rest.is_object())
        })
}

/// Whether `null` can only mean that the member is absent.
fn absent(schema: Option<&Value>) -> bool {
    let Some(schema) = schema.and_then(Value::as_object) else {
        return false;
    };
    let typed = schema
        .get("type")
        .is_some_and(|t| t.is_string() && t != "null");
    let listed = schema
        .get("enum")
        .and_then(Value::as_array)
        .is_some_and(|all| !all.contains(&Value::Null));
    let composed = ["anyOf", "oneOf"].iter().any(|key| {
        schema
            .get(*key)
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty() && all.iter().all(|one| absent(Some(one))))
    });
    typed || listed || composed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({"type": "object", "properties": {
            "limit": {"type": "integer"},
            "any": {},
            "kind": {"enum": ["a", "b"]},
            "rows": {"type": "array", "items": {"type": "object", "properties": {"note": {"type": "string"}}}},
            "free": {"type": "object"},
        }})
    }

    #[test]
    fn js_04_absent_members_are_left_out_and_meant_nulls_stay() {
        let sent = json!({"limit": null, "any": null, "kind": null, "rows": [{"note": null}, {"note": "x"}],
            "free": {"x": null}, "unknown": null});
        let want =
            json!({"any": null, "rows": [{}, {"note": "x"}], "free": {"x": null}, "unknown": null});
        let mut value = sent.clone();
        leave_out(&mut value, &schema());
        assert_eq!(value, want);
        let text = leave_out_of_text(&sent.to_string(), &schema()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);
    }

    #[test]
    fn digits_stay_as_they_are() {
        let text = leave_out_of_text(r#"{"limit":null,"x":1.00}"#, &schema()).unwrap();
        assert_eq!(text, r#"{"x":1.00}"#);
        assert_eq!(leave_out_of_text(r#"{"x":1.00}"#, &schema()), None);
    }
}
