//! What an adapter cannot carry for a set, in words.

use super::ExtensionSet;
use crate::contract::Channel;
use crate::id::ExtensionId;

/// What an adapter can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// Its name, for the report.
    pub adapter: &'static str,
    /// Notifications about a request, on its response stream.
    pub request_notifications: bool,
    /// Notifications on `subscriptions/listen`.
    pub listen_notifications: bool,
    /// The `Mcp-Name` header of extension methods, sent by its clients.
    pub mcp_name: bool,
    /// What a legacy client declared, on a server without sessions.
    pub stateless_legacy_declarations: bool,
}

/// Something an adapter cannot carry for an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The extension.
    pub extension: ExtensionId,
    /// What is lost, and what that means.
    pub what: String,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.extension, self.what)
    }
}

impl ExtensionSet {
    /// What an adapter cannot carry for this set.
    pub fn report(&self, carries: &Carries) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let name = carries.adapter;
        for contract in self.contracts() {
            let mut gap = |what: String| {
                gaps.push(Gap {
                    extension: contract.id.clone(),
                    what,
                })
            };
            for notification in contract.notifications {
                match notification.channel {
                    Channel::Listen if !carries.listen_notifications => gap(format!(
                        "notification {} cannot travel on subscriptions/listen through {name}",
                        notification.wire
                    )),
                    Channel::Request if !carries.request_notifications => {
                        gap(format!(
                            "notification {} cannot be sent through {name}",
                            notification.wire
                        ));
                    }
                    Channel::Listen | Channel::Request => {}
                }
            }
            for item in contract.items {
                if let Some(method) = item.method
                    && method.mcp_name.is_some()
                    && !carries.mcp_name
                {
                    gap(format!(
                        "{} demands the header Mcp-Name, which clients of {name} do not send for extension methods",
                        method.wire
                    ));
                }
            }
            let has_methods = contract.items.iter().any(|i| i.method.is_some());
            if has_methods
                && !carries.stateless_legacy_declarations
                && contract.protocol.covers_era(crate::protocol::Era::Legacy)
            {
                gap(format!(
                    "legacy clients of a server without sessions lose their declaration in {name}: their calls are \
                     refused with kind declaration_unknown unless they repeat it in _meta"
                ));
            }
        }
        gaps
    }
}
