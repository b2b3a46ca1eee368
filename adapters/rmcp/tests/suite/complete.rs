//! Nothing that rmcp asks a server is lost on the way to the wrapped one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use mcp_ext_core::protocol::Era;
use mcp_ext_core::{ExtensionSet, Negotiated};
use mcp_ext_rmcp::ServerExtensions;
use rmcp::model::*;
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};

use crate::common::grading;
use crate::common::inner::{ByHand, DefaultRouter, Paged};
use crate::common::wire::{Carrier, Client};

/// The source of the rmcp that this crate is built with.
fn rmcp_source() -> PathBuf {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    // For this host alone: packages for others need not have been downloaded.
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--filter-platform",
            host,
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let rmcp = packages.iter().find(|p| p["name"] == "rmcp").unwrap();
    PathBuf::from(rmcp["manifest_path"].as_str().unwrap())
        .parent()
        .unwrap()
        .join("src/handler/server.rs")
}

/// Names of the functions declared in `source` with exactly `indent` blanks in front.
fn functions(source: &str, indent: usize) -> BTreeSet<String> {
    let name = |line: &str| {
        let rest = line.strip_prefix(&" ".repeat(indent))?;
        let rest = rest
            .strip_prefix("async ")
            .unwrap_or(rest)
            .strip_prefix("fn ")?;
        Some(rest.split(['(', '<']).next()?.to_owned())
    };
    source.lines().filter_map(name).collect()
}

#[test]
fn every_method_of_rmcps_server_trait_is_handed_on() {
    let source = std::fs::read_to_string(rmcp_source()).unwrap();
    let start = source
        .find("macro_rules! server_handler_methods")
        .expect("the trait's methods");
    let end = source[start..].find("\n}\n").expect("their end") + start;
    let theirs = functions(&source[start..end], 8);
    assert!(
        theirs.len() >= 32 && theirs.contains("on_custom_request"),
        "{theirs:?}"
    );
    let ours = include_str!("../../src/server/forward.rs");
    let start = ours.find("ServerHandler for WithExtensions<S>").unwrap();
    let end = ours[start..].find("\n}\n").unwrap() + start;
    let ours = functions(&ours[start..end], 4);
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(
        missing.is_empty(),
        "rmcp has methods that are not handed on to the wrapped server: {missing:?}"
    );
}

/// Notes the name of everything that reaches it.
#[derive(Clone, Default)]
struct Probe(Arc<Mutex<Vec<&'static str>>>);

impl Probe {
    fn saw(&self, name: &'static str) {
        self.0.lock().unwrap().push(name);
    }

    /// Answers with its name and with what it can read of the negotiation.
    fn refuse<T>(&self, name: &'static str, extensions: &Extensions) -> Result<T, ErrorData> {
        self.saw(name);
        let negotiated = extensions.get::<Negotiated>();
        let active = negotiated.map(|n| {
            n.active()
                .iter()
                .map(|id| id.to_string())
                .collect::<Vec<_>>()
        });
        Err(ErrorData::new(ErrorCode(4200), name, Some(json!(active))))
    }
}

macro_rules! probes {
    ($($name:ident($($arg:ty),*) -> $result:ty;)*) => {
        #[expect(deprecated)]
        impl ServerHandler for Probe {
            $(async fn $name(&self, $(_: $arg,)* context: RequestContext<RoleServer>) -> Result<$result, ErrorData> {
                self.refuse(stringify!($name), &context.extensions)
            })*

            fn get_info(&self) -> ServerConfig {
                let capabilities = json!({
                    "tools": {}, "prompts": {}, "resources": {"subscribe": true}, "completions": {}, "logging": {},
                    "extensions": {
                        "io.modelcontextprotocol/tasks": {},
                        "io.modelcontextprotocol/skills": {"directoryRead": true},
                    },
                });
                ServerConfig::new(serde_json::from_value(capabilities).unwrap())
            }

            fn get_tool(&self, name: &str) -> Option<Tool> {
                (name == "probe").then(|| self.saw("get_tool"));
                None
            }

            fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
                self.saw("supported_protocol_versions");
                std::borrow::Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS)
            }

            fn negotiate_initialize(&self, request: &InitializeRequestParams) -> Result<InitializeResult, ErrorData> {
                self.saw("negotiate_initialize");
                let mut info = self.get_info();
                info.protocol_version = request.protocol_version.clone();
                Ok(info)
            }

            async fn initialize(
                &self,
                request: InitializeRequestParams,
                _: RequestContext<RoleServer>,
            ) -> Result<InitializeResult, ErrorData> {
                self.saw("initialize");
                self.negotiate_initialize(&request)
            }

            async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
                self.saw("discover");
                let versions = self.supported_protocol_versions().into_owned();
                Ok(DiscoverResult::from_server_info(versions, self.get_info()))
            }

            fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
                self.saw("accepted_subscription_filter");
                Some(requested.clone())
            }

            async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
                self.refuse("listen", &context.request_context().extensions)
            }

            async fn on_cancelled(&self, _: CancelledNotificationParam, _: NotificationContext<RoleServer>) {
                self.saw("on_cancelled");
            }

            async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleServer>) {
                self.saw("on_progress");
            }

            async fn on_initialized(&self, _: NotificationContext<RoleServer>) {
                self.saw("on_initialized");
            }

            async fn on_roots_list_changed(&self, _: NotificationContext<RoleServer>) {
                self.saw("on_roots_list_changed");
            }

            async fn on_custom_notification(&self, _: CustomNotification, _: NotificationContext<RoleServer>) {
                self.saw("on_custom_notification");
            }
        }
    };
}

probes! {
    ping() -> ();
    complete(CompleteRequestParams) -> CompleteResult;
    set_level(SetLevelRequestParams) -> ();
    get_prompt(GetPromptRequestParams) -> GetPromptResponse;
    list_prompts(Option<PaginatedRequestParams>) -> ListPromptsResult;
    list_resources(Option<PaginatedRequestParams>) -> ListResourcesResult;
    list_resource_templates(Option<PaginatedRequestParams>) -> ListResourceTemplatesResult;
    read_resource(ReadResourceRequestParams) -> ReadResourceResponse;
    subscribe(SubscribeRequestParams) -> ();
    unsubscribe(UnsubscribeRequestParams) -> ();
    call_tool(CallToolRequestParams) -> CallToolResponse;
    list_tools(Option<PaginatedRequestParams>) -> ListToolsResult;
    on_custom_request(CustomRequest) -> CustomResult;
    get_task(GetTaskParams) -> GetTaskResult;
    update_task(UpdateTaskParams) -> ();
    cancel_task(CancelTaskParams) -> ();
    list_skills(Option<PaginatedRequestParams>) -> ListSkillsResult;
    get_skill(GetSkillRequestParams) -> GetSkillResult;
    read_resource_directory(ReadResourceDirectoryRequestParams) -> ReadResourceDirectoryResult;
}

#[tokio::test]
async fn every_request_and_notification_reaches_the_wrapped_server() {
    let requests: &[(Era, &str, Value, &str)] = &[
        (Era::Legacy, "ping", json!({}), "ping"),
        (
            Era::Legacy,
            "logging/setLevel",
            json!({"level": "info"}),
            "set_level",
        ),
        (
            Era::Legacy,
            "resources/subscribe",
            json!({"uri": "x:y"}),
            "subscribe",
        ),
        (
            Era::Legacy,
            "resources/unsubscribe",
            json!({"uri": "x:y"}),
            "unsubscribe",
        ),
        (
            Era::Modern,
            "subscriptions/listen",
            json!({"notifications": {}}),
            "listen",
        ),
        (Era::Modern, "tasks/get", json!({"taskId": "t"}), "get_task"),
        (
            Era::Modern,
            "tasks/update",
            json!({"taskId": "t", "inputResponses": {}}),
            "update_task",
        ),
        (
            Era::Modern,
            "tasks/cancel",
            json!({"taskId": "t"}),
            "cancel_task",
        ),
        (Era::Modern, "skills/list", json!({}), "list_skills"),
        (
            Era::Modern,
            "skills/get",
            json!({"uri": "skill://a/SKILL.md"}),
            "get_skill",
        ),
        (
            Era::Modern,
            "resources/directory/read",
            json!({"uri": "skill://a"}),
            "read_resource_directory",
        ),
    ];
    let both: &[(&str, Value, &str)] = &[
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": "b"}}),
            "complete",
        ),
        ("prompts/get", json!({"name": "p"}), "get_prompt"),
        ("prompts/list", json!({}), "list_prompts"),
        ("resources/list", json!({}), "list_resources"),
        (
            "resources/templates/list",
            json!({}),
            "list_resource_templates",
        ),
        ("resources/read", json!({"uri": "x:y"}), "read_resource"),
        ("tools/call", json!({"name": "probe"}), "call_tool"),
        ("tools/list", json!({}), "list_tools"),
        ("com.example/other/thing", json!({}), "on_custom_request"),
    ];
    let mut seen: BTreeSet<&'static str> = BTreeSet::new();
    for era in [Era::Legacy, Era::Modern] {
        let probe = Probe::default();
        let server = probe.clone().with_extensions(grading::set().1).unwrap();
        assert!(server.get_tool("probe").is_none());
        let declared = json!({"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/skills": {}, grading::ID: {}});
        let mut client = Client::connect(server, Carrier::Stdio, era, Some(declared)).await;
        let of_era = requests
            .iter()
            .filter(|r| r.0 == era)
            .map(|(_, m, p, s)| (*m, p, *s));
        for (method, params, saw) in both.iter().map(|(m, p, s)| (*m, p, *s)).chain(of_era) {
            let answer = client.call(method, params.clone()).await;
            assert_eq!(
                answer.error()["code"],
                4200,
                "{era:?} {method}: {}",
                answer.frame
            );
            assert_eq!(answer.error()["message"], saw, "{era:?} {method}");
            // What was negotiated is readable in each of them, but for the two that rmcp gives us no way into.
            let readable = if ["ping", "listen"].contains(&saw) {
                Value::Null
            } else {
                json!([grading::ID])
            };
            assert_eq!(
                answer.error().get("data").unwrap_or(&Value::Null),
                &readable,
                "{era:?} {method}"
            );
        }
        client
            .notify("notifications/cancelled", json!({"requestId": 99}))
            .await;
        client
            .notify(
                "notifications/progress",
                json!({"progressToken": "t", "progress": 1}),
            )
            .await;
        client
            .notify("notifications/roots/list_changed", json!({}))
            .await;
        client
            .notify("notifications/com.example/other/event", json!({}))
            .await;
        for _ in 0..100 {
            if probe.0.lock().unwrap().contains(&"on_custom_notification") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        seen.extend(probe.0.lock().unwrap().iter());
    }
    let source = std::fs::read_to_string(rmcp_source()).unwrap();
    let start = source.find("macro_rules! server_handler_methods").unwrap();
    let end = source[start..].find("\n}\n").unwrap() + start;
    let mut expected = functions(&source[start..end], 8);
    // Asked at construction, where nothing is noted.
    expected.remove("get_info");
    let missing: Vec<_> = expected
        .iter()
        .filter(|name| !seen.contains(name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "never reached the wrapped server: {missing:?}"
    );
}

/// The answers of a server behind an empty set, and what a set with extensions may change.
#[tokio::test]
async fn neg_02_an_empty_set_changes_nothing() {
    async fn all<S: ServerHandler + Clone>(server: S, carrier: Carrier, era: Era) -> Vec<Value> {
        let mut client = Client::connect(server, carrier, era, grading::declared()).await;
        let mut seen = vec![client.greeting.clone()];
        for (method, params) in [
            ("tools/list", json!({})),
            ("tools/list", json!({"cursor": "2"})),
            (
                "tools/call",
                json!({"name": "add", "arguments": {"a": 1, "b": 2}}),
            ),
            ("tools/call", json!({"name": "nobody", "arguments": {}})),
            ("prompts/list", json!({})),
            ("resources/list", json!({})),
            ("com.example/nobody/knows", json!({"x": 1})),
            (grading::RUBRICS, json!({"course": "c"})),
        ] {
            let answer = client.call(method, params).await;
            let mut frame = answer.frame;
            frame["status"] = json!(answer.status);
            seen.push(frame);
        }
        seen
    }
    async fn compare<S: ServerHandler + Clone>(server: S) {
        for carrier in [
            Carrier::Stdio,
            Carrier::HttpSessions,
            Carrier::HttpStateless,
        ] {
            for era in [Era::Legacy, Era::Modern] {
                let set = ExtensionSet::builder().build().unwrap();
                let wrapped = server.clone().with_extensions(set).unwrap();
                let with = all(wrapped, carrier, era).await;
                let without = all(server.clone(), carrier, era).await;
                assert_eq!(with, without, "{carrier:?} {era:?}");
            }
        }
    }
    compare(DefaultRouter).await;
    compare(ByHand).await;
    compare(Paged).await;
}
