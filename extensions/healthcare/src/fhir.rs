//! The contract: what the extension is called, its settings, its three items, its errors. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use mcp_ext_core::algebra::{Intersect, LenientSet};
use mcp_ext_core::{ExtensionError, ToolCx, extension, settings};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{
    Capabilities, CapabilitiesParams, FHIR_VERSION, ReadParams, ReadResult, SearchParams,
    SearchResult,
};

/// What can be done with resources of a type.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Interaction {
    /// Read one by its reference.
    Read,
    /// Search for them.
    SearchType,
}

/// Which interactions are allowed on which resource types. The type `*` stands for every type that is not listed.
///
/// ```
/// use mcp_ext_core::algebra::Intersect;
/// use mcp_ext_healthcare::ResourceTypes;
///
/// let server: ResourceTypes = serde_json::from_str(r#"{"*": ["read", "search-type"]}"#)?;
/// let client: ResourceTypes = serde_json::from_str(r#"{"Observation": ["read"]}"#)?;
/// assert_eq!(serde_json::to_string(&server.common(&client))?, r#"{"Observation":["read"]}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ResourceTypes(pub BTreeMap<String, BTreeSet<Interaction>>);

/// Stands for every type that is not listed.
pub(crate) const ANY: &str = "*";

impl ResourceTypes {
    /// What is allowed on one type.
    pub fn of(&self, resource_type: &str) -> BTreeSet<Interaction> {
        self.0
            .get(resource_type)
            .or_else(|| self.0.get(ANY))
            .cloned()
            .unwrap_or_default()
    }
}

impl Intersect for ResourceTypes {
    fn common(&self, client: &Self) -> Self {
        let names: BTreeSet<&String> = self.0.keys().chain(client.0.keys()).collect();
        let pairs = names
            .into_iter()
            .map(|name| (name.clone(), self.of(name).common(&client.of(name))));
        // A listed type with nothing left must stay when `*` would allow it again.
        let any = self.of(ANY).common(&client.of(ANY));
        Self(
            pairs
                .filter(|(name, both)| !both.is_empty() || (name != ANY && !any.is_empty()))
                .collect(),
        )
    }

    fn is_nothing(&self) -> bool {
        self.0.values().all(BTreeSet::is_empty)
    }
}

impl LenientSet for ResourceTypes {
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::read(deserializer).map(Self)
    }
}

/// What each side puts under `capabilities.extensions["io.github.mcp-ext/healthcare-fhir"]`.
#[settings]
pub struct FhirSettings {
    /// FHIR releases this side speaks, best first. Absent: any.
    #[negotiate(prefer, required)]
    pub fhir_versions: Option<Vec<String>>,
    /// What may be done with which resource types. Absent: no restriction.
    #[negotiate(intersect, required)]
    pub resource_types: Option<ResourceTypes>,
    /// Most matches on one page of a search. Absent: no limit of this side.
    #[negotiate(min)]
    pub max_results: Option<u32>,
    /// Largest resource text that is read, in bytes. Absent: no limit of this side.
    #[negotiate(min)]
    pub max_bytes: Option<u32>,
}

impl FhirSettings {
    /// What a server of this crate can do: FHIR R4.
    pub fn r4() -> Self {
        Self {
            fhir_versions: Some(vec![FHIR_VERSION.to_owned()]),
            ..Self::default()
        }
    }
}

/// Why a call is refused. The message says what was expected and what to do; it never repeats a value that may be about
/// a person.
#[derive(Clone, Debug, PartialEq, Eq, ExtensionError)]
pub enum FhirError {
    /// The resource type is not known or not searchable.
    #[error(code = 42001, "{message}")]
    UnknownType {
        /// What to do.
        message: String,
    },
    /// The type has no such search parameter. It is refused, never ignored.
    #[error(code = 42002, "{message}")]
    UnknownParameter {
        /// What to do.
        message: String,
    },
    /// The parameter does not take that modifier.
    #[error(code = 42003, "{message}")]
    UnsupportedModifier {
        /// What to do.
        message: String,
    },
    /// A value starts with letters that are no comparator.
    #[error(code = 42004, "{message}")]
    UnsupportedComparator {
        /// What to do.
        message: String,
    },
    /// A value has not the form its parameter needs.
    #[error(code = 42005, "{message}")]
    InvalidValue {
        /// What to do.
        message: String,
    },
    /// More of something than a search may have.
    #[error(code = 42006, "{message}")]
    TooMany {
        /// What to do.
        message: String,
    },
    /// The search would take too long.
    #[error(code = 42007, "{message}")]
    TooCostly {
        /// What to do.
        message: String,
    },
    /// The type cannot be sorted by that.
    #[error(code = 42008, "{message}")]
    InvalidSort {
        /// What to do.
        message: String,
    },
    /// The cursor does not continue this search, or not for this caller.
    #[error(code = 42009, "{message}")]
    InvalidCursor {
        /// What to do.
        message: String,
    },
    /// Not a reference to a resource.
    #[error(code = 42010, "{message}")]
    InvalidReference {
        /// What to do.
        message: String,
    },
    /// Not a version, or not the one of the reference.
    #[error(code = 42011, "{message}")]
    InvalidVersion {
        /// What to do.
        message: String,
    },
    /// There is no such resource that the caller may see.
    #[error(code = 42012, "{message}")]
    NotFound {
        /// What to do.
        message: String,
    },
    /// The negotiated settings do not allow this on that resource type.
    #[error(
        code = 42013,
        "{interaction} of {resource_type} is not among the negotiated resourceTypes; declare it, or ask for another type"
    )]
    NotNegotiated {
        /// The resource type.
        resource_type: String,
        /// The interaction.
        interaction: String,
    },
    /// The resource is larger than the negotiated `maxBytes`.
    #[error(
        code = 42014,
        "the resource has {bytes} bytes, more than the negotiated maxBytes {limit}; declare a larger one"
    )]
    TooLarge {
        /// Bytes of its text.
        bytes: u64,
        /// The negotiated limit.
        limit: u64,
    },
    /// The store failed; the server's log says why.
    #[error(code = 42015, retryable, "{message}")]
    StoreFailed {
        /// What to do.
        message: String,
    },
}

/// Search and read FHIR R4 records.
///
/// Search is strict: an unknown parameter, modifier or malformed value is an error, and what was applied is echoed.
/// Answers are pointers and titles; a read gives the resource exactly as stored, to the last digit. Answers made from
/// the bundled records say `synthetic: true`.
///
/// # Fallback
/// The tools work for every client. Without the extension they answer as if it had been declared with `{}`.
#[extension(
    id = "io.github.mcp-ext/healthcare-fhir",
    title = "FHIR R4 search and read",
    revision = "2026-11-01",
    settings = FhirSettings,
    fallback = FhirSettings::r4(),
)]
pub trait Fhir {
    /// Lists the FHIR resource types that can be read and searched, and the search parameters of each. Ask for one
    /// type to see the modifiers and comparators its parameters take.
    #[method(name = "capabilities")]
    #[tool(
        name = "fhir_capabilities",
        title = "What FHIR data there is",
        hints(read_only, idempotent, destructive = false, open_world = false)
    )]
    async fn capabilities(
        &self,
        cx: &ToolCx<FhirExtension>,
        params: CapabilitiesParams,
    ) -> Result<Capabilities, FhirError>;

    /// Searches FHIR resources of one type, for example the heart rates of a patient:
    /// `{"type": "Observation", "params": [{"name": "patient", "values": ["Patient/123"]}, {"name": "code", "values":
    /// ["http://loinc.org|8867-4"]}], "sort": ["-date"]}`. Unknown parameters are refused, never ignored. Gives
    /// references and titles; read one with fhir_read.
    #[method(name = "search")]
    #[tool(
        name = "fhir_search",
        title = "Search FHIR data",
        hints(read_only, idempotent, destructive = false, open_world = false)
    )]
    async fn search(
        &self,
        cx: &ToolCx<FhirExtension>,
        params: SearchParams,
    ) -> Result<SearchResult, FhirError>;

    /// Reads one FHIR resource by its reference, such as `Observation/123`. `text` is the resource as JSON exactly as
    /// stored, to the last digit.
    #[method(name = "read")]
    #[tool(
        name = "fhir_read",
        title = "Read FHIR data",
        hints(read_only, idempotent, destructive = false, open_world = false)
    )]
    async fn read(
        &self,
        cx: &ToolCx<FhirExtension>,
        params: ReadParams,
    ) -> Result<ReadResult, FhirError>;
}
