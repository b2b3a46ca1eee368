//! `mcp-ext list`: the extensions linked into this program.

use std::io::IsTerminal;

use mcp_ext::audit::AuditExtension;
use mcp_ext::{Contract, Extension as _};
use serde_json::json;

use crate::Error;
use crate::set::{Enabled, Name};

/// List the extensions this program knows; JSON when piped.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON also on a terminal.
    #[arg(long)]
    json: bool,

    /// Print the blocks around each item instead, outermost first.
    #[arg(long)]
    chains: bool,
}

pub fn run(args: &Args) -> Result<(), Error> {
    let json = args.json || !std::io::stdout().is_terminal();
    if args.chains {
        return chains(json);
    }
    let contracts = mcp_ext::registry::linked()?;
    if json {
        let all: Vec<_> = contracts.iter().map(|c| describe(c)).collect();
        anstream::println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for contract in contracts {
        let bold = anstyle::Style::new().bold();
        let revision = contract
            .revision
            .map_or(String::new(), |r| format!(", revision {r}"));
        anstream::println!("{bold}{}{bold:#}{revision}", contract.id);
        if let Some(title) = contract.title {
            anstream::println!("  {title}");
        }
        anstream::println!("  protocol revisions {}", contract.protocol);
        if let Some(name) = enable_name(contract) {
            anstream::println!("  enable with --enable {name}");
        } else if contract.id == AuditExtension::CONTRACT.id {
            anstream::println!("  enable with --audit FILE");
        }
        for item in contract.items {
            let first = item.docs.trim().lines().next().unwrap_or_default();
            if let Some(method) = item.method {
                anstream::println!("  method {:<52} {first}", method.wire);
            }
            if let Some(tool) = item.tool {
                anstream::println!("  tool   {:<52} {first}", tool.name);
            }
        }
    }
    Ok(())
}

fn enable_name(contract: &Contract) -> Option<String> {
    use clap::ValueEnum;
    Name::ALL
        .iter()
        .find(|n| n.contract().id == contract.id)
        .and_then(|n| n.to_possible_value())
        .map(|v| v.get_name().to_owned())
}

fn describe(contract: &Contract) -> serde_json::Value {
    json!({
        "id": contract.id.as_str(),
        "title": contract.title,
        "revision": contract.revision,
        "protocol": { "min": contract.protocol.min.as_str(), "max": contract.protocol.max.map(|v| v.as_str()) },
        "enable": enable_name(contract),
        "methods": contract.items.iter().filter_map(|i| i.method).map(|m| m.wire).collect::<Vec<_>>(),
        "tools": contract.items.iter().filter_map(|i| i.tool).map(|t| t.name).collect::<Vec<_>>(),
        "requires": contract.requires.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(),
        "source": { "module": contract.source.module, "line": contract.source.line },
    })
}

fn chains(json: bool) -> Result<(), Error> {
    let set = Enabled::everything().build()?;
    let chains = set.chains();
    if json {
        let all: Vec<_> = chains
            .iter()
            .map(|(c, item, blocks)| json!({ "extension": c.id.as_str(), "item": item.name, "blocks": blocks }))
            .collect();
        anstream::println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    for (contract, item, blocks) in chains {
        let mut nesting = blocks.join("( ");
        if !blocks.is_empty() {
            nesting.push_str("( ");
        }
        anstream::println!(
            "{} {}: {nesting}handler{}",
            contract.id,
            item.name,
            " )".repeat(blocks.len())
        );
    }
    Ok(())
}
