//! The wrapped server as a child process.

use std::io;
use std::process::{ExitStatus, Stdio};

use mcp_ext_core::ExtensionSet;
use tokio::process::{Child, Command};

use super::{Ended, Relay, RelayOptions};

/// Why a server could not be wrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The command did not start.
    #[error("cannot start {command}: {source}; give the command as you would type it, after `--`")]
    Start {
        /// The command.
        command: String,
        /// What the system says.
        source: io::Error,
    },
    /// The signals of this process cannot be watched.
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    /// The end of the child cannot be awaited.
    #[error("cannot wait for the wrapped server: {0}")]
    Wait(io::Error),
}

/// Starts `command` and puts `set` between it and this process's standard input and output.
///
/// Standard error is the child's as well. SIGTERM, SIGINT and SIGHUP are handed on to the child. The end of standard
/// input closes the child's; then the child's end is awaited, and its status given back. Standard input and output of
/// this process lead nowhere afterwards: a client whose server has closed its output, but does not end, sees the end
/// too.
///
/// # Errors
/// [`WrapError`] when the child cannot be started or watched.
pub async fn wrap(
    set: ExtensionSet,
    mut command: Command,
    options: RelayOptions,
) -> Result<ExitStatus, WrapError> {
    let mut signals = Signals::watch().map_err(WrapError::Signals)?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| WrapError::Start {
            command: command
                .as_std()
                .get_program()
                .to_string_lossy()
                .into_owned(),
            source,
        })?;
    let (Some(server_in), Some(server_out)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(WrapError::Wait(io::ErrorKind::BrokenPipe.into()));
    };
    let relay = Relay::new(set).options(options);
    let mut relayed = std::pin::pin!(relay.run(
        tokio::io::stdin(),
        tokio::io::stdout(),
        server_in,
        server_out
    ));
    let ended = loop {
        tokio::select! {
            ended = &mut relayed => break ended,
            signal = signals.next() => hand_on(&child, signal),
        }
    };
    leave();
    // Without a client the server has nothing left to do; its input is closed by now.
    let patience = match ended {
        Ended::Server => None,
        Ended::Client(_) | Ended::Broken(_) => Some(options.grace),
    };
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(WrapError::Wait),
            signal = signals.next() => hand_on(&child, signal),
            () = sleep(patience) => child.start_kill().map_err(WrapError::Wait)?,
        }
    }
}

/// Closes standard input and output, as far as the client sees.
#[cfg(unix)]
fn leave() {
    // Where there is no such device they stay open until this process ends.
    if let Ok(nobody) = std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
    {
        let _ = rustix::stdio::dup2_stdout(&nobody);
        let _ = rustix::stdio::dup2_stdin(&nobody);
    }
}

/// Elsewhere they stay open until this process ends.
#[cfg(not(unix))]
fn leave() {}

async fn sleep(patience: Option<std::time::Duration>) {
    match patience {
        Some(patience) => tokio::time::sleep(patience).await,
        None => std::future::pending().await,
    }
}

#[cfg(unix)]
type Signal = rustix::process::Signal;

#[cfg(unix)]
fn hand_on(child: &Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // A child that has just ended is found out by waiting for it.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

#[cfg(unix)]
struct Signals([(tokio::signal::unix::Signal, Signal); 3]);

#[cfg(unix)]
impl Signals {
    fn watch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            (signal(SignalKind::terminate())?, Signal::TERM),
            (signal(SignalKind::interrupt())?, Signal::INT),
            (signal(SignalKind::hangup())?, Signal::HUP),
        ]))
    }

    async fn next(&mut self) -> Signal {
        let [(terminate, term), (interrupt, int), (hangup, hup)] = &mut self.0;
        tokio::select! {
            Some(()) = terminate.recv() => *term,
            Some(()) = interrupt.recv() => *int,
            Some(()) = hangup.recv() => *hup,
            else => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Elsewhere a Ctrl-C reaches every process of the console by itself.
#[cfg(not(unix))]
fn hand_on(_: &Child, (): ()) {}
