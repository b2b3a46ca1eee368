//! In front of an rmcp server, as its author would write it; with clients of both eras that declare audit, and ones that do
//! not.

use mcp_ext_audit::{Audit, Auditing, Record, Verifier};
use mcp_ext_core::{BlockName, ExtensionSet, ToolCx, extension, handlers};
use mcp_ext_rmcp::ServerExtensions as _;
use mcp_ext_store::Store;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, ServiceExt as _, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, split};

/// Whom to greet.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Name {
    name: String,
}

/// Greets people.
#[extension(id = "com.example/greeting")]
pub trait Greeter {
    /// Greets one person.
    #[method]
    #[tool(needs(Audit))]
    async fn greet(
        &self,
        cx: &ToolCx<GreeterExtension>,
        params: Name,
    ) -> Result<Name, std::convert::Infallible>;
}

struct Polite;

#[handlers]
impl Greeter for Polite {
    async fn greet(
        &self,
        _: &ToolCx<GreeterExtension>,
        params: Name,
    ) -> Result<Name, std::convert::Infallible> {
        Ok(params)
    }
}

/// A server of its own, which knows nothing of extensions.
#[derive(Clone)]
struct MyServer;

#[tool_router]
impl MyServer {
    #[tool(description = "Says the name again")]
    fn again(&self, Parameters(Name { name }): Parameters<Name>) -> String {
        name
    }
}

#[tool_handler]
impl ServerHandler for MyServer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// The lines a server author adds.
fn serve(
    file: &std::path::Path,
) -> Result<(Audit, impl ServerHandler + Clone), Box<dyn std::error::Error>> {
    let audit = Audit::new(&Store::open(file)?)?;
    let extensions = ExtensionSet::builder()
        .enable(GreeterExtension::provide(Polite))
        .enable(audit.enable())
        .build()?;
    let server = MyServer.with_extensions(extensions)?;
    Ok((audit, server))
}

/// A client that speaks frames.
struct Client {
    read: BufReader<tokio::io::ReadHalf<DuplexStream>>,
    write: tokio::io::WriteHalf<DuplexStream>,
    modern: bool,
    declared: Value,
    next: i64,
}

impl Client {
    async fn connect(server: impl ServerHandler, modern: bool, declared: Value) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(async move {
            if let Ok(running) = server.serve(theirs).await {
                let _ = running.waiting().await;
            }
        });
        let (read, write) = split(ours);
        let mut client = Self {
            read: BufReader::new(read),
            write,
            modern,
            declared,
            next: 0,
        };
        if !modern {
            let params = json!({
                "protocolVersion": "2025-11-25",
                "clientInfo": {"name": "test", "version": "1"},
                "capabilities": {"extensions": client.declared},
            });
            client.ask("initialize", params).await;
            client
                .send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
                .await;
        }
        client
    }

    async fn send(&mut self, frame: &Value) {
        let line = format!("{frame}\n");
        self.write.write_all(line.as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, method: &str, mut params: Value) -> Value {
        self.next += 1;
        if self.modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {"extensions": self.declared},
            });
        }
        let frame = json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params});
        self.send(&frame).await;
        loop {
            let mut line = String::new();
            assert!(
                self.read.read_line(&mut line).await.unwrap() > 0,
                "the server is gone"
            );
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["id"] == self.next {
                return answer;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_for_clients_that_declare_it_and_for_those_that_do_not() {
    let directory = std::env::temp_dir().join(format!("mcp-ext-audit-rmcp-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (audit, server) = serve(&directory.join("audit.sqlite")).unwrap();
    let mut calls = 0;
    for modern in [true, false] {
        for declares in [true, false] {
            let declared = match declares {
                true => json!({"io.github.mcp-ext/audit": {}}),
                false => json!({}),
            };
            let mut client = Client::connect(server.clone(), modern, declared).await;
            let call = json!({"name": "greet", "arguments": {"name": "Ann"}});
            let answer = client.ask("tools/call", call).await;
            let result = &answer["result"];
            assert_eq!(result["structuredContent"]["name"], "Ann", "{answer}");
            calls += 1;

            // Recorded for all; told to those who asked.
            let segment = audit.segments().unwrap().remove(0);
            assert_eq!(segment.records, 2 * calls);
            let receipt = result["_meta"].get("io.github.mcp-ext/audit");
            let read = client
                .ask("io.github.mcp-ext/audit/records", json!({"limit": 100}))
                .await;
            if declares {
                let head = audit.head(&segment.name).unwrap();
                assert_eq!(receipt.unwrap()["eventHash"], head.event_hash().to_string());
                let records = read["result"]["records"].as_array().unwrap();
                assert_eq!(records.len() as u64, 2 * calls);
                assert!(records.iter().all(|r| Record::from_value(r).is_ok()));
                let verified = client
                    .ask("io.github.mcp-ext/audit/verify", json!({}))
                    .await;
                assert_eq!(verified["result"]["ok"], true, "{verified}");
                let manifest = client
                    .ask("io.github.mcp-ext/audit/manifest", json!({}))
                    .await;
                assert_eq!(
                    manifest["result"]["chain_algorithm"], "sha-256",
                    "{manifest}"
                );
            } else {
                assert!(receipt.is_none(), "{answer}");
                assert!(read["error"].is_object(), "{read}");
            }

            // The server's own tools are as they were.
            let own = json!({"name": "again", "arguments": {"name": "Bob"}});
            let own = client.ask("tools/call", own).await;
            assert_eq!(own["result"]["content"][0]["text"], "Bob", "{own}");
        }
    }
    let segment = audit.segments().unwrap().remove(0);
    let head = audit.head(&segment.name).unwrap();
    let whole = audit
        .verify_segment(&segment.name, Verifier::new().against(head))
        .unwrap()
        .unwrap();
    assert_eq!(whole.records, 8);
    std::fs::remove_dir_all(&directory).unwrap();
}

/// The trait and the block of one name are two things.
#[test]
fn the_block_provides_the_extension() {
    fn provides<P: Auditing>(_: &P) -> &'static str {
        <Audit as BlockName>::NAME
    }
    let audit = Audit::new(&Store::in_memory().unwrap()).unwrap();
    assert_eq!(provides(&audit), "io.github.mcp-ext/audit");
}
