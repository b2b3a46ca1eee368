//! `--settings FILE`: what extensions advertise, typed by their contracts.

use std::path::{Path, PathBuf};

use mcp_ext::faults;
use mcp_ext::wire::JsonObject;
use mcp_ext::{Extension, schema};
use serde_json::Value;

use crate::Error;
use crate::set::Name;

/// The largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// The settings in a file, by the extension's name.
#[derive(Default)]
pub struct SettingsFile {
    path: PathBuf,
    of: JsonObject,
}

impl SettingsFile {
    /// Reads the file; `enabled` are the names it may speak of.
    pub fn read(path: &Path, enabled: &[Name]) -> Result<Self, Error> {
        let at = format!("--settings {}", path.display());
        let size = std::fs::metadata(path)
            .map_err(|e| format!("{at}: {e}"))?
            .len();
        if size > MAX_BYTES {
            return Err(format!("{at}: {size} bytes, at most {MAX_BYTES} are read").into());
        }
        let text = std::fs::read_to_string(path).map_err(|e| format!("{at}: {e}"))?;
        let of: Value = serde_json::from_str(&text).map_err(|e| format!("{at}: {e}"))?;
        let Value::Object(of) = of else {
            return Err(format!(
                "{at}: expected an object with one member for each enabled extension, e.g. {{\"healthcare\": {{}}}}"
            )
            .into());
        };
        for name in of.keys() {
            if !enabled.iter().any(|e| e.as_str() == name) {
                let known: Vec<_> = enabled.iter().map(|e| e.as_str()).collect();
                return Err(format!(
                    "{at}: `{}` is not enabled; {}",
                    name.escape_default(),
                    match faults::nearest(name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("enabled are: {}", known.join(", ")),
                    }
                )
                .into());
            }
        }
        Ok(Self {
            path: path.to_owned(),
            of,
        })
    }

    /// The settings of one extension: `default`, and over it what the file says.
    pub fn over<E: Extension>(&self, name: Name, default: &E::Server) -> Result<E::Server, Error> {
        let Some(said) = self.of.get(name.as_str()) else {
            return Ok(default.clone());
        };
        let at = format!("--settings {}: {}", self.path.display(), name.as_str());
        let schema = &E::CONTRACT.settings.server;
        let Value::Object(said_members) = said else {
            return Err(format!("{at}: expected an object of settings").into());
        };
        // A client's unknown members are left alone; in one's own file they are misspelt.
        let known = schema::top_level_properties(schema);
        for member in said_members.keys() {
            if !known.contains(member) {
                let near = faults::nearest(member, known.iter().map(String::as_str));
                return Err(format!(
                    "{at}: there is no setting `{}`; {}",
                    member.escape_default(),
                    match near {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("there are: {}", known.join(", ")),
                    }
                )
                .into());
            }
        }
        let found = faults::find(said, schema, &[]);
        if !found.is_empty() {
            let lines: Vec<_> = found
                .iter()
                .map(|f| format!("\n  - {}", f.message))
                .collect();
            return Err(format!("{at}: the settings do not fit:{}", lines.concat()).into());
        }
        let mut whole = serde_json::to_value(default)?;
        if let Value::Object(whole) = &mut whole {
            whole.extend(said_members.clone());
        }
        serde_json::from_value(whole).map_err(|e| format!("{at}: {e}").into())
    }
}
