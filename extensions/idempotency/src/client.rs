//! What a typed client brings: `orders.with(&key).place_order(order).await`.

use mcp_ext_core::client::Argument;
use serde_json::Value;

use crate::contract::ARGUMENT;
use crate::key::IdempotencyKey;

impl Argument for IdempotencyKey {
    const NAME: &'static str = ARGUMENT;

    fn value(&self) -> Value {
        self.as_str().into()
    }
}
