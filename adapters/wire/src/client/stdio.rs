//! Typed clients over newline-delimited frames.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mcp_ext_core::client::{Caller, CallerError, Outgoing, Stopped};
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::wire::JsonObject;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::open::{Link, open};
use super::{
    ClientOptions, ConnectError, OnNotification, Session, answer_to, listen_request, own_id,
    params_of, read_answer, request_frame,
};
use crate::message::{Id, Message, notification_frame, trimmed};
use crate::scan::Scan;
use crate::stdio::lines::{Filled, Lines};

/// Frames that wait to be written. A call beyond waits itself.
const OUTBOX: usize = 64;

/// How long the status of a server process that closed its output is waited for.
const STATUS: Duration = Duration::from_millis(250);

/// Sends what typed clients of extensions ask for over newline-delimited frames: to a process, or through any pair of
/// streams.
///
/// Its clones share one connection. When the last one is dropped the server's input is closed, and the process is killed
/// if it does not end within [`ClientOptions::grace`].
///
/// ```
/// use mcp_ext_core::client::Caller;
/// use mcp_ext_core::protocol::Era;
/// use mcp_ext_wire::{ClientOptions, StdioCaller};
/// use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, server) = tokio::io::duplex(4096);
/// tokio::spawn(async move {
///     // A server in two lines.
///     let (read, mut write) = tokio::io::split(server);
///     let asked = BufReader::new(read).lines().next_line().await.unwrap().unwrap();
///     assert!(asked.contains("server/discover"));
///     let discovered = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete",
///         "supportedVersions":["2026-07-28"],"capabilities":{"extensions":{"com.example/grading":{}}}}}"#;
///     write.write_all(discovered.replace('\n', "").as_bytes()).await.unwrap();
///     write.write_all(b"\n").await.unwrap();
/// });
///
/// let (read, write) = tokio::io::split(client);
/// let caller = StdioCaller::over(read, write, ClientOptions::default()).await?;
/// assert_eq!(caller.era(), Era::Modern);
/// assert!(caller.server_extensions().await?.contains_key("com.example/grading"));
/// // GradingExtension::client(caller).negotiate().await?
/// # Ok(())
/// # }
/// ```
///
/// # What it does and does not
///
/// Requests of the server get an answer in the legacy era alone, where there are such: `ping`, and -32601 for all
/// others. What is no frame, and answers that nobody waits for, are passed over. A call whose future is dropped, or
/// which takes longer than [`ClientOptions::timeout`], is cancelled at the server. When the connection ends each call
/// that waits fails with [`Stopped::Closed`].
#[derive(Clone)]
pub struct StdioCaller(Arc<Inner>);

struct Inner {
    connection: Connection,
    session: Session,
    stderr: Mutex<Option<ChildStderr>>,
}

impl std::fmt::Debug for StdioCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StdioCaller")
            .field("version", &self.0.session.version)
            .finish_non_exhaustive()
    }
}

impl StdioCaller {
    /// Starts a server process and opens a connection to it.
    ///
    /// Its standard error is that of this process unless the command says otherwise; where the command pipes it,
    /// [`take_stderr`](Self::take_stderr) gives it. Some legacy servers end when their first message is not
    /// `initialize`: such a server is started once more.
    ///
    /// # Errors
    /// [`ConnectError`] when the command does not start, or the server cannot be spoken to.
    pub async fn spawn(mut command: Command, options: ClientOptions) -> Result<Self, ConnectError> {
        let first = Self::start(&mut command, options.clone()).await;
        match first {
            Err(ConnectError::Failed {
                method: "server/discover",
                error: modern @ CallerError::Stopped(Stopped::Closed { .. }),
            }) if options.era.is_none() => {
                let again = Self::start(&mut command, options.era(Era::Legacy)).await;
                again.map_err(|error| match error {
                    ConnectError::Failed { error: legacy, .. } => ConnectError::Neither {
                        modern: Box::new(modern),
                        legacy: Box::new(legacy),
                    },
                    other => other,
                })
            }
            first => first,
        }
    }

    async fn start(command: &mut Command, options: ClientOptions) -> Result<Self, ConnectError> {
        let failed = |command: &Command, source| ConnectError::Start {
            command: command
                .as_std()
                .get_program()
                .to_string_lossy()
                .into_owned(),
            source,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| failed(command, source))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(command, std::io::ErrorKind::BrokenPipe.into()));
        };
        let stderr = child.stderr.take();
        Self::connect(from, to, Some(child), stderr, options).await
    }

    /// Opens a connection through two streams: `from` the server and `to` it.
    ///
    /// # Errors
    /// [`ConnectError`] when the server cannot be spoken to.
    pub async fn over<R, W>(from: R, to: W, options: ClientOptions) -> Result<Self, ConnectError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        Self::connect(from, to, None, None, options).await
    }

    async fn connect<R, W>(
        from: R,
        to: W,
        child: Option<Child>,
        stderr: Option<ChildStderr>,
        options: ClientOptions,
    ) -> Result<Self, ConnectError>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let connection = Connection::start(from, to, child, options);
        let session = open(&connection, &connection.options).await?;
        // From here on the reader knows whether it may answer the server.
        let _ = connection.era.set(session.era());
        Ok(Self(Arc::new(Inner {
            connection,
            session,
            stderr: Mutex::new(stderr),
        })))
    }

    /// The version of the protocol that is spoken.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.0.session.version
    }

    /// What the server said when the connection was opened: the result of `initialize` or `server/discover`.
    #[must_use]
    pub fn server(&self) -> &JsonObject {
        &self.0.session.server
    }

    /// Listens for the notifications that `filter` names, until the server ends the stream or this future is dropped.
    /// They arrive at [`ClientOptions::on_notification`]; [`ClientOptions::timeout`] does not count here. `declare` is
    /// what the request declares, as [`declaration`](mcp_ext_core::client::declaration) makes it. Legacy servers have no
    /// such streams, and refuse.
    ///
    /// # Errors
    /// [`CallerError`] when the server refuses, or the connection ends.
    pub async fn listen(
        &self,
        filter: JsonObject,
        declare: JsonObject,
    ) -> Result<Value, CallerError> {
        self.send(listen_request(filter, declare), None).await
    }

    async fn send(&self, request: Outgoing, limit: Option<Duration>) -> Result<Value, CallerError> {
        let Inner {
            connection,
            session,
            ..
        } = &*self.0;
        connection
            .exchange(limit, true, |id| {
                let mut meta = connection.options.meta(session.version, id);
                request.declare_into(&mut meta);
                let mut params = request.params;
                params.insert("_meta".into(), Value::Object(meta));
                request_frame(id, &request.method, params)
            })
            .await
    }

    /// The standard error of the process, where the command pipes it; once.
    #[must_use]
    pub fn take_stderr(&self) -> Option<ChildStderr> {
        let mut stderr = self.0.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        stderr.take()
    }
}

impl Caller for StdioCaller {
    fn era(&self) -> Era {
        self.0.session.era()
    }

    async fn server_extensions(&self) -> Result<JsonObject, CallerError> {
        Ok(self.0.session.extensions())
    }

    async fn call(&self, request: Outgoing) -> Result<Value, CallerError> {
        self.send(request, self.0.connection.options.timeout).await
    }
}

/// The two directions of one connection, and who waits for what.
struct Connection {
    calls: Arc<Calls>,
    outbox: mpsc::Sender<Frame>,
    era: Arc<OnceLock<Era>>,
    options: ClientOptions,
    runtime: Handle,
    /// Dropped with the connection, which ends its tasks.
    _alive: oneshot::Sender<()>,
}

impl Connection {
    fn start<R, W>(from: R, to: W, child: Option<Child>, options: ClientOptions) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let calls = Arc::new(Calls {
            waiting: Mutex::default(),
            limit: options.max_in_flight,
        });
        let (outbox, frames) = mpsc::channel(OUTBOX);
        let era = Arc::new(OnceLock::new());
        let (alive, gone) = oneshot::channel();
        let reader = Reader {
            calls: calls.clone(),
            outbox: outbox.downgrade(),
            era: era.clone(),
            limit: options.max_frame_bytes,
            on_notification: options.on_notification.clone(),
        };
        let reader = tokio::spawn(reader.run(Lines::new(from, options.max_frame_bytes)));
        let writer = tokio::spawn(write(to, frames, calls.clone()));
        tokio::spawn(supervise(
            reader,
            writer,
            child,
            gone,
            calls.clone(),
            options.grace,
        ));
        Self {
            calls,
            outbox,
            era,
            options,
            runtime: Handle::current(),
            _alive: alive,
        }
    }

    /// Sends one request and waits for its answer.
    async fn exchange(
        &self,
        limit: Option<Duration>,
        cancel: bool,
        frame: impl FnOnce(u64) -> String,
    ) -> Result<Value, CallerError> {
        let (id, answer) = self.calls.enter()?;
        let mut place = Place {
            connection: self,
            id,
            cancel: false,
        };
        let exchange = async {
            let frame = Frame {
                id: Some(id),
                text: frame(id),
            };
            if self.outbox.send(frame).await.is_ok() {
                place.cancel = cancel;
            }
            // Whoever closes the connection tells all that wait, also those whose request was not taken.
            answer
                .await
                .unwrap_or_else(|_| Err(closed("its tasks were stopped")))
        };
        within(limit, exchange).await
    }
}

impl Link for Connection {
    async fn ask(
        &self,
        method: &'static str,
        params: JsonObject,
        _: ProtocolVersion,
    ) -> Result<Value, CallerError> {
        // No cancellation: `initialize` has none, and a server that is silent knows none yet.
        let limit = Some(self.options.open_timeout);
        self.exchange(limit, false, |id| request_frame(id, method, params))
            .await
    }

    async fn initialized(&self, _: ProtocolVersion) -> Result<(), CallerError> {
        let text = notification_frame("notifications/initialized", JsonObject::new());
        let sent = self.outbox.send(Frame { id: None, text }).await;
        sent.map_err(|_| closed("the server no longer reads"))
    }
}

pub(super) fn closed(why: impl Into<String>) -> CallerError {
    CallerError::Stopped(Stopped::Closed { why: why.into() })
}

/// Waits no longer than that.
pub(super) async fn within(
    limit: Option<Duration>,
    exchange: impl Future<Output = Result<Value, CallerError>>,
) -> Result<Value, CallerError> {
    match limit {
        None => exchange.await,
        Some(after) => tokio::time::timeout(after, exchange)
            .await
            .unwrap_or(Err(CallerError::Stopped(Stopped::TimedOut { after }))),
    }
}

/// Calls that wait for their answers.
struct Calls {
    waiting: Mutex<Waiting>,
    limit: usize,
}

#[derive(Default)]
struct Waiting {
    last: u64,
    calls: HashMap<u64, oneshot::Sender<Result<Value, CallerError>>>,
    /// Why nothing can be sent any more.
    closed: Option<String>,
}

type Answer = oneshot::Receiver<Result<Value, CallerError>>;

impl Calls {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new id, never used before on this connection (REQ-1), and where its answer will arrive.
    fn enter(&self) -> Result<(u64, Answer), CallerError> {
        let mut waiting = self.lock();
        if let Some(why) = &waiting.closed {
            return Err(closed(why.clone()));
        }
        if waiting.calls.len() >= self.limit {
            return Err(Stopped::Busy { limit: self.limit }.into());
        }
        waiting.last += 1;
        let (sender, answer) = oneshot::channel();
        let id = waiting.last;
        waiting.calls.insert(id, sender);
        Ok((id, answer))
    }

    /// Answers a call; whether it was waiting.
    fn leave(&self, id: u64, answer: Result<Value, CallerError>) -> bool {
        let sender = self.lock().calls.remove(&id);
        sender.is_some_and(|sender| sender.send(answer).is_ok())
    }

    fn close(&self, why: &str) {
        let mut waiting = self.lock();
        waiting.closed.get_or_insert_with(|| why.to_owned());
        for (_, sender) in waiting.calls.drain() {
            let _ = sender.send(Err(closed(why)));
        }
    }
}

/// A call that waits. Dropped before its answer came, it tells the server.
struct Place<'a> {
    connection: &'a Connection,
    id: u64,
    cancel: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waited = self
            .connection
            .calls
            .lock()
            .calls
            .remove(&self.id)
            .is_some();
        if !(waited && self.cancel) {
            return;
        }
        let params = JsonObject::from_iter([
            ("requestId".to_owned(), json!(self.id)),
            ("reason".to_owned(), json!("the caller stopped waiting")),
        ]);
        let text = notification_frame("notifications/cancelled", params);
        let outbox = self.connection.outbox.clone();
        // The queue gives places in the order in which they are asked for, so there are never more of these than
        // requests before them.
        self.connection
            .runtime
            .spawn(async move { outbox.send(Frame { id: None, text }).await });
    }
}

/// A frame to write.
struct Frame {
    /// The request that it is.
    id: Option<u64>,
    text: String,
}

/// Writes frames until the connection is dropped, and then closes the server's input.
async fn write(
    mut to: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    calls: Arc<Calls>,
) {
    let mut broken = None;
    while let Some(Frame { id, mut text }) = frames.recv().await {
        text.push('\n');
        if broken.is_none() {
            let written = async {
                to.write_all(text.as_bytes()).await?;
                to.flush().await
            };
            broken = written.await.err();
            if broken.is_some() {
                // Where the server has ended its output tells more.
                tokio::time::sleep(2 * STATUS).await;
            }
        }
        // Answers to earlier requests may still come, so the connection is not closed by this.
        if let (Some(error), Some(id)) = (&broken, id) {
            calls.leave(
                id,
                Err(closed(format!("the server does not read: {error}"))),
            );
        }
    }
    let _ = to.shutdown().await;
}

struct Reader {
    calls: Arc<Calls>,
    outbox: mpsc::WeakSender<Frame>,
    era: Arc<OnceLock<Era>>,
    limit: usize,
    on_notification: Option<OnNotification>,
}

impl Reader {
    /// Reads until the server's output ends; says why it did.
    async fn run<R: AsyncRead + Unpin>(self, mut lines: Lines<R>) -> String {
        let mut ended = false;
        loop {
            while let Some(range) = lines.next_line() {
                match lines.too_long(range.clone()) {
                    Some(scan) => self.too_large(&scan),
                    None => self.take(trimmed(lines.bytes(range))),
                }
            }
            if ended {
                return "the server closed its output".to_owned();
            }
            match lines.fill().await {
                Ok(Filled::More) => {}
                Ok(Filled::TooLong(scan)) => self.too_large(&scan),
                Ok(Filled::End) => ended = true,
                Err(error) => return format!("the server's output cannot be read: {error}"),
            }
        }
    }

    fn too_large(&self, scan: &Scan) {
        let id = scan.is_answer().then(|| scan.id()).flatten();
        if let Some(id) = id.and_then(|id| id.parse().ok()) {
            let limit = self.limit;
            self.calls
                .leave(id, Err(Stopped::TooLarge { limit }.into()));
        }
    }

    fn take(&self, line: &[u8]) {
        // Servers that write their logs where frames belong are put up with.
        let Some(message) = Message::read(line) else {
            return;
        };
        let Some(method) = message.method() else {
            if let Some(id) = message.id().as_ref().and_then(own_id) {
                self.calls.leave(id, read_answer(&message));
            }
            return;
        };
        match (message.id, message.id()) {
            (None, _) => {
                if let Some(notified) = &self.on_notification {
                    notified(&method, params_of(&message));
                }
            }
            (Some(raw), Some(Id::Text(_) | Id::Number(_))) => {
                // Modern servers ask nothing, and modern clients answer nothing (REQ-9).
                if self.era.get() == Some(&Era::Legacy)
                    && let Some(outbox) = self.outbox.upgrade()
                {
                    // A server that asks without reading the answers gets fewer of them.
                    let text = answer_to(raw.get(), &method);
                    let _ = outbox.try_send(Frame { id: None, text });
                }
            }
            (Some(_), None) => {}
        }
    }
}

/// Ends what belongs to one connection: when the server ends, or when nobody has a caller any more.
async fn supervise(
    mut reader: JoinHandle<String>,
    writer: JoinHandle<()>,
    mut child: Option<Child>,
    gone: oneshot::Receiver<()>,
    calls: Arc<Calls>,
    mut grace: Duration,
) {
    let ended = tokio::select! {
        ended = &mut reader => ended,
        // The last caller took the outbox with it, so the writer closes the server's input, and the server ends.
        _ = gone => match tokio::time::timeout(grace, &mut reader).await {
            Ok(ended) => ended,
            Err(_) => {
                reader.abort();
                // It had its time.
                grace = Duration::ZERO;
                Ok(String::new())
            }
        },
    };
    let mut why = ended.unwrap_or_else(|_| "the handler of notifications panicked".to_owned());
    if let Some(child) = &mut child
        && let Ok(Ok(status)) = tokio::time::timeout(STATUS, child.wait()).await
    {
        why = format!("the server process ended with {status}");
    }
    calls.close(&why);
    writer.abort();
    if let Some(child) = &mut child {
        let _ = tokio::time::timeout(grace, child.wait()).await;
        // Killed when it is dropped, if it still runs.
    }
}
