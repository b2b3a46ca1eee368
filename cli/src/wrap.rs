//! `mcp-ext wrap`: extensions in front of any MCP server, in any language.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use mcp_ext::ExtensionSet;
use mcp_ext_wire::{Auth, HttpOptions, ProxyOptions, RelayOptions, WireLayer};

use crate::Error;
use crate::set::Enabled;

/// Put extensions in front of any MCP server: a command over stdio, or a URL over HTTP.
// Made by hand: what clap makes of the rules below has --upstream and COMMAND in one line.
#[derive(clap::Args)]
#[command(
    override_usage = "mcp-ext wrap --enable <NAME> [OPTIONS] -- <COMMAND>...\n       mcp-ext wrap --enable <NAME> [OPTIONS] --listen <ADDRESS:PORT> --upstream <http://HOST/PATH>"
)]
pub struct Args {
    #[command(flatten)]
    enabled: Enabled,

    /// Longest frame in either direction, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = RelayOptions::default().max_frame_bytes, conflicts_with = "upstream")]
    max_frame: usize,

    /// How long calls under way may go on once the server, or over HTTP this program, is to end, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = RelayOptions::default().grace.as_secs())]
    grace: u64,

    /// Listen for HTTP here, as a reverse proxy of --upstream. Port 0 takes a free one; the address is printed on
    /// standard error.
    // `serve` calls it --http.
    #[arg(
        long,
        alias = "http",
        value_name = "ADDRESS:PORT",
        requires = "upstream"
    )]
    listen: Option<SocketAddr>,

    /// The server behind the proxy.
    #[arg(long, value_name = "http://HOST/PATH", requires = "listen")]
    upstream: Option<http::Uri>,

    /// Who is asked before an extension answers over HTTP: the upstream, with the caller's own headers, or nobody,
    /// which is for loopback addresses alone.
    #[arg(
        long,
        value_name = "upstream|none",
        default_value = "upstream",
        requires = "upstream"
    )]
    auth: AuthName,

    /// Largest request body over HTTP, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = HttpOptions::default().max_body_bytes, requires = "upstream")]
    max_body: usize,

    /// The server to start, with its arguments, after `--`.
    #[arg(
        last = true,
        required_unless_present_any = ["listen", "upstream"],
        conflicts_with = "upstream",
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AuthName {
    Upstream,
    None,
}

pub async fn run(args: Args) -> Result<(), Error> {
    let set = args.enabled.build()?;
    if set.is_empty() {
        anstream::eprintln!(
            "mcp-ext: no extension is enabled; add for example `--enable healthcare --data bundled`"
        );
    }
    match (args.listen, args.upstream.clone()) {
        (Some(listen), Some(upstream)) => http(set, args, listen, upstream).await,
        _ => stdio(set, args).await,
    }
}

/// Ends this process with the exit code of the wrapped server.
async fn stdio(set: ExtensionSet, args: Args) -> Result<(), Error> {
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

async fn http(
    set: ExtensionSet,
    args: Args,
    listen: SocketAddr,
    upstream: http::Uri,
) -> Result<(), Error> {
    for gap in set.report(&WireLayer::CARRIES) {
        anstream::eprintln!("mcp-ext: {gap}");
    }
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .map_err(|e| format!("cannot listen on {listen}: {e}"))?;
    let address = listener.local_addr()?;
    let options = ProxyOptions {
        http: HttpOptions {
            auth: match args.auth {
                AuthName::Upstream => Auth::Upstream,
                AuthName::None => Auth::None,
            },
            max_body_bytes: args.max_body,
            ..HttpOptions::default()
        },
        grace: Duration::from_secs(args.grace),
        ..ProxyOptions::default()
    };
    let mut serving = std::pin::pin!(mcp_ext_wire::proxy(
        set,
        listener,
        upstream.clone(),
        options,
        stopped()
    ));
    // What cannot be served is refused at once, and not announced.
    if let Poll::Ready(ended) = futures_util::poll!(&mut serving) {
        return Ok(ended?);
    }
    let path = upstream.path();
    anstream::eprintln!(
        "mcp-ext: serving http://{address}{path} in front of {upstream} (Ctrl-C stops)"
    );
    Ok(serving.await?)
}

/// Done when this process is asked to end.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => return,
                Ok(()) = tokio::signal::ctrl_c() => return,
                else => {}
            }
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The child's exit code; 128 and the number of the signal that ended it, as shells say it.
fn code(status: std::process::ExitStatus) -> i32 {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
    #[cfg(not(unix))]
    let signal = None;
    status.code().or(signal).unwrap_or(1)
}
