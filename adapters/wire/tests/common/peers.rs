//! Servers of other makers, installed once below the target directory.
#![allow(dead_code, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where they are kept. Public versions, named exactly.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{shown}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "{shown} failed: {}",
        text.lines().last().unwrap_or_default()
    ))
}

/// Python with the package `mcp`.
pub fn python() -> Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON
        .get_or_init(|| {
            let home = folder().join("python-mcp-2.3.0");
            let python = home.join("bin/python");
            let check = || run(Command::new(&python).args(["-c", "import mcp"]));
            if check().is_err() {
                run(Command::new("python3").arg("-m").arg("venv").arg(&home))?;
                run(Command::new(&python).args(["-m", "pip", "install", "-q", "mcp==2.3.0"]))?;
                check()?;
            }
            Ok(python)
        })
        .clone()
}

/// A folder with npm packages.
pub fn node(package: &str, version: &str) -> Result<PathBuf, String> {
    let home = folder().join(format!("{}-{version}", package.replace(['@', '/'], "-")));
    let installed = home.join("node_modules").join(package);
    if !installed.exists() {
        std::fs::create_dir_all(&home).map_err(|e| e.to_string())?;
        run(Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&home)
            .arg(format!("{package}@{version}")))?;
    }
    run(Command::new("node").arg("--version"))?;
    Ok(home)
}

pub const EVERYTHING: (&str, &str) = ("@modelcontextprotocol/server-everything", "2026.8.31");

/// The reference server of the protocol's authors, run with `transport`.
pub fn everything(transport: &str) -> Result<Command, String> {
    let home = node(EVERYTHING.0, EVERYTHING.1)?;
    let mut command = Command::new("node");
    command
        .arg(
            home.join("node_modules")
                .join(EVERYTHING.0)
                .join("dist/index.js"),
        )
        .arg(transport);
    Ok(command)
}

/// A server made with the Python package, one tool.
pub fn python_server(run: &str) -> Result<Command, String> {
    let mut command = Command::new(python()?);
    command.arg("-c").arg(format!(
        "from mcp.server.mcpserver import MCPServer\n\
         server = MCPServer('their-server', version='3')\n\
         @server.tool()\n\
         def add(a: int, b: int) -> int:\n    \
             'Adds two numbers.'\n    \
             return a + b\n\
         {run}\n"
    ));
    Ok(command)
}

pub fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {}", why.replace('\n', " "));
}

/// Over stdio, with [`typescript_server`].
pub const TYPESCRIPT_STDIO: &str = "
        import { serveStdio } from '@modelcontextprotocol/server/stdio';
        serveStdio(make);";

/// Over HTTP on the port that the environment names, with [`typescript_server`].
pub const TYPESCRIPT_HTTP: &str = "
        import { createMcpHandler } from '@modelcontextprotocol/server';
        import { createServer } from 'node:http';
        import { Readable } from 'node:stream';
        const handler = createMcpHandler(make);
        createServer(async (request, response) => {
            const gone = new AbortController();
            response.on('close', () => gone.abort());
            const { method, headers, url } = request;
            const body = method === 'POST' ? Readable.toWeb(request) : undefined;
            const answer = await handler.fetch(new Request(`http://${headers.host}${url}`,
                { method, headers, body, duplex: 'half', signal: gone.signal }));
            response.writeHead(answer.status, Object.fromEntries(answer.headers));
            answer.body ? Readable.fromWeb(answer.body).on('error', () => {}).pipe(response) : response.end();
        }).listen(Number(process.env.PORT), '127.0.0.1');";

/// A server made with the TypeScript package of the modern era, one tool. `run` is what serves `make`.
pub fn typescript_server(run: &str) -> Result<Command, String> {
    const CODE: &str = "
        import { McpServer, fromJsonSchema } from '@modelcontextprotocol/server';
        const make = () => {
            const server = new McpServer({ name: 'their-server', version: '3' });
            const integer = { type: 'integer' };
            const inputSchema = fromJsonSchema({
                type: 'object', properties: { a: integer, b: integer }, required: ['a', 'b'],
            });
            server.registerTool('add', { description: 'Adds two numbers', inputSchema },
                async ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
            return server;
        };";
    let home = node("@modelcontextprotocol/server", "2.4.0")?;
    let mut command = Command::new("node");
    command
        .current_dir(home)
        .args(["--input-type=module", "-e"])
        .arg(format!("{CODE}{run}"));
    Ok(command)
}
