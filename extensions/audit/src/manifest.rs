//! What a log says of itself, for whoever checks it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::CANONICAL_FORM;

/// How records are kept and how they can be verified. Every member must say something: a bare manifest is none.
///
/// ```
/// use mcp_ext_audit::Manifest;
///
/// assert!(serde_json::from_str::<Manifest>("{}").is_err());
/// assert!(serde_json::from_value::<Manifest>(serde_json::to_value(Manifest::sqlite())?).is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire")]
#[schemars(with = "Wire")]
pub struct Manifest {
    storage_mechanism: String,
    chain_algorithm: String,
    canonical_form_version: String,
    verification_procedure_ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_public_key: Option<String>,
}

/// How records are kept, and how to verify them.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AuditManifest")]
struct Wire {
    /// What keeps records from being changed.
    #[schemars(length(min = 1, max = 1024))]
    storage_mechanism: String,
    /// The hash function.
    #[schemars(length(min = 1, max = 1024))]
    chain_algorithm: String,
    /// The canonical form of what is hashed.
    #[schemars(length(min = 1, max = 1024))]
    canonical_form_version: String,
    /// Where the way to verify an export is described.
    #[schemars(length(min = 1, max = 1024))]
    verification_procedure_ref: String,
    /// Who signs records and heads, if anyone: `ed25519:` and 64 hexadecimal digits.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    signature_public_key: Option<String>,
}

/// A manifest that says too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{member}: expected 1 to 1024 bytes of text; a bare manifest attests nothing")]
pub struct ManifestFault {
    /// The member that says nothing.
    pub member: &'static str,
}

impl Manifest {
    /// The manifest of the log of this crate.
    #[must_use]
    pub fn sqlite() -> Self {
        Self {
            storage_mechanism: "sqlite-triggers-refuse-update-and-delete".to_owned(),
            chain_algorithm: "sha-256".to_owned(),
            canonical_form_version: CANONICAL_FORM.to_owned(),
            verification_procedure_ref: concat!(
                env!("CARGO_PKG_REPOSITORY"),
                "/blob/main/docs/src/audit.md"
            )
            .to_owned(),
            signature_public_key: None,
        }
    }

    /// Names the key that signs.
    #[must_use]
    pub fn signed_by(mut self, public_key: &str) -> Self {
        self.signature_public_key = Some(public_key.to_owned());
        self
    }

    /// What keeps records from being changed.
    #[must_use]
    pub fn storage_mechanism(&self) -> &str {
        &self.storage_mechanism
    }

    /// The hash function.
    #[must_use]
    pub fn chain_algorithm(&self) -> &str {
        &self.chain_algorithm
    }

    /// The canonical form of what is hashed.
    #[must_use]
    pub fn canonical_form_version(&self) -> &str {
        &self.canonical_form_version
    }

    /// Where the way to verify an export is described.
    #[must_use]
    pub fn verification_procedure_ref(&self) -> &str {
        &self.verification_procedure_ref
    }

    /// Who signs, if anyone.
    #[must_use]
    pub fn signature_public_key(&self) -> Option<&str> {
        self.signature_public_key.as_deref()
    }
}

impl TryFrom<Wire> for Manifest {
    type Error = ManifestFault;

    fn try_from(wire: Wire) -> Result<Self, ManifestFault> {
        for (member, value) in [
            ("storage_mechanism", Some(&wire.storage_mechanism)),
            ("chain_algorithm", Some(&wire.chain_algorithm)),
            ("canonical_form_version", Some(&wire.canonical_form_version)),
            (
                "verification_procedure_ref",
                Some(&wire.verification_procedure_ref),
            ),
            ("signature_public_key", wire.signature_public_key.as_ref()),
        ] {
            let says = |text: &String| !text.trim().is_empty() && text.len() <= 1024;
            if !value.is_none_or(says) {
                return Err(ManifestFault { member });
            }
        }
        Ok(Self {
            storage_mechanism: wire.storage_mechanism,
            chain_algorithm: wire.chain_algorithm,
            canonical_form_version: wire.canonical_form_version,
            verification_procedure_ref: wire.verification_procedure_ref,
            signature_public_key: wire.signature_public_key,
        })
    }
}
