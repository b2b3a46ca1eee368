//! Runs one case a given number of times, for tools that count; or all of some, against the clock.
//!
//! `mcp-ext-bench list`, `mcp-ext-bench run CASE TIMES`, `mcp-ext-bench time TIMES ROUNDS CASE...`

use std::process::ExitCode;
use std::time::Instant;

use mcp_ext_bench::cases::{CASES, Case};
use mcp_ext_bench::transport::Error;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcp-ext-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn find(name: &str) -> Result<&'static Case, Error> {
    CASES
        .iter()
        .find(|case| case.name == name)
        .ok_or_else(|| format!("no case {name}; `mcp-ext-bench list` names them").into())
}

fn run() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["list"] => {
            for case in CASES {
                println!("{}", case.name);
            }
            Ok(())
        }
        ["run", name, times] => find(name)?.run(times.parse()?),
        ["time", times, rounds, names @ ..] => time(times.parse()?, rounds.parse()?, names),
        _ => Err("usage: list | run CASE TIMES | time TIMES ROUNDS CASE...".into()),
    }
}

/// Interleaves the cases, so that whatever else the machine does meets all of them, and prints the best of each, in
/// nanoseconds a time.
fn time(times: usize, rounds: usize, names: &[&str]) -> Result<(), Error> {
    let cases = names
        .iter()
        .map(|name| find(name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut best = vec![f64::INFINITY; cases.len()];
    for _ in 0..rounds {
        for (case, best) in cases.iter().zip(&mut best) {
            let start = Instant::now();
            case.run(times)?;
            let nanos = start.elapsed().as_nanos() as f64 / times as f64;
            *best = best.min(nanos);
        }
    }
    for (case, best) in cases.iter().zip(best) {
        println!("{} {best:.0}", case.name);
    }
    Ok(())
}
