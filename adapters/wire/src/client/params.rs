//! `Mcp-Param-*` headers: which arguments of a tool are repeated there, as its schema says.

use std::collections::HashMap;

use http::HeaderName;
use mcp_ext_core::headers::encode;
use serde_json::Value;

/// Most tools, headers of one, and levels of a schema that are looked at.
const TOOLS: usize = 1024;
const HEADERS: usize = 32;
const DEPTH: usize = 8;

/// Longest name of a tool, an argument or a header, in bytes: they are kept.
const NAME: usize = 256;

/// A header, and the way to the argument it repeats.
type Header = (HeaderName, Vec<String>);

/// The headers of each tool that has some.
#[derive(Debug, Default)]
pub(super) struct Mirrored(HashMap<String, Vec<Header>>);

impl Mirrored {
    /// Takes one page of `tools/list`; gives the cursor of the next.
    pub fn take(&mut self, page: &Value) -> Option<String> {
        for tool in page["tools"].as_array().into_iter().flatten() {
            let mut headers = Vec::new();
            find(&tool["inputSchema"], &mut Vec::new(), &mut headers);
            if let Some(name) = tool["name"]
                .as_str()
                .filter(|name| !headers.is_empty() && name.len() <= NAME)
                && self.0.len() < TOOLS
            {
                self.0.insert(name.to_owned(), headers);
            }
        }
        page["nextCursor"].as_str().map(ToOwned::to_owned)
    }

    /// The headers of one call and their values. An argument that is null, absent, or no scalar has none.
    pub fn of<'a>(
        &'a self,
        tool: &str,
        arguments: &'a Value,
    ) -> impl Iterator<Item = (HeaderName, String)> + 'a {
        let headers = self.0.get(tool).into_iter().flatten();
        headers.filter_map(move |(header, path)| {
            let argument = path.iter().try_fold(arguments, |at, name| at.get(name))?;
            let value = match argument {
                Value::String(text) => encode(text),
                Value::Bool(flag) => flag.to_string(),
                Value::Number(number) if !number.is_f64() => number.to_string(),
                _ => return None,
            };
            Some((header.clone(), value))
        })
    }
}

fn find(schema: &Value, path: &mut Vec<String>, found: &mut Vec<Header>) {
    if path.len() >= DEPTH {
        return;
    }
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, schema) in properties {
        if name.len() > NAME {
            continue;
        }
        path.push(name.clone());
        if let Some(header) = schema["x-mcp-header"].as_str()
            && header.len() <= NAME
            && let Ok(header) = HeaderName::from_bytes(format!("mcp-param-{header}").as_bytes())
            && found.len() < HEADERS
        {
            found.push((header, path.clone()));
        }
        find(schema, path, found);
        path.pop();
    }
}
