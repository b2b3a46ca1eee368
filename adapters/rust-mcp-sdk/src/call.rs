//! One call of an extension's method or tool.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use mcp_ext_core::envelope::{Frame, Headers};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::{BoxFuture, Notifier, NotifyError, SessionDeclaration};
use mcp_ext_core::wire::{JsonObject, code, meta};
use mcp_ext_core::{ExtensionSet, RpcError};
use rust_mcp_sdk::McpServer;
use rust_mcp_sdk::error::McpSdkError;
use rust_mcp_sdk::schema;
use rust_mcp_sdk::schema::schema_utils::{
    CustomNotification, MessageFromServer, NotificationFromServer,
};
use rust_mcp_sdk::schema::{RequestId, ServerResult};
use serde_json::Value;

use crate::context::{self, Cancel, HttpRequest};
use crate::{ExtensionsHandler, typed};

impl ExtensionsHandler {
    /// Answers a method or tool of the set from its params as they came.
    pub(crate) async fn own(
        &self,
        id: RequestId,
        method: &str,
        params: Option<JsonObject>,
        runtime: Arc<dyn McpServer>,
    ) -> Result<ServerResult, schema::RpcError> {
        let http = context::current();
        let result = self.run(id, method, params, http.clone(), runtime).await;
        if let (Err(error), Some(http)) = (&result, http) {
            let ok = error.http_status(Era::Modern) == 200;
            http.ok.store(ok, Ordering::Release);
        }
        result.map(typed::raw).map_err(typed::error)
    }

    async fn run(
        &self,
        id: RequestId,
        method: &str,
        params: Option<JsonObject>,
        http: Option<Arc<HttpRequest>>,
        runtime: Arc<dyn McpServer>,
    ) -> Result<JsonObject, RpcError> {
        let call = self.calls.start(&runtime, id, http.as_deref());
        let params = params
            .map(|params| serde_json::value::to_raw_value(&params))
            .transpose()
            .map_err(|_| RpcError::new(code::INVALID_PARAMS, "the params cannot be read"))?;
        let frame = Frame::read(method, params.as_deref())?;
        // The server has no sessions, so what does not say its version is no request of an older era: these headers
        // keep it from being taken for one.
        let version = frame.meta.get(meta::PROTOCOL_VERSION);
        let headers = Headers {
            protocol_version: Some(
                version
                    .and_then(Value::as_str)
                    .unwrap_or(ProtocolVersion::V2026_07_28.as_str()),
            ),
            method: Some(method),
            name: http.as_ref().and_then(|http| http.name.as_deref()),
            session: false,
        };
        let set = self.stamping(&*runtime);
        let mut incoming =
            frame.open(set.protocol(), SessionDeclaration::none(), Some(&headers))?;
        if http.is_none() {
            incoming.mcp_name = None;
        }
        let auth = runtime.auth_info_cloned().await;
        incoming.principal = auth.and_then(|auth| (self.principal)(&auth));
        incoming.deadline = Instant::now().checked_add(set.limits().max_duration);
        incoming.cancel = Some(call.cancel.clone());
        incoming.notify = Some(Arc::new(Sender {
            runtime,
            silent: http.is_some_and(|http| http.json),
            gone: call.cancel.clone(),
        }));

        let answer = set
            .route(incoming)
            .answer(call.cancel.cancelled(), tokio::time::sleep);
        answer.await?.into_object()
    }

    /// The set, stamping who the server is on its answers as the server does on its own.
    fn stamping(&self, runtime: &dyn McpServer) -> &ExtensionSet {
        self.stamping.get_or_init(|| {
            let info = typed::object(&runtime.server_details().server_info);
            self.set.clone().with_server_info(Value::Object(info))
        })
    }
}

/// A call by whom it is a call of: a server process talks to one client through one runtime, and over HTTP each request
/// has a runtime of its own.
type Key = (usize, RequestId);

/// The calls under way, so that they can be cancelled.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<Key, Arc<Cancel>>>);

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Cancel>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(runtime: &Arc<dyn McpServer>, id: RequestId) -> Key {
        (Arc::as_ptr(runtime).cast::<()>().addr(), id)
    }

    fn start(
        &self,
        runtime: &Arc<dyn McpServer>,
        id: RequestId,
        http: Option<&HttpRequest>,
    ) -> Running<'_> {
        let key = Self::key(runtime, id);
        // Over HTTP hanging up cancels, and a notification does not say whose call it means.
        let cancel = http.map_or_else(Arc::default, |http| http.gone.clone());
        self.lock().insert(key.clone(), cancel.clone());
        Running {
            calls: self,
            key,
            cancel,
        }
    }

    /// Cancels a call. `false`: there is none.
    pub(crate) fn cancel(&self, runtime: &Arc<dyn McpServer>, id: RequestId) -> bool {
        let cancel = self.lock().get(&Self::key(runtime, id)).cloned();
        cancel.is_some_and(|cancel| {
            cancel.cancel();
            true
        })
    }
}

/// A call under way for as long as this lives.
struct Running<'a> {
    calls: &'a Calls,
    key: Key,
    cancel: Arc<Cancel>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut calls = self.calls.lock();
        // A client that repeats an id has put another call in its place.
        if calls
            .get(&self.key)
            .is_some_and(|cancel| Arc::ptr_eq(cancel, &self.cancel))
        {
            calls.remove(&self.key);
        }
    }
}

struct Sender {
    runtime: Arc<dyn McpServer>,
    silent: bool,
    gone: Arc<Cancel>,
}

impl Notifier for Sender {
    fn notify<'a>(
        &'a self,
        method: &'a str,
        params: JsonObject,
    ) -> BoxFuture<'a, Result<(), NotifyError>> {
        Box::pin(async move {
            if self.silent {
                return Err(NotifyError::Unsupported);
            }
            let notification = if method == "notifications/progress" {
                let params = serde_json::from_value(Value::Object(params))
                    .map_err(|_| NotifyError::NotAnObject)?;
                NotificationFromServer::ProgressNotification(params)
            } else {
                NotificationFromServer::CustomNotification(CustomNotification {
                    method: method.to_owned(),
                    params: Some(params),
                })
            };
            // Not `send_notification`, which holds back what is not the core protocol's until somebody listens.
            let message = MessageFromServer::NotificationFromServer(notification);
            match self.runtime.send(message, None, None).await {
                Ok(_) => Ok(()),
                Err(error) => {
                    if matches!(error, McpSdkError::Transport(_)) {
                        self.gone.cancel();
                    }
                    Err(NotifyError::Closed)
                }
            }
        })
    }
}
