//! Every diagnostic has a case that makes it.

use std::collections::BTreeSet;

use quote::quote;

use crate::diag::{Diagnostic, Sink};
use crate::{CORE, error, extension, handlers, settings};

/// Diagnostics that rustc lets nobody reach with a whole file; tests of this crate make them.
const MADE_HERE: &[&str] = &["panicked", "unparsable"];

#[test]
fn every_diagnostic_has_a_failing_case() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ui/fail");
    let mut told: BTreeSet<String> = MADE_HERE.iter().map(|code| (*code).to_owned()).collect();
    for entry in std::fs::read_dir(folder).expect("the cases") {
        let path = entry.expect("a case").path();
        if path.extension().is_some_and(|e| e == "stderr") {
            let text = std::fs::read_to_string(&path).expect("an expected text");
            let lines = text.lines().filter(|line| line.starts_with("error: "));
            told.extend(
                lines.filter_map(|line| {
                    Some(line.rsplit_once('[')?.1.strip_suffix(']')?.to_owned())
                }),
            );
        }
    }
    let codes: BTreeSet<String> = Diagnostic::CODES
        .iter()
        .map(|code| (*code).to_owned())
        .collect();
    assert_eq!(codes.len(), Diagnostic::CODES.len(), "a code stands twice");
    let silent: Vec<_> = codes.difference(&told).collect();
    assert!(silent.is_empty(), "no case makes {silent:?}");
}

#[test]
fn what_cannot_be_read_is_handed_on_with_a_word() {
    let mut sink = Sink::default();
    let broken = quote!(trait X { ? });
    assert_eq!(
        extension::expand(quote!(), broken.clone(), CORE, &mut sink).to_string(),
        broken.to_string()
    );
    let broken = quote!(impl X for Y { ? });
    assert_eq!(
        handlers::expand(quote!(), broken.clone(), CORE, &mut sink).to_string(),
        broken.to_string()
    );
    let broken = quote!(struct X { ? });
    assert_eq!(
        settings::expand(quote!(), broken.clone(), CORE, &mut sink).to_string(),
        broken.to_string()
    );
    assert!(error::expand(quote!(enum X { ? }), CORE, &mut sink).is_empty());
    assert_eq!(sink.codes(), ["unparsable"; 4]);
}

#[test]
fn a_half_typed_body_still_expands() {
    let mut sink = Sink::default();
    let item = quote!(
        impl X for Y {
            async fn a(&self, cx: &Cx<XExtension>) -> R { cx. }
            async fn b(&self, cx: &Cx<XExtension>) -> R { let = 3 }
        }
    );
    let made = handlers::expand(quote!(), item, CORE, &mut sink).to_string();
    assert!(sink.codes().is_empty());
    assert!(
        made.contains("{ cx . }") && made.contains("[\"a\" , \"b\"]"),
        "{made}"
    );
}

#[test]
fn every_key_is_documented() {
    use crate::parse::trait_::{EXTENSION, METHOD, NOTIFICATION, TOOL};
    let docs: Vec<&str> = include_str!("../lib.rs")
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("/// |"))
        .collect();
    let keys = [
        EXTENSION,
        METHOD,
        TOOL,
        NOTIFICATION,
        settings::NEGOTIATE,
        error::VARIANT,
        error::FIELD,
        error::ENUM,
    ];
    for key in keys.into_iter().flatten() {
        let named = |line: &&&str| {
            let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            words.into_iter().any(|word| word == key.name)
        };
        assert!(
            docs.iter().find(named).is_some(),
            "`{}` stands in no table",
            key.name
        );
        // The book has them all too, where it is beside the crate.
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/keys.md");
        if let Ok(book) = std::fs::read_to_string(book) {
            let mut words = book.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            assert!(
                words.any(|word| word == key.name),
                "`{}` is not in keys.md",
                key.name
            );
        }
    }
}

#[test]
fn twins_go_through_the_facade() {
    let mut sink = Sink::default();
    let made = [
        extension::expand(
            quote!(id = "com.example/a"),
            quote!(
                trait X {}
            ),
            crate::FACADE,
            &mut sink,
        ),
        settings::expand(
            quote!(),
            quote!(
                struct S {}
            ),
            crate::FACADE,
            &mut sink,
        ),
        error::expand(
            quote!(
                enum E {}
            ),
            crate::FACADE,
            &mut sink,
        ),
    ];
    for made in made {
        let made = made.to_string();
        assert!(
            made.contains("mcp_ext ::") && !made.contains("mcp_ext_core"),
            "{made}"
        );
    }
}

/// Whatever stands in the parentheses, the macros answer: they neither fail inside nor run on without end.
#[test]
fn hostile_arguments_are_told_of_and_survived() {
    let fragments = [
        "id",
        "=",
        ",",
        "\"com.example/a\"",
        "(",
        ")",
        "settings",
        "meta",
        "request",
        ":",
        "u8",
        "<",
        "-",
        "7",
        "#",
        "!",
    ];
    let mut seed = 1u64;
    for _ in 0..1000 {
        let mut text = String::new();
        for _ in 0..8 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(fragments[(seed >> 33) as usize % fragments.len()]);
            text.push(' ');
        }
        let Ok(args) = text.parse::<proc_macro2::TokenStream>() else {
            continue;
        };
        let mut sink = Sink::default();
        let made = extension::expand(
            args.clone(),
            quote!(
                pub trait X {}
            ),
            CORE,
            &mut sink,
        )
        .to_string();
        assert!(made.contains("struct XExtension"), "{text}: {made}");
        let mut sink = Sink::default();
        let made = settings::expand(
            quote!(),
            quote!(
                struct S {
                    #[negotiate(#args)]
                    a: u8,
                }
            ),
            CORE,
            &mut sink,
        );
        assert!(!sink.codes().is_empty(), "{text}");
        assert!(syn::parse2::<syn::File>(made).is_ok(), "{text}");
        let mut sink = Sink::default();
        let made = error::expand(
            quote!(
                enum E {
                    #[error(#args)]
                    A { a: u8 },
                }
            ),
            CORE,
            &mut sink,
        );
        assert!(
            !sink.codes().is_empty() && syn::parse2::<syn::File>(made).is_ok(),
            "{text}"
        );
    }
}
