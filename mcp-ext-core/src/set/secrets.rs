//! Settings are advertised to everyone and kept in caches, so none may be meant to hold a secret (check NEG-21).

use serde_json::Value;

use crate::contract::Contract;
use crate::schema;

/// Names of members that hold secrets, in lower case and without `_` and `-`.
const SECRETS: &[&str] = &[
    "accesskey",
    "accesstoken",
    "apikey",
    "authtoken",
    "bearertoken",
    "clientsecret",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "refreshtoken",
    "secret",
    "secretkey",
    "token",
];

/// The first member of the settings of either side that is meant to hold a secret.
pub(super) fn find(contract: &Contract) -> Option<String> {
    [&contract.settings.server, &contract.settings.client]
        .into_iter()
        .find_map(|side| within(&schema::root(side)))
}

fn within(schema: &Value) -> Option<String> {
    match schema {
        Value::Object(map) => {
            let properties = map.get("properties").and_then(Value::as_object);
            let secret = properties
                .into_iter()
                .flatten()
                .find(|(name, property)| is_secret(name) || property["format"] == "password");
            match secret {
                Some((name, _)) => Some(name.clone()),
                None => map.values().find_map(within),
            }
        }
        Value::Array(items) => items.iter().find_map(within),
        _ => None,
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .collect::<String>()
        .to_lowercase();
    SECRETS.contains(&plain.as_str())
}
