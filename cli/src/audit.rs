//! `mcp-ext audit`: exports of an audit log, and their verification without it.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use mcp_ext::audit::{Audit, Head, Verifier, verify};
use mcp_ext::store::Store;
use serde_json::json;

use crate::Error;

/// Export the audit log that `--audit FILE` writes, and verify exports without it.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say whether an export is as it was written. Exit code 1 if it is not.
    Verify {
        /// The export: one record a line. `-` is standard input.
        #[arg(value_name = "FILE")]
        export: PathBuf,
        /// A head that was put away elsewhere: without one, records cut off at the end are not noticed.
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
    /// Write a chain of the log, one record a line, and its head.
    Export {
        /// The log.
        #[arg(value_name = "LOG")]
        log: PathBuf,
        /// Which chain, where there are several; each tenant has its own.
        #[arg(long, value_name = "NAME")]
        segment: Option<String>,
        /// Where the records go; otherwise to standard output.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Where the head goes; otherwise to standard error. Keep it where whoever runs the log cannot change it.
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
}

/// `false` when an export is not as it was written.
pub fn run(args: &Args) -> Result<bool, Error> {
    match &args.command {
        Command::Verify { export, head } => verified(export, head.as_deref()),
        Command::Export {
            log,
            segment,
            to,
            head,
        } => {
            exported(log, segment.as_deref(), to.as_deref(), head.as_deref())?;
            Ok(true)
        }
    }
}

fn verified(export: &Path, head: Option<&Path>) -> Result<bool, Error> {
    let named = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut verifier = Verifier::new();
    if let Some(path) = head {
        let text = std::fs::read_to_string(path).map_err(|e| named(path, &e))?;
        let head: Head = serde_json::from_str(text.trim()).map_err(|e| named(path, &e))?;
        verifier = verifier.against(head);
    }
    let lines: Box<dyn BufRead> = if export == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(
            File::open(export).map_err(|e| named(export, &e))?,
        ))
    };
    let found = verify(lines, verifier).map_err(|e| named(export, &e))?;
    let whole = found.is_ok();
    if std::io::stdout().is_terminal() {
        match found {
            Ok(found) => {
                let against = match head {
                    Some(_) => ", up to the head",
                    None => "; without --head FILE a cut end would not show",
                };
                anstream::println!("whole: {} records{against}", found.records);
            }
            Err(found) => anstream::println!("broken: {found}"),
        }
        return Ok(whole);
    }
    let report = match found {
        Ok(found) => json!({
            "ok": true,
            "records": found.records,
            "last": found.last.map(|digest| digest.to_string()),
            "againstHead": head.is_some(),
        }),
        Err(found) => json!({
            "ok": false,
            "firstBroken": { "index": found.index, "reason": found.reason.kind(), "message": found.reason.to_string() },
        }),
    };
    anstream::println!("{report}");
    Ok(whole)
}

fn exported(
    log: &Path,
    segment: Option<&str>,
    to: Option<&Path>,
    head: Option<&Path>,
) -> Result<(), Error> {
    if !log.is_file() {
        return Err(format!("{}: there is no such log", log.display()).into());
    }
    let audit = Audit::new(&Store::open(log)?)?;
    let names: Vec<String> = audit.segments()?.into_iter().map(|s| s.name).collect();
    let segment = match (segment, names.as_slice()) {
        (Some(segment), _) if names.iter().any(|name| name == segment) => segment.to_owned(),
        (None, [only]) => only.clone(),
        (None, []) => return Err(format!("{}: nothing is recorded yet", log.display()).into()),
        (_, several) => {
            return Err(format!(
                "say which chain with --segment NAME; there are: {}",
                several.join(", ")
            )
            .into());
        }
    };
    let records: Box<dyn Write> = match to {
        Some(path) => Box::new(File::create_new(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => format!(
                "{} exists, and an export never overwrites; choose another name",
                path.display()
            ),
            _ => format!("{}: {e}", path.display()),
        })?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut records = std::io::BufWriter::new(records);
    let written = audit.export(&segment, &mut records)?;
    records.flush()?;
    match head {
        Some(path) => std::fs::write(path, format!("{}\n", written.to_json()))
            .map_err(|e| format!("{}: {e}", path.display()))?,
        None => anstream::eprintln!("{}", written.to_json()),
    }
    Ok(())
}
