//! The provider: a store, and who may see what of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcp_ext_core::cx::CallCx;
use mcp_ext_core::{Principal, ToolCx, handlers};

use crate::cursor::CursorError;
use crate::fhir::{ANY, Fhir, FhirError, FhirExtension, Interaction};
use crate::scope::AccessScope;
use crate::search::SearchError;
use crate::store::{FhirStore, ReadError, Stop};
use crate::types::{
    Capabilities, CapabilitiesParams, PageSize, ReadParams, ReadResult, SearchParams, SearchResult,
};

/// What the server's author says a caller may see.
type ScopeOf = dyn Fn(Option<&Principal>) -> AccessScope + Send + Sync;

/// Says what a caller may see.
#[derive(Clone)]
enum Visible {
    /// Everyone sees everything, for as long as all of it is synthetic.
    WhileSynthetic,
    /// What the server's author says. `None` is a caller whom the transport did not authenticate.
    To(Arc<ScopeOf>),
}

/// A [`FhirStore`] as the provider of [`FhirExtension`].
///
/// ```
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_healthcare::{AccessScope, FhirExtension, FhirServer, FhirStore};
///
/// // Synthetic records may be seen by everyone.
/// let demo = FhirServer::new(FhirStore::bundled()?)?;
///
/// // With records of real people, say who sees what; here each patient their own.
/// let real = FhirServer::with_scope(FhirStore::in_memory()?, |principal| match principal {
///     Some(patient) => AccessScope::patient(patient.id()).unwrap_or(AccessScope::none()),
///     None => AccessScope::none(),
/// });
/// let set = ExtensionSet::builder().enable(FhirExtension::provide(real)).build()?;
/// # drop((demo, set));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FhirServer {
    store: Arc<FhirStore>,
    visible: Visible,
}

/// A store with records that are not synthetic needs to be told who may see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store holds records that are not synthetic; say who may see them with FhirServer::with_scope"
)]
pub struct NeedsScope;

impl FhirServer {
    /// Serves synthetic records, to everyone. Should other records be loaded later, nobody sees anything any more.
    ///
    /// # Errors
    /// [`NeedsScope`] when the store holds anything else.
    pub fn new(store: FhirStore) -> Result<Self, NeedsScope> {
        if !store.is_synthetic() {
            return Err(NeedsScope);
        }
        Ok(Self {
            store: Arc::new(store),
            visible: Visible::WhileSynthetic,
        })
    }

    /// Serves any records; `scope` says what each caller may see.
    pub fn with_scope(
        store: FhirStore,
        scope: impl Fn(Option<&Principal>) -> AccessScope + Send + Sync + 'static,
    ) -> Self {
        Self {
            store: Arc::new(store),
            visible: Visible::To(Arc::new(scope)),
        }
    }

    /// The store.
    pub fn store(&self) -> &FhirStore {
        &self.store
    }

    /// What is seen by the caller of this request: what the server's author says, narrowed by the [`AccessScope`] among
    /// the facts of the call, where a policy has put one.
    pub(crate) fn seen_by(&self, call: &CallCx) -> AccessScope {
        let scope = match &self.visible {
            Visible::WhileSynthetic if self.store.is_synthetic() => AccessScope::all(),
            Visible::WhileSynthetic => AccessScope::none(),
            Visible::To(scope) => scope(call.principal()),
        };
        match call.facts().get::<AccessScope>() {
            Some(narrower) => scope.and(&narrower),
            None => scope,
        }
    }

    /// Runs work on the store, away from the thread of the caller.
    #[cfg(feature = "labels")]
    pub(crate) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FhirStore, &Stop) -> T + Send + 'static,
    ) -> T {
        let store = self.store.clone();
        on_a_thread(move |stop| work(&store, stop)).await
    }

    /// What is seen by the caller of this request under the settings in force, for one kind of interaction.
    fn scope(
        &self,
        cx: &ToolCx<FhirExtension>,
        interaction: Interaction,
    ) -> Result<AccessScope, FhirError> {
        let scope = self.seen_by(cx.call());
        let Some(types) = &cx.settings().resource_types else {
            return Ok(scope);
        };
        if types.of(ANY).contains(&interaction) {
            return Ok(scope);
        }
        let allowed: BTreeSet<&str> = types
            .0
            .iter()
            .filter(|(_, i)| i.contains(&interaction))
            .map(|(name, _)| name.as_str())
            .collect();
        scope
            .restricted_to(allowed)
            .map_err(|e| FhirError::InvalidValue {
                message: e.to_string(),
            })
    }

    fn allowed(
        &self,
        cx: &ToolCx<FhirExtension>,
        resource_type: &str,
        interaction: Interaction,
    ) -> Result<(), FhirError> {
        match &cx.settings().resource_types {
            Some(types) if !types.of(resource_type).contains(&interaction) => {
                Err(FhirError::NotNegotiated {
                    resource_type: resource_type.chars().take(64).collect(),
                    interaction: match interaction {
                        Interaction::Read => "read".to_owned(),
                        Interaction::SearchType => "search-type".to_owned(),
                    },
                })
            }
            _ => Ok(()),
        }
    }
}

#[handlers]
impl Fhir for FhirServer {
    async fn capabilities(
        &self,
        cx: &ToolCx<FhirExtension>,
        params: CapabilitiesParams,
    ) -> Result<Capabilities, FhirError> {
        let scope = self.seen_by(cx.call());
        let store = self.store.clone();
        let mut found =
            on_a_thread(move |stop| store.capabilities_until(stop, &scope, &params)).await?;
        if let Some(types) = &cx.settings().resource_types {
            for described in &mut found.types {
                let allowed = types.of(&described.resource_type);
                described.interactions.retain(|name| match name.as_str() {
                    "read" => allowed.contains(&Interaction::Read),
                    _ => allowed.contains(&Interaction::SearchType),
                });
            }
            found
                .types
                .retain(|described| !described.interactions.is_empty());
        }
        Ok(found)
    }

    async fn search(
        &self,
        cx: &ToolCx<FhirExtension>,
        mut params: SearchParams,
    ) -> Result<SearchResult, FhirError> {
        self.allowed(cx, &params.resource_type, Interaction::SearchType)?;
        let scope = self.scope(cx, Interaction::SearchType)?;
        if let (Some(most), None) = (cx.settings().max_results, &params.cursor) {
            let most = PageSize::new(most).unwrap_or(PageSize::MAX);
            params.count = Some(params.count.unwrap_or_default().min(most));
        }
        let store = self.store.clone();
        let principal = Some(bound_to(cx.principal(), cx.settings().max_results));
        Ok(
            on_a_thread(move |stop| {
                store.search_until(stop, &scope, principal.as_deref(), &params)
            })
            .await?,
        )
    }

    async fn read(
        &self,
        cx: &ToolCx<FhirExtension>,
        params: ReadParams,
    ) -> Result<ReadResult, FhirError> {
        let resource_type = params.reference.split('/').next().unwrap_or_default();
        self.allowed(cx, resource_type, Interaction::Read)?;
        let scope = self.scope(cx, Interaction::Read)?;
        let store = self.store.clone();
        let read = on_a_thread(move |_| store.read(&scope, &params)).await?;
        match cx.settings().max_bytes {
            Some(limit) if read.text.len() as u64 > u64::from(limit) => Err(FhirError::TooLarge {
                bytes: read.text.len() as u64,
                limit: limit.into(),
            }),
            _ => Ok(read),
        }
    }
}

/// Runs work of the store on a thread of its own. When the call is cancelled or timed out, its future is dropped here,
/// and the work ends.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce(&Stop) -> T + Send + 'static) -> T {
    struct StopOnDrop(Stop);
    impl Drop for StopOnDrop {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    let stop = Stop::default();
    let _gone = StopOnDrop(stop.clone());
    blocking::unblock(move || work(&stop)).await
}

/// What cursors are bound to: tenant, caller and the negotiated page size, written so that no two give one text.
fn bound_to(principal: Option<&Principal>, max_results: Option<u32>) -> String {
    let limit = max_results.map_or_else(|| "-".to_owned(), |most| most.to_string());
    match principal.map(|p| (p.tenant(), p.id())) {
        Some((Some(tenant), id)) => format!("{limit}:{}:{tenant}:{id}", tenant.len()),
        Some((None, id)) => format!("{limit}:-:{id}"),
        None => limit,
    }
}

impl From<SearchError> for FhirError {
    fn from(error: SearchError) -> Self {
        let message = error.to_string();
        match error {
            SearchError::UnknownType { .. } => Self::UnknownType { message },
            SearchError::UnknownParameter { .. } => Self::UnknownParameter { message },
            SearchError::UnsupportedModifier { .. } => Self::UnsupportedModifier { message },
            SearchError::UnsupportedComparator { .. } => Self::UnsupportedComparator { message },
            SearchError::InvalidValue { .. } => Self::InvalidValue { message },
            SearchError::TooMany { .. } => Self::TooMany { message },
            SearchError::TooCostly => Self::TooCostly { message },
            SearchError::Sort { .. } => Self::InvalidSort { message },
            SearchError::Cursor(CursorError::Seal) | SearchError::Store(_) => {
                Self::StoreFailed { message }
            }
            SearchError::Cursor(_) => Self::InvalidCursor { message },
        }
    }
}

impl From<ReadError> for FhirError {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::Reference { .. } => Self::InvalidReference { message },
            ReadError::Version => Self::InvalidVersion { message },
            ReadError::NotFound { .. } => Self::NotFound { message },
            ReadError::Store(_) => Self::StoreFailed { message },
        }
    }
}
