//! What wrapping costs, beside the bare server and a pump that looks at nothing in the same place, in one run.
//!
//! `cargo run --release -p mcp-ext-wire --all-features --example speed [stdio|http|memory]`

mod http;
mod memory;
mod stdio;

use std::time::Duration;

use mcp_ext_core::{ExtensionSet, ExtensionSetBuilder, ToolCx, extension, handlers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The allocator of the command.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A text.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Text {
    text: String,
}

/// Something to put in front.
#[extension(id = "com.example/speed")]
pub trait Speed {
    /// Gives the text back.
    #[method]
    #[tool]
    async fn speed_echo(
        &self,
        cx: &ToolCx<SpeedExtension>,
        params: Text,
    ) -> Result<Text, std::convert::Infallible>;
}

struct Echo;

#[handlers]
impl Speed for Echo {
    async fn speed_echo(
        &self,
        _: &ToolCx<SpeedExtension>,
        params: Text,
    ) -> Result<Text, std::convert::Infallible> {
        Ok(params)
    }
}

fn set() -> ExtensionSetBuilder {
    ExtensionSet::builder().enable(SpeedExtension::provide(Echo))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["stdio", mode] => stdio::run(mode),
        ["http", mode, upstream @ ..] => http::run(mode, upstream.first().copied()),
        ["stdio"] => stdio::measure(),
        ["http"] => http::measure(),
        ["memory"] => memory::measure(1_000_000),
        ["memory", calls] => memory::measure(calls.parse().expect("a number of calls")),
        _ => {
            stdio::measure();
            http::measure();
        }
    }
}

fn runtime(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work);
    std::process::exit(0);
}

/// What one round of one mode came to.
struct Figures {
    /// Of a call after the other.
    median: Duration,
    /// Calls a second with many under way.
    rate: f64,
    /// Processor time of a call, where it is known.
    processor: Option<Duration>,
}

/// Processor time that a process has used. Only Linux says so.
fn processor(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let times = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += times.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

/// Interleaves the modes, there and back, so that whatever else the machine does meets all of them, and compares each with
/// the first: the median of the rounds' ratios.
fn compare(what: &str, modes: &[&str], rounds: usize, mut round: impl FnMut(usize) -> Figures) {
    let mut all: Vec<Vec<Figures>> = modes.iter().map(|_| Vec::new()).collect();
    for count in 0..=rounds {
        for step in 0..modes.len() {
            let at = if count % 2 == 0 {
                step
            } else {
                modes.len() - 1 - step
            };
            let figures = round(at);
            // The first round warms up.
            if count > 0 {
                all[at].push(figures);
            }
        }
    }
    println!("{what}:");
    for (mode, figures) in modes.iter().zip(&all) {
        let ratios = |ratio: fn(&Figures, &Figures) -> f64| {
            median(
                figures
                    .iter()
                    .zip(&all[0])
                    .map(|(one, first)| ratio(one, first)),
            )
        };
        print!(
            "{mode:>8}: {:>6.1} us a call ({:.3} of {}), {:>7.0} calls/s ({:.3})",
            median(figures.iter().map(|one| one.median.as_secs_f64() * 1e6)),
            ratios(|one, first| one.median.as_secs_f64() / first.median.as_secs_f64()),
            modes[0],
            median(figures.iter().map(|one| one.rate)),
            ratios(|one, first| one.rate / first.rate),
        );
        let used = |one: &Figures| one.processor.unwrap_or_default().as_secs_f64() * 1e6;
        if figures.iter().all(|one| one.processor.is_some()) {
            print!(
                ", {:.1} us of the processor a call ({:.3})",
                median(figures.iter().map(used)),
                median(
                    figures
                        .iter()
                        .zip(&all[0])
                        .map(|(one, first)| used(one) / used(first))
                ),
            );
        }
        println!();
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
