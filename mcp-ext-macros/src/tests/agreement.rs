//! The rules that this crate repeats, since mcp-ext-core depends on it, say the same as those of mcp-ext-core.

use mcp_ext_core::id;
use mcp_ext_core::protocol::ProtocolVersion;

use crate::names;
use crate::validate::item::{CLIENT_METHODS, CX_METHODS};
use crate::validate::trait_::PROTOCOLS;

/// Every text of up to `most` characters over an alphabet.
fn texts(alphabet: &[char], most: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..most {
        last = last
            .iter()
            .flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}")))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn id_01_to_04_identifiers_agree() {
    let mut sound = 0;
    let alphabet = ['a', 'Z', '1', '.', '/', '-', '_', 'ä'];
    for id in texts(&alphabet, 6) {
        let here = names::check_id(&id).is_ok();
        assert_eq!(here, id::check_official_extension_id(&id).is_ok(), "{id:?}");
        sound += usize::from(here);
    }
    assert!(sound > 1000, "{sound}");
}

#[test]
fn id_05_reserved_prefixes_agree() {
    let labels = [
        "com",
        "mcp",
        "modelcontextprotocol",
        "mcpx",
        "example",
        "io",
    ];
    for a in labels {
        for b in labels {
            for id in [
                format!("{a}/x"),
                format!("{a}.{b}/x"),
                format!("{a}.{b}.mcp/x"),
                format!("com.{a}.{b}/mcp"),
            ] {
                assert_eq!(
                    names::is_reserved(&id),
                    id::check_extension_id(&id).is_err(),
                    "{id}"
                );
            }
        }
    }
}

#[test]
fn req_04_method_names_agree() {
    let mut prefixes: Vec<String> = id::CORE_METHOD_PREFIXES
        .iter()
        .chain(id::OFFICIAL_METHOD_PREFIXES)
        .map(|p| p.trim_end_matches('/').into())
        .collect();
    prefixes.extend(
        [
            "com.example",
            "rpc",
            "rpc.example",
            "rpcx",
            "tool",
            "toolsx",
            "ping",
        ]
        .map(String::from),
    );
    for prefix in prefixes {
        let id = format!("{prefix}/x");
        let method = format!("{id}/verb");
        assert_eq!(
            names::takes_a_method_prefix(&id, false),
            id::check_method_name(&method).is_err(),
            "{method}"
        );
        let bare = format!("{prefix}/verb");
        assert_eq!(
            names::takes_a_method_prefix(&prefix, true),
            id::check_official_method_name(&bare).is_err(),
            "{bare}"
        );
    }
}

#[test]
fn req_05_verbs_agree() {
    for verb in texts(&['a', 'Z', '1', '.', '-', '_', ' ', '/', 'ä'], 4) {
        let here = names::check_name(&verb).is_ok();
        assert_eq!(
            here,
            id::check_method_name(&format!("com.example/x/{verb}")).is_ok(),
            "{verb:?}"
        );
        assert_eq!(
            here,
            id::check_notification_name(&format!("notifications/com.example/x/{verb}")).is_ok()
        );
    }
}

#[test]
fn req_15_tool_names_agree() {
    let long = "a".repeat(41);
    for name in texts(&['a', 'Z', '1', '_', '-', '.', 'ä'], 4)
        .iter()
        .chain([&long, &long[..40].to_owned()])
    {
        assert_eq!(
            names::check_tool_name(name).is_ok(),
            id::check_tool_name(name).is_ok(),
            "{name:?}"
        );
    }
}

#[test]
fn err_01_to_04_codes_agree() {
    for code in -40_000..40_000 {
        assert_eq!(
            names::reserved_code(code.into()).is_none(),
            id::check_own_code(code).is_ok(),
            "{code}"
        );
    }
}

#[test]
fn protocol_revisions_agree() {
    let theirs: Vec<_> = ProtocolVersion::ALL.iter().map(|v| v.as_str()).collect();
    assert_eq!(PROTOCOLS, theirs);
}

/// The fns in the body of what starts with `head`.
fn methods(source: &str, head: &str) -> Vec<String> {
    let body = source.split(head).nth(1).unwrap_or_default();
    let body = body.split("\n}").next().unwrap_or_default();
    body.lines()
        .filter_map(|line| line.trim().strip_prefix("pub "))
        .filter_map(|line| line.trim_start_matches("async ").strip_prefix("fn "))
        .filter_map(|line| line.split(['(', '<']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn methods_of_the_contexts_agree() {
    let source = include_str!("../../../mcp-ext-core/src/cx.rs");
    let mut theirs = methods(source, "impl<E: Extension> Cx<E> {");
    theirs.extend(methods(source, "macro_rules! shared {"));
    theirs.sort();
    let mut ours: Vec<_> = CX_METHODS.to_vec();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
}

#[test]
fn methods_of_the_client_agree() {
    let source = include_str!("../../../mcp-ext-core/src/client.rs");
    let mut theirs = methods(source, "> Active<E, C> {");
    theirs.sort();
    let mut ours: Vec<_> = CLIENT_METHODS.to_vec();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
}

#[test]
fn the_private_module_is_there() {
    // That it has the name the macros use, every compiled expansion proves; this proves that the name follows the version.
    let version: String = env!("CARGO_PKG_VERSION")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    assert_eq!(
        crate::parse::attributes::MODULE,
        format!("__private_{version}")
    );
    let lib = include_str!("../../../mcp-ext-core/src/lib.rs");
    assert!(lib.contains(&format!("pub mod {} {{", crate::parse::attributes::MODULE)));
}
