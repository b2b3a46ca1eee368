//! A relay between a client that the test plays and a server that it scripts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_ext_core::ExtensionSet;
use mcp_ext_wire::{Ended, Relay, RelayOptions};
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split,
};
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Side {
    pub read: BufReader<ReadHalf<DuplexStream>>,
    pub write: Option<WriteHalf<DuplexStream>>,
}

impl Side {
    pub fn new(stream: DuplexStream) -> Self {
        let (read, write) = split(stream);
        Self {
            read: BufReader::new(read),
            write: Some(write),
        }
    }

    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let write = self.write.as_mut().unwrap();
        write.write_all(bytes).await.unwrap();
        write.flush().await.unwrap();
    }

    pub async fn send(&mut self, frame: &Value) {
        self.send_raw(format!("{frame}\n").as_bytes()).await;
    }

    /// The next line with its end; empty at the end of the stream.
    pub async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let read = self.read.read_until(b'\n', &mut line);
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("nothing came")
            .unwrap();
        line
    }

    pub async fn recv(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_slice(&line)
            .unwrap_or_else(|e| panic!("not a frame: {e}: {:?}", String::from_utf8_lossy(&line)))
    }

    /// Whether nothing comes for a while.
    pub async fn silent(&mut self) -> bool {
        let mut line = Vec::new();
        let read = self.read.read_until(b'\n', &mut line);
        tokio::time::timeout(Duration::from_millis(100), read)
            .await
            .is_err()
    }

    pub async fn call(&mut self, frame: &Value) -> Value {
        self.send(frame).await;
        self.recv().await
    }

    pub async fn close(&mut self) {
        self.write.take().unwrap().shutdown().await.unwrap();
    }
}

/// Both ends in the hands of the test.
pub struct Bench {
    pub client: Side,
    pub server: Side,
    pub relay: JoinHandle<Ended>,
}

pub fn bench_with(set: ExtensionSet, options: RelayOptions, pipe: usize) -> Bench {
    let (client, near) = duplex(pipe);
    let (far, server) = duplex(pipe);
    let (client_in, client_out) = split(near);
    let (server_out, server_in) = split(far);
    let relay = Relay::new(set).options(options);
    Bench {
        client: Side::new(client),
        server: Side::new(server),
        relay: tokio::spawn(relay.run(client_in, client_out, server_in, server_out)),
    }
}

pub fn bench(set: ExtensionSet) -> Bench {
    bench_with(set, RelayOptions::default(), 64 * 1024)
}

/// A client in front of a scripted server; what the server got is kept.
pub struct Rig {
    pub client: Side,
    pub got: Arc<Mutex<Vec<String>>>,
    pub relay: JoinHandle<Ended>,
}

impl Rig {
    pub fn methods(&self) -> Vec<String> {
        let got = self.got.lock().unwrap();
        got.iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|frame| frame["method"].as_str().unwrap_or("-").to_owned())
            .collect()
    }
}

pub fn rig(set: ExtensionSet, answer: impl Fn(&Value) -> Option<Value> + Send + 'static) -> Rig {
    let Bench {
        client,
        mut server,
        relay,
    } = bench(set);
    let got = Arc::new(Mutex::new(Vec::new()));
    let log = got.clone();
    tokio::spawn(async move {
        loop {
            let mut line = Vec::new();
            if server.read.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
                return;
            }
            log.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&line).into_owned());
            if let Ok(frame) = serde_json::from_slice(&line)
                && let Some(answer) = answer(&frame)
            {
                server.send(&answer).await;
            }
        }
    });
    Rig { client, got, relay }
}
