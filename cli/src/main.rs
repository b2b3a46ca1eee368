//! The `mcp-ext` command: see extensions work, serve them, put them in front of any server, list them.

mod audit;
mod demo;
mod list;
mod serve;
mod set;
mod settings;
mod wrap;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The system's keeps most of what was freed; this one gives it back within some ten seconds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Protocol extensions for MCP servers: see them work, serve them, list them.
#[derive(Parser)]
#[command(name = "mcp-ext", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mcp-ext demo                                   watch real clients and servers negotiate and call
  mcp-ext serve --enable healthcare --data bundled
                                                 serve FHIR search and read over stdio, for any MCP client
  mcp-ext serve --enable healthcare --data bundled --http 127.0.0.1:8080
                                                 the same over Streamable HTTP, at /mcp
  mcp-ext wrap --enable healthcare --data bundled -- python their_server.py
                                                 put them in front of any server that speaks MCP over stdio
  mcp-ext wrap --enable healthcare --data bundled --listen 127.0.0.1:8080 --upstream http://127.0.0.1:9000/mcp
                                                 the same over Streamable HTTP, as a reverse proxy
  mcp-ext list                                   which extensions this program knows
  mcp-ext audit verify calls.jsonl --head head.json
                                                 whether an exported audit log is as it was written

Exit codes: 0 all is well, 1 something failed (the message says what), 2 wrong usage.";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Wrap(wrap::Args),
    List(list::Args),
    Audit(audit::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(args).await,
        Command::Serve(args) => serve::run(args).await.map(|()| true),
        Command::Wrap(args) => wrap::run(args).await.map(|()| true),
        Command::List(args) => list::run(&args).map(|()| true),
        Command::Audit(args) => audit::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("mcp-ext: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What can go wrong, in one sentence for the person at the terminal.
type Error = Box<dyn std::error::Error + Send + Sync>;
