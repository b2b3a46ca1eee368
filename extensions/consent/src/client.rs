//! What a typed client brings: `fhir.with(&purpose).search(params).await`.

use mcp_ext_core::client::Argument;
use serde_json::Value;

use crate::purpose::Purpose;

impl Argument for Purpose {
    const NAME: &'static str = crate::ARGUMENT;

    fn value(&self) -> Value {
        // Text alone, which always has a JSON form.
        serde_json::to_value(self).unwrap_or_default()
    }
}
