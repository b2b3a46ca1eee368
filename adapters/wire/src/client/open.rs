//! Opening a connection: which era the server speaks, and what it offers.

use std::future::Future;

use mcp_ext_core::client::{CallerError, Stopped};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::{JsonObject, code};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ClientOptions, ConnectError, Session};

const DISCOVER: &str = "server/discover";
const INITIALIZE: &str = "initialize";

/// The newest version of each era.
const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;
const LEGACY: ProtocolVersion = ProtocolVersion::V2025_11_25;

/// What a connection is opened through.
pub(super) trait Link: Sync {
    /// Asks a question that opens the connection; it is never cancelled.
    fn ask(
        &self,
        method: &'static str,
        params: JsonObject,
        version: ProtocolVersion,
    ) -> impl Future<Output = Result<Value, CallerError>> + Send;

    /// Says that the client is ready.
    fn initialized(
        &self,
        version: ProtocolVersion,
    ) -> impl Future<Output = Result<(), CallerError>> + Send;
}

/// Opens a connection in the era that the options or the server want.
pub(super) async fn open(
    link: &impl Link,
    options: &ClientOptions,
) -> Result<Session, ConnectError> {
    match options.era {
        Some(Era::Legacy) => initialize(link, options).await,
        Some(Era::Modern) => match discover(link, options).await? {
            Discovery::Modern(session) => Ok(session),
            Discovery::Supports(offered) => Err(unknown(offered, Era::Modern)),
            Discovery::Legacy(error) => Err(ConnectError::Failed {
                method: DISCOVER,
                error,
            }),
        },
        None => match discover(link, options).await? {
            Discovery::Modern(session) => Ok(session),
            Discovery::Supports(offered) => {
                let legacy = |version: &String| {
                    ProtocolVersion::parse(version).is_some_and(|v| v.era() == Era::Legacy)
                };
                if offered.iter().any(legacy) {
                    initialize(link, options).await
                } else {
                    Err(unknown(offered, Era::Modern))
                }
            }
            Discovery::Legacy(modern) => {
                initialize(link, options)
                    .await
                    .map_err(|error| match error {
                        ConnectError::Failed { error: legacy, .. } => ConnectError::Neither {
                            modern: Box::new(modern),
                            legacy: Box::new(legacy),
                        },
                        other => other,
                    })
            }
        },
    }
}

fn unknown(offered: Vec<String>, era: Era) -> ConnectError {
    let known = ProtocolVersion::ALL.iter().filter(|v| v.era() == era);
    ConnectError::Version {
        offered,
        known: known.map(ToString::to_string).collect(),
    }
}

/// What `server/discover` tells of a server.
enum Discovery {
    Modern(Session),
    /// It knows the question, and serves these versions, of which none is ours.
    Supports(Vec<String>),
    /// It does not know the question, or is silent.
    Legacy(CallerError),
}

async fn discover(link: &impl Link, options: &ClientOptions) -> Result<Discovery, ConnectError> {
    #[derive(Deserialize)]
    struct Discovered {
        #[serde(rename = "supportedVersions")]
        supported: Vec<String>,
        #[serde(rename = "capabilities")]
        _capabilities: JsonObject,
    }
    let mut params = JsonObject::new();
    // The id that progress would be reported under; there is none of a discovery.
    let mut meta = options.meta(MODERN, 0);
    meta.remove(mcp_ext_core::wire::meta::PROGRESS_TOKEN);
    params.insert("_meta".into(), Value::Object(meta));
    let error = match link.ask(DISCOVER, params, MODERN).await {
        Ok(result) => {
            let Ok(Discovered { supported, .. }) = Discovered::deserialize(&result) else {
                // Some legacy servers answer anything.
                return Ok(Discovery::Legacy(CallerError::Stopped(
                    Stopped::Malformed {
                        why: "it has no `supportedVersions` and `capabilities`".into(),
                    },
                )));
            };
            return Ok(match result {
                Value::Object(server) if supported.iter().any(|v| v == MODERN.as_str()) => {
                    Discovery::Modern(Session {
                        version: MODERN,
                        server,
                    })
                }
                _ => Discovery::Supports(supported),
            });
        }
        Err(error) => error,
    };
    match &error {
        CallerError::Rpc(rpc) => match rpc.code {
            code::UNSUPPORTED_PROTOCOL_VERSION => Ok(Discovery::Supports(supported(rpc))),
            // Whoever knows these codes speaks the modern era, and has another reason to refuse (ERA-7).
            code::HEADER_MISMATCH | code::MISSING_REQUIRED_CLIENT_CAPABILITY => {
                Err(ConnectError::Failed {
                    method: DISCOVER,
                    error,
                })
            }
            _ => Ok(Discovery::Legacy(error)),
        },
        // Nobody who is turned away, or cannot connect at all, gets further with another question.
        CallerError::Stopped(Stopped::Status { status: 401 | 403 } | Stopped::Closed { .. })
        | CallerError::Transport(_) => Err(ConnectError::Failed {
            method: DISCOVER,
            error,
        }),
        _ => Ok(Discovery::Legacy(error)),
    }
}

fn supported(error: &mcp_ext_core::RpcError) -> Vec<String> {
    let listed = error.data.as_ref().and_then(|data| data.get("supported"));
    let all = listed.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

/// Opens a legacy connection.
pub(super) async fn initialize(
    link: &impl Link,
    options: &ClientOptions,
) -> Result<Session, ConnectError> {
    let failed = |error| ConnectError::Failed {
        method: INITIALIZE,
        error,
    };
    let params = JsonObject::from_iter([
        ("protocolVersion".to_owned(), json!(LEGACY.as_str())),
        (
            "capabilities".to_owned(),
            Value::Object(options.capabilities.clone()),
        ),
        ("clientInfo".to_owned(), options.info.clone()),
    ]);
    let malformed = |why: &str| {
        failed(CallerError::Stopped(Stopped::Malformed {
            why: why.to_owned(),
        }))
    };
    let result = link
        .ask(INITIALIZE, params, LEGACY)
        .await
        .map_err(|error| match error {
            CallerError::Rpc(rpc) if rpc.code == code::UNSUPPORTED_PROTOCOL_VERSION => {
                unknown(supported(&rpc), Era::Legacy)
            }
            error => failed(error),
        })?;
    let Value::Object(server) = result else {
        return Err(malformed("it is not an object"));
    };
    let Some(Value::String(version)) = server.get("protocolVersion") else {
        return Err(malformed("it has no `protocolVersion`"));
    };
    let Some(version) = ProtocolVersion::parse(version).filter(|v| v.era() == Era::Legacy) else {
        return Err(unknown(vec![version.clone()], Era::Legacy));
    };
    link.initialized(version).await.map_err(failed)?;
    Ok(Session { version, server })
}
