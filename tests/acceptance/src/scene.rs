//! Where a check plays: the servers, and clients that are kept from one check to the next.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::checks::Outcome;
use crate::client::{Client, Connection};

/// How client and server are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Transport {
    Stdio,
    Http,
}

/// The revision that is spoken: 2026-07-28, or 2025-11-25.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Era {
    Modern,
    Legacy,
}

/// One column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// How they are connected.
    pub transport: Transport,
    /// What is spoken.
    pub era: Era,
}

impl Place {
    /// Every column.
    pub const ALL: [Self; 4] = [
        Self {
            transport: Transport::Stdio,
            era: Era::Modern,
        },
        Self {
            transport: Transport::Stdio,
            era: Era::Legacy,
        },
        Self {
            transport: Transport::Http,
            era: Era::Modern,
        },
        Self {
            transport: Transport::Http,
            era: Era::Legacy,
        },
    ];

    /// Over HTTP.
    pub fn http(self) -> bool {
        self.transport == Transport::Http
    }

    /// In 2026-07-28.
    pub fn modern(self) -> bool {
        self.era == Era::Modern
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.http() { "HTTP " } else { "stdio " })?;
        f.write_str(if self.modern() { "modern" } else { "legacy" })
    }
}

/// A server under test.
#[derive(Clone, Debug)]
pub enum Server {
    /// Started anew for each connection.
    Command(Vec<String>),
    /// Runs already.
    Url(String),
}

/// The servers of a cell.
#[derive(Clone, Debug)]
pub struct Servers {
    /// With the extension.
    pub main: Server,
    /// The same, and it lists tools to those alone who declare the extension.
    pub filtered: Option<Server>,
    /// The same server without the extension.
    pub bare: Option<Server>,
    /// A tool that the server itself has, and arguments for it.
    pub own_tool: Option<(String, Value)>,
}

/// Which server of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    Main,
    Filtered,
    Bare,
}

/// The servers of a cell in one column.
pub struct Scene {
    /// The column.
    pub place: Place,
    servers: Servers,
    connections: Mutex<HashMap<(Which, String), Arc<Connection>>>,
}

impl Scene {
    /// Nothing is started before it is needed.
    pub fn new(place: Place, servers: Servers) -> Self {
        Self {
            place,
            servers,
            connections: Mutex::default(),
        }
    }

    /// A client that declares the extension without settings of its own.
    ///
    /// # Errors
    /// What went wrong, in words; so everywhere here.
    pub async fn declaring(&self) -> Outcome<Client> {
        self.client(Some(json!({}))).await
    }

    /// A client that declares nothing.
    ///
    /// # Errors
    /// In words.
    pub async fn silent(&self) -> Outcome<Client> {
        self.client(None).await
    }

    /// A client that declares the extension with these settings, or does not declare it.
    ///
    /// # Errors
    /// In words.
    pub async fn client(&self, declares: Option<Value>) -> Outcome<Client> {
        self.connect(Which::Main, self.servers.main.clone(), declares)
            .await
    }

    /// A client of the server that filters its lists.
    ///
    /// # Errors
    /// In words.
    pub async fn filtered(&self, declares: Option<Value>) -> Outcome<Option<Client>> {
        match self.servers.filtered.clone() {
            Some(server) => self
                .connect(Which::Filtered, server, declares)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// A client of the server without the extension, that declares nothing.
    ///
    /// # Errors
    /// In words.
    pub async fn bare(&self) -> Outcome<Option<Client>> {
        match self.servers.bare.clone() {
            Some(server) => self.connect(Which::Bare, server, None).await.map(Some),
            None => Ok(None),
        }
    }

    /// A connection of its own, for a check that breaks it or that must be the first to speak.
    ///
    /// # Errors
    /// In words.
    pub async fn fresh(&self, open: bool) -> Outcome<Client> {
        let declares = Some(json!({}));
        let connection =
            Connection::new(self.place, self.servers.main.clone(), declares.clone()).await?;
        if open {
            connection.open().await?;
        }
        Ok(Client::new(Arc::new(connection), declares))
    }

    /// Forgets connections whose server has ended.
    pub async fn forget_ended(&self) {
        let mut connections = self.connections.lock().await;
        connections.retain(|_, connection| !connection.has_ended());
    }

    /// A tool that the server itself has, and arguments for it.
    pub fn own_tool(&self) -> Option<(&str, &Value)> {
        self.servers
            .own_tool
            .as_ref()
            .map(|(name, arguments)| (name.as_str(), arguments))
    }

    async fn connect(
        &self,
        which: Which,
        server: Server,
        declares: Option<Value>,
    ) -> Outcome<Client> {
        // What is declared is said once a session in the one era, and on each request in the other.
        let said = if self.place.modern() {
            None
        } else {
            declares.clone()
        };
        let key = (which, format!("{said:?}"));
        let mut connections = self.connections.lock().await;
        let connection = match connections.get(&key) {
            Some(connection) => connection.clone(),
            None => {
                let connection = Connection::new(self.place, server, said).await?;
                connection.open().await?;
                let connection = Arc::new(connection);
                connections.insert(key, connection.clone());
                connection
            }
        };
        Ok(Client::new(connection, declares))
    }
}
