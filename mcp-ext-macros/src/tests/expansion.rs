//! What the macros make of the files in `tests/input`, written out in `tests/output`; `tests/expansions.rs` compiles it.
//!
//! `MCP_EXT_BLESS=1 cargo test -p mcp-ext-macros expansion` writes the outputs anew.

use std::path::PathBuf;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;
use syn::{Attribute, Item, Meta, Path, Token};

use crate::diag::Sink;
use crate::{CORE, derive, error, extension, guarded, handlers, settings};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// Expands every item of a file that one of our macros stands on.
pub fn expand_file(source: &str) -> TokenStream {
    let file = syn::parse_file(source).expect("an input file is Rust");
    let attrs = &file.attrs;
    let items = file.items.into_iter().map(expand_item);
    quote!(#(#attrs)* #(#items)*)
}

fn attributes(item: &mut Item) -> Option<&mut Vec<Attribute>> {
    match item {
        Item::Trait(item) => Some(&mut item.attrs),
        Item::Impl(item) => Some(&mut item.attrs),
        Item::Struct(item) => Some(&mut item.attrs),
        Item::Enum(item) => Some(&mut item.attrs),
        _ => None,
    }
}

fn expand_item(mut item: Item) -> TokenStream {
    let Some(attrs) = attributes(&mut item) else {
        return item.into_token_stream();
    };
    let ours = ["extension", "handlers", "settings"];
    if let Some(at) = attrs
        .iter()
        .position(|a| ours.iter().any(|name| a.path().is_ident(name)))
    {
        let attr = attrs.remove(at);
        let args = match &attr.meta {
            Meta::List(list) => list.tokens.clone(),
            _ => TokenStream::new(),
        };
        let mut sink = Sink::default();
        let item = item.into_token_stream();
        let made = match attr.path().get_ident().map(ToString::to_string).as_deref() {
            Some("extension") => extension::expand(args, item, CORE, &mut sink),
            Some("handlers") => handlers::expand(args, item, CORE, &mut sink),
            _ => settings::expand(args, item, CORE, &mut sink),
        };
        assert!(sink.codes().is_empty(), "{:?}", sink.codes());
        return made;
    }
    let mut derived = false;
    for attr in attrs.iter_mut().filter(|a| a.path().is_ident("derive")) {
        let paths = attr
            .parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)
            .expect("a derive");
        let kept: Vec<_> = paths
            .iter()
            .filter(|p| !p.is_ident("ExtensionError"))
            .collect();
        derived |= kept.len() < paths.len();
        *attr = syn::parse_quote!(#[derive(#(#kept),*)]);
    }
    if !derived {
        return item.into_token_stream();
    }
    let mut sink = Sink::default();
    let made = error::expand(item.to_token_stream(), CORE, &mut sink);
    assert!(sink.codes().is_empty(), "{:?}", sink.codes());
    // rustc takes the helper attributes of a derive away.
    if let Item::Enum(item) = &mut item {
        item.attrs.retain(|a| !a.path().is_ident("error"));
        for variant in &mut item.variants {
            variant.attrs.retain(|a| !a.path().is_ident("error"));
            for field in &mut variant.fields {
                field.attrs.retain(|a| !a.path().is_ident("error"));
            }
        }
    }
    quote!(#item #made)
}

#[test]
fn expansions_are_as_written_down() {
    let bless = std::env::var_os("MCP_EXT_BLESS").is_some();
    for name in ["minimal", "full", "settings", "error"] {
        let source =
            std::fs::read_to_string(folder("input").join(format!("{name}.rs"))).expect("an input");
        let file = syn::parse2(expand_file(&source)).expect("an expansion is Rust");
        let made = prettyplease::unparse(&file);
        let path = folder("output").join(format!("{name}.rs"));
        if bless {
            std::fs::write(&path, &made).expect("an output can be written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(line) = made.lines().zip(expected.lines()).position(|(a, b)| a != b) {
            let (a, b) = (made.lines().nth(line), expected.lines().nth(line));
            panic!(
                "{name}.rs differs at line {}:\n made     {a:?}\n expected {b:?}",
                line + 1
            );
        }
        assert_eq!(
            made.lines().count(),
            expected.lines().count(),
            "{name}.rs differs in length"
        );
    }
}

/// The figure of the budget: lines that one method more costs a server, beside the user's own docs, which are copied.
/// The client's extra is only told: without the feature `client` it does not exist.
#[test]
fn a_method_costs_at_most_25_lines() {
    let lines = |count: usize, client: bool| {
        let fns: String = (0..count)
            .map(|i| format!("/// Does it.\n#[method] async fn m{i}(&self, cx: &Cx<XExtension>, params: P{i}) -> Result<R{i}, E>;"))
            .collect();
        let source = format!(
            "/// An extension.\n#[extension(id = \"com.example/x\")]\npub trait X {{ {fns} }}"
        );
        // The client stands in a macro call, which is laid out only when it is something else.
        let made = expand_file(&source)
            .to_string()
            .replace("__rt :: client !", "mod client");
        let mut file = syn::parse_file(&made).expect("an expansion is Rust");
        if !client {
            drop_clients(&mut file.items);
        }
        prettyplease::unparse(&file)
            .lines()
            .filter(|line| !line.trim_start().starts_with("///"))
            .count()
    };
    let each = |client| (lines(21, client) - lines(1, client)) as f64 / 20.0;
    let (server, both) = (each(false), each(true));
    eprintln!(
        "{server} lines for each method, {} more with the client",
        both - server
    );
    assert!(server <= 25.0, "{server} lines for each method");
    assert!(both <= 30.0, "{both} lines for each method with its client");
}

fn drop_clients(items: &mut Vec<syn::Item>) {
    items.retain(|item| !matches!(item, syn::Item::Mod(module) if module.ident == "client"));
    for item in items {
        if let syn::Item::Const(constant) = item
            && let syn::Expr::Block(block) = &mut *constant.expr
        {
            block.block.stmts.retain(|stmt| {
                !matches!(stmt, syn::Stmt::Item(syn::Item::Mod(module)) if module.ident == "client")
            });
        }
    }
}

#[test]
fn a_panic_is_a_diagnostic_beside_the_item() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let made = guarded(
        "extension",
        quote!(
            trait Kept {}
        ),
        |_| panic!("with these words"),
    )
    .to_string();
    std::panic::set_hook(hook);
    assert!(made.starts_with("trait Kept { }"), "{made}");
    assert!(
        made.contains("with these words") && made.contains("[panicked]"),
        "{made}"
    );
}

#[test]
fn every_path_goes_through_the_crate_that_was_named() {
    for name in ["minimal", "full", "settings", "error"] {
        let source =
            std::fs::read_to_string(folder("input").join(format!("{name}.rs"))).expect("an input");
        let source = source.replace("mcp_ext_core", "user_code");
        let through_core = expand_file(&source).to_string();
        assert!(through_core.contains("mcp_ext_core"), "{name}");
        // The name of the crate stands nowhere but before the private module.
        let spaced = format!("mcp_ext_core :: {}", crate::parse::attributes::MODULE);
        let text = format!("mcp_ext_core::{}", crate::parse::attributes::MODULE);
        let rest = through_core.replace(&spaced, "").replace(&text, "");
        assert!(!rest.contains("mcp_ext_core"), "{name}: {rest}");
    }
    let made = derive(
        quote!(
            enum E {
                #[error(code = 1, "x")]
                A,
            }
        ),
        "elsewhere",
    )
    .to_string();
    assert!(made.contains("elsewhere") && !made.contains("mcp_ext_core"));
}
