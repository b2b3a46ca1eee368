//! The types that stand behind an extension, and how a provider is enabled.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::algebra::{Mismatch, Negotiate};
use crate::block::Block;
use crate::call::{Call, Outcome};
use crate::contract::Contract;
use crate::cx::NotificationHandle;
use crate::faults::Fault;
use crate::request::BoxFuture;
use crate::wire::JsonObject;

/// The types of one extension; `#[extension]` implements it on the marker it makes.
pub trait Extension: Sized + Send + Sync + 'static {
    /// What the server advertises.
    type Server: Settings + Negotiate<Self::Client, Negotiated = Self::Negotiated>;
    /// What the client declares.
    type Client: Settings;
    /// What both together give.
    type Negotiated: Clone + Send + Sync + 'static;
    /// A typed sender for the extension's notifications.
    type Notifications: From<NotificationHandle> + Send + Sync + 'static;

    /// The static description.
    const CONTRACT: &'static Contract;

    /// The settings a tool sees when nothing was negotiated.
    fn fallback() -> Self::Negotiated;
}

/// What a settings type must be able to do; every type that can, is one. `#[settings]` derives it all.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the settings of an extension",
    label = "write `#[settings]` on it: it derives Clone, Default, Serialize, Deserialize and JsonSchema"
)]
pub trait Settings:
    Serialize + DeserializeOwned + JsonSchema + Default + Clone + Send + Sync + 'static
{
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Default + Clone + Send + Sync + 'static>
    Settings for T
{
}

/// The settings of an extension that has none: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoSettings {}

impl Negotiate for NoSettings {
    type Negotiated = Self;

    fn negotiate(_: &Self, _: &Self) -> Result<Self, Mismatch> {
        Ok(Self {})
    }
}

/// The params of a method that takes none: `{}`, and any member is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoParams {}

/// What the params of a method and the arguments of a tool must be able to do; every type that can, is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the params of a method or tool",
    label = "params need `#[derive(Deserialize, JsonSchema)]`",
    note = "`JsonSchema` is that of schemars 1, whose derive makes the schema that clients are shown"
)]
pub trait ItemParams: DeserializeOwned + JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + JsonSchema> ItemParams for T {}

/// What the result of a method or tool must be able to do; every type that can, is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a method or tool",
    label = "a result needs `#[derive(Serialize, JsonSchema)]`",
    note = "`JsonSchema` is that of schemars 1, whose derive makes the schema that clients are shown"
)]
pub trait ItemResult: Serialize + JsonSchema {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + JsonSchema> ItemResult for T {}

/// What a handler returns: `Result<T, E>`, also under an alias.
#[diagnostic::on_unimplemented(
    message = "a handler answers with `Result<T, E>`, not with `{Self}`",
    label = "write `Result<T, std::convert::Infallible>` if nothing can fail"
)]
pub trait HandlerResult {
    /// The result.
    type Ok: ItemResult;
    /// The error.
    type Err: crate::error::ExtensionError;
}

impl<T: ItemResult, X: crate::error::ExtensionError> HandlerResult for Result<T, X> {
    type Ok = T;
    type Err = X;
}

/// Connects an extension to a provider of type `P`; `#[extension]` implements it.
#[doc(hidden)]
pub trait Serves<P>: Extension {
    /// The names of the items the provider has.
    const PROVIDED: &'static [&'static str];

    /// Runs the item of this name. A name, since `#[cfg]` may take items away and shift positions. Each item has a
    /// future of its own: one `async fn` around all of them costs ever more to compile with every item.
    fn serve<'a>(provider: &'a P, item: &'static str, call: Call<'a>) -> BoxFuture<'a, Outcome>;
}

/// What `provide` takes: a provider of `E`, or an `Arc` of one.
///
/// `P` follows from what implements the extension's trait. An impl of that trait for `Arc<P>` would need no such bound,
/// but would be compiled, and compared with the trait, in every crate that declares an extension.
#[diagnostic::on_unimplemented(
    message = "`{Self}` provides no `{E}`",
    label = "neither a provider nor an `Arc` of one",
    note = "implement the extension's trait for it, with `#[handlers]` above the impl"
)]
pub trait IntoProvider<E, P> {
    /// The provider, shared.
    fn into_provider(self) -> Arc<P>;
}

impl<E: Serves<P>, P> IntoProvider<E, P> for P {
    fn into_provider(self) -> Arc<P> {
        Arc::new(self)
    }
}

impl<E: Serves<P>, P> IntoProvider<E, P> for Arc<P> {
    fn into_provider(self) -> Arc<P> {
        self
    }
}

/// An extension with its provider and settings, ready for [`ExtensionSet::builder`](crate::ExtensionSet::builder).
pub struct Enable<E: Extension> {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) provided: &'static [&'static str],
    pub(crate) settings: E::Server,
    pub(crate) blocks: Vec<Arc<dyn Block>>,
}

impl<E: Extension> Enable<E> {
    /// What the generated `provide` calls.
    #[doc(hidden)]
    pub fn new<P: Send + Sync + 'static>(provider: impl IntoProvider<E, P>) -> Self
    where
        E: Serves<P>,
    {
        let provider = provider.into_provider();
        Self {
            provider: Arc::new(Provided::<E, P> {
                provider,
                extension: PhantomData,
            }),
            provided: E::PROVIDED,
            settings: E::Server::default(),
            blocks: Vec::new(),
        }
    }

    /// Sets what the server advertises; otherwise it is the default.
    #[must_use]
    pub fn settings(mut self, settings: E::Server) -> Self {
        self.settings = settings;
        self
    }

    /// Brings a block along: an extension that also stands around the items of others.
    #[must_use]
    pub fn around(mut self, block: impl Block) -> Self {
        self.blocks.push(Arc::new(block));
        self
    }
}

/// The object-safe edge: one box a call.
pub(crate) trait Provider: Send + Sync {
    fn call<'a>(&'a self, item: &'static str, call: Call<'a>) -> BoxFuture<'a, Outcome>;
}

struct Provided<E, P> {
    provider: Arc<P>,
    extension: PhantomData<fn() -> E>,
}

impl<E: Serves<P>, P: Send + Sync + 'static> Provider for Provided<E, P> {
    fn call<'a>(&'a self, item: &'static str, call: Call<'a>) -> BoxFuture<'a, Outcome> {
        E::serve(&self.provider, item, call)
    }
}

/// Settings that were negotiated, without their type.
pub(crate) type AnySettings = Arc<dyn Any + Send + Sync>;

/// Why the settings of the two sides gave nothing.
pub(crate) enum NegotiationFailure {
    /// The client's settings have a member of the wrong type.
    Invalid(Vec<Fault>),
    /// They cannot be combined.
    Mismatch(Mismatch),
}

/// What the set keeps of an extension's server settings: how to combine them with a client's.
pub(crate) trait Negotiator: Send + Sync {
    fn negotiate(&self, client: &JsonObject) -> Result<AnySettings, NegotiationFailure>;
    /// The settings a tool sees when nothing was negotiated, never wider than what the server grants.
    fn fallback(&self) -> Result<AnySettings, Mismatch>;
}

pub(crate) struct ServerSettings<E: Extension>(pub(crate) E::Server);

impl<E: Extension> Negotiator for ServerSettings<E> {
    fn negotiate(&self, client: &JsonObject) -> Result<AnySettings, NegotiationFailure> {
        let settings = decode_settings::<E::Client>(client, &E::CONTRACT.settings.client)
            .map_err(NegotiationFailure::Invalid)?;
        E::Server::negotiate(&self.0, &settings)
            .map(|n| Arc::new(n) as AnySettings)
            .map_err(NegotiationFailure::Mismatch)
    }

    /// Where both sides have one type, the fallback is taken as if the client had declared it: who declares nothing is
    /// not granted more than the server grants to those who do.
    fn fallback(&self) -> Result<AnySettings, Mismatch> {
        let fallback = E::fallback();
        // A client that declares nothing gets what one that declares the fallback gets. With three types of settings
        // there is nothing to combine: what is negotiated is all the author says.
        match (&fallback as &dyn Any).downcast_ref::<E::Client>() {
            Some(declared) => {
                E::Server::negotiate(&self.0, declared).map(|n| Arc::new(n) as AnySettings)
            }
            None => Ok(Arc::new(fallback)),
        }
    }
}

/// Reads settings; on failure, every fault at once.
pub(crate) fn decode_settings<S: Settings>(
    object: &JsonObject,
    schema: &crate::schema::TypeSchema,
) -> Result<S, Vec<Fault>> {
    S::deserialize(object).map_err(|error| {
        let value = Value::Object(object.clone());
        let mut faults = crate::faults::find_in_settings(&value, schema);
        if faults.is_empty() {
            faults.push(crate::faults::from_serde(&error, &value));
        }
        faults
    })
}
