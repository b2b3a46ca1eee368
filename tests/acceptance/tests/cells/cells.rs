//! The cells: what stands in front of which server. A new adapter is one more entry of [`cells`].

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mcp_ext_acceptance::{Place, Server, Servers};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::peers;

/// The servers made with Rust, but for those of [`Program::Example`].
const OURS: &str = env!("CARGO_BIN_EXE_acceptance-server");

/// A program with servers made with Rust: its first argument says which, then come `--http` and `--filter`.
#[derive(Clone, Copy)]
pub enum Program {
    /// `acceptance-server`.
    Here,
    /// The example `acceptance` of an adapter that is a workspace of its own, by its folder.
    Example(&'static str),
}

impl Program {
    fn path(self) -> Result<String, String> {
        let Self::Example(folder) = self else {
            return Ok(OURS.to_owned());
        };
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/../adapters");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        // They share what they depend on, and so a place for their programs, which all have one name.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let built = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--locked",
                "--example",
                "acceptance",
                "--target-dir",
                target,
            ])
            .current_dir(format!("{root}/{folder}"))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("cargo: {e}"))?;
        if !built.status.success() {
            return Err(format!(
                "{folder} cannot be built: {}",
                String::from_utf8_lossy(&built.stderr)
            ));
        }
        let program = format!("{target}/acceptance-{}", folder.replace('/', "-"));
        // A link, since what has just been written cannot be run while another thread is starting something.
        let _ = std::fs::remove_file(&program);
        std::fs::hard_link(format!("{target}/debug/examples/acceptance"), &program)
            .map_err(|e| format!("{program}: {e}"))?;
        Ok(program)
    }
}

/// What puts the extension in front of the server.
pub enum Front {
    /// The frames adapter, in a process of its own: `wrap` over stdio, `proxy` over HTTP.
    Wrap,
    /// An adapter in the server's own process: what its program calls it.
    Adapter(&'static str),
}

/// A server without the extension, and how it is reached over HTTP.
pub enum Alone {
    /// The server `plain` of this program; it says itself where it listens.
    Ours(Program),
    /// A command over stdio, and one that listens on this port.
    Theirs(
        fn() -> Result<Command, String>,
        fn(u16) -> Result<Command, String>,
    ),
}

type Where = fn(Place) -> bool;

/// One row of the table.
pub struct Cell {
    pub name: &'static str,
    front: Front,
    alone: Alone,
    own_tool: (&'static str, Value),
    /// Columns that cannot be, and why.
    no: &'static [(Where, &'static str)],
    /// Why listen streams carry nothing of the extension, where they do not.
    no_listening: Option<&'static str>,
    /// Checks that cannot hold, where, and why.
    lost: &'static [(&'static str, Where, &'static str)],
}

/// Over HTTP in the older era.
fn http_legacy(place: Place) -> bool {
    place.http() && !place.modern()
}

const SESSIONLESS: &str =
    "its server keeps no sessions in this era, so a cancellation does not say whose call it means";

const NO_HEADERS: &str = "headers do not reach the layer";

const RMCP_LISTENING: &str =
    "rmcp reads the filters of the protocol alone, and sends their notifications";

const TOWER_LISTENING: &str = "tower-mcp has no listen streams that an extension could send on";

const SDK_LISTENING: &str = "rust-mcp-sdk sends the notifications of the protocol alone on them";

/// Every check of listen streams.
const LISTENING: [&str; 6] = [
    "a stream begins with what of it is honoured",
    "what is published arrives on the streams that asked for it, each once, under their ids",
    "what the server itself has for the stream stays as it is alone",
    "who did not declare the extension is told to, before a stream opens",
    "a stream that its client ends hears nothing more",
    "a filter that does not fit is -32602, and says where",
];

const TOWER_NOTIFICATIONS: &str = "tower-mcp sends notifications of its own types alone";

const UNKNOWN_METHOD: &str = "an unknown method of the extension is -32601";

const PMCP_UNKNOWN: &str = "pmcp says -32700 of a method that it does not know, with status 400";

const PMCP_ENDS: &str = "over stdio pmcp ends at what it cannot read as a request of its own";

/// Every row.
pub fn cells() -> Vec<Cell> {
    let add = || ("add", json!({ "a": 1, "b": 2 }));
    vec![
        Cell {
            name: "rmcp adapter",
            front: Front::Adapter("rmcp"),
            alone: Alone::Ours(Program::Here),
            own_tool: add(),
            no: &[],
            no_listening: Some(RMCP_LISTENING),
            lost: &[
                (
                    "a call without a tool's name is answered as the server does alone",
                    |_| true,
                    "rmcp takes such params for an unknown method, -32601; the adapter says -32602",
                ),
                (
                    "it comes before the answer, on its stream",
                    |p| p.http() && !p.modern(),
                    "rmcp sends it to the stream of the session",
                ),
            ],
        },
        Cell {
            name: "tower-mcp adapter",
            front: Front::Adapter("adapter"),
            alone: Alone::Ours(Program::Example("adapters/tower-mcp")),
            own_tool: add(),
            no: &[],
            no_listening: Some(TOWER_LISTENING),
            lost: &[
                (
                    "a name that the header repeats is compared with it",
                    |_| true,
                    NO_HEADERS,
                ),
                (
                    "the handler of a cancelled call is stopped, and nobody answers",
                    |p| !(p.http() && p.modern()),
                    "it is stopped, but tower-mcp has no way to leave a call unanswered",
                ),
                (
                    "a notification of the extension arrives, each once and in order",
                    |_| true,
                    TOWER_NOTIFICATIONS,
                ),
                (
                    "it comes before the answer, on its stream",
                    |_| true,
                    TOWER_NOTIFICATIONS,
                ),
            ],
        },
        Cell {
            name: "rust-mcp-sdk adapter",
            front: Front::Adapter("adapter"),
            alone: Alone::Ours(Program::Example("adapters/rust-mcp-sdk")),
            own_tool: add(),
            no: &[(
                |p| !p.modern(),
                "rust-mcp-sdk has no `initialize`, and no era is offered that it has not",
            )],
            no_listening: Some(SDK_LISTENING),
            lost: &[(
                "the handler of a cancelled call is stopped, and nobody answers",
                |p| !p.http(),
                "it is stopped, but rust-mcp-sdk has no way to leave a call unanswered",
            )],
        },
        Cell {
            name: "turbomcp adapter",
            front: Front::Adapter("adapter"),
            alone: Alone::Ours(Program::Example("adapters/turbomcp")),
            own_tool: add(),
            no: &[],
            no_listening: None,
            lost: &[
                (
                    "a name that the header repeats is compared with it",
                    |_| true,
                    NO_HEADERS,
                ),
                (
                    "who did not declare the extension is told to, before a stream opens",
                    Place::http,
                    "it is told, but turbomcp answers all errors of listen requests with status 200",
                ),
            ],
        },
        Cell {
            name: "`WireLayer` around an rmcp service",
            front: Front::Adapter("layer"),
            alone: Alone::Ours(Program::Here),
            own_tool: add(),
            no: &[],
            no_listening: None,
            lost: &[],
        },
        Cell {
            name: "`wrap`, an rmcp server",
            front: Front::Wrap,
            alone: Alone::Ours(Program::Here),
            own_tool: add(),
            no: &[],
            no_listening: None,
            lost: &[],
        },
        Cell {
            name: "`WireLayer` around a pmcp 2.23 router",
            front: Front::Adapter("layer"),
            alone: Alone::Ours(Program::Example("tests/pmcp")),
            own_tool: add(),
            no: &[],
            no_listening: None,
            lost: &[(UNKNOWN_METHOD, http_legacy, PMCP_UNKNOWN)],
        },
        Cell {
            name: "`wrap`, a pmcp 2.23 server",
            front: Front::Wrap,
            alone: Alone::Ours(Program::Example("tests/pmcp")),
            own_tool: add(),
            no: &[(
                |p| p.modern() && !p.http(),
                "pmcp ends at server/discover over stdio",
            )],
            no_listening: None,
            lost: &[
                (UNKNOWN_METHOD, http_legacy, PMCP_UNKNOWN),
                (UNKNOWN_METHOD, |p| !p.http(), PMCP_ENDS),
                (
                    "a call without a tool's name is answered as the server does alone",
                    |p| !p.http(),
                    PMCP_ENDS,
                ),
            ],
        },
        Cell {
            name: "`wrap`, a Python `mcp` 2.3.0 server",
            front: Front::Wrap,
            alone: Alone::Theirs(
                || peers::python_server("server.run()"),
                |port| {
                    peers::python_server(&format!(
                        "server.run(transport='streamable-http', port={port})"
                    ))
                },
            ),
            own_tool: add(),
            no: &[],
            no_listening: None,
            lost: &[],
        },
        Cell {
            name: "`wrap`, a TypeScript `@modelcontextprotocol/server` 2.4.0 server",
            front: Front::Wrap,
            alone: Alone::Theirs(
                || peers::typescript_server(peers::TYPESCRIPT_STDIO),
                |port| {
                    let mut command = peers::typescript_server(peers::TYPESCRIPT_HTTP)?;
                    command.env("PORT", port.to_string());
                    Ok(command)
                },
            ),
            own_tool: add(),
            no: &[],
            no_listening: None,
            lost: &[
                (
                    "the handler of a cancelled call is stopped, and nobody answers",
                    http_legacy,
                    SESSIONLESS,
                ),
                ("other calls go on", http_legacy, SESSIONLESS),
            ],
        },
        Cell {
            name: "`wrap`, npm `@modelcontextprotocol/server-everything` 2026.8.31",
            front: Front::Wrap,
            alone: Alone::Theirs(
                || peers::everything("stdio"),
                |port| {
                    let mut command = peers::everything("streamableHttp")?;
                    command.env("PORT", port.to_string());
                    Ok(command)
                },
            ),
            own_tool: ("echo", json!({ "message": "hello" })),
            no: &[(
                Place::modern,
                "this server ends at 2025-11-25, and no era is offered that it has not",
            )],
            no_listening: None,
            lost: &[],
        },
    ]
}

/// A cell's servers, running as long as this is kept.
pub struct Started {
    pub servers: Servers,
    _running: Vec<Running>,
}

impl Cell {
    pub fn impossible(&self, place: Place) -> Option<&'static str> {
        self.no
            .iter()
            .find(|(here, _)| here(place))
            .map(|(_, why)| *why)
    }

    pub fn lost(&self, check: &str, place: Place) -> Option<&'static str> {
        let here = self
            .lost
            .iter()
            .find(|(name, here, _)| *name == check && here(place));
        let listening = self.no_listening.filter(|_| LISTENING.contains(&check));
        here.map(|(_, _, why)| *why).or(listening)
    }

    /// Nothing where the cell has no such transport; an error where its server cannot be had.
    ///
    /// To build or install one can take minutes, in which the clients of other cells must not wait for this thread.
    pub async fn start(&self, http: bool) -> Result<Option<Started>, String> {
        if matches!(self.front, Front::Adapter("layer")) && !http {
            return Ok(None);
        }
        let mut running = Vec::new();
        let program = match self.alone {
            Alone::Ours(program) => block_in_place(|| program.path())?,
            Alone::Theirs(..) => String::new(),
        };
        let bare = match (&self.alone, http) {
            (Alone::Ours(_), false) => Server::Command(line(&program, &["plain"])),
            (Alone::Theirs(stdio, _), false) => Server::Command(words(&block_in_place(stdio)?)),
            (Alone::Ours(_), true) => {
                let plain = line(&program, &["plain", "--http"]);
                block_in_place(|| listening(&mut running, plain))?
            }
            (Alone::Theirs(_, http), true) => {
                let port = free_port();
                running.push(Running(block_in_place(|| start(http(port)?))?));
                wait_for(port).await?;
                Server::Url(format!("http://127.0.0.1:{port}/mcp"))
            }
        };
        let mut front = |flags: &[&str]| -> Result<Server, String> {
            let command = match (&self.front, &bare) {
                (Front::Wrap, Server::Command(bare)) => {
                    let mut command = line(OURS, &[&["wrap"], flags, &["--"]].concat());
                    command.extend(bare.iter().cloned());
                    command
                }
                (Front::Wrap, Server::Url(upstream)) => {
                    line(OURS, &[&["proxy", upstream], flags].concat())
                }
                (Front::Adapter(name), Server::Command(_)) => {
                    line(&program, &[&[*name], flags].concat())
                }
                (Front::Adapter(name), Server::Url(_)) => {
                    line(&program, &[&[*name, "--http"], flags].concat())
                }
            };
            if http {
                block_in_place(|| listening(&mut running, command))
            } else {
                Ok(Server::Command(command))
            }
        };
        let servers = Servers {
            main: front(&[])?,
            filtered: Some(front(&["--filter"])?),
            bare: Some(bare.clone()),
            own_tool: Some((self.own_tool.0.to_owned(), self.own_tool.1.clone())),
        };
        Ok(Some(Started {
            servers,
            _running: running,
        }))
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn line(program: &str, arguments: &[&str]) -> Vec<String> {
    let words = std::iter::once(program).chain(arguments.iter().copied());
    words.map(str::to_owned).collect()
}

/// A command as words that a shell needs nothing more for: folder and environment included.
fn words(command: &Command) -> Vec<String> {
    let text = |s: &std::ffi::OsStr| s.to_string_lossy().into_owned();
    let mut words = Vec::new();
    if let Some(folder) = command.get_current_dir() {
        words.extend(["sh", "-c", "cd \"$0\" && exec \"$@\""].map(str::to_owned));
        words.push(text(folder.as_os_str()));
    }
    words.push(text(command.get_program()));
    words.extend(command.get_args().map(text));
    words
}

fn start(mut command: Command) -> Result<Child, String> {
    let started = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    started.map_err(|e| format!("{command:?}: {e}"))
}

/// Starts what says itself where it listens.
fn listening(running: &mut Vec<Running>, command: Vec<String>) -> Result<Server, String> {
    use std::io::{BufRead, BufReader};
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{command:?}: {e}"))?;
    let stderr = child.stderr.take();
    running.push(Running(child));
    let mut lines = stderr
        .into_iter()
        .flat_map(|s| BufReader::new(s).lines())
        .map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("serving ").map(str::to_owned));
    // What it says later must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    url.map(Server::Url)
        .ok_or_else(|| format!("{command:?} does not say where it listens"))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it has an address").port()
}

async fn wait_for(port: u16) -> Result<(), String> {
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("nothing listens on port {port}"))
}
