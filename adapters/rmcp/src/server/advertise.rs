//! What the set adds to the wrapped server's capabilities, rendered once.

use std::borrow::Cow;

use mcp_ext_core::ExtensionSet;
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use rmcp::model::{ExtensionCapabilities, ServerCapabilities, ToolsCapability};
use serde_json::Value;

/// The prefix of the identifiers that rmcp itself looks for.
const OFFICIAL: &str = "io.modelcontextprotocol/";

/// One advertisement for each core revision, one for each era whose revision is not known, and one for rmcp itself.
pub(super) struct Advertisements {
    revisions: Vec<(ProtocolVersion, Advertisement)>,
    modern: Advertisement,
    legacy: Advertisement,
    rmcp: Advertisement,
}

/// Whom an advertisement is for.
#[derive(Clone, Copy)]
pub(super) enum Audience {
    /// Clients of one era, and of one core revision if it is known.
    Of(Era, Option<ProtocolVersion>),
    /// rmcp, which asks on every request without a session whether it may serve what is official, and for nothing else:
    /// the settings of all extensions would be copied each time.
    Rmcp,
}

#[derive(Default)]
struct Advertisement {
    extensions: ExtensionCapabilities,
    tools: bool,
}

impl Advertisement {
    fn of(set: &ExtensionSet, era: Era, version: Option<ProtocolVersion>) -> Self {
        let extensions = set.advertisement(era, version).into_iter().filter_map(
            |(id, settings)| match settings {
                Value::Object(settings) => Some((id, settings)),
                _ => None,
            },
        );
        Self {
            extensions: extensions.collect(),
            tools: set.has_tools(era, version),
        }
    }
}

impl Advertisements {
    pub(super) fn of(set: &ExtensionSet) -> Self {
        let revisions = ProtocolVersion::ALL
            .iter()
            .map(|v| (*v, Advertisement::of(set, v.era(), Some(*v))))
            .collect();
        let modern = Advertisement::of(set, Era::Modern, None);
        let legacy = Advertisement::of(set, Era::Legacy, None);
        let official = modern.extensions.iter().chain(&legacy.extensions);
        let rmcp = Advertisement {
            extensions: official
                .filter(|(id, _)| id.starts_with(OFFICIAL))
                .map(|(id, settings)| (id.clone(), settings.clone()))
                .collect(),
            tools: modern.tools || legacy.tools,
        };
        Self {
            revisions,
            modern,
            legacy,
            rmcp,
        }
    }

    fn to(&self, audience: Audience) -> &Advertisement {
        let Audience::Of(era, version) = audience else {
            return &self.rmcp;
        };
        let known = version.and_then(|version| self.revisions.iter().find(|(v, _)| *v == version));
        match (known, era) {
            (Some((_, advertisement)), _) => advertisement,
            (None, Era::Modern) => &self.modern,
            (None, Era::Legacy) => &self.legacy,
        }
    }

    /// Merges into what the wrapped server advertises. What it says itself stays.
    pub(super) fn merge(
        &self,
        audience: Audience,
        capabilities: &mut ServerCapabilities,
        set: &ExtensionSet,
    ) {
        let ours = self.to(audience);
        if ours.tools {
            capabilities
                .tools
                .get_or_insert_with(ToolsCapability::default);
        }
        if ours.extensions.is_empty() {
            return;
        }
        let theirs = capabilities.extensions.get_or_insert_default();
        for (id, settings) in &ours.extensions {
            if theirs.contains_key(id) {
                set.withheld_extension(id);
            } else {
                theirs.insert(id.clone(), settings.clone());
            }
        }
    }
}

/// The revision that rmcp will settle on for `initialize`, whatever the wrapped server put into its result: rmcp
/// corrects the version after the handler has answered.
pub(super) fn settled(
    requested: &rmcp::model::ProtocolVersion,
    answered: &rmcp::model::ProtocolVersion,
    supported: Cow<'static, [rmcp::model::ProtocolVersion]>,
) -> Option<ProtocolVersion> {
    let with_handshake = |v: &&rmcp::model::ProtocolVersion| v.has_initialize();
    let settled = if requested.has_initialize() && supported.contains(requested) {
        Some(requested)
    } else if answered.has_initialize() {
        Some(answered)
    } else {
        supported
            .iter()
            .filter(with_handshake)
            .max_by_key(|v| v.as_str())
    };
    settled.and_then(|v| ProtocolVersion::parse(v.as_str()))
}
