//! Citations of the resources in a result: reference and version.

use mcp_ext_citations::{CitationSource, Cite};
use mcp_ext_core::block::BlockCall;
use mcp_ext_core::contract::{Contract, Item};
use mcp_ext_core::request::BoxFuture;
use serde::Deserialize;
use serde_json::Value;

use crate::FhirServer;

/// Cites each resource of a result as `Type/id/_history/version`, which `fhir_read` takes as a reference.
///
/// ```
/// use mcp_ext_citations::Citations;
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_healthcare::{FhirExtension, FhirServer, FhirStore};
///
/// let fhir = FhirServer::new(FhirStore::bundled()?)?;
/// let set = ExtensionSet::builder()
///     .enable(FhirExtension::provide(fhir.clone()))
///     .enable(Citations::new().source(fhir).enable())
///     .build()?;
/// # drop(set);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl CitationSource for FhirServer {
    fn covers(&self, contract: &Contract, item: &Item) -> bool {
        super::has_resources(contract, item)
    }

    fn cite<'a>(&'a self, _: &'a BlockCall<'a>, result: &'a Value) -> BoxFuture<'a, Vec<Cite>> {
        let matches = result.get("matches").and_then(Value::as_array);
        let resources = matches.map_or(std::slice::from_ref(result), Vec::as_slice);
        let cites = resources.iter().filter_map(cite).collect();
        Box::pin(async { cites })
    }
}

/// What a match and a resource that was read have in common.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    reference: String,
    version_id: String,
    last_updated: Option<String>,
}

fn cite(resource: &Value) -> Option<Cite> {
    let resource = Resource::deserialize(resource).ok()?;
    let cite = Cite::of(&format!(
        "{}/_history/{}",
        resource.reference, resource.version_id
    ));
    // A time that is no date is left out: the resource is cited all the same.
    let updated = resource.last_updated.and_then(|time| time.parse().ok());
    Some(match updated {
        Some(updated) => cite.as_of(updated),
        None => cite,
    })
}
