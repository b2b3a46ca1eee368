//! What a relay merges into the answers of a server.
//!
//! An input has a line of flags, `f` for lists that depend on who asks, and then up to four frames of a server, one a
//! line: its answers to `initialize`, `server/discover`, and `tools/list` of each era, whose ids are 1 to 4.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use mcp_ext_core::protocol::{Era, ProtocolVersion};
use mcp_ext_core::request::Declared;
use mcp_ext_core::wire::JsonObject;
use mcp_ext_core::{AmendCx, ExtensionSet};
use mcp_ext_wire::Relay;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::server::{ID, Pipe, TOOLS, bare, runtime, set, settle};

/// What the requests of the modern era declare; those of the legacy era declare nothing.
static DECLARED: LazyLock<JsonObject> =
    LazyLock::new(|| JsonObject::from_iter([(ID.to_owned(), json!({}))]));

const MODERN: Option<ProtocolVersion> = Some(ProtocolVersion::V2026_07_28);

pub(crate) fn run(data: &[u8]) {
    let mut lines = data.split_inclusive(|b| *b == b'\n');
    let flags = lines.next().unwrap_or_default();
    let set = set(flags.contains(&b'f'));
    let (from_client, to_client) = (Pipe::default(), Pipe::default());
    let (from_server, to_server) = (Pipe::default(), Pipe::default());
    let relay = Relay::new(set.clone()).run(
        from_client.clone(),
        to_client.clone(),
        to_server.clone(),
        from_server.clone(),
    );
    runtime().block_on(async {
        let relay = tokio::spawn(relay);
        let mut seen = Seen::default();
        for (id, line) in (1..=4).zip(lines) {
            // A frame has an end.
            let line = [line.strip_suffix(b"\n").unwrap_or(line), b"\n"].concat();
            let request = request(id);
            from_client.push(request.as_bytes());
            settle().await;
            let asked = to_server.take();
            if asked.is_empty() {
                alone(&set, id, &to_client.take(), &seen);
                continue;
            }
            assert_eq!(asked, request.as_bytes(), "the request as it was");
            from_server.push(&line);
            settle().await;
            let out = to_client.take();
            seen.pending.insert(id, seen.version);
            check(&set, &line, &out, &mut seen);
        }
        from_server.close();
        relay.await.expect("no panic");
    });
}

fn request(id: u64) -> String {
    let meta = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"com.example/fuzz":{}}}}}"#;
    let (method, params) = match id {
        1 => (
            "initialize",
            r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#,
        ),
        2 => ("server/discover", meta),
        3 => ("tools/list", "{}"),
        _ => ("tools/list", meta),
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}\n")
}

/// What the answers so far have shown.
#[derive(Default)]
struct Seen {
    /// Tools of ours that the server has itself.
    withheld: BTreeSet<&'static str>,
    /// The revision of the legacy session.
    version: Option<ProtocolVersion>,
    /// Requests without an answer yet, and the revision they were made under.
    pending: BTreeMap<u64, Option<ProtocolVersion>>,
}

fn cx(id: u64, version: Option<ProtocolVersion>) -> AmendCx<'static> {
    let (era, version) = match id {
        1 | 3 => (Era::Legacy, version),
        _ => (Era::Modern, MODERN),
    };
    AmendCx {
        era,
        version,
        declared: Declared::Known((era == Era::Modern).then_some(&*DECLARED)),
        first_page: true,
    }
}

/// A list that the relay made without asking.
fn alone(set: &ExtensionSet, id: u64, out: &[u8], seen: &Seen) {
    let answer: Value = serde_json::from_slice(out).expect("an answer");
    assert!(
        id >= 3 && answer["id"] == id,
        "only a list of a server without tools: {answer}"
    );
    listed(set, id, &answer["result"], seen);
}

fn listed(set: &ExtensionSet, id: u64, result: &Value, seen: &Seen) {
    let names: Vec<_> = result["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    let shown = !set.filters_lists() || id == 4;
    let expected: Vec<_> = TOOLS
        .iter()
        .filter(|name| shown && !seen.withheld.contains(*name))
        .collect();
    assert_eq!(json!(names), json!(expected));
}

fn check(set: &ExtensionSet, line: &[u8], out: &[u8], seen: &mut Seen) {
    let frame = bare(line);
    let Some(raw) = std::str::from_utf8(frame)
        .ok()
        .and_then(|f| serde_json::from_str::<&RawValue>(f).ok())
    else {
        return assert_same(line, out);
    };
    let mut text = Text::of(line);
    let several = frame.first() == Some(&b'[');
    let messages = match several {
        true => serde_json::from_str(raw.get()).expect("an array"),
        false => vec![raw],
    };
    let mut last = None;
    for message in messages {
        let Some((id, answer)) = answer_of(message) else {
            continue;
        };
        let Some(version) = seen.pending.remove(&id) else {
            continue;
        };
        let Ok(result) = answer else {
            if id >= 3 && answer.err().and_then(code_of) == Some(-32601) {
                let answer: Value = serde_json::from_slice(out).expect("an answer");
                if !several {
                    assert_eq!(answer["id"], id);
                    listed(set, id, &answer["result"], seen);
                }
                return;
            }
            continue;
        };
        if id == 1 {
            let version = Members::of(result)
                .and_then(|m| m.last("protocolVersion"))
                .and_then(string);
            seen.version = version
                .and_then(|v| ProtocolVersion::parse(&v))
                .filter(|v| v.era() == Era::Legacy);
        }
        let cx = cx(id, if id == 1 { seen.version } else { version });
        let before = seen.withheld.len();
        if id <= 2 {
            capabilities(&mut text, set, result, &cx, seen);
        } else {
            tools(&mut text, set, result, &cx, seen);
        }
        last = Some((id, result, cx, before));
    }
    assert_same(&text.merged(), out);
    // The core merges values. The two agree where nothing is withheld for what another answer said.
    let Some((id, result, cx, _)) =
        last.filter(|(id, .., before)| !several && (*id <= 2 || *before == 0))
    else {
        return;
    };
    if let (Ok(Value::Object(mut expected)), Ok(got)) = (
        serde_json::from_str(result.get()),
        serde_json::from_slice::<Value>(out),
    ) {
        set.amend(
            if id <= 2 {
                "server/discover"
            } else {
                "tools/list"
            },
            &mut expected,
            &cx,
        );
        let mut got = got["result"].clone();
        // Where there is nothing to add, the text is left alone; the core makes an empty list of it.
        if expected.get("tools") == Some(&json!([])) && got.get("tools").is_none() {
            got["tools"] = json!([]);
        }
        assert_eq!(got, Value::Object(expected));
    }
}

fn assert_same(expected: &[u8], out: &[u8]) {
    assert_eq!(
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(expected)
    );
}

// --- a second merge, of text -------------------------------------------------------------------------------------

/// The id of an answer, and its result or error.
fn answer_of(message: &RawValue) -> Option<(u64, Result<&RawValue, &RawValue>)> {
    let members = Members::of(message)?;
    for name in ["jsonrpc", "id", "method", "params", "result", "error"] {
        // Which of two would count is anyone's guess: such a frame passes as it is.
        if members.0.iter().filter(|(key, _)| key == name).count() > 1 {
            return None;
        }
    }
    if members.last("method").is_some() {
        return None;
    }
    let id = members.last("id")?.get().parse().ok()?;
    match (members.last("result"), members.last("error")) {
        (Some(result), _) => Some((id, Ok(result))),
        (None, Some(error)) => Some((id, Err(error))),
        (None, None) => None,
    }
}

fn code_of(error: &RawValue) -> Option<i64> {
    let members = Members::of(error)?;
    let codes: Vec<_> = members.0.iter().filter(|(key, _)| key == "code").collect();
    match codes[..] {
        [(_, code)] => code.get().parse().ok(),
        _ => None,
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    fn of(raw: &'a RawValue) -> Option<Self> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut all = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    all.push((Cow::Owned(name), value));
                }
                Ok(Members(all))
            }
        }
        serde::Deserializer::deserialize_map(
            &mut serde_json::Deserializer::from_str(raw.get()),
            Visit,
        )
        .ok()
    }

    fn last(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .rfind(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }
}

/// A line and what is put into it.
struct Text<'a> {
    line: &'a [u8],
    edits: Vec<(usize, usize, String)>,
}

impl<'a> Text<'a> {
    fn of(line: &'a [u8]) -> Self {
        Self {
            line,
            edits: Vec::new(),
        }
    }

    fn at(&self, part: &RawValue) -> (usize, usize) {
        let start = part.get().as_ptr() as usize - self.line.as_ptr() as usize;
        (start, start + part.get().len())
    }

    fn add(&mut self, to: &RawValue, items: &[String]) {
        if items.is_empty() {
            return;
        }
        let end = self.at(to).1 - 1;
        let inside = &to.get()[1..to.get().len() - 1];
        let comma = if inside.trim().is_empty() { "" } else { "," };
        self.edits
            .push((end, end, format!("{comma}{}", items.join(","))));
    }

    fn put(&mut self, in_place_of: &RawValue, text: &str) {
        let (start, end) = self.at(in_place_of);
        self.edits.push((start, end, text.to_owned()));
    }

    /// From the back, so that places stay where they are.
    fn merged(mut self) -> Vec<u8> {
        self.edits.sort();
        let mut out = self.line.to_vec();
        for (start, end, text) in self.edits.into_iter().rev() {
            out.splice(start..end, text.into_bytes());
        }
        out
    }
}

fn capabilities(
    text: &mut Text<'_>,
    set: &ExtensionSet,
    result: &RawValue,
    cx: &AmendCx<'_>,
    seen: &mut Seen,
) {
    let Some(top) = Members::of(result) else {
        return;
    };
    let ours = format!("\"{ID}\":{}", set.advertisement(cx.era, cx.version)[ID]);
    let all = format!("\"extensions\":{{{ours}}}");
    let Some(capabilities) = top.last("capabilities") else {
        return text.add(
            result,
            &[format!("\"capabilities\":{{\"tools\":{{}},{all}}}")],
        );
    };
    let Some(inside) = Members::of(capabilities) else {
        return;
    };
    let mut add = Vec::new();
    if inside.last("tools").is_none() {
        add.push("\"tools\":{}".to_owned());
    }
    match inside.last("extensions") {
        None => add.push(all),
        Some(extensions) => {
            if let Some(theirs) = Members::of(extensions) {
                if theirs.last(ID).is_some() {
                    seen.withheld.extend(TOOLS);
                } else {
                    text.add(extensions, &[ours]);
                }
            }
        }
    }
    text.add(capabilities, &add);
}

fn tools(
    text: &mut Text<'_>,
    set: &ExtensionSet,
    result: &RawValue,
    cx: &AmendCx<'_>,
    seen: &mut Seen,
) {
    let Some(top) = Members::of(result) else {
        return;
    };
    let array = top.last("tools");
    let theirs = array.map(|array| serde_json::from_str::<Vec<&RawValue>>(array.get()).ok());
    for tool in theirs.iter().flatten().flatten() {
        let name = Members::of(tool)
            .and_then(|m| m.last("name"))
            .and_then(string);
        seen.withheld
            .extend(TOOLS.iter().filter(|ours| name.as_deref() == Some(**ours)));
    }
    let filter = set.filters_lists();
    let shown = !filter || cx.era == Era::Modern;
    let ours: Vec<String> = set
        .tools()
        .iter()
        .filter(|tool| shown && !seen.withheld.contains(tool.name()))
        .map(|tool| Value::Object(tool.listing().clone()).to_string())
        .collect();
    let mut add = Vec::new();
    match (array, theirs) {
        (Some(array), Some(Some(_))) => text.add(array, &ours),
        (None, _) if !ours.is_empty() => add.push(format!("\"tools\":[{}]", ours.join(","))),
        _ => {}
    }
    if filter && cx.era == Era::Modern {
        for (name, value) in [("cacheScope", "\"private\""), ("ttlMs", "0")] {
            match top.last(name) {
                Some(theirs) => text.put(theirs, value),
                None => add.push(format!("\"{name}\":{value}")),
            }
        }
    }
    text.add(result, &add);
}
