//! What blocks around the FHIR items need to know of FHIR: handlers know nothing of them.

#[cfg(feature = "citations")]
mod citations;
#[cfg(feature = "labels")]
mod labels;

#[cfg(any(feature = "citations", feature = "labels"))]
use mcp_ext_core::Extension as _;
#[cfg(any(feature = "citations", feature = "labels"))]
use mcp_ext_core::contract::{Contract, Item};

/// Whether results of the item hold resources.
#[cfg(any(feature = "citations", feature = "labels"))]
fn has_resources(contract: &Contract, item: &Item) -> bool {
    contract.id == crate::FhirExtension::CONTRACT.id && matches!(item.name, "search" | "read")
}

/// A policy narrows what a caller may see; the store then applies it in its SQL.
#[cfg(feature = "policy")]
impl mcp_ext_policy::Narrow for crate::AccessScope {
    fn narrowed(self, by: &Self) -> Self {
        self.and(by)
    }
}
