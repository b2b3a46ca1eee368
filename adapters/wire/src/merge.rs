//! What is merged into the wrapped server's answers, as edits of their text: every other byte stays as it is.

use std::borrow::Cow;
use std::ops::Range;

use mcp_ext_core::AmendCx;
use mcp_ext_core::protocol::{Era, ProtocolVersion};
use serde_json::value::RawValue;

use crate::message::{members, text};
use crate::server::Server;

/// The elements of an array, as text; `None` when it is not an array.
pub(crate) fn elements(array: &[u8]) -> Option<Vec<&RawValue>> {
    serde_json::from_slice(array).ok()
}

/// Edits of one line.
pub(crate) struct Splice<'a> {
    line: &'a [u8],
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Splice<'a> {
    pub fn of(line: &'a [u8]) -> Self {
        Self {
            line,
            edits: Vec::new(),
        }
    }

    /// Where a part of the line lies in it.
    fn range(&self, part: &[u8]) -> Range<usize> {
        // Every part was borrowed from the line, so its address is not below the line's.
        let start = (part.as_ptr() as usize).saturating_sub(self.line.as_ptr() as usize);
        start..start + part.len()
    }

    /// Puts `text` where a part of the line is.
    pub fn replace(&mut self, part: &[u8], text: String) {
        self.edits.push((self.range(part), text));
    }

    /// Adds to the end of an object or array of the line. At most one addition to each.
    pub fn append(&mut self, container: &RawValue, empty: bool, items: &[String]) {
        if items.is_empty() {
            return;
        }
        let end = self.range(container.get().as_bytes()).end.saturating_sub(1);
        let comma = if empty { "" } else { "," };
        self.edits
            .push((end..end, format!("{comma}{}", items.join(","))));
    }

    #[cfg(feature = "stdio")]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The line with the edits made.
    pub fn finish(mut self) -> Vec<u8> {
        self.edits.sort_by_key(|(range, _)| range.start);
        let mut out = Vec::with_capacity(
            self.line.len() + self.edits.iter().map(|(_, t)| t.len()).sum::<usize>(),
        );
        let mut done = 0;
        for (range, text) in self.edits {
            out.extend_from_slice(self.line.get(done..range.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            done = range.end.max(done);
        }
        out.extend_from_slice(self.line.get(done..).unwrap_or_default());
        out
    }
}

fn named<'a>(members: &[(Cow<'_, str>, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    members
        .iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| *value)
}

fn member_text(name: &str, value: &str) -> String {
    // Names are ours: identifiers and protocol words, which need no escapes.
    format!("\"{name}\":{value}")
}

/// Merges capabilities into the result of `initialize` or `server/discover`, and notes what the server has itself.
pub(crate) fn capabilities(
    splice: &mut Splice<'_>,
    server: &Server,
    result: &RawValue,
    era: Era,
    version: Option<ProtocolVersion>,
) {
    let set = server.set();
    let Some(top) = members(result) else { return };
    let theirs = named(&top, "capabilities");
    let inside = theirs.map(members);
    let tools = matches!(&inside, Some(Some(all)) if named(all, "tools").is_some());
    server.note_tools(era, tools);
    let advertised = set.advertisement(era, version);
    if advertised.is_empty() {
        return;
    }
    let ours = |skip: &dyn Fn(&str) -> bool| -> Vec<String> {
        advertised
            .iter()
            .filter(|(id, _)| !skip(id))
            .map(|(id, settings)| member_text(id, &settings.to_string()))
            .collect()
    };
    let mut add = Vec::new();
    if set.has_tools(era, version) && !tools {
        add.push(member_text("tools", "{}"));
    }
    let Some((capabilities, Some(inside))) = theirs.zip(inside) else {
        if theirs.is_none() {
            add.push(member_text(
                "extensions",
                &format!("{{{}}}", ours(&|_| false).join(",")),
            ));
            let text = member_text("capabilities", &format!("{{{}}}", add.join(",")));
            splice.append(result, top.is_empty(), &[text]);
        }
        return;
    };
    match named(&inside, "extensions") {
        None => add.push(member_text(
            "extensions",
            &format!("{{{}}}", ours(&|_| false).join(",")),
        )),
        Some(extensions) => {
            if let Some(own) = members(extensions) {
                let taken = |id: &str| own.iter().any(|(key, _)| key == id);
                for (id, _) in advertised.iter().filter(|(id, _)| taken(id)) {
                    server.withhold_extension(id);
                }
                splice.append(extensions, own.is_empty(), &ours(&taken));
            }
        }
    }
    splice.append(capabilities, inside.is_empty(), &add);
}

/// Merges tools into a page of `tools/list`. Where the server has a tool of the same name, ours is withheld, now and
/// later.
pub(crate) fn tools(splice: &mut Splice<'_>, server: &Server, result: &RawValue, cx: &AmendCx<'_>) {
    let Some(top) = members(result) else { return };
    let array = named(&top, "tools");
    let theirs = array.map(|array| elements(array.get().as_bytes()));
    if let Some(Some(theirs)) = &theirs {
        for tool in theirs {
            let name = members(tool).and_then(|all| named(&all, "name").and_then(text));
            if let Some(name) = name {
                server.withhold_tool(&name);
            }
        }
    }
    let listing = server.set().listing(cx);
    let ours: Vec<String> = server.listed(&listing.tools);
    let mut add = Vec::new();
    match (array, theirs) {
        (Some(array), Some(Some(theirs))) => splice.append(array, theirs.is_empty(), &ours),
        (None, _) if !ours.is_empty() => {
            add.push(member_text("tools", &format!("[{}]", ours.join(","))));
        }
        _ => {}
    }
    if listing.per_client && cx.era == Era::Modern {
        for (name, value) in [("cacheScope", "\"private\""), ("ttlMs", "0")] {
            match named(&top, name) {
                Some(theirs) => splice.replace(theirs.get().as_bytes(), value.to_owned()),
                None => add.push(member_text(name, value)),
            }
        }
    }
    splice.append(result, top.is_empty(), &add);
}

/// The whole result of `tools/list` for a server that has no tools.
pub(crate) fn tools_alone(server: &Server, cx: &AmendCx<'_>) -> String {
    let listing = server.set().listing(cx);
    let mut members = vec![member_text(
        "tools",
        &format!("[{}]", server.listed(&listing.tools).join(",")),
    )];
    if cx.era == Era::Modern {
        let (scope, ttl) = if listing.per_client {
            ("\"private\"", "0")
        } else {
            ("\"public\"", "3600000")
        };
        members.push(member_text("resultType", "\"complete\""));
        members.push(member_text("cacheScope", scope));
        members.push(member_text("ttlMs", ttl));
        if let Some(info) = server.info() {
            let meta = serde_json::json!({ mcp_ext_core::wire::meta::SERVER_INFO: info });
            members.push(member_text("_meta", &meta.to_string()));
        }
    }
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
