//! `mcp-ext wrap`: extensions in front of any MCP server, in any language.

use std::ffi::OsString;
use std::time::Duration;

use mcp_ext_wire::RelayOptions;

use crate::Error;
use crate::set::Enabled;

/// Put extensions in front of any MCP server: a command over stdio, or a URL over HTTP.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    enabled: Enabled,

    /// Longest frame in either direction, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = RelayOptions::default().max_frame_bytes)]
    max_frame: usize,

    /// How long calls of extensions may go on once the server has ended, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = RelayOptions::default().grace.as_secs())]
    grace: u64,

    /// The server to start, with its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Ends this process with the exit code of the wrapped server.
pub async fn run(args: Args) -> Result<(), Error> {
    let set = args.enabled.build()?;
    if set.is_empty() {
        anstream::eprintln!(
            "mcp-ext: no extension is enabled; add for example `--enable healthcare --data bundled`"
        );
    }
    for gap in set.report(&mcp_ext_wire::CARRIES) {
        anstream::eprintln!("mcp-ext: {gap}");
    }
    let [program, arguments @ ..] = args.command.as_slice() else {
        return Err("give the server to start after `--`".into());
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments);
    let options = RelayOptions {
        max_frame_bytes: args.max_frame,
        grace: Duration::from_secs(args.grace),
        ..RelayOptions::default()
    };
    let status = mcp_ext_wire::wrap(set, command, options).await?;
    // A read of standard input may still be blocked in a thread, which a return would wait for.
    std::process::exit(code(status))
}

/// The child's exit code; 128 and the number of the signal that ended it, as shells say it.
fn code(status: std::process::ExitStatus) -> i32 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
    #[cfg(not(unix))]
    let signal = None;
    status.code().or(signal).unwrap_or(1)
}
