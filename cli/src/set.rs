//! Which extensions are enabled, as the command line says.

use std::path::PathBuf;

use clap::ValueEnum;
use mcp_ext::audit::Audit;
use mcp_ext::citations::{Citations, CitationsExtension};
use mcp_ext::healthcare::{
    AccessScope, CursorKey, FhirExtension, FhirServer, FhirSettings, FhirStore,
};
use mcp_ext::labels::{Labels, LabelsExtension};
use mcp_ext::store::Store;
use mcp_ext::{Contract, Extension, ExtensionSet};

use crate::Error;
use crate::settings::SettingsFile;

/// An extension this program can enable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// FHIR R4 search and read.
    Healthcare,
    /// How sensitive a result is, and which rules govern it.
    Labels,
    /// Where the data of a result came from.
    Citations,
}

impl Name {
    pub const ALL: &'static [Self] = &[Self::Healthcare, Self::Labels, Self::Citations];

    /// As `--enable` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthcare => "healthcare",
            Self::Labels => "labels",
            Self::Citations => "citations",
        }
    }

    pub fn contract(self) -> &'static Contract {
        match self {
            Self::Healthcare => FhirExtension::CONTRACT,
            Self::Labels => LabelsExtension::CONTRACT,
            Self::Citations => CitationsExtension::CONTRACT,
        }
    }
}

/// Which extensions, on what data.
#[derive(clap::Args, Clone, Debug)]
pub struct Enabled {
    /// An extension to enable; may be repeated. Nothing is enabled by itself.
    #[arg(long = "enable", value_name = "NAME")]
    pub names: Vec<Name>,

    /// The data to serve: `bundled` for the synthetic records that come along, or a file of FHIR resources, one JSON
    /// object a line.
    #[arg(long, value_name = "bundled|FILE", requires = "names")]
    pub data: Option<String>,

    /// A file with the settings that extensions advertise: a JSON object with one member for each extension, by the name
    /// that --enable takes, e.g. {"healthcare": {"maxResults": 50}}. `mcp-ext list` shows the members.
    #[arg(long, value_name = "FILE", requires = "names")]
    pub settings: Option<PathBuf>,

    /// Record every call in this file, a SQLite log that shows whether it was changed; `mcp-ext audit` exports and verifies
    /// it. Records hold digests and pseudonyms, never arguments or results.
    #[arg(long, value_name = "FILE")]
    pub audit: Option<PathBuf>,

    /// A file with the key that seals page cursors: 64 hexadecimal digits. Otherwise it is taken from the environment
    /// variable MCP_EXT_CURSOR_KEY, or made at each start, and cursors end with the process.
    #[arg(long, value_name = "FILE")]
    pub cursor_key: Option<PathBuf>,
}

/// The environment variable with the key that seals cursors.
const CURSOR_KEY: &str = "MCP_EXT_CURSOR_KEY";

impl Enabled {
    /// Everything, on the bundled data.
    pub fn everything() -> Self {
        Self {
            names: Name::ALL.to_vec(),
            data: Some("bundled".to_owned()),
            settings: None,
            audit: None,
            cursor_key: None,
        }
    }

    pub fn build(&self) -> Result<ExtensionSet, Error> {
        let mut builder = ExtensionSet::builder();
        let settings = match &self.settings {
            Some(path) => SettingsFile::read(path, &self.names)?,
            None => SettingsFile::default(),
        };
        let on = |name: Name| self.names.contains(&name);
        let (mut labels, mut citations) = (Labels::new(), Citations::new());
        if on(Name::Healthcare) {
            // Whoever runs this command is the one caller, and the file is theirs.
            let server = FhirServer::with_scope(self.fhir_store()?, |_| AccessScope::all());
            labels = labels.source(server.clone());
            citations = citations.source(server.clone());
            let settings = settings.over::<FhirExtension>(Name::Healthcare, &FhirSettings::r4())?;
            builder = builder.enable(FhirExtension::provide(server).settings(settings));
        }
        if on(Name::Labels) {
            builder = builder.enable(labels.enable());
        }
        if on(Name::Citations) {
            builder = builder.enable(citations.enable());
        }
        if let Some(path) = &self.audit {
            let at = |e: &dyn std::fmt::Display| format!("--audit {}: {e}", path.display());
            let store = Store::open(path).map_err(|e| at(&e))?;
            let audit = Audit::new(&store).map_err(|e| at(&e))?;
            builder = builder.enable(audit.everywhere().enable());
        }
        Ok(builder.build()?)
    }

    /// What a person who starts a server should know of these settings.
    pub fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        let random = self.cursor_key.is_none() && std::env::var_os(CURSOR_KEY).is_none();
        if random && self.names.contains(&Name::Healthcare) {
            hints.push(format!(
                "page cursors end with this process, since their key was made at this start; \
                 --cursor-key FILE or {CURSOR_KEY} keeps them"
            ));
        }
        if !self.names.is_empty() && !self.names.contains(&Name::Healthcare) {
            hints.push(
                "labels and citations have nothing to stand on; add `--enable healthcare` too"
                    .to_owned(),
            );
        }
        hints
    }

    fn fhir_store(&self) -> Result<FhirStore, Error> {
        let store = self.records()?;
        let key = match &self.cursor_key {
            Some(path) => CursorKey::from_file(path)
                .map_err(|e| format!("--cursor-key {}: {e}", path.display()))?,
            None if std::env::var_os(CURSOR_KEY).is_some() => CursorKey::from_env(CURSOR_KEY)?,
            None => return Ok(store),
        };
        Ok(store.with_cursor_key(key))
    }

    fn records(&self) -> Result<FhirStore, Error> {
        match self.data.as_deref() {
            Some("bundled") => Ok(FhirStore::bundled()?),
            Some(path) => {
                let file = std::fs::File::open(path).map_err(|e| format!("cannot open --data {path}: {e}"))?;
                let store = FhirStore::from_ndjson(std::io::BufReader::new(file));
                Ok(store.map_err(|e| format!("cannot load --data {path}: {e}"))?)
            }
            None => Err("healthcare needs data: add `--data bundled` for the synthetic records that come along, or \
                         `--data FILE` with one FHIR resource a line"
                .into()),
        }
    }
}
