//! Everything the macros make, in a crate that calls mcp-ext `ext`: that this compiles is the test.

use ext::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings.
#[settings(crate = ::ext)]
pub struct DoorSettings {
    /// Doors this side has.
    #[negotiate(intersect, required)]
    pub doors: Option<BTreeSet<Door>>,
    /// Most steps at once.
    #[negotiate(min)]
    pub max_steps: Option<u32>,
    /// Whether doors may be opened.
    #[negotiate(and)]
    pub open: bool,
    /// What is inside.
    #[negotiate(nested)]
    pub inner: InnerSettings,
    /// How it is greeted.
    #[negotiate(client, preference)]
    pub greeting: Option<String>,
}

/// Settings inside settings.
#[settings(crate = ::ext)]
pub struct InnerSettings {
    /// The key that both know.
    #[negotiate(equal)]
    pub key: Option<String>,
}

/// A door.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Door {
    /// At the front.
    Front,
    /// At the back.
    Back,
}

/// Which door.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Which {
    /// The door.
    pub door: Door,
}

/// How it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// Whether it is open.
    pub open: bool,
}

/// What can go wrong.
#[derive(Debug, PartialEq, ExtensionError)]
#[error(crate = ::ext)]
pub enum DoorError {
    /// It is locked.
    #[error(code = 4100, retryable, "the door is locked for {minutes} minutes")]
    Locked {
        /// How long.
        minutes: u32,
    },
}

/// Doors.
#[extension(
    id = "com.example/doors",
    revision = "2026-11-01",
    settings = DoorSettings,
    fallback = DoorSettings { max_steps: Some(1), ..Default::default() },
    crate = ::ext,
)]
pub trait Doors {
    /// Says how a door is.
    #[method]
    #[tool(name = "door_state", title = "How a door is", hints(read_only))]
    async fn state(&self, cx: &ToolCx<DoorsExtension>, params: Which) -> Result<State, DoorError>;

    /// Opens a door.
    #[method]
    async fn open(&self, cx: &Cx<DoorsExtension>, params: Which) -> Result<State, DoorError>;

    /// Slams every door.
    #[tool(gated)]
    async fn slam_doors(&self, cx: &Cx<DoorsExtension>) -> Result<State, DoorError>;

    /// Rings; offered by those who have a bell.
    #[method(optional = "bell")]
    async fn ring(&self, cx: &Cx<DoorsExtension>) -> Result<State, DoorError>;

    /// A door opened or closed.
    #[notification]
    fn moved(params: Which);
}

/// An extension without settings that needs the other one.
#[extension(id = "com.example/windows", requires(DoorsExtension), crate = ::ext)]
pub trait Windows {
    /// Says how the windows are.
    #[method]
    async fn state(&self, cx: &Cx<WindowsExtension>) -> Result<State, Infallible>;
}

/// A house.
pub struct House;

#[handlers(crate = ::ext)]
impl Doors for House {
    async fn state(&self, _: &ToolCx<DoorsExtension>, _: Which) -> Result<State, DoorError> {
        Ok(State { open: false })
    }

    async fn open(&self, cx: &Cx<DoorsExtension>, params: Which) -> Result<State, DoorError> {
        if !cx.settings().open {
            return Err(DoorError::Locked { minutes: 5 });
        }
        // Whether anyone listens makes no difference here.
        let _ = cx.moved(params).await;
        Ok(State { open: true })
    }

    async fn slam_doors(&self, _: &Cx<DoorsExtension>) -> Result<State, DoorError> {
        Ok(State { open: false })
    }
}

#[handlers(crate = ::ext)]
impl Windows for House {
    async fn state(&self, cx: &Cx<WindowsExtension>) -> Result<State, Infallible> {
        let doors = cx.settings_of::<DoorsExtension>();
        Ok(State {
            open: doors.is_some_and(|doors| doors.open),
        })
    }
}

/// The set of both.
///
/// ```
/// assert_eq!(mcp_ext_renamed::extensions()?.contracts().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Never: the two do not clash.
pub fn extensions() -> Result<ExtensionSet, BuildError> {
    ExtensionSet::builder()
        .enable(DoorsExtension::provide(House))
        .enable(WindowsExtension::provide(House))
        .build()
}

/// A typed client.
///
/// # Errors
/// What the caller says went wrong.
pub async fn opens<C: Caller>(caller: C) -> Result<bool, CallError<DoorError>> {
    let doors = DoorsExtension::client(caller).declare(DoorSettings {
        open: true,
        ..Default::default()
    });
    match doors.negotiate().await? {
        Negotiation::Active(doors) => Ok(doors.open(Which { door: Door::Front }).await?.open),
        _ => Ok(false),
    }
}
