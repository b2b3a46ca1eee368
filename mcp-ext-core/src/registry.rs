//! The contracts linked into a program: a convenience on top of explicit construction. Nothing is enabled by it.

use crate::contract::{Contract, Source};
use crate::id::ExtensionId;

/// What `#[extension]` submits.
#[doc(hidden)]
pub struct Registered(pub &'static Contract);

inventory::collect!(Registered);

/// Two linked crates declare one identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateContract {
    /// The identifier.
    pub id: ExtensionId,
    /// Where it is declared first.
    pub first: Source,
    /// Where it is declared again.
    pub second: Source,
}

impl std::fmt::Display for DuplicateContract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "extension {} is declared twice in this program: in {} and in {}; link only one of them",
            self.id, self.first, self.second
        )
    }
}

impl std::error::Error for DuplicateContract {}

/// Every contract linked into this program, sorted by identifier.
///
/// A crate that nothing in the program names is not linked at all.
///
/// # Errors
/// [`DuplicateContract`] when one identifier is declared twice.
pub fn linked() -> Result<Vec<&'static Contract>, DuplicateContract> {
    let mut all: Vec<&'static Contract> = inventory::iter::<Registered>
        .into_iter()
        .map(|r| r.0)
        .collect();
    // The order of registration differs from build to build.
    all.sort_by(|a, b| {
        (&a.id, a.source.file, a.source.line, a.source.module).cmp(&(
            &b.id,
            b.source.file,
            b.source.line,
            b.source.module,
        ))
    });
    match all.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => Err(DuplicateContract {
            id: pair[0].id.clone(),
            first: pair[0].source,
            second: pair[1].source,
        }),
        None => Ok(all),
    }
}
