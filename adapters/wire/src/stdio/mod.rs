//! Newline-delimited frames between one client and one server.

mod down;
mod drive;
pub(crate) mod lines;
mod listen;
mod outlet;
#[cfg(feature = "process")]
pub(crate) mod process;
mod session;
mod up;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_ext_core::{ExtensionSet, Gap};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use self::lines::Lines;
use self::outlet::Outlet;
use self::session::Session;
use crate::server::Server;

/// The bounds of a [`Relay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayOptions {
    /// Longest frame in either direction, in bytes. A longer one is not forwarded; its sender, or who waits for it,
    /// gets an error.
    pub max_frame_bytes: usize,
    /// How long the server may take to answer `server/discover` when a client calls an extension before it has asked.
    pub discover_timeout: Duration,
    /// How long calls under way may go on once the server has ended.
    pub grace: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            max_frame_bytes: 32 * 1024 * 1024,
            discover_timeout: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        }
    }
}

/// Why a [`Relay`] ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// The server closed its output.
    Server,
    /// The client no longer takes what is sent to it.
    Client(io::Error),
    /// The server no longer takes what is sent to it, or its output cannot be read.
    Broken(io::Error),
}

/// A set of extensions between one client and one server.
///
/// ```
/// use mcp_ext_core::ExtensionSet;
/// use mcp_ext_wire::{Ended, Relay};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let relay = Relay::new(ExtensionSet::builder().build().unwrap());
/// let (mut client, near) = tokio::io::duplex(1024);
/// let (far, mut server) = tokio::io::duplex(1024);
/// let (client_in, client_out) = tokio::io::split(near);
/// let (server_out, server_in) = tokio::io::split(far);
/// let relay = tokio::spawn(relay.run(client_in, client_out, server_in, server_out));
///
/// client.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").await.unwrap();
/// let mut line = [0; 40];
/// server.read_exact(&mut line).await.unwrap();
/// assert_eq!(&line, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
/// drop(server);
/// assert!(matches!(relay.await.unwrap(), Ended::Server));
/// # }
/// ```
pub struct Relay {
    server: Server,
    options: RelayOptions,
}

impl Relay {
    /// Puts `set` in front of a server.
    pub fn new(set: ExtensionSet) -> Self {
        Self {
            server: Server::new(set),
            options: RelayOptions::default(),
        }
    }

    /// Sets the bounds.
    #[must_use]
    pub fn options(mut self, options: RelayOptions) -> Self {
        self.options = options;
        self
    }

    /// What cannot be carried for this set.
    pub fn report(&self) -> Vec<Gap> {
        self.server.set().report(&crate::CARRIES)
    }

    /// Runs until the server ends or the client is gone.
    ///
    /// The end of `client_in` closes `server_in`, and then the end of `server_out` is awaited.
    pub async fn run<CI, CO, SI, SO>(
        self,
        client_in: CI,
        client_out: CO,
        server_in: SI,
        server_out: SO,
    ) -> Ended
    where
        CI: AsyncRead + Unpin,
        CO: AsyncWrite + Unpin + Send + 'static,
        SI: AsyncWrite + Unpin + Send + 'static,
        SO: AsyncRead + Unpin,
    {
        let limit = self.options.max_frame_bytes;
        let grace = self.options.grace;
        let connection = Arc::new(Connection {
            server: self.server,
            options: self.options,
            session: Mutex::default(),
            changed: watch::Sender::default(),
            freed: Notify::new(),
            undecided: Arc::default(),
            to_client: Outlet::new(client_out),
            to_server: Outlet::new(server_in),
        });
        // Owned here and not by the connection, so that all calls end when this future is dropped.
        let calls = Mutex::new(JoinSet::new());
        let mut up = std::pin::pin!(connection.up(Lines::new(client_in, limit), &calls));
        let mut down = std::pin::pin!(connection.down(Lines::new(server_out, limit)));
        let ended = tokio::select! {
            ended = &mut down => ended,
            ended = &mut up => match ended {
                // The client has said all it will.
                None => {
                    let mut closed = std::pin::pin!(async {
                        // What may be the server's is held until it has said which era it serves.
                        let mut undecided = connection.undecided.subscribe();
                        let _ = undecided.wait_for(|count| *count == 0).await;
                        // Whoever still writes to the server may wait for it to read, and it for us.
                        connection.to_server.close().await;
                    });
                    tokio::select! {
                        ended = &mut down => ended,
                        () = &mut closed => down.await,
                    }
                }
                Some(Ended::Broken(error)) => {
                    connection.to_server.close().await;
                    // What the server said last may still be on its way.
                    tokio::time::timeout(grace, down)
                        .await
                        .unwrap_or(Ended::Broken(error))
                }
                Some(ended) => ended,
            },
        };
        connection.change(|session| session.ended = true);
        if !matches!(ended, Ended::Client(_)) {
            let mut calls = std::mem::take(&mut *lock(&calls));
            // Whoever does not end in time is stopped below.
            let _ =
                tokio::time::timeout(grace, async { while calls.join_next().await.is_some() {} })
                    .await;
        }
        connection.to_client.close().await;
        ended
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("set", self.server.set())
            .field("options", &self.options)
            .finish()
    }
}

/// One client and one server. `CW` and `SW` are what each is written to through.
struct Connection<CW, SW> {
    server: Server,
    options: RelayOptions,
    session: Mutex<Session>,
    /// Told of each change of the session.
    changed: watch::Sender<()>,
    /// Told when a request that was answered here is done.
    freed: Notify,
    /// How many requests may still be handed on to the server.
    undecided: Arc<watch::Sender<usize>>,
    to_client: Outlet<CW>,
    to_server: Outlet<SW>,
}

impl<CW, SW> Connection<CW, SW> {
    fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Session) -> T) -> T {
        let out = change(&mut self.session());
        self.changed.send_replace(());
        out
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is locked here is left half changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
