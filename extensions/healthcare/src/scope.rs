//! Whose resources a caller may see.

use std::collections::BTreeSet;

/// Most patients in one scope.
pub const MAX_PATIENTS: usize = 1000;

/// What a caller may see. Every store method takes one and applies it inside the query.
///
/// A scope of patients sees a resource when the resource belongs to patients (it is a Patient, or its `subject`,
/// `patient` or `beneficiary` refers to one), and each of them is in the scope. A resource that belongs to nobody
/// (Practitioner, Organization, Medication, ...) or whose patient cannot be told for certain (an absolute URL, a
/// `urn:uuid:`, a contained resource, an identifier alone) is seen by [`AccessScope::all`] only.
///
/// ```
/// use mcp_ext_healthcare::scope::AccessScope;
///
/// let scope = AccessScope::patient("123")?.restricted_to(["Observation", "Condition"])?;
/// assert!(!scope.is_all());
/// assert!(AccessScope::patient("Patient/123").is_err());
/// # Ok::<(), mcp_ext_healthcare::scope::ScopeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessScope {
    patients: Option<BTreeSet<String>>,
    types: Option<BTreeSet<String>>,
}

/// Why a scope cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not the id of a resource.
    #[error(
        "expected the id of a Patient, 1 to 64 characters of A-Z a-z 0-9 - ., without `Patient/`"
    )]
    PatientId,
    /// Not the name of a resource type.
    #[error("expected the name of a resource type, such as `Observation`")]
    ResourceType,
    /// More patients than a scope holds.
    #[error("a scope holds at most {MAX_PATIENTS} patients")]
    TooManyPatients,
}

impl AccessScope {
    /// Every resource of every patient.
    #[must_use]
    pub fn all() -> Self {
        Self {
            patients: None,
            types: None,
        }
    }

    /// Nothing at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            patients: Some(BTreeSet::new()),
            types: None,
        }
    }

    /// The resources of one patient.
    ///
    /// # Errors
    /// When `id` is not the id of a resource.
    pub fn patient(id: &str) -> Result<Self, ScopeError> {
        Self::patients([id])
    }

    /// The resources of these patients. No patient: no resource.
    ///
    /// # Errors
    /// When an id is not the id of a resource, or there are more than [`MAX_PATIENTS`].
    pub fn patients<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut patients = BTreeSet::new();
        for id in ids {
            if !is_id(id) {
                return Err(ScopeError::PatientId);
            }
            patients.insert(id.to_owned());
            if patients.len() > MAX_PATIENTS {
                return Err(ScopeError::TooManyPatients);
            }
        }
        Ok(Self {
            patients: Some(patients),
            types: None,
        })
    }

    /// The same, but only resources of these types. A second restriction narrows the first.
    ///
    /// # Errors
    /// When a name has not the form of a resource type.
    pub fn restricted_to<'a>(
        self,
        types: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ScopeError> {
        let mut wanted = BTreeSet::new();
        for name in types {
            if !is_type(name) {
                return Err(ScopeError::ResourceType);
            }
            if self.allows_type(name) {
                wanted.insert(name.to_owned());
            }
        }
        Ok(Self {
            types: Some(wanted),
            ..self
        })
    }

    /// What both scopes let see: never more than either.
    ///
    /// ```
    /// use mcp_ext_healthcare::AccessScope;
    ///
    /// let own = AccessScope::patient("123")?;
    /// let labs = AccessScope::all().restricted_to(["Observation"])?;
    /// assert_eq!(own.clone().and(&labs), own.restricted_to(["Observation"])?);
    /// # Ok::<(), mcp_ext_healthcare::scope::ScopeError>(())
    /// ```
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        fn both(
            a: Option<BTreeSet<String>>,
            b: Option<&BTreeSet<String>>,
        ) -> Option<BTreeSet<String>> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a.intersection(b).cloned().collect()),
                (a, b) => a.or_else(|| b.cloned()),
            }
        }
        Self {
            patients: both(self.patients, other.patients.as_ref()),
            types: both(self.types, other.types.as_ref()),
        }
    }

    /// Whether nothing is hidden.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.patients.is_none() && self.types.is_none()
    }

    /// Whether resources of that type may be seen at all.
    #[must_use]
    pub fn allows_type(&self, resource_type: &str) -> bool {
        self.types
            .as_ref()
            .is_none_or(|types| types.contains(resource_type))
    }

    pub(crate) fn patient_ids(&self) -> Option<&BTreeSet<String>> {
        self.patients.as_ref()
    }

    pub(crate) fn types(&self) -> Option<&BTreeSet<String>> {
        self.types.as_ref()
    }
}

/// Whether a text can be the id of a resource.
pub(crate) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// Whether a text can be the name of a resource type.
pub(crate) fn is_type(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::{AccessScope, ScopeError};

    #[test]
    fn restrictions_only_narrow() {
        let scope = AccessScope::all()
            .restricted_to(["Patient", "Observation"])
            .unwrap();
        let scope = scope.restricted_to(["Observation", "Condition"]).unwrap();
        assert!(scope.allows_type("Observation"));
        assert!(!scope.allows_type("Condition") && !scope.allows_type("Patient"));
        assert!(!scope.is_all());
    }

    #[test]
    fn ids_and_types_are_checked() {
        for id in ["", "a b", "a/b", "é", &"x".repeat(65)] {
            assert_eq!(AccessScope::patient(id), Err(ScopeError::PatientId), "{id}");
        }
        assert!(AccessScope::all().restricted_to(["*"]).is_err());
        let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
        assert_eq!(
            AccessScope::patients(many.iter().map(String::as_str)),
            Err(ScopeError::TooManyPatients)
        );
    }
}
