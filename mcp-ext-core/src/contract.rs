//! The static description of one extension: everything that can be known without an implementation.

use serde_json::Value;

use crate::error::ErrorSpec;
use crate::id::ExtensionId;
use crate::protocol::ProtocolRange;
use crate::schema::{SchemaFault, TypeSchema};
use crate::set::listen::FilterSpec;

/// What `#[extension]` makes of a trait. Plain data; it exists without any provider.
///
/// Build one by hand with [`Contract::new`] and the `const` methods, as the macro does.
///
/// ```
/// use mcp_ext_core::{Contract, ExtensionId};
///
/// const PING: Contract = Contract::new(ExtensionId::from_static("com.example/ping"), "Ping")
///     .revision("2026-11-01")
///     .docs("Answers a ping.");
/// assert_eq!(PING.id.as_str(), "com.example/ping");
/// assert!(PING.items.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Contract {
    /// The identifier, `prefix/name`.
    pub id: ExtensionId,
    /// The name of the trait.
    pub name: &'static str,
    /// A human title.
    pub title: Option<&'static str>,
    /// The documentation of the trait, as Markdown.
    pub docs: &'static str,
    /// The revision both sides send in their settings.
    pub revision: Option<&'static str>,
    /// Older revisions that are still understood. A peer that sends none means the initial one, always understood.
    pub known_revisions: &'static [&'static str],
    /// The revisions of the core protocol it covers.
    pub protocol: ProtocolRange,
    /// How far the author has committed to it.
    pub stability: Stability,
    /// Whether it is one of MCP's own extensions (`io.modelcontextprotocol/`).
    pub official: bool,
    /// The types of the settings.
    pub settings: SettingsSpec,
    /// What tools see as settings when nothing was negotiated, as JSON.
    pub fallback: fn() -> Value,
    /// Methods and tools, in the order of the trait.
    pub items: &'static [Item],
    /// Notifications from server to client.
    pub notifications: &'static [NotificationSpec],
    /// `_meta` keys of its own.
    pub meta_keys: &'static [MetaKeySpec],
    /// Extensions that must be enabled and declared beside it.
    pub requires: &'static [&'static Contract],
    /// Blocks that stand around each of its items.
    pub needs: &'static [&'static str],
    /// Where it was declared.
    pub source: Source,
}

fn null() -> Value {
    Value::Null
}

impl Contract {
    /// A contract with no items, no settings, and every known protocol revision.
    pub const fn new(id: ExtensionId, name: &'static str) -> Self {
        Self {
            id,
            name,
            title: None,
            docs: "",
            revision: None,
            known_revisions: &[],
            protocol: ProtocolRange::ALL,
            stability: Stability::Experimental,
            official: false,
            settings: SettingsSpec::NONE,
            fallback: null,
            items: &[],
            notifications: &[],
            meta_keys: &[],
            requires: &[],
            needs: &[],
            source: Source {
                module: "",
                file: "",
                line: 0,
            },
        }
    }

    /// Sets [`Self::title`].
    pub const fn title(mut self, title: &'static str) -> Self {
        self.title = Some(title);
        self
    }

    /// Sets [`Self::docs`].
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets [`Self::revision`].
    pub const fn revision(mut self, revision: &'static str) -> Self {
        self.revision = Some(revision);
        self
    }

    /// Sets [`Self::known_revisions`].
    pub const fn known_revisions(mut self, known: &'static [&'static str]) -> Self {
        self.known_revisions = known;
        self
    }

    /// Sets [`Self::protocol`].
    pub const fn protocol(mut self, range: ProtocolRange) -> Self {
        self.protocol = range;
        self
    }

    /// Sets [`Self::stability`].
    pub const fn stability(mut self, stability: Stability) -> Self {
        self.stability = stability;
        self
    }

    /// Marks the extension as one of MCP's own.
    pub const fn official(mut self) -> Self {
        self.official = true;
        self
    }

    /// Sets [`Self::settings`].
    pub const fn settings(mut self, settings: SettingsSpec) -> Self {
        self.settings = settings;
        self
    }

    /// Sets [`Self::fallback`].
    pub const fn fallback(mut self, fallback: fn() -> Value) -> Self {
        self.fallback = fallback;
        self
    }

    /// Sets [`Self::items`].
    pub const fn items(mut self, items: &'static [Item]) -> Self {
        self.items = items;
        self
    }

    /// Sets [`Self::notifications`].
    pub const fn notifications(mut self, notifications: &'static [NotificationSpec]) -> Self {
        self.notifications = notifications;
        self
    }

    /// Sets [`Self::meta_keys`].
    pub const fn meta_keys(mut self, keys: &'static [MetaKeySpec]) -> Self {
        self.meta_keys = keys;
        self
    }

    /// Sets [`Self::requires`].
    pub const fn requires(mut self, requires: &'static [&'static Contract]) -> Self {
        self.requires = requires;
        self
    }

    /// Sets [`Self::needs`].
    pub const fn needs(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }

    /// Sets [`Self::source`].
    pub const fn source(mut self, module: &'static str, file: &'static str, line: u32) -> Self {
        self.source = Source { module, file, line };
        self
    }

    /// Whether a peer that sends `revision` (`None`: it sent none) speaks a revision that is understood here.
    pub fn understands(&self, revision: Option<&str>) -> bool {
        match revision {
            None => true,
            Some(r) => self.revision == Some(r) || self.known_revisions.contains(&r),
        }
    }

    /// The URI that identifies [`Self::schema`]: `https://<domain of the prefix>/<name>/<revision>/schema.json`.
    ///
    /// It identifies; nothing ever fetches it.
    ///
    /// ```
    /// use mcp_ext_core::{Contract, ExtensionId};
    ///
    /// let contract = Contract::new(ExtensionId::from_static("com.example/ping"), "Ping").revision("2026-11-01");
    /// assert_eq!(contract.schema_uri(), "https://example.com/ping/2026-11-01/schema.json");
    /// ```
    pub fn schema_uri(&self) -> String {
        let domain: Vec<&str> = self.id.prefix().split('.').rev().collect();
        let revision = self.revision.unwrap_or("initial");
        format!(
            "https://{}/{}/{revision}/schema.json",
            domain.join("."),
            self.id.name()
        )
    }

    /// One JSON Schema 2020-12 document of everything the extension sends: settings of both sides, params and result
    /// of each item, params and filter of each notification, `_meta` values. The same on every run.
    ///
    /// # Errors
    /// [`SchemaFault`] when two different types have one name.
    pub fn schema(&self) -> Result<Value, SchemaFault> {
        let mut entries: Vec<(String, &TypeSchema)> = vec![
            ("ServerSettings".to_owned(), &self.settings.server),
            ("ClientSettings".to_owned(), &self.settings.client),
        ];
        for item in self.items {
            entries.push((format!("{}Params", pascal(item.name)), &item.params));
            entries.push((format!("{}Result", pascal(item.name)), &item.result));
        }
        for notification in self.notifications {
            entries.push((
                format!("{}Notification", pascal(notification.name)),
                &notification.params,
            ));
            if let Some(filter) = &notification.filter {
                entries.push((
                    format!("{}Filter", pascal(notification.name)),
                    &filter.schema,
                ));
            }
        }
        for key in self.meta_keys {
            let name = key.key.rsplit('/').next().unwrap_or(key.key);
            // One key may mean one thing in a request and another in a result.
            let twice = self.meta_keys.iter().filter(|k| k.key == key.key).count() > 1;
            let place = if twice {
                pascal(key.place)
            } else {
                String::new()
            };
            entries.push((format!("{}{place}Meta", pascal(name)), &key.value));
        }
        let entries: Vec<(&str, &TypeSchema)> = entries
            .iter()
            .map(|(name, ty)| (name.as_str(), *ty))
            .collect();
        crate::schema::bundle(
            &self.schema_uri(),
            self.title.unwrap_or(self.name),
            &entries,
        )
    }

    /// Every error of its own, each once, in the order of the items.
    pub fn errors(&self) -> Vec<&'static ErrorSpec> {
        let mut all: Vec<&'static ErrorSpec> = Vec::new();
        for spec in self.items.iter().flat_map(|item| item.errors) {
            if !all.contains(&spec) {
                all.push(spec);
            }
        }
        all
    }
}

/// `grade_submission` or `audit-receipt` as `GradeSubmission`, `AuditReceipt`.
fn pascal(name: &str) -> String {
    name.split(['_', '-', '.'])
        .filter_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_uppercase().chain(letters).collect::<String>())
        })
        .collect()
}

/// How far the author of an extension has committed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// May change at any time.
    Experimental,
    /// May still change, with a new revision.
    Beta,
    /// Changes only by addition.
    Stable,
}

/// The types of an extension's settings.
#[derive(Clone, Copy, Debug)]
pub struct SettingsSpec {
    /// What the server advertises.
    pub server: TypeSchema,
    /// What the client declares.
    pub client: TypeSchema,
    /// What both together give.
    pub negotiated: TypeSchema,
}

impl SettingsSpec {
    /// No settings: `{}` on both sides.
    pub const NONE: Self = Self::same::<crate::extension::NoSettings>();

    /// One type for both sides.
    pub const fn same<S: schemars::JsonSchema>() -> Self {
        Self {
            server: TypeSchema::of::<S>(),
            client: TypeSchema::of::<S>(),
            negotiated: TypeSchema::of::<S>(),
        }
    }

    /// A type for each side and one for what was negotiated.
    pub const fn of<A: schemars::JsonSchema, B: schemars::JsonSchema, N: schemars::JsonSchema>()
    -> Self {
        Self {
            server: TypeSchema::of::<A>(),
            client: TypeSchema::of::<B>(),
            negotiated: TypeSchema::of::<N>(),
        }
    }
}

/// One fn of the trait: a method, a tool, or both.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name of the fn.
    pub name: &'static str,
    /// Its documentation, as Markdown.
    pub docs: &'static str,
    /// The method, if it is one.
    pub method: Option<MethodSpec>,
    /// The tool, if it is one.
    pub tool: Option<ToolSpec>,
    /// The boolean settings flag that says whether the provider has it; `None`: every provider has it.
    pub optional: Option<&'static str>,
    /// The type of the params, or of the arguments.
    pub params: TypeSchema,
    /// The type of the result.
    pub result: TypeSchema,
    /// Its own errors.
    pub errors: &'static [ErrorSpec],
    /// Blocks that stand around it.
    pub needs: &'static [&'static str],
    /// Members of the params whose value may be shown in a fault, as paths such as `/rubricId`.
    pub echo: &'static [&'static str],
    /// Whether params and result are too sensitive to be shown or recorded anywhere.
    pub sensitive: bool,
    /// Why it should no longer be used.
    pub deprecated: Option<&'static str>,
}

impl Item {
    /// An item that is neither method nor tool yet.
    pub const fn new(name: &'static str, params: TypeSchema, result: TypeSchema) -> Self {
        Self {
            name,
            docs: "",
            method: None,
            tool: None,
            optional: None,
            params,
            result,
            errors: &[],
            needs: &[],
            echo: &[],
            sensitive: false,
            deprecated: None,
        }
    }

    /// An item whose handler takes `P` and returns `R`, a `Result`.
    pub const fn of<P: crate::extension::ItemParams, R: crate::extension::HandlerResult>(
        name: &'static str,
    ) -> Self {
        Self::new(name, TypeSchema::of::<P>(), TypeSchema::of::<R::Ok>())
            .errors(<R::Err as crate::error::ExtensionError>::ERRORS)
    }

    /// Sets [`Self::docs`].
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets [`Self::sensitive`].
    pub const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// Makes it a method.
    pub const fn method(mut self, method: MethodSpec) -> Self {
        self.method = Some(method);
        self
    }

    /// Makes it a tool.
    pub const fn tool(mut self, tool: ToolSpec) -> Self {
        self.tool = Some(tool);
        self
    }

    /// Makes it optional, under `flag`.
    pub const fn optional(mut self, flag: &'static str) -> Self {
        self.optional = Some(flag);
        self
    }

    /// Sets [`Self::errors`].
    pub const fn errors(mut self, errors: &'static [ErrorSpec]) -> Self {
        self.errors = errors;
        self
    }

    /// Sets [`Self::needs`].
    pub const fn needs(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }

    /// Sets [`Self::echo`].
    pub const fn echo(mut self, echo: &'static [&'static str]) -> Self {
        self.echo = echo;
        self
    }

    /// Sets [`Self::deprecated`].
    pub const fn deprecated(mut self, note: &'static str) -> Self {
        self.deprecated = Some(note);
        self
    }
}

/// A JSON-RPC method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodSpec {
    /// The name on the wire.
    pub wire: &'static str,
    /// The member of the params that HTTP repeats in `Mcp-Name`, as a JSON pointer.
    pub mcp_name: Option<&'static str>,
    /// Why it is accepted that some clients misread the result by its member names.
    pub shape_clash: Option<&'static str>,
}

impl MethodSpec {
    /// A method called `wire`.
    pub const fn new(wire: &'static str) -> Self {
        Self {
            wire,
            mcp_name: None,
            shape_clash: None,
        }
    }

    /// Sets [`Self::mcp_name`].
    pub const fn mcp_name(mut self, pointer: &'static str) -> Self {
        self.mcp_name = Some(pointer);
        self
    }

    /// Sets [`Self::shape_clash`].
    pub const fn shape_clash(mut self, reason: &'static str) -> Self {
        self.shape_clash = Some(reason);
        self
    }
}

/// A tool of the core protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolSpec {
    /// The name on the wire.
    pub name: &'static str,
    /// A human title.
    pub title: Option<&'static str>,
    /// What it promises about its behaviour.
    pub hints: Hints,
    /// Whether it may only be called when the extension was negotiated.
    pub gated: bool,
}

impl ToolSpec {
    /// A tool called `name`, open to every client.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            title: None,
            hints: Hints::NONE,
            gated: false,
        }
    }

    /// Sets [`Self::title`].
    pub const fn title(mut self, title: &'static str) -> Self {
        self.title = Some(title);
        self
    }

    /// Sets [`Self::hints`].
    pub const fn hints(mut self, hints: Hints) -> Self {
        self.hints = hints;
        self
    }

    /// Demands negotiation.
    pub const fn gated(mut self) -> Self {
        self.gated = true;
        self
    }
}

/// MCP's tool annotations; `None` says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `readOnlyHint`: it changes nothing.
    pub read_only: Option<bool>,
    /// `destructiveHint`: it may destroy.
    pub destructive: Option<bool>,
    /// `idempotentHint`: calling it again changes nothing more.
    pub idempotent: Option<bool>,
    /// `openWorldHint`: it reaches beyond the server.
    pub open_world: Option<bool>,
}

impl Hints {
    /// Says nothing.
    pub const NONE: Self = Self {
        read_only: None,
        destructive: None,
        idempotent: None,
        open_world: None,
    };
}

/// A notification from server to client.
#[derive(Clone, Copy, Debug)]
pub struct NotificationSpec {
    /// The name of the fn.
    pub name: &'static str,
    /// The method on the wire, `notifications/<identifier>/<event>`.
    pub wire: &'static str,
    /// Its documentation.
    pub docs: &'static str,
    /// Where it may appear.
    pub channel: Channel,
    /// The type of its params.
    pub params: TypeSchema,
    /// What a client may say to get only some of them; on listen streams.
    pub filter: Option<FilterSpec>,
}

impl NotificationSpec {
    /// What stands last in its name: the name of its member in the filter of a listen request.
    pub fn event(&self) -> &'static str {
        self.wire.rsplit('/').next().unwrap_or(self.wire)
    }
}

/// Where a notification may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// On the response stream of the request it is about.
    Request,
    /// On each `subscriptions/listen` stream whose filter asks for it.
    Listen,
}

/// A `_meta` key of an extension (check META-3).
#[derive(Clone, Copy, Debug)]
pub struct MetaKeySpec {
    /// The whole key.
    pub key: &'static str,
    /// Where it stands: `request`, `result`, `tool`, `notification`.
    pub place: &'static str,
    /// The type of its value.
    pub value: TypeSchema,
}

/// Where something was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The module path.
    pub module: &'static str,
    /// The file.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}:{})", self.module, self.file, self.line)
    }
}
