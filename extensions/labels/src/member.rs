//! Which member of a result a block writes to.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use mcp_ext_core::ExtensionId;
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::schema::tool_output_schema;

/// A member that a block adds to results.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// What it is called.
    pub name: &'static str,
    /// What it is called where the item has a member of that name which means something else.
    pub other: &'static str,
    /// What shows that an item's own member means the same: a pointer to what its schema must have.
    pub sign: &'static str,
}

impl Member {
    /// What it is called in the results of this item.
    #[must_use]
    pub fn of(&self, contract: &Contract, item: &Item) -> &'static str {
        type Known = HashMap<(ExtensionId, &'static str, &'static str), &'static str>;
        // Making a schema takes long, and there are no more entries than the program has items.
        static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
        let known = KNOWN.get_or_init(Mutex::default);
        let key = (contract.id.clone(), item.name, self.name);
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = lock().get(&key) {
            return name;
        }
        let schema = tool_output_schema(&item.result).unwrap_or_default();
        let own = &schema["properties"][self.name];
        let name = if own.is_null() || own.pointer(self.sign).is_some() {
            self.name
        } else {
            self.other
        };
        lock().insert(key, name);
        name
    }
}
