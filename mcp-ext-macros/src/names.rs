//! The rules that names on the wire obey, and how a name is made from a fn's.
//!
//! mcp-ext-core has the same rules in `id.rs` and applies them again; this crate cannot depend on it, and a test proves
//! that the two agree.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;

/// Prefixes of methods that belong to the core protocol or to an official extension.
const METHOD_PREFIXES: &[&str] = &[
    "tools",
    "resources",
    "prompts",
    "completion",
    "server",
    "subscriptions",
    "logging",
    "elicitation",
    "sampling",
    "roots",
    "notifications",
];
const OFFICIAL_PREFIXES: &[&str] = &["tasks", "skills", "events"];

/// `grade_submission` as `gradeSubmission`.
pub fn camel_case(name: &Ident) -> String {
    let mut out = String::new();
    let mut upper = false;
    for c in name.unraw().to_string().trim_start_matches('_').chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            out.extend(c.to_uppercase());
            upper = false;
        } else {
            out.push(c);
        }
    }
    out
}

/// `UnknownCourse` as `unknown_course`.
pub fn snake_case(name: &Ident) -> String {
    let mut out = String::new();
    for (i, c) in name.unraw().to_string().chars().enumerate() {
        if c.is_uppercase() && i > 0 {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// What is wrong with an identifier, as what was expected.
pub fn check_id(id: &str) -> Result<(), String> {
    let Some((prefix, name)) = id.split_once('/') else {
        return Err("`prefix/name`, such as `com.example/grading`".to_owned());
    };
    for label in prefix.split('.') {
        if label.is_empty() {
            return Err("labels joined by single dots before the `/`".to_owned());
        }
        let bytes = label.as_bytes();
        if let Some(c) = label
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && *c != '-')
        {
            return Err(format!(
                "letters, digits and `-` in the label `{label}`, not `{c}` (ASCII only)"
            ));
        }
        if !bytes[0].is_ascii_alphabetic() {
            return Err(format!("a letter at the start of the label `{label}`"));
        }
        if bytes[bytes.len() - 1] == b'-' {
            return Err(format!(
                "a letter or a digit at the end of the label `{label}`"
            ));
        }
    }
    if name.contains('/') {
        return Err("one `/` only".to_owned());
    }
    check_name(name).map_err(|why| format!("{why}, after the `/`"))
}

/// What is wrong with the part after the prefix, of an identifier, a method or a `_meta` key.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name".to_owned());
    }
    if let Some(c) = name
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
    {
        return Err(format!(
            "letters, digits, `-`, `_` and `.` (ASCII only), not `{}`",
            c.escape_default()
        ));
    }
    let bytes = name.as_bytes();
    if !bytes[0].is_ascii_alphanumeric() || !bytes[bytes.len() - 1].is_ascii_alphanumeric() {
        return Err("a letter or a digit at both ends".to_owned());
    }
    Ok(())
}

/// Whether the second label of the prefix reserves the identifier for MCP itself.
pub fn is_reserved(id: &str) -> bool {
    let prefix = id.split_once('/').map_or(id, |(prefix, _)| prefix);
    matches!(
        prefix.split('.').nth(1),
        Some("mcp" | "modelcontextprotocol")
    )
}

/// Whether methods of this identifier, or below this bare prefix, would be somebody else's.
pub fn takes_a_method_prefix(id: &str, official: bool) -> bool {
    let first = id.split('/').next().unwrap_or(id);
    METHOD_PREFIXES.contains(&first)
        || first.starts_with("rpc.")
        || (!official && first == "rpc")
        || (!official && OFFICIAL_PREFIXES.contains(&first))
}

/// What is wrong with a tool's name.
pub fn check_tool_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name".to_owned());
    }
    if let Some(c) = name
        .chars()
        .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_'))
    {
        return Err(format!("a-z, 0-9 and `_`, not `{}`", c.escape_default()));
    }
    if name.len() > 40 {
        return Err(format!("at most 40 characters, not {}", name.len()));
    }
    Ok(())
}

/// Whether this can be a member of the settings.
pub fn is_flag(flag: &str) -> bool {
    flag.starts_with(|c: char| c.is_ascii_alphabetic())
        && flag.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Whether this is a JSON pointer to a member, not to the whole.
pub fn is_pointer(pointer: &str) -> bool {
    pointer
        .strip_prefix('/')
        .is_some_and(|rest| !rest.is_empty() && rest.split('/').all(|part| !part.is_empty()))
}

/// Why an error code cannot be an extension's own.
pub fn reserved_code(code: i128) -> Option<&'static str> {
    match code {
        -32022..=-32020 => Some("MCP gives it a meaning of its own"),
        -32027..=-32023 => Some("the draft of the official events extension asks for it"),
        -32042 | -32002 => Some("MCP retired it, and clients still read it the old way"),
        -32768..=-32000 => Some("JSON-RPC and MCP keep -32768..=-32000 for themselves"),
        _ => None,
    }
}
