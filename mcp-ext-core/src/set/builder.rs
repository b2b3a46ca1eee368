//! Builds a set: every conflict that can be known beforehand is found here, and names both sides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use serde_json::{Value, json};

use super::cache::{Cache, Declarations};
use super::gate::{REVISION, ask_for};
use super::listen::Hub;
use super::tools::ToolEntry;
use super::{Enabled, ExtensionSet, SetInner};
use crate::block::{Block, Chain, Property};
use crate::contract::{Channel, Contract, Item, Source};
use crate::extension::{
    AnySettings, Enable, Extension, NegotiationFailure, Negotiator, Provider, ServerSettings,
};
use crate::id::{
    ExtensionId, check_extension_id, check_meta_key, check_method_name, check_notification_name,
    check_official_extension_id, check_official_method_name, check_official_notification_name,
    check_own_code, check_tool_name,
};
use crate::limits::Limits;
use crate::observe::Observer;
use crate::protocol::ProtocolRange;
use crate::schema::{self, SchemaFault, TypeSchema};
use crate::wire::JsonObject;

/// Members of a result by which some clients take it for one of the core protocol, and lose the rest.
const SHAPE_NAMES: &[&str] = &[
    "content",
    "contents",
    "messages",
    "tools",
    "resources",
    "prompts",
    "resourceTemplates",
    "skills",
    "action",
    "completion",
    "isError",
    "structuredContent",
    "inputRequests",
    "taskId",
];

/// Members of a result that belong to the protocol.
const RESERVED_RESULT_MEMBERS: &[&str] = &["resultType", "_meta"];

/// Why a set cannot be built. Its `Debug` is its words too, since that is what a failing `main` prints.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Two enabled extensions have one identifier, or identifiers that differ only by case (check ID-8).
    DuplicateId {
        /// The first one.
        first: (ExtensionId, &'static Source),
        /// The second one.
        second: (ExtensionId, &'static Source),
    },
    /// An identifier breaks the grammar or lies in a reserved name space.
    Id {
        /// The identifier.
        id: ExtensionId,
        /// What was expected.
        expected: String,
    },
    /// Two enabled extensions have a method of one name.
    MethodClash {
        /// The method.
        method: &'static str,
        /// The extension that has it.
        first: ExtensionId,
        /// The extension that wants it too.
        second: ExtensionId,
    },
    /// A method or notification name belongs to the core protocol, is reserved, or breaks the rules (REQ-4, REQ-5).
    MethodName {
        /// The extension.
        extension: ExtensionId,
        /// The name.
        method: &'static str,
        /// What was expected.
        expected: String,
    },
    /// Two enabled extensions, or an extension and the wrapped server, have a tool of one name (REQ-15).
    ToolClash {
        /// The tool.
        tool: &'static str,
        /// Who has it.
        first: String,
        /// The extension that wants it too.
        second: ExtensionId,
    },
    /// A tool name that hosts refuse.
    ToolName {
        /// The extension.
        extension: ExtensionId,
        /// The name.
        tool: &'static str,
        /// What was expected.
        expected: String,
    },
    /// A `_meta` key outside the extension's own prefix (META-1, META-2).
    MetaKey {
        /// The extension.
        extension: ExtensionId,
        /// The key.
        key: &'static str,
        /// What was expected.
        expected: String,
    },
    /// An own error code lies in the range that JSON-RPC and MCP reserve (ERR-1 to ERR-4).
    ReservedCode {
        /// The extension.
        extension: ExtensionId,
        /// The error.
        kind: &'static str,
        /// The code.
        code: i32,
    },
    /// Two errors have one code (ERR-5).
    CodeClash {
        /// The code.
        code: i32,
        /// Extension and error that have it.
        first: (ExtensionId, &'static str),
        /// Extension and error that want it too.
        second: (ExtensionId, &'static str),
    },
    /// An extension requires one that is not enabled.
    Unmet {
        /// The extension.
        extension: ExtensionId,
        /// What it requires.
        requires: ExtensionId,
    },
    /// Extensions require each other in a circle.
    Cycle {
        /// The circle, its first member repeated at the end.
        path: Vec<ExtensionId>,
    },
    /// The extension covers none of the core revisions that this server offers.
    Protocol {
        /// The extension.
        extension: ExtensionId,
        /// What it covers.
        covers: ProtocolRange,
        /// What the server offers.
        server: ProtocolRange,
    },
    /// Settings, params or a result do not serialise to a JSON object.
    NotAnObject {
        /// The extension.
        extension: ExtensionId,
        /// What it is.
        what: String,
    },
    /// The settings have a member whose name is taken: by the revision, or by the flag of an optional item.
    SettingsMember {
        /// The extension.
        extension: ExtensionId,
        /// The member.
        member: String,
        /// Who has taken the name.
        taken_by: &'static str,
    },
    /// The settings of one side have a member that is meant for a secret (check NEG-21).
    SecretSetting {
        /// The extension.
        extension: ExtensionId,
        /// The member.
        member: String,
    },
    /// No settings of a client can be combined with these settings of the server.
    NeverCombines {
        /// The extension.
        extension: ExtensionId,
        /// Why even the most accommodating client is refused.
        why: String,
    },
    /// The fallback of the contract cannot be combined with these settings of the server, so that a tool would have
    /// none, or wider ones than the server grants, for a client that declares nothing.
    Fallback {
        /// The extension.
        extension: ExtensionId,
        /// Why.
        why: String,
    },
    /// A result has a member that belongs to the protocol, or a tool's result the member `error`, which says why there
    /// is no result.
    ReservedMember {
        /// The extension.
        extension: ExtensionId,
        /// The item.
        item: &'static str,
        /// The member.
        member: String,
    },
    /// A result has a top-level member by which some clients misread it; nest it, or say why it is accepted with
    /// `shape_clash = "reason"`.
    ShapeClash {
        /// The extension.
        extension: ExtensionId,
        /// The item.
        item: &'static str,
        /// The member.
        member: String,
    },
    /// A schema cannot be given to hosts.
    Schema {
        /// The extension.
        extension: ExtensionId,
        /// The item.
        item: &'static str,
        /// The fault.
        fault: SchemaFault,
    },
    /// `mcp_name` does not point at a string that the params must have (H13).
    McpName {
        /// The extension.
        extension: ExtensionId,
        /// The item.
        item: &'static str,
        /// The pointer.
        pointer: &'static str,
    },
    /// An item needs a block that is not enabled.
    BlockNotEnabled {
        /// The extension.
        extension: ExtensionId,
        /// The item.
        item: &'static str,
        /// The block.
        block: &'static str,
    },
    /// Two blocks of one item have an argument or a result member of one name.
    BlockProperty {
        /// The extension.
        extension: ExtensionId,
        /// The item.
        item: &'static str,
        /// The argument or member.
        property: &'static str,
        /// The block that has it.
        first: &'static str,
        /// The block that wants it too.
        second: &'static str,
    },
    /// Two blocks have one name.
    DuplicateBlock {
        /// The name.
        block: &'static str,
    },
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DuplicateId {
                first: (a, sa),
                second: (b, sb),
            } if a == b => {
                write!(
                    f,
                    "extension {a} is enabled twice: declared in {sa} and in {sb}; enable it once"
                )
            }
            Self::DuplicateId {
                first: (a, sa),
                second: (b, sb),
            } => write!(
                f,
                "extensions {a} ({sa}) and {b} ({sb}) differ only by case; rename one of them"
            ),
            Self::Id { id, expected } => write!(f, "extension {id}: {expected}"),
            Self::MethodClash {
                method,
                first,
                second,
            } => {
                write!(
                    f,
                    "method {method} of {second} is already claimed by {first}; rename one of them"
                )
            }
            Self::MethodName {
                extension,
                method,
                expected,
            } => {
                write!(
                    f,
                    "method {method} of {extension} cannot be used: {expected}"
                )
            }
            Self::ToolClash {
                tool,
                first,
                second,
            } => {
                write!(
                    f,
                    "tool {tool} of {second} is already claimed by {first}; rename one of them"
                )
            }
            Self::ToolName {
                extension,
                tool,
                expected,
            } => {
                write!(f, "tool {tool} of {extension} cannot be used: {expected}")
            }
            Self::MetaKey {
                extension,
                key,
                expected,
            } => {
                write!(
                    f,
                    "_meta key {key} of {extension} cannot be used: {expected}"
                )
            }
            Self::ReservedCode {
                extension,
                kind,
                code,
            } => write!(
                f,
                "error {kind} of {extension} has code {code}, which is reserved; take one outside -32768..=-32000"
            ),
            Self::CodeClash {
                code,
                first: (a, ka),
                second: (b, kb),
            } => {
                write!(
                    f,
                    "error code {code} of {kb} in {b} is already taken by {ka} in {a}; renumber one of them"
                )
            }
            Self::Unmet {
                extension,
                requires,
            } => {
                write!(
                    f,
                    "{extension} requires {requires}, which is not enabled; enable it too"
                )
            }
            Self::Cycle { path } => {
                let path: Vec<_> = path.iter().map(ExtensionId::as_str).collect();
                write!(
                    f,
                    "extensions require each other in a circle: {}",
                    path.join(" -> ")
                )
            }
            Self::Protocol {
                extension,
                covers,
                server,
            } => write!(
                f,
                "{extension} covers protocol revisions {covers}, but this server offers {server}"
            ),
            Self::NotAnObject { extension, what } => write!(
                f,
                "{what} of {extension} must serialise to a JSON object; use a struct with named fields"
            ),
            Self::SettingsMember {
                extension,
                member,
                taken_by,
            } => write!(
                f,
                "the settings of {extension} have a member `{member}`, a name taken by {taken_by}; rename the field"
            ),
            Self::SecretSetting { extension, member } => write!(
                f,
                "the settings of {extension} have a member `{member}`, which reads like a secret, and settings are sent \
                 to everyone; keep secrets out of them, or rename the field"
            ),
            Self::NeverCombines { extension, why } => {
                write!(
                    f,
                    "no client can combine with these settings of {extension}: {why}"
                )
            }
            Self::Fallback { extension, why } => write!(
                f,
                "the fallback of {extension}, which its tools see when nothing was negotiated, does not combine with \
                 these settings of the server: {why}; change one of the two, or mark the tools `gated`"
            ),
            Self::ReservedMember {
                extension,
                item,
                member,
            } => write!(
                f,
                "the result of {item} in {extension} has a member `{member}`, whose name is taken: `resultType` and `_meta` by the protocol, `error` by a \
                 tool's failure; rename it"
            ),
            Self::ShapeClash {
                extension,
                item,
                member,
            } => write!(
                f,
                "the result of {item} in {extension} has a top-level member `{member}`, by which some clients take it \
                 for a result of the core protocol and lose the rest; rename or nest it, or write \
                 #[method(shape_clash = \"why it is accepted\")]"
            ),
            Self::Schema {
                extension,
                item,
                fault,
            } => write!(f, "{item} of {extension}: {fault}"),
            Self::McpName {
                extension,
                item,
                pointer,
            } => write!(
                f,
                "mcp_name of {item} in {extension} points at {pointer}, which is not a required string of the params"
            ),
            Self::BlockNotEnabled {
                extension,
                item,
                block,
            } => {
                write!(
                    f,
                    "{item} of {extension} needs the block {block}, which is not enabled; enable its extension, as in .enable(audit.enable()), or add a block of your own with .block(..)"
                )
            }
            Self::BlockProperty {
                extension,
                item,
                property,
                first,
                second,
            } => write!(
                f,
                "the blocks {first} and {second} around {item} of {extension} both have a member {property}; use one of them there"
            ),
            Self::DuplicateBlock { block } => {
                write!(f, "the block {block} is enabled twice; enable it once")
            }
        }
    }
}

impl std::fmt::Debug for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BuildError {}

struct Part {
    contract: &'static Contract,
    provider: Arc<dyn Provider>,
    provided: &'static [&'static str],
    negotiator: Box<dyn Negotiator>,
    settings: Result<Value, serde_json::Error>,
}

/// Collects extensions, blocks and options; [`build`](Self::build) checks them together.
#[derive(Default)]
pub struct ExtensionSetBuilder {
    parts: Vec<Part>,
    blocks: Vec<Arc<dyn Block>>,
    limits: Limits,
    filter_lists: bool,
    protocol: ProtocolRange,
    observer: Option<Arc<dyn Observer>>,
}

impl ExtensionSetBuilder {
    /// Enables an extension.
    #[must_use]
    pub fn enable<E: Extension>(mut self, enable: Enable<E>) -> Self {
        self.blocks.extend(enable.blocks);
        self.parts.push(Part {
            contract: E::CONTRACT,
            provider: enable.provider,
            provided: enable.provided,
            settings: serde_json::to_value(&enable.settings),
            negotiator: Box::new(ServerSettings::<E>(enable.settings)),
        });
        self
    }

    /// Enables a block.
    #[must_use]
    pub fn block(mut self, block: impl Block) -> Self {
        self.blocks.push(Arc::new(block));
        self
    }

    /// Sets the bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lists the tools of an extension only to clients that declare it, and makes such lists private and uncacheable.
    /// Without it every tool is listed to everyone, and gated ones are refused when they are called.
    #[must_use]
    pub fn filter_lists(mut self, filter: bool) -> Self {
        self.filter_lists = filter;
        self
    }

    /// Says which core revisions this server offers; an extension that covers none of them cannot be enabled.
    #[must_use]
    pub fn protocol(mut self, range: ProtocolRange) -> Self {
        self.protocol = range;
        self
    }

    /// Watches the set.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Checks everything and freezes it.
    ///
    /// # Errors
    /// The first conflict found, in the order of [`BuildError`]'s variants for each extension.
    pub fn build(self) -> Result<ExtensionSet, BuildError> {
        let Self {
            mut parts,
            mut blocks,
            limits,
            filter_lists,
            protocol,
            observer,
        } = self;
        check_ids(&parts)?;
        parts.sort_by(|a, b| a.contract.id.cmp(&b.contract.id));
        blocks.sort_by_key(|b| b.place());
        for (i, block) in blocks.iter().enumerate() {
            if blocks.iter().skip(i + 1).any(|b| b.name() == block.name()) {
                return Err(BuildError::DuplicateBlock {
                    block: block.name(),
                });
            }
        }

        let ids: Vec<&'static ExtensionId> = parts.iter().map(|p| &p.contract.id).collect();
        let mut by_method = HashMap::new();
        let mut by_tool = HashMap::new();
        let mut codes: HashMap<i32, (&'static ExtensionId, &'static str)> = HashMap::new();
        let mut tools = Vec::new();
        let mut extensions = Vec::with_capacity(parts.len());
        for (position, part) in parts.into_iter().enumerate() {
            let contract = part.contract;
            if !contract.protocol.overlaps(protocol) {
                return Err(BuildError::Protocol {
                    extension: contract.id.clone(),
                    covers: contract.protocol,
                    server: protocol,
                });
            }
            check_names(contract)?;
            for error in contract.errors() {
                if check_own_code(error.code.into()).is_err() {
                    return Err(BuildError::ReservedCode {
                        extension: contract.id.clone(),
                        kind: error.kind,
                        code: error.code,
                    });
                }
                match codes.insert(error.code, (&contract.id, error.kind)) {
                    Some((id, kind)) if (id, kind) != (&contract.id, error.kind) => {
                        return Err(BuildError::CodeClash {
                            code: error.code,
                            first: (id.clone(), kind),
                            second: (contract.id.clone(), error.kind),
                        });
                    }
                    _ => {}
                }
            }
            for (index, item) in contract.items.iter().enumerate() {
                check_item(contract, item)?;
                if let Some(method) = item.method
                    && let Some((first, _)) = by_method.insert(method.wire, (position, index))
                {
                    return Err(BuildError::MethodClash {
                        method: method.wire,
                        first: ids[first].clone(),
                        second: contract.id.clone(),
                    });
                }
                if let Some(tool) = item.tool {
                    if let Some((first, _)) = by_tool.insert(tool.name, (position, index)) {
                        return Err(BuildError::ToolClash {
                            tool: tool.name,
                            first: ids[first].to_string(),
                            second: contract.id.clone(),
                        });
                    }
                    tools.push((position, index));
                }
            }
            if let Some(member) = super::secrets::find(contract) {
                return Err(BuildError::SecretSetting {
                    extension: contract.id.clone(),
                    member,
                });
            }
            let chains = contract
                .items
                .iter()
                .map(|item| Chain::of(contract, item, &blocks))
                .collect::<Result<Vec<_>, _>>()?;
            let advertised = advertised(contract, part.settings, part.provided)?;
            let passing = passing(contract, &*part.negotiator, &advertised)?;
            let fallback = fallback(contract, &*part.negotiator)?;
            extensions.push(Enabled {
                contract,
                provider: part.provider,
                provided: part.provided,
                fallback,
                negotiator: part.negotiator,
                advertised,
                passing,
                cache: Cache::new(limits.negotiation_cache, limits.max_cached_settings_bytes),
                requires: closure(contract, &ids)?,
                chains,
            });
        }
        let mut tools: Vec<ToolEntry> = tools
            .into_iter()
            .filter(|(e, i)| extensions[*e].provides(&extensions[*e].contract.items[*i]))
            .map(|(e, i)| ToolEntry::new(&extensions[e], e, i))
            .collect::<Result<_, _>>()?;
        tools.sort_by_key(|t| t.name());

        Ok(ExtensionSet {
            inner: Arc::new(SetInner {
                extensions,
                by_method,
                by_tool,
                tools,
                limits,
                filter_lists,
                protocol,
                observer,
                in_flight: AtomicUsize::new(0),
                declarations: Declarations::new(
                    limits.negotiation_cache,
                    limits.max_cached_settings_bytes,
                ),
                hub: Hub::default(),
            }),
            server_info: None,
        })
    }
}

fn check_ids(parts: &[Part]) -> Result<(), BuildError> {
    for (i, part) in parts.iter().enumerate() {
        let Contract {
            id,
            official,
            source,
            ..
        } = part.contract;
        let grammar = if *official {
            check_official_extension_id(id.as_str())
        } else {
            check_extension_id(id.as_str())
        };
        if let Err(fault) = grammar {
            return Err(BuildError::Id {
                id: id.clone(),
                expected: fault.rule.expected().to_owned(),
            });
        }
        if let Some(first) = parts[..i]
            .iter()
            .find(|p| p.contract.id == *id || p.contract.id.is_case_variant_of(id))
        {
            return Err(BuildError::DuplicateId {
                first: (first.contract.id.clone(), &first.contract.source),
                second: (id.clone(), source),
            });
        }
    }
    Ok(())
}

fn check_names(contract: &Contract) -> Result<(), BuildError> {
    let bad_method = |method: &'static str, expected: &str| BuildError::MethodName {
        extension: contract.id.clone(),
        method,
        expected: expected.to_owned(),
    };
    for method in contract.items.iter().filter_map(|i| i.method) {
        let checked = if contract.official {
            check_official_method_name(method.wire)
        } else {
            check_method_name(method.wire)
        };
        checked.map_err(|fault| bad_method(method.wire, fault.rule.expected()))?;
    }
    for notification in contract.notifications {
        let checked = if contract.official {
            check_official_notification_name(notification.wire)
        } else {
            check_notification_name(notification.wire)
        };
        checked.map_err(|fault| bad_method(notification.wire, fault.rule.expected()))?;
        if notification.channel == Channel::Listen && !schema::is_object_root(&notification.params)
        {
            return Err(BuildError::NotAnObject {
                extension: contract.id.clone(),
                what: format!("the params of the notification {}", notification.name),
            });
        }
    }
    for tool in contract.items.iter().filter_map(|i| i.tool) {
        check_tool_name(tool.name).map_err(|fault| BuildError::ToolName {
            extension: contract.id.clone(),
            tool: tool.name,
            expected: fault.rule.expected().to_owned(),
        })?;
    }
    for key in contract.meta_keys {
        let bad = |expected: &str| BuildError::MetaKey {
            extension: contract.id.clone(),
            key: key.key,
            expected: expected.to_owned(),
        };
        check_meta_key(key.key).map_err(|fault| bad(fault.rule.expected()))?;
        let own = key
            .key
            .strip_prefix(contract.id.prefix())
            .is_some_and(|rest| rest.starts_with(['/', '.']));
        if !own {
            return Err(bad(
                "a key under the prefix of the extension's own identifier",
            ));
        }
    }
    Ok(())
}

fn check_item(contract: &Contract, item: &Item) -> Result<(), BuildError> {
    let extension = || contract.id.clone();
    let object = |ty: &TypeSchema, what: &str| {
        if schema::is_object_root(ty) {
            Ok(())
        } else {
            Err(BuildError::NotAnObject {
                extension: extension(),
                what: format!("{what} of {}", item.name),
            })
        }
    };
    object(&item.params, "the params")?;
    object(&item.result, "the result")?;
    let members = schema::top_level_properties(&item.result);
    if let Some(member) = members
        .iter()
        .find(|m| RESERVED_RESULT_MEMBERS.contains(&m.as_str()))
    {
        return Err(BuildError::ReservedMember {
            extension: extension(),
            item: item.name,
            member: member.clone(),
        });
    }
    if item.tool.is_some() && members.iter().any(|m| m == super::tools::ERROR) {
        return Err(BuildError::ReservedMember {
            extension: extension(),
            item: item.name,
            member: super::tools::ERROR.to_owned(),
        });
    }
    let Some(method) = item.method else {
        return Ok(());
    };
    if method.shape_clash.is_none()
        && let Some(member) = members.iter().find(|m| SHAPE_NAMES.contains(&m.as_str()))
    {
        return Err(BuildError::ShapeClash {
            extension: extension(),
            item: item.name,
            member: member.clone(),
        });
    }
    if let Some(pointer) = method.mcp_name {
        let name = pointer.strip_prefix('/').unwrap_or(pointer);
        if !schema::is_required_string(&item.params, name) {
            return Err(BuildError::McpName {
                extension: extension(),
                item: item.name,
                pointer,
            });
        }
    }
    Ok(())
}

impl Chain {
    /// The blocks that `item` needs and those that cover it.
    fn of(contract: &Contract, item: &Item, blocks: &[Arc<dyn Block>]) -> Result<Self, BuildError> {
        let needed = || contract.needs.iter().chain(item.needs);
        if let Some(block) = needed().find(|name| !blocks.iter().any(|b| b.name() == **name)) {
            return Err(BuildError::BlockNotEnabled {
                extension: contract.id.clone(),
                item: item.name,
                block,
            });
        }
        let blocks: Vec<_> = blocks
            .iter()
            .filter(|b| needed().any(|name| *name == b.name()) || b.covers(contract, item))
            .cloned()
            .collect();
        // What the item has itself, it keeps.
        let collect = |of: &dyn Fn(&dyn Block) -> Vec<Property>, own: &schema::TypeSchema| {
            let mut found: Vec<(&'static str, Property)> = Vec::new();
            for block in &blocks {
                for property in of(&**block) {
                    if let Some((first, _)) = found.iter().find(|(_, p)| p.name == property.name) {
                        return Err(BuildError::BlockProperty {
                            extension: contract.id.clone(),
                            item: item.name,
                            property: property.name,
                            first,
                            second: block.name(),
                        });
                    }
                    found.push((block.name(), property));
                }
            }
            found.retain(|(_, p)| !schema::has_property(own, p.name));
            Ok(found.into_iter().map(|(_, p)| p).collect())
        };
        Ok(Self {
            arguments: collect(&|b| b.arguments(contract, item), &item.params)?,
            members: collect(&|b| b.members(contract, item), &item.result)?,
            blocks,
        })
    }
}

fn advertised(
    contract: &'static Contract,
    settings: Result<Value, serde_json::Error>,
    provided: &[&str],
) -> Result<JsonObject, BuildError> {
    let Ok(Value::Object(mut settings)) = settings else {
        return Err(BuildError::NotAnObject {
            extension: contract.id.clone(),
            what: "the settings".to_owned(),
        });
    };
    let mut claim = |member: &str, value: Value, taken_by: &'static str| {
        if settings.contains_key(member) {
            return Err(BuildError::SettingsMember {
                extension: contract.id.clone(),
                member: member.to_owned(),
                taken_by,
            });
        }
        settings.insert(member.to_owned(), value);
        Ok(())
    };
    if let Some(revision) = contract.revision {
        claim(REVISION, json!(revision), "the revision of the contract")?;
    }
    let mut flags: Vec<(&str, bool)> = Vec::new();
    for item in contract.items {
        let Some(flag) = item.optional else { continue };
        let has = provided.contains(&item.name);
        match flags.iter_mut().find(|(name, _)| *name == flag) {
            // One flag for several items is true only if all of them are there.
            Some((_, all)) => *all &= has,
            None => flags.push((flag, has)),
        }
    }
    for (flag, on) in flags {
        claim(flag, json!(on), "an optional item")?;
    }
    crate::wire::leave_out_nulls(&mut settings);
    Ok(settings)
}

/// The smallest settings of a client that pass: `{}`, or with the server's own value where that is refused.
fn passing(
    contract: &Contract,
    negotiator: &dyn Negotiator,
    advertised: &JsonObject,
) -> Result<JsonObject, BuildError> {
    let mut settings = JsonObject::new();
    for _ in 0..2 {
        match negotiator.negotiate(&settings) {
            Ok(_) => return Ok(settings),
            Err(NegotiationFailure::Mismatch(mismatch)) if settings.is_empty() => {
                for row in &mismatch.rows {
                    ask_for(&mut settings, row, advertised);
                }
            }
            Err(failure) => {
                let why = match failure {
                    NegotiationFailure::Mismatch(mismatch) => mismatch.to_string(),
                    NegotiationFailure::Invalid(faults) => faults
                        .first()
                        .map_or_else(String::new, |fault| fault.message.clone()),
                };
                return Err(BuildError::NeverCombines {
                    extension: contract.id.clone(),
                    why,
                });
            }
        }
    }
    Ok(settings)
}

/// What tools that are open to everyone see when nothing was negotiated. Without such tools nobody sees it.
fn fallback(contract: &Contract, negotiator: &dyn Negotiator) -> Result<AnySettings, BuildError> {
    let open = contract
        .items
        .iter()
        .any(|item| item.tool.is_some_and(|tool| !tool.gated));
    match negotiator.fallback() {
        Ok(fallback) => Ok(fallback),
        Err(_) if !open => Ok(Arc::new(())),
        Err(mismatch) => Err(BuildError::Fallback {
            extension: contract.id.clone(),
            why: mismatch.to_string(),
        }),
    }
}

/// The positions of everything `contract` requires, directly or not, sorted.
fn closure(
    contract: &'static Contract,
    ids: &[&'static ExtensionId],
) -> Result<Vec<usize>, BuildError> {
    fn visit(
        contract: &'static Contract,
        ids: &[&'static ExtensionId],
        path: &mut Vec<&'static ExtensionId>,
        found: &mut Vec<usize>,
    ) -> Result<(), BuildError> {
        path.push(&contract.id);
        for required in contract.requires {
            if let Some(start) = path.iter().position(|id| **id == required.id) {
                let mut circle: Vec<ExtensionId> =
                    path[start..].iter().map(|id| (*id).clone()).collect();
                circle.push(required.id.clone());
                return Err(BuildError::Cycle { path: circle });
            }
            let Ok(position) = ids.binary_search(&&required.id) else {
                return Err(BuildError::Unmet {
                    extension: contract.id.clone(),
                    requires: required.id.clone(),
                });
            };
            if !found.contains(&position) {
                found.push(position);
                visit(required, ids, path, found)?;
            }
        }
        path.pop();
        Ok(())
    }
    let mut found = Vec::new();
    visit(contract, ids, &mut Vec::new(), &mut found)?;
    found.sort_unstable();
    Ok(found)
}
