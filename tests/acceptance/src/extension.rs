//! The extension that the set is written against, and its provider.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_ext::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A form of texts, for settings.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// Lines.
    Plain,
    /// Rows and columns.
    Table,
}

/// One field for each kind of negotiation that can be told apart from outside.
#[settings]
pub struct AcceptanceSettings {
    /// Forms this side can read.
    #[negotiate(intersect, required)]
    pub formats: Option<BTreeSet<Format>>,
    /// Most items at once.
    #[negotiate(min)]
    pub max_items: Option<u32>,
    /// Whether anything may be changed.
    #[negotiate(and)]
    pub write: bool,
}

/// What a handler sees of what was negotiated.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agreed {
    /// Whether anything was.
    pub negotiated: bool,
    /// See the settings.
    pub formats: Option<BTreeSet<Format>>,
    /// See the settings.
    pub max_items: Option<u32>,
    /// See the settings.
    pub write: bool,
}

impl Agreed {
    fn new(settings: &AcceptanceSettings, negotiated: bool) -> Self {
        Self {
            negotiated,
            formats: settings.formats.clone(),
            max_items: settings.max_items,
            write: settings.write,
        }
    }
}

/// Values that a careless hand changes.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Parcel {
    /// Any text.
    pub text: String,
    /// A number of up to 64 bits.
    pub exact: u64,
    /// Numbers.
    pub list: Vec<i64>,
    /// May be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A text.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Text {
    /// The text; `fail` fails.
    pub text: String,
}

/// What a tool gives back.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The text again.
    pub text: String,
    /// What the handler saw.
    pub agreed: Agreed,
}

/// How to fail.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// An error of the extension, with details.
    Missing,
    /// An error of the extension that may pass.
    Busy,
    /// A fault in the handler.
    Panic,
}

/// Which way to fail.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Fail {
    /// The way.
    pub how: How,
}

/// A long call.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// A name for it.
    pub key: String,
    /// How long.
    pub millis: u64,
}

/// The name of a long call.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// The name.
    pub key: String,
}

/// Things to hear of; none: all.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Keys {
    /// Their names.
    #[serde(default)]
    pub keys: Vec<String>,
}

impl ListenFilter<Key> for Keys {
    fn admits(&self, params: &Key, _: &Listener<'_>) -> bool {
        self.keys.is_empty() || self.keys.contains(&params.key)
    }
}

/// What became of the long calls of a name.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct Waits {
    /// That began.
    pub started: u32,
    /// That came to their end.
    pub finished: u32,
    /// Whose future was dropped.
    pub dropped: u32,
}

/// A number of things.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// How many, or which.
    pub count: u32,
}

/// The extension's own errors.
#[derive(Debug, ExtensionError)]
pub enum AcceptanceError {
    /// Nothing has this name.
    #[error(code = 4100, "there is no {name}")]
    Missing {
        /// The name.
        name: String,
    },
    /// Too much to do.
    #[error(code = 4101, "busy for now", retryable)]
    Busy,
}

/// One item for each thing an adapter has to carry.
#[extension(id = "com.example/acceptance", revision = "2026-11-01", settings = AcceptanceSettings)]
pub trait Acceptance {
    /// Says what was negotiated.
    #[method]
    async fn agreed(&self, cx: &Cx<AcceptanceExtension>) -> Result<Agreed, Infallible>;

    /// Gives a parcel back.
    #[method]
    async fn echo(
        &self,
        cx: &Cx<AcceptanceExtension>,
        params: Parcel,
    ) -> Result<Parcel, Infallible>;

    /// Gives a name back that HTTP repeats in a header.
    #[method(mcp_name = "/key")]
    async fn named(&self, cx: &Cx<AcceptanceExtension>, params: Key) -> Result<Key, Infallible>;

    /// Fails.
    #[method]
    async fn fail(
        &self,
        cx: &Cx<AcceptanceExtension>,
        params: Fail,
    ) -> Result<Text, AcceptanceError>;

    /// Answers after a while.
    #[method]
    async fn wait(&self, cx: &Cx<AcceptanceExtension>, params: Wait) -> Result<Key, Infallible>;

    /// Says what became of long calls.
    #[method]
    async fn waits(&self, cx: &Cx<AcceptanceExtension>, params: Key) -> Result<Waits, Infallible>;

    /// Sends progress and a notification for each of a number, then answers.
    #[method]
    async fn announce(
        &self,
        cx: &Cx<AcceptanceExtension>,
        params: Count,
    ) -> Result<Count, Infallible>;

    /// Moves a thing, and tells those who listen.
    #[method(name = "move")]
    async fn move_it(&self, cx: &Cx<AcceptanceExtension>, params: Key) -> Result<Key, Infallible>;

    /// A tool for everyone.
    #[tool(hints(read_only))]
    async fn acceptance_open(
        &self,
        cx: &ToolCx<AcceptanceExtension>,
        args: Text,
    ) -> Result<Said, AcceptanceError>;

    /// A tool for those who negotiated.
    #[tool(gated)]
    async fn acceptance_gated(
        &self,
        cx: &Cx<AcceptanceExtension>,
        args: Text,
    ) -> Result<Said, AcceptanceError>;

    /// One of a number was reached.
    #[notification]
    fn reached(params: Count);

    /// A thing was moved.
    #[notification(listen(filter = Keys))]
    fn moved(params: Key);
}

/// The provider. All sessions of a process share one.
#[derive(Default)]
struct Provider {
    waits: Mutex<BTreeMap<String, Waits>>,
}

impl Provider {
    fn count(&self, key: &str, change: impl FnOnce(&mut Waits)) -> Waits {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = waits.entry(key.to_owned()).or_default();
        change(waits);
        *waits
    }
}

/// Counts a call that ends early as dropped.
struct Counted<'a> {
    provider: &'a Provider,
    key: &'a str,
    finished: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let finished = self.finished;
        self.provider.count(self.key, |w| {
            if finished {
                w.finished += 1
            } else {
                w.dropped += 1
            }
        });
    }
}

fn checked(text: String) -> Result<String, AcceptanceError> {
    match text.as_str() {
        "fail" => Err(AcceptanceError::Missing { name: text }),
        _ => Ok(text),
    }
}

#[handlers]
impl Acceptance for Provider {
    async fn agreed(&self, cx: &Cx<AcceptanceExtension>) -> Result<Agreed, Infallible> {
        Ok(Agreed::new(cx.settings(), true))
    }

    async fn echo(
        &self,
        _: &Cx<AcceptanceExtension>,
        params: Parcel,
    ) -> Result<Parcel, Infallible> {
        Ok(params)
    }

    async fn named(&self, _: &Cx<AcceptanceExtension>, params: Key) -> Result<Key, Infallible> {
        Ok(params)
    }

    async fn fail(
        &self,
        _: &Cx<AcceptanceExtension>,
        params: Fail,
    ) -> Result<Text, AcceptanceError> {
        match params.how {
            How::Missing => Err(AcceptanceError::Missing {
                name: "thing".to_owned(),
            }),
            How::Busy => Err(AcceptanceError::Busy),
            How::Panic => panic!("a fault in the handler, as asked for"),
        }
    }

    async fn wait(&self, _: &Cx<AcceptanceExtension>, params: Wait) -> Result<Key, Infallible> {
        self.count(&params.key, |w| w.started += 1);
        let mut counted = Counted {
            provider: self,
            key: &params.key,
            finished: false,
        };
        tokio::time::sleep(Duration::from_millis(params.millis)).await;
        counted.finished = true;
        drop(counted);
        Ok(Key { key: params.key })
    }

    async fn waits(&self, _: &Cx<AcceptanceExtension>, params: Key) -> Result<Waits, Infallible> {
        Ok(self.count(&params.key, |_| ()))
    }

    async fn announce(
        &self,
        cx: &Cx<AcceptanceExtension>,
        params: Count,
    ) -> Result<Count, Infallible> {
        for count in 1..=params.count {
            // A client that is gone is told nothing.
            let _ = cx
                .progress(count.into(), Some(params.count.into()), None)
                .await;
            let _ = cx.reached(Count { count }).await;
        }
        Ok(params)
    }

    async fn move_it(&self, cx: &Cx<AcceptanceExtension>, params: Key) -> Result<Key, Infallible> {
        let moved = Key {
            key: params.key.clone(),
        };
        let _ = cx.moved(moved).await;
        Ok(params)
    }

    async fn acceptance_open(
        &self,
        cx: &ToolCx<AcceptanceExtension>,
        args: Text,
    ) -> Result<Said, AcceptanceError> {
        let agreed = Agreed::new(cx.settings(), cx.negotiated());
        Ok(Said {
            text: checked(args.text)?,
            agreed,
        })
    }

    async fn acceptance_gated(
        &self,
        cx: &Cx<AcceptanceExtension>,
        args: Text,
    ) -> Result<Said, AcceptanceError> {
        Ok(Said {
            text: checked(args.text)?,
            agreed: Agreed::new(cx.settings(), true),
        })
    }
}

/// The set that every cell puts in front of its server. `filter` lists tools to those alone who declare it.
///
/// # Errors
/// [`BuildError`], never in fact.
pub fn set(filter: bool) -> Result<ExtensionSet, BuildError> {
    let settings = AcceptanceSettings {
        formats: Some(BTreeSet::from([Format::Plain, Format::Table])),
        max_items: Some(50),
        write: true,
    };
    let enable = AcceptanceExtension::provide(Arc::new(Provider::default())).settings(settings);
    ExtensionSet::builder()
        .enable(enable)
        .filter_lists(filter)
        .build()
}
