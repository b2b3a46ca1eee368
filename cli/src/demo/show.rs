//! The demo for a person: short lines, colour where there is a terminal.

use anstream::println;
use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::log::From;
use super::{Era, Fact, Scene, Transport};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Longest value on a line, in characters.
const WIDTH: usize = 108;

pub fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Stdio => "stdio",
        Transport::Http => "HTTP",
    }
}

pub fn era(era: Era) -> &'static str {
    match era {
        Era::Modern => "2026-07-28 (capabilities on every request)",
        Era::Legacy => "2025-11-25 (capabilities once, in initialize)",
    }
}

pub fn scene(scene: &Scene, frames: bool) {
    println!(
        "\n{BOLD}{}, {}{BOLD:#}",
        transport(scene.transport),
        era(scene.era)
    );
    for fact in &scene.facts {
        one(fact);
    }
    if let Some(why) = &scene.broken {
        println!("  {BAD}FAILED{BAD:#} {why}");
    }
    if frames {
        for frame in &scene.frames {
            let arrow = if frame.from == From::Client {
                "->"
            } else {
                "<-"
            };
            let status = frame
                .http_status
                .map_or(String::new(), |s| format!(" [{s}]"));
            println!(
                "  {DIM}{arrow} {}{status}{DIM:#} {}",
                frame.connection, frame.body
            );
        }
    }
}

fn one(fact: &Fact) {
    let mark = if fact.holds() {
        format!("{GOOD}ok{GOOD:#}    ")
    } else {
        format!("{BAD}FAILED{BAD:#}")
    };
    println!("  {mark} {}", fact.what);
    let lines = match &fact.seen {
        Value::Object(members) => members
            .iter()
            .map(|(k, v)| format!("{k}: {}", plain(v)))
            .collect(),
        other => vec![plain(other)],
    };
    for line in lines {
        println!("         {DIM}{}{DIM:#}", short(&line));
    }
    if let Some(expected) = &fact.expected {
        println!("         {BAD}expected {expected}{BAD:#}");
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn short(line: &str) -> String {
    if line.chars().count() <= WIDTH {
        return line.to_owned();
    }
    line.chars().take(WIDTH - 1).chain(['…']).collect()
}

pub fn summary(scenes: &[Scene], all: bool) {
    let facts: usize = scenes.iter().map(|s| s.facts.len()).sum();
    let frames: usize = scenes.iter().map(|s| s.frames.len()).sum();
    if all {
        println!(
            "\n{GOOD}All {facts} facts were read from {frames} captured frames.{GOOD:#} \
             `mcp-ext demo --frames` shows them, `--json` gives them to a program."
        );
    } else {
        let failed: usize = scenes
            .iter()
            .flat_map(|s| &s.facts)
            .filter(|f| !f.holds())
            .count();
        println!(
            "\n{BAD}{failed} of {facts} facts did not hold.{BAD:#} `mcp-ext demo --frames` shows what passed."
        );
    }
}
