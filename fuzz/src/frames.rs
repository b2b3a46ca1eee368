//! Frames of stdio through a relay, whatever the reads they come in.
//!
//! An input has a line of numbers, the longest frame in bytes and then the sizes of reads, and after it a stream of a
//! client. The stream is also taken as that of a server, which a relay that waits for nothing passes on.

use mcp_ext_wire::{Relay, RelayOptions};
use serde_json::Value;

use crate::server::{ID, METHOD, Pipe, TOOLS, bare, runtime, set};

pub(crate) fn run(data: &[u8]) {
    let Some(end) = data.iter().position(|b| *b == b'\n') else {
        return;
    };
    let (numbers, stream) = (&data[..end], &data[end + 1..]);
    let Ok(numbers) = std::str::from_utf8(numbers) else {
        return;
    };
    let mut numbers = numbers.split(' ').filter_map(|n| n.parse::<usize>().ok());
    let limit = numbers.next().unwrap_or(64).clamp(16, 1 << 16);
    let sizes: Vec<usize> = numbers.map(|n| n.clamp(1, 4096)).take(8).collect();

    if is_mine(stream) {
        return;
    }
    let lines: Vec<&[u8]> = stream.split_inclusive(|b| *b == b'\n').collect();
    let client = Both::with_client(stream, limit, &sizes);
    from_client(&lines, limit, &client);
    let server = Both::with_server(stream, limit, &sizes);
    from_server(&lines, limit, &server);
    // The same stream at once.
    let whole = Both::with_client(stream, limit, &[]);
    assert_eq!(
        show(&client.server),
        show(&whole.server),
        "to the server, by reads and at once"
    );
    assert_eq!(
        sorted(&client.client),
        sorted(&whole.client),
        "to the client, by reads and at once"
    );
    let whole = Both::with_server(stream, limit, &[]);
    assert_eq!(
        show(&server.client),
        show(&whole.client),
        "to the client, by reads and at once"
    );
    assert_eq!(
        show(&server.server),
        show(&whole.server),
        "to the server, by reads and at once"
    );
}

/// What each side got.
struct Both {
    client: Vec<u8>,
    server: Vec<u8>,
}

impl Both {
    fn with_client(stream: &[u8], limit: usize, sizes: &[usize]) -> Self {
        let from_client = Pipe::in_reads_of(sizes);
        from_client.push(stream);
        from_client.close();
        Self::of(from_client, Pipe::default(), limit)
    }

    fn with_server(stream: &[u8], limit: usize, sizes: &[usize]) -> Self {
        let from_server = Pipe::in_reads_of(sizes);
        from_server.push(stream);
        from_server.close();
        Self::of(Pipe::default(), from_server, limit)
    }

    fn of(from_client: Pipe, from_server: Pipe, limit: usize) -> Self {
        let (to_client, to_server) = (Pipe::default(), Pipe::default());
        let options = RelayOptions {
            max_frame_bytes: limit,
            ..RelayOptions::default()
        };
        let relay = Relay::new(set(false)).options(options);
        runtime().block_on(async {
            let relay = relay.run(
                from_client,
                to_client.clone(),
                to_server.clone(),
                from_server.clone(),
            );
            let mut relay = std::pin::pin!(relay);
            // A server ends when its input does.
            loop {
                tokio::select! {
                    biased;
                    _ = &mut relay => break,
                    () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {
                        if to_server.is_closed() {
                            from_server.close();
                        }
                    }
                }
            }
        });
        Self {
            client: to_client.take(),
            server: to_server.take(),
        }
    }
}

fn show(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Lines in any order: calls run beside each other.
fn sorted(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = bytes.split_inclusive(|b| *b == b'\n').collect();
    lines.sort_unstable();
    lines
}

fn is_too_long(line: &[u8], limit: usize) -> bool {
    line.strip_suffix(b"\n").unwrap_or(line).len() > limit
}

/// Where a line of the client must go.
#[derive(Debug, PartialEq)]
enum Way {
    /// To the server, as it is.
    On,
    /// Nowhere.
    Nowhere,
    /// Back: an answer with this id, as JSON.
    Back(Value),
    /// To the server: an error with this id.
    Fault(Value),
    /// One of these, which only the relay can tell.
    Any,
}

fn way(line: &[u8], limit: usize) -> Way {
    let text = bare(line);
    // What holds no name of ours, however it may be read, is none of our business.
    let foreign = !contains(text, b"fuzz") && !contains(text, b"ours_") && !contains(text, b"\\");
    let message = std::str::from_utf8(text)
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(Value::Object(message)) = message.filter(|_| !has_twins(text)) else {
        return match is_too_long(line, limit) {
            false if foreign || text.first() == Some(&b'[') => Way::On,
            _ => Way::Any,
        };
    };
    let method = message.get("method").and_then(Value::as_str);
    let id = message.get("id");
    let sound = id.filter(|id| id.is_string() || id.is_number());
    if is_too_long(line, limit) {
        if contains(text, b"\\")
            || sound.is_some_and(|id| id.to_string().len() > 1000)
            || method.is_some_and(|m| m.len() > 1000)
        {
            return Way::Any;
        }
        return match (method, sound) {
            (None, Some(id)) if message.contains_key("result") || message.contains_key("error") => {
                Way::Fault(id.clone())
            }
            (Some(_), None) => Way::Nowhere,
            (_, id) => Way::Back(id.cloned().unwrap_or(Value::Null)),
        };
    }
    let Some(method) = method else { return Way::On };
    if id.is_none() {
        return match method {
            // May be about a call that is under way.
            "notifications/cancelled" => Way::Any,
            METHOD => Way::Nowhere,
            // In our name space, where there are none.
            _ if method
                .strip_prefix("notifications/")
                .and_then(|rest| rest.strip_prefix(ID))
                .is_some_and(|tail| tail.is_empty() || tail.starts_with('/')) =>
            {
                Way::Nowhere
            }
            _ => Way::On,
        };
    }
    let ours = match method {
        "tools/call" => message
            .get("params")
            .and_then(|p| p.get("name"))
            .and_then(Value::as_str)
            .is_some_and(|name| TOOLS.contains(&name)),
        method => method == METHOD,
    };
    if !ours {
        return Way::On;
    }
    // An id is a text or an integer of at most 1,024 bytes of JSON.
    match id {
        Some(Value::String(_))
            if !contains(text, b"\\") && id.is_some_and(|id| id.to_string().len() <= 1024) =>
        {
            Way::Back(id.cloned().unwrap_or_default())
        }
        Some(Value::Number(n)) if n.is_i64() || n.is_u64() => {
            Way::Back(id.cloned().unwrap_or_default())
        }
        Some(Value::Number(_) | Value::String(_)) => Way::Any,
        _ => Way::Back(Value::Null),
    }
}

/// Whether a name comes twice in the outermost object.
fn has_twins(text: &[u8]) -> bool {
    struct Names(bool);
    impl<'de> serde::Deserialize<'de> for Names {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Names;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Names, A::Error> {
                    let mut seen = std::collections::BTreeSet::new();
                    let mut twins = false;
                    while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        twins |= !seen.insert(name);
                    }
                    Ok(Names(twins))
                }
            }
            from.deserialize_map(Visit)
        }
    }
    serde_json::from_slice::<Names>(text).is_ok_and(|names| names.0)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Everything of the client is where it must be, once and in order.
fn from_client(lines: &[&[u8]], limit: usize, got: &Both) {
    // Taken out: our question which era the server serves, and our errors in place of a client's answers.
    let (mine, others): (Vec<&[u8]>, Vec<&[u8]>) = got
        .server
        .split_inclusive(|b| *b == b'\n')
        .partition(|line| is_mine(line));
    let mut faults: Vec<Value> = mine
        .iter()
        .filter(|line| !contains(line, PROBE))
        .map(|line| serde_json::from_slice(line).expect("a frame of ours is JSON"))
        .collect();
    assert!(mine.len() - faults.len() <= 1, "the question is asked once");
    let others = others.concat();
    let mut at_server: &[u8] = &others;
    let mut answers: Vec<Value> = answers(&got.client);
    let mut loose = 0;
    let mut held = Vec::new();
    for line in lines {
        match way(line, limit) {
            Way::On => {
                at_server = at_server.strip_prefix(*line).unwrap_or_else(|| {
                    panic!(
                        "expected {:?} at the server, saw {:?}",
                        show(line),
                        show(at_server)
                    )
                });
            }
            Way::Nowhere => {}
            Way::Fault(id) => {
                let at = faults
                    .iter()
                    .position(|fault| fault["id"] == id && fault["error"]["code"] == -32600);
                faults.remove(
                    at.unwrap_or_else(|| panic!("no error for {id} in {}", show(&got.server))),
                );
            }
            Way::Back(id) => match answers.iter().position(|answer| answer["id"] == id) {
                Some(at) => {
                    answers.remove(at);
                }
                // The server does not say which era it serves: after a while the call is its own to answer.
                None if !is_too_long(line, limit) => held.push([bare(line), b"\n"].concat()),
                None => panic!("no answer to {id} in {}", show(&got.client)),
            },
            Way::Any => {
                loose += 1;
                at_server = at_server.strip_prefix(*line).unwrap_or(at_server);
            }
        }
    }
    held.sort_unstable();
    // The half a line that the client ended with is ended before anything follows it.
    if !held.is_empty() && lines.last().is_some_and(|last| !last.ends_with(b"\n")) {
        at_server = at_server.strip_prefix(b"\n").unwrap_or(at_server);
    }
    assert_eq!(
        show(&sorted(at_server).concat()),
        show(&held.concat()),
        "nothing else at the server"
    );
    assert!(
        answers.len() + faults.len() <= loose,
        "nothing else: {answers:?}, {faults:?}"
    );
}

const PROBE: &[u8] = b"mcp-ext-wire/server-discover";
const TOO_LARGE: &[u8] = b"frame_too_large";

/// Whether a frame is of the relay itself, in a stream whose sender never says these words.
fn is_mine(line: &[u8]) -> bool {
    contains(line, PROBE) || contains(line, TOO_LARGE)
}

/// The frames that the client got, each a whole answer.
fn answers(stream: &[u8]) -> Vec<Value> {
    let mut all = Vec::new();
    for line in stream.split_inclusive(|b| *b == b'\n') {
        assert_eq!(line.last(), Some(&b'\n'), "a whole frame");
        let answer: Value = serde_json::from_slice(line)
            .unwrap_or_else(|e| panic!("{e} in an answer of ours: {:?}", show(line)));
        assert_eq!(answer["jsonrpc"], "2.0");
        assert!(
            answer.get("result").is_some() != answer.get("error").is_some(),
            "{answer}"
        );
        all.push(answer);
    }
    all
}

/// Everything of the server is at the client; of what is too long, an error is at whoever waits for it.
fn from_server(lines: &[&[u8]], limit: usize, got: &Both) {
    let mut at_client: &[u8] = &got.client;
    for line in lines {
        if !is_too_long(line, limit) {
            at_client = at_client.strip_prefix(*line).unwrap_or_else(|| {
                panic!(
                    "expected {:?} at the client, saw {:?}",
                    show(line),
                    show(at_client)
                )
            });
        } else if let Some(end) = at_client.iter().position(|b| *b == b'\n')
            && is_mine(&at_client[..end])
        {
            at_client = &at_client[end + 1..];
        }
    }
    assert_eq!(show(at_client), "", "nothing else at the client");
    for line in got.server.split_inclusive(|b| *b == b'\n') {
        assert!(is_mine(line), "{:?}", show(line));
    }
}
