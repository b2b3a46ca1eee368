//! Names on the wire and the rules they obey: extension identifiers, `_meta` keys, method names, tool names, own error
//! codes.
//!
//! Every rule is a `const fn`, so that a literal is checked when it is compiled and a string when it is read. Each name
//! has up to three doors:
//!
//! | | admits |
//! |---|---|
//! | `parse`, `from_static`, [`FromStr`] | names one may give to what is one's own: reserved ones are refused |
//! | `parse_official`, `from_static_official` | the names of the official extensions as well |
//! | `Deserialize` | every name the grammar admits, since a peer speaks of other people's extensions too |

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The grammar of an extension identifier, as a regular expression over ASCII.
pub const EXTENSION_ID_PATTERN: &str = r"^[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*/[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$";

/// The grammar of a `_meta` key: as an identifier, but the prefix may be missing and, after a prefix, the name too.
pub const META_KEY_PATTERN: &str = r"^(?:[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*/(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)$";

/// What any method name must be: visible ASCII without spaces, because it travels verbatim in the `Mcp-Method` header.
pub const METHOD_NAME_PATTERN: &str = "^[!-~]+$";

/// Names longer than this draw a warning; the specification sets no limit.
pub const LONG_NAME: usize = 128;

/// Labels that reserve a prefix when they stand second in it.
const RESERVED_LABELS: [&str; 2] = ["modelcontextprotocol", "mcp"];

/// The bare `_meta` keys that belong to the core protocol.
pub const RESERVED_META_NAMES: &[&str] = &["progressToken", "traceparent", "tracestate", "baggage"];

/// Every request and notification method of the core protocol, revisions 2025-11-25 and 2026-07-28 together, sorted.
pub const CORE_METHODS: &[&str] = &[
    "completion/complete",
    "elicitation/create",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/elicitation/complete",
    "notifications/initialized",
    "notifications/message",
    "notifications/progress",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/resources/updated",
    "notifications/roots/list_changed",
    "notifications/subscriptions/acknowledged",
    "notifications/tasks/status",
    "notifications/tools/list_changed",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "roots/list",
    "sampling/createMessage",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tools/call",
    "tools/list",
];

/// Prefixes the core protocol keeps for its own requests.
pub const CORE_METHOD_PREFIXES: &[&str] = &[
    "tools/",
    "resources/",
    "prompts/",
    "completion/",
    "server/",
    "subscriptions/",
    "logging/",
    "elicitation/",
    "sampling/",
    "roots/",
    NOTIFICATIONS,
];

/// Prefixes that official extensions have reserved in their documents.
pub const OFFICIAL_METHOD_PREFIXES: &[&str] = &["tasks/", "skills/", "events/"];

/// What every notification method starts with.
const NOTIFICATIONS: &str = "notifications/";

/// The rule a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdRule {
    /// The name is missing altogether.
    Empty,
    /// An identifier has a prefix, and a slash after it.
    Slash,
    /// There is one slash too many.
    OneSlash,
    /// A label of the prefix is empty.
    EmptyLabel,
    /// A label starts with a letter.
    LabelStart,
    /// A label holds letters, digits and hyphens.
    LabelChar,
    /// A label ends with a letter or a digit.
    LabelEnd,
    /// The name after the prefix is empty.
    EmptyName,
    /// A name starts with a letter or a digit.
    NameStart,
    /// A name holds letters, digits, `-`, `_` and `.`.
    NameChar,
    /// A name ends with a letter or a digit.
    NameEnd,
    /// The second label reserves the prefix for MCP itself.
    ReservedPrefix,
    /// The bare `_meta` key belongs to the core protocol.
    ReservedName,
    /// A method name is visible ASCII without spaces.
    VisibleAscii,
    /// JSON-RPC keeps the names that begin with `rpc.`.
    RpcPrefix,
    /// The name is a method of the core protocol.
    CoreMethod,
    /// The prefix is one of the core protocol's.
    CorePrefix,
    /// The prefix is reserved by an official extension.
    OfficialPrefix,
    /// A method name is `identifier/verb`.
    MethodForm,
    /// A notification name starts with `notifications/`.
    NotificationForm,
    /// A character that a tool name may not hold.
    ToolChar,
    /// A tool name that is too long.
    ToolLength,
}

impl IdRule {
    /// What the rule expects, in words that follow "expected".
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Empty => "a name, which cannot be empty",
            Self::Slash => {
                "a `/` between prefix and name (an identifier is `prefix/name`, such as `com.example/grading`)"
            }
            Self::OneSlash => "no second `/` (an identifier is `prefix/name`, with one slash)",
            Self::EmptyLabel => {
                "a label, a letter first (the prefix is labels joined by single dots)"
            }
            Self::LabelStart => "a letter (A-Z, a-z) at the start of a label",
            Self::LabelChar => "a letter, a digit or `-` inside a label (ASCII only)",
            Self::LabelEnd => "a letter or a digit at the end of a label",
            Self::EmptyName => "a name after the `/`",
            Self::NameStart => "a letter or a digit at the start of the name",
            Self::NameChar => "a letter, a digit, `-`, `_` or `.` inside the name (ASCII only)",
            Self::NameEnd => "a letter or a digit at the end of the name",
            Self::ReservedPrefix => {
                "a prefix of your own: one whose second label is `mcp` or `modelcontextprotocol` is reserved for MCP itself"
            }
            Self::ReservedName => {
                "a key with a prefix of your own: this bare key belongs to the core protocol"
            }
            Self::VisibleAscii => {
                "visible ASCII without spaces (a method name travels in an HTTP header)"
            }
            Self::RpcPrefix => "a name that does not begin with `rpc.`, which JSON-RPC reserves",
            Self::CoreMethod => "a name that is not a method of the core protocol",
            Self::CorePrefix => "a name outside the core protocol's prefixes",
            Self::OfficialPrefix => {
                "a name outside `tasks/`, `skills/` and `events/`, which official extensions reserve"
            }
            Self::MethodForm => {
                "`identifier/verb`, such as `com.example/grading/submit` (one more `/` and one verb after the identifier)"
            }
            Self::NotificationForm => {
                "`notifications/identifier/event`, such as `notifications/com.example/grading/changed`"
            }
            Self::ToolChar => {
                "only the characters a tool name may hold (ours: a-z, 0-9, `_`; on the wire: A-Z, a-z, 0-9, `_`, `.`, `-`)"
            }
            Self::ToolLength => {
                "a shorter name (ours: at most 40 characters; on the wire: at most 128)"
            }
        }
    }
}

/// Where a name breaks which rule: the plain form that constant evaluation can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdFault {
    /// The byte at which the rule is broken; the length of the text when something is missing at its end.
    pub at: usize,
    /// The rule.
    pub rule: IdRule,
}

impl IdFault {
    const fn new(at: usize, rule: IdRule) -> Self {
        Self { at, rule }
    }
}

/// Which name an [`IdError`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameKind {
    /// An extension identifier.
    Extension,
    /// A key of a `_meta` object.
    MetaKey,
    /// A request method.
    Method,
    /// A notification method.
    Notification,
    /// A tool name.
    Tool,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Extension => "extension identifier",
            Self::MetaKey => "_meta key",
            Self::Method => "method name",
            Self::Notification => "notification name",
            Self::Tool => "tool name",
        })
    }
}

/// A name that breaks a rule: the text, the byte, the label it stands in and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdError {
    /// Which name this is.
    pub kind: NameKind,
    /// The name as seen, cut after 128 characters.
    pub text: String,
    /// The label (the piece between dots and slashes) in which the rule is broken, cut likewise.
    pub label: String,
    /// The byte at which the rule is broken.
    pub at: usize,
    /// The rule.
    pub rule: IdRule,
}

impl IdError {
    /// Joins the text with the fault that a check found in it.
    #[must_use]
    pub fn new(kind: NameKind, text: &str, fault: IdFault) -> Self {
        let at = fault.at.min(text.len());
        let bytes = text.as_bytes();
        let separator = |b: &u8| matches!(b, b'.' | b'/');
        let start = bytes[..at].iter().rposition(separator).map_or(0, |i| i + 1);
        let end = bytes[at..]
            .iter()
            .position(separator)
            .map_or(bytes.len(), |i| at + i);
        Self {
            kind,
            text: cut(text),
            // Separators are ASCII, so both ends are character boundaries.
            label: cut(text.get(start..end).unwrap_or_default()),
            at,
            rule: fault.rule,
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONG_NAME) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: at byte {}", self.kind, self.text, self.at)?;
        if !self.label.is_empty() && self.label != self.text {
            write!(f, ", in {:?}", self.label)?;
        }
        write!(f, ": expected {}", self.rule.expected())
    }
}

impl std::error::Error for IdError {}

/// What is allowed but unwise in an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdWarning {
    /// The prefix has one label only, so it is no reversed domain.
    OneLabel {
        /// The prefix.
        prefix: String,
    },
    /// A label reads `mcp` or `modelcontextprotocol`: reserved by an older rule, and a trademark risk.
    McpLabel {
        /// The label.
        label: String,
    },
    /// The identifier is longer than [`LONG_NAME`].
    Long {
        /// Its length in bytes.
        length: usize,
    },
}

impl fmt::Display for IdWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneLabel { prefix } => write!(
                f,
                "prefix {prefix:?} has one label; use the reversed domain you control, such as `com.example`"
            ),
            Self::McpLabel { label } => write!(
                f,
                "label {label:?} suggests MCP itself; older rules reserve it and it is a trademark: use a label of your own"
            ),
            Self::Long { length } => {
                write!(
                    f,
                    "{length} bytes long; stay within {LONG_NAME}, some peers cut longer names"
                )
            }
        }
    }
}

// --- the rules -------------------------------------------------------------------------------------------------

/// Checks an identifier for an extension of one's own: the grammar, and no reserved prefix.
///
/// ```
/// use mcp_ext_core::id::check_extension_id;
///
/// const _: () = assert!(check_extension_id("com.example/grading").is_ok());
/// assert!(check_extension_id("io.modelcontextprotocol/tasks").is_err());
/// ```
pub const fn check_extension_id(id: &str) -> Result<(), IdFault> {
    match check_official_extension_id(id) {
        Ok(()) => check_unreserved(id.as_bytes(), 0),
        Err(fault) => Err(fault),
    }
}

/// Checks an identifier against the grammar alone, which admits those of official extensions.
pub const fn check_official_extension_id(id: &str) -> Result<(), IdFault> {
    let bytes = id.as_bytes();
    let slash = find(bytes, 0, b'/');
    if slash == bytes.len() {
        // A text that is not even a prefix is told of its own fault first.
        return match check_prefix(bytes, 0, slash) {
            Ok(()) => Err(IdFault::new(slash, IdRule::Slash)),
            Err(fault) => Err(fault),
        };
    }
    match check_prefix(bytes, 0, slash) {
        Ok(()) => check_name(bytes, slash + 1, bytes.len()),
        Err(fault) => Err(fault),
    }
}

/// Checks a `_meta` key of one's own: the grammar, no reserved prefix, no reserved bare name.
pub const fn check_meta_key(key: &str) -> Result<(), IdFault> {
    match check_official_meta_key(key) {
        Ok(()) => {}
        Err(fault) => return Err(fault),
    }
    if find(key.as_bytes(), 0, b'/') == key.len() {
        return if contains(RESERVED_META_NAMES, key) {
            Err(IdFault::new(0, IdRule::ReservedName))
        } else {
            Ok(())
        };
    }
    check_unreserved(key.as_bytes(), 0)
}

/// Checks a `_meta` key against the grammar alone, which admits the keys of the core protocol.
pub const fn check_official_meta_key(key: &str) -> Result<(), IdFault> {
    let bytes = key.as_bytes();
    let slash = find(bytes, 0, b'/');
    if slash == bytes.len() {
        return if bytes.is_empty() {
            Err(IdFault::new(0, IdRule::Empty))
        } else {
            check_name(bytes, 0, slash)
        };
    }
    match check_prefix(bytes, 0, slash) {
        Ok(()) if slash + 1 == bytes.len() => Ok(()),
        Ok(()) => check_name(bytes, slash + 1, bytes.len()),
        Err(fault) => Err(fault),
    }
}

/// Checks what every method name must be: not empty, visible ASCII, no spaces.
pub const fn check_wire_method(method: &str) -> Result<(), IdFault> {
    let bytes = method.as_bytes();
    if bytes.is_empty() {
        return Err(IdFault::new(0, IdRule::Empty));
    }
    let mut i = 0;
    while i < bytes.len() {
        if !bytes[i].is_ascii_graphic() {
            return Err(IdFault::new(i, IdRule::VisibleAscii));
        }
        i += 1;
    }
    Ok(())
}

/// Checks the name of a request method of a third party: `identifier/verb`, clear of every reserved name.
///
/// ```
/// use mcp_ext_core::id::{IdRule, check_method_name};
///
/// const _: () = assert!(check_method_name("com.example/grading/submit").is_ok());
/// assert_eq!(check_method_name("tools/call").unwrap_err().rule, IdRule::CoreMethod);
/// ```
pub const fn check_method_name(method: &str) -> Result<(), IdFault> {
    match check_official_method_name(method) {
        Ok(()) => {}
        Err(fault) => return Err(fault),
    }
    if starts_with_any(method, OFFICIAL_METHOD_PREFIXES) {
        return Err(IdFault::new(0, IdRule::OfficialPrefix));
    }
    check_identifier_and_verb(method.as_bytes(), 0, IdRule::MethodForm)
}

/// Checks the name of a request method of an official extension: header-safe, not `rpc.`, outside the core's own names.
///
/// The methods that `tasks` had as a core feature in 2025-11-25 are the extension's now, and are admitted.
pub const fn check_official_method_name(method: &str) -> Result<(), IdFault> {
    match check_wire_method(method) {
        Ok(()) => {}
        Err(fault) => return Err(fault),
    }
    if starts_with(method.as_bytes(), "rpc.") {
        return Err(IdFault::new(0, IdRule::RpcPrefix));
    }
    if contains(CORE_METHODS, method) && !starts_with(method.as_bytes(), "tasks/") {
        return Err(IdFault::new(0, IdRule::CoreMethod));
    }
    if starts_with_any(method, CORE_METHOD_PREFIXES) {
        return Err(IdFault::new(0, IdRule::CorePrefix));
    }
    Ok(())
}

/// Checks the name of a third party's notification: `notifications/identifier/event`.
pub const fn check_notification_name(method: &str) -> Result<(), IdFault> {
    match check_official_notification_name(method) {
        Ok(()) => check_identifier_and_verb(
            method.as_bytes(),
            NOTIFICATIONS.len(),
            IdRule::NotificationForm,
        ),
        Err(fault) => Err(fault),
    }
}

/// Checks the name of an official extension's notification: header-safe, below `notifications/`, none of the core's.
///
/// `notifications/tasks/status` was a core name in 2025-11-25 only and is admitted.
pub const fn check_official_notification_name(method: &str) -> Result<(), IdFault> {
    match check_wire_method(method) {
        Ok(()) => {}
        Err(fault) => return Err(fault),
    }
    if !starts_with(method.as_bytes(), NOTIFICATIONS) {
        return Err(IdFault::new(0, IdRule::NotificationForm));
    }
    if method.len() == NOTIFICATIONS.len() {
        return Err(IdFault::new(method.len(), IdRule::EmptyName));
    }
    if contains(CORE_METHODS, method) && !equal(method.as_bytes(), b"notifications/tasks/status") {
        return Err(IdFault::new(0, IdRule::CoreMethod));
    }
    Ok(())
}

/// Checks the name of a tool that ships here: `[a-z0-9_]{1,40}`, which every known host accepts.
///
/// ```
/// use mcp_ext_core::id::{check_tool_name, check_wire_tool_name};
///
/// const _: () = assert!(check_tool_name("grade_submission").is_ok());
/// assert!(check_tool_name("grade.submission").is_err() && check_wire_tool_name("grade.submission").is_ok());
/// ```
pub const fn check_tool_name(name: &str) -> Result<(), IdFault> {
    check_tool(name, 40, true)
}

/// Checks the name of any tool on the wire: `[A-Za-z0-9_.-]{1,128}`.
pub const fn check_wire_tool_name(name: &str) -> Result<(), IdFault> {
    check_tool(name, 128, false)
}

const fn check_tool(name: &str, longest: usize, strict: bool) -> Result<(), IdFault> {
    let bytes = name.as_bytes();
    if bytes.is_empty() {
        return Err(IdFault::new(0, IdRule::Empty));
    }
    let mut i = 0;
    while i < bytes.len() {
        let fits = match bytes[i] {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => true,
            b'A'..=b'Z' | b'.' | b'-' => !strict,
            _ => false,
        };
        if !fits {
            return Err(IdFault::new(i, IdRule::ToolChar));
        }
        i += 1;
    }
    if bytes.len() > longest {
        return Err(IdFault::new(longest, IdRule::ToolLength));
    }
    Ok(())
}

/// The codes JSON-RPC and MCP keep for themselves.
pub const RESERVED_CODES: std::ops::RangeInclusive<i64> = -32768..=-32000;

/// An error code that is not an extension's to give away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeFault {
    /// The code.
    pub code: i64,
}

impl fmt::Display for CodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "error code {}: expected a code outside -32768..=-32000, which JSON-RPC and MCP reserve; a small positive number does",
            self.code
        )
    }
}

impl std::error::Error for CodeFault {}

/// Checks an error code of an extension's own: it lies outside -32768..=-32000.
///
/// ```
/// use mcp_ext_core::id::check_own_code;
///
/// const _: () = assert!(check_own_code(4100).is_ok() && check_own_code(-32021).is_err());
/// ```
pub const fn check_own_code(code: i64) -> Result<(), CodeFault> {
    if code >= -32768 && code <= -32000 {
        Err(CodeFault { code })
    } else {
        Ok(())
    }
}

/// `bytes[start..end]` is `label *( "." label )`.
const fn check_prefix(bytes: &[u8], start: usize, end: usize) -> Result<(), IdFault> {
    let mut label = start;
    loop {
        let mut i = label;
        while i < end && bytes[i] != b'.' {
            let b = bytes[i];
            if i == label && !b.is_ascii_alphabetic() {
                return Err(IdFault::new(i, IdRule::LabelStart));
            }
            if !(b.is_ascii_alphanumeric() || b == b'-') {
                return Err(IdFault::new(i, IdRule::LabelChar));
            }
            i += 1;
        }
        if i == label {
            return Err(IdFault::new(i, IdRule::EmptyLabel));
        }
        if bytes[i - 1] == b'-' {
            return Err(IdFault::new(i - 1, IdRule::LabelEnd));
        }
        if i == end {
            return Ok(());
        }
        label = i + 1;
    }
}

/// `bytes[start..end]` is a name, not empty.
const fn check_name(bytes: &[u8], start: usize, end: usize) -> Result<(), IdFault> {
    if start == end {
        return Err(IdFault::new(start, IdRule::EmptyName));
    }
    let mut i = start;
    while i < end {
        let b = bytes[i];
        if b == b'/' {
            return Err(IdFault::new(i, IdRule::OneSlash));
        }
        if i == start && !b.is_ascii_alphanumeric() {
            return Err(IdFault::new(i, IdRule::NameStart));
        }
        if !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
            return Err(IdFault::new(i, IdRule::NameChar));
        }
        i += 1;
    }
    if bytes[end - 1].is_ascii_alphanumeric() {
        Ok(())
    } else {
        Err(IdFault::new(end - 1, IdRule::NameEnd))
    }
}

/// The prefix at `start` is not one that its second label reserves. The grammar has been checked.
const fn check_unreserved(bytes: &[u8], start: usize) -> Result<(), IdFault> {
    let slash = find(bytes, start, b'/');
    let first = find(bytes, start, b'.');
    if first >= slash {
        return Ok(());
    }
    let second = first + 1;
    let dot = find(bytes, second, b'.');
    let end = if dot < slash { dot } else { slash };
    let mut i = 0;
    while i < RESERVED_LABELS.len() {
        if RESERVED_LABELS[i].len() == end - second && starts_at(bytes, second, RESERVED_LABELS[i])
        {
            return Err(IdFault::new(second, IdRule::ReservedPrefix));
        }
        i += 1;
    }
    Ok(())
}

/// `bytes[start..]` is an unreserved identifier, a slash and one verb.
const fn check_identifier_and_verb(
    bytes: &[u8],
    start: usize,
    form: IdRule,
) -> Result<(), IdFault> {
    let first = find(bytes, start, b'/');
    if first == bytes.len() {
        return Err(IdFault::new(first, form));
    }
    let second = find(bytes, first + 1, b'/');
    if second == bytes.len() {
        return Err(IdFault::new(second, form));
    }
    if find(bytes, second + 1, b'/') != bytes.len() {
        return Err(IdFault::new(find(bytes, second + 1, b'/'), form));
    }
    // Method names that begin with `rpc.` are JSON-RPC's; a first label `rpc` is refused whatever follows it.
    if starts_at(bytes, start, "rpc") && (bytes[start + 3] == b'/' || bytes[start + 3] == b'.') {
        return Err(IdFault::new(start, IdRule::RpcPrefix));
    }
    match check_prefix(bytes, start, first) {
        Ok(()) => {}
        Err(fault) => return Err(fault),
    }
    match check_name(bytes, first + 1, second) {
        Ok(()) => {}
        Err(fault) => return Err(fault),
    }
    match check_name(bytes, second + 1, bytes.len()) {
        Ok(()) => check_unreserved(bytes, start),
        Err(fault) => Err(fault),
    }
}

/// The index of `byte` at or after `from`, or the length.
const fn find(bytes: &[u8], from: usize, byte: u8) -> usize {
    let mut i = from;
    while i < bytes.len() && bytes[i] != byte {
        i += 1;
    }
    i
}

const fn starts_at(bytes: &[u8], from: usize, word: &str) -> bool {
    let word = word.as_bytes();
    if bytes.len() < from || bytes.len() - from < word.len() {
        return false;
    }
    let mut i = 0;
    while i < word.len() {
        if bytes[from + i] != word[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn starts_with(bytes: &[u8], word: &str) -> bool {
    starts_at(bytes, 0, word)
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn contains(list: &[&str], word: &str) -> bool {
    let mut i = 0;
    while i < list.len() {
        if equal(list[i].as_bytes(), word.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn starts_with_any(word: &str, prefixes: &[&str]) -> bool {
    let mut i = 0;
    while i < prefixes.len() {
        if starts_with(word.as_bytes(), prefixes[i]) {
            return true;
        }
        i += 1;
    }
    false
}

// --- the types -------------------------------------------------------------------------------------------------

/// What the three name types have in common.
macro_rules! name_type {
    (
        $(#[$doc:meta])* $name:ident, $kind:expr, $pattern:expr, $what:literal,
        own: $own:path, official: $official:path, wire: $wire:path
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// Reads a name of one's own; reserved ones are refused.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                match $own(text) {
                    Ok(()) => Ok(Self(Cow::Owned(text.to_owned()))),
                    Err(fault) => Err(IdError::new($kind, text, fault)),
                }
            }

            /// Reads a name that may be an official extension's.
            pub fn parse_official(text: &str) -> Result<Self, IdError> {
                match $official(text) {
                    Ok(()) => Ok(Self(Cow::Owned(text.to_owned()))),
                    Err(fault) => Err(IdError::new($kind, text, fault)),
                }
            }

            /// A literal of one's own, checked by the compiler when it stands in a constant.
            ///
            /// # Panics
            /// When the literal breaks a rule: in a constant this is a compile error that says which.
            #[must_use]
            #[track_caller]
            pub const fn from_static(text: &'static str) -> Self {
                match $own(text) {
                    Ok(()) => Self(Cow::Borrowed(text)),
                    Err(fault) => refuse($what, text, fault),
                }
            }

            /// As [`from_static`](Self::from_static), and admits the names of official extensions.
            ///
            /// # Panics
            /// As `from_static`.
            #[must_use]
            #[track_caller]
            pub const fn from_static_official(text: &'static str) -> Self {
                match $official(text) {
                    Ok(()) => Self(Cow::Borrowed(text)),
                    Err(fault) => refuse($what, text, fault),
                }
            }

            /// The whole name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                match $wire(&text) {
                    Ok(()) => Ok(Self(Cow::Owned(text.into_owned()))),
                    Err(fault) => Err(serde::de::Error::custom(IdError::new($kind, &text, fault))),
                }
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_id() -> Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

/// Ends constant evaluation with the name, the byte and the rule in words.
#[track_caller]
const fn refuse(what: &str, text: &str, fault: IdFault) -> ! {
    let message = Line::new()
        .push(what)
        .push(" \"")
        .push(text)
        .push("\": at byte ")
        .push_number(fault.at)
        .push(": expected ")
        .push(fault.rule.expected());
    panic!("{}", message.as_str())
}

/// A line of text put together without an allocator, for panics in constant evaluation.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; 512],
            len: 0,
        }
    }

    /// Appends the text, cut after [`LONG_NAME`] bytes (or a whole rule) at a character.
    const fn push(mut self, text: &str) -> Self {
        let from = text.as_bytes();
        let room = self.bytes.len() - self.len;
        let most = if room < 2 * LONG_NAME {
            room
        } else {
            2 * LONG_NAME
        };
        let mut end = if from.len() < most { from.len() } else { most };
        while end > 0 && end < from.len() && from[end] & 0b1100_0000 == 0b1000_0000 {
            end -= 1;
        }
        let mut i = 0;
        while i < end {
            self.bytes[self.len + i] = from[i];
            i += 1;
        }
        self.len += end;
        self
    }

    const fn push_number(self, number: usize) -> Self {
        let line = if number >= 10 {
            self.push_number(number / 10)
        } else {
            self
        };
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        line.push(DIGITS[number % 10])
    }

    const fn as_str(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            // Only whole characters were pushed.
            Err(_) => "a name breaks a rule",
        }
    }
}

name_type! {
    /// An extension identifier, `prefix/name`, such as `com.example/grading`.
    ///
    /// Compared byte by byte. See the [module](self) for what each way to make one admits.
    ///
    /// ```
    /// use mcp_ext_core::id::{ExtensionId, IdRule};
    ///
    /// const GRADING: ExtensionId = ExtensionId::from_static("com.example/grading");
    /// assert_eq!((GRADING.prefix(), GRADING.name()), ("com.example", "grading"));
    ///
    /// let refused = ExtensionId::parse("com.1example/grading").unwrap_err();
    /// assert_eq!((refused.at, refused.label.as_str(), refused.rule), (4, "1example", IdRule::LabelStart));
    /// ```
    ///
    /// A literal that breaks a rule does not compile:
    ///
    /// ```compile_fail
    /// # use mcp_ext_core::id::ExtensionId;
    /// const GRADING: ExtensionId = ExtensionId::from_static("com.example.grading");
    /// ```
    ExtensionId, NameKind::Extension, EXTENSION_ID_PATTERN, "extension identifier",
    own: check_extension_id, official: check_official_extension_id, wire: check_official_extension_id
}

name_type! {
    /// A key of a `_meta` object: a prefix and a name, a bare name, or a prefix alone.
    ///
    /// ```
    /// use mcp_ext_core::id::MetaKey;
    ///
    /// const LABEL: MetaKey = MetaKey::from_static("com.example/label");
    /// assert_eq!(LABEL.prefix(), Some("com.example"));
    /// assert!(MetaKey::parse("traceparent").is_err());
    /// ```
    MetaKey, NameKind::MetaKey, META_KEY_PATTERN, "_meta key",
    own: check_meta_key, official: check_official_meta_key, wire: check_official_meta_key
}

name_type! {
    /// The name of a request method; a third party's is `identifier/verb`.
    ///
    /// ```
    /// use mcp_ext_core::id::MethodName;
    ///
    /// const SUBMIT: MethodName = MethodName::from_static("com.example/grading/submit");
    /// assert_eq!((SUBMIT.extension(), SUBMIT.verb()), ("com.example/grading", "submit"));
    /// assert!(MethodName::parse("tasks/get").is_err() && MethodName::parse_official("tasks/get").is_ok());
    /// ```
    MethodName, NameKind::Method, METHOD_NAME_PATTERN, "method name",
    own: check_method_name, official: check_official_method_name, wire: check_wire_method
}

name_type! {
    /// The name of a notification method; a third party's is `notifications/identifier/event`.
    ///
    /// ```
    /// use mcp_ext_core::id::NotificationName;
    ///
    /// const CHANGED: NotificationName = NotificationName::from_static("notifications/com.example/grading/changed");
    /// assert_eq!((CHANGED.extension(), CHANGED.event()), ("com.example/grading", "changed"));
    /// ```
    NotificationName, NameKind::Notification, METHOD_NAME_PATTERN, "notification name",
    own: check_notification_name, official: check_official_notification_name, wire: check_wire_method
}

impl ExtensionId {
    /// What stands before the slash: the reversed domain.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.split_once('/').map_or("", |(prefix, _)| prefix)
    }

    /// What stands after the slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// Whether the prefix is reserved for MCP itself.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        check_unreserved(self.0.as_bytes(), 0).is_err()
    }

    /// Whether the two differ in the case of letters only: allowed by the grammar, and never meant.
    #[must_use]
    pub fn is_case_variant_of(&self, other: &Self) -> bool {
        self != other && self.0.eq_ignore_ascii_case(&other.0)
    }

    /// What the grammar allows in this identifier and prudence does not.
    ///
    /// ```
    /// # use mcp_ext_core::id::ExtensionId;
    /// assert!(ExtensionId::from_static("com.example/grading").warnings().is_empty());
    /// assert_eq!(ExtensionId::from_static("mcp/grading").warnings().len(), 2);
    /// ```
    #[must_use]
    pub fn warnings(&self) -> Vec<IdWarning> {
        let mut warnings = Vec::new();
        let prefix = self.prefix();
        if !prefix.contains('.') {
            warnings.push(IdWarning::OneLabel {
                prefix: cut(prefix),
            });
        }
        for label in prefix.split('.') {
            if RESERVED_LABELS
                .iter()
                .any(|reserved| label.eq_ignore_ascii_case(reserved))
            {
                warnings.push(IdWarning::McpLabel {
                    label: label.to_owned(),
                });
            }
        }
        if self.0.len() > LONG_NAME {
            warnings.push(IdWarning::Long {
                length: self.0.len(),
            });
        }
        warnings
    }
}

impl MetaKey {
    /// What stands before the slash, if there is one.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.0.split_once('/').map(|(prefix, _)| prefix)
    }

    /// What stands after the slash, or the whole bare key. Empty for a key that is a prefix alone.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// Whether the key belongs to the core protocol or to an official extension.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        check_meta_key(&self.0).is_err()
    }

    /// Whether the key's prefix is the extension's own: its prefix, or that followed by its name as a label.
    ///
    /// ```
    /// # use mcp_ext_core::id::{ExtensionId, MetaKey};
    /// let grading = ExtensionId::from_static("com.example/grading");
    /// assert!(MetaKey::from_static("com.example/label").belongs_to(&grading));
    /// assert!(MetaKey::from_static("com.example.grading/label").belongs_to(&grading));
    /// assert!(!MetaKey::from_static("label").belongs_to(&grading));
    /// ```
    #[must_use]
    pub fn belongs_to(&self, extension: &ExtensionId) -> bool {
        self.prefix().is_some_and(|prefix| {
            let rest = prefix.strip_prefix(extension.prefix());
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.strip_prefix('.') == Some(extension.name())
            })
        })
    }
}

impl MethodName {
    /// Everything before the last slash: the identifier, where the name is a third party's.
    #[must_use]
    pub fn extension(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or("", |(extension, _)| extension)
    }

    /// What stands after the last slash.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, verb)| verb)
    }
}

impl NotificationName {
    /// What stands between `notifications/` and the last slash: the identifier, where the name is a third party's.
    #[must_use]
    pub fn extension(&self) -> &str {
        let rest = self.0.strip_prefix(NOTIFICATIONS).unwrap_or(&self.0);
        rest.rsplit_once('/').map_or("", |(extension, _)| extension)
    }

    /// What stands after the last slash.
    #[must_use]
    pub fn event(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, event)| event)
    }
}
