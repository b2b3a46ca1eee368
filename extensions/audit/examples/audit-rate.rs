//! How fast an export verifies, beside bare SHA-256 over the same bytes, and in how much memory.
//!
//! `cargo run --release -p mcp-ext-audit --example audit-rate [RECORDS] [FILE]`

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mcp_ext_audit::{Data, Event, Head, Outcome, Scalar, Text, TextFault, Verifier, verify};
use sha2::{Digest as _, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let records: u64 = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let file = arguments.next().map_or_else(
        || std::env::temp_dir().join(format!("audit-rate-{}.jsonl", std::process::id())),
        PathBuf::from,
    );
    let head = write(&file, records)?;
    let result = measure(&file, head);
    std::fs::remove_file(&file)?;
    result
}

fn measure(file: &Path, head: Head) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::metadata(file)?.len();
    let rate = |seconds: f64| bytes as f64 / seconds / 1e6;
    println!("{} records, {bytes} bytes", head.count());

    // Once, so that both measurements read from the same cache.
    bare(file)?;
    let before = peak()?;
    let (began, cpu) = (Instant::now(), cpu());
    let verdict = verify(
        BufReader::with_capacity(64 * 1024, File::open(file)?),
        Verifier::new().against(head),
    )?;
    let (wall, seconds) = (began.elapsed().as_secs_f64(), self::cpu() - cpu);
    let whole = verdict?;
    println!(
        "verify        {wall:>7.2} s, processor {seconds:>6.2} s, {:>5.0} MB/s, {:>8.0} records/s; peak memory {before} kB before, {} kB after",
        rate(seconds),
        whole.records as f64 / seconds,
        peak()?
    );
    let (began, cpu) = (Instant::now(), self::cpu());
    bare(file)?;
    let (wall, hashing) = (began.elapsed().as_secs_f64(), self::cpu() - cpu);
    println!(
        "bare SHA-256  {wall:>7.2} s, processor {hashing:>6.2} s, {:>5.0} MB/s",
        rate(hashing)
    );
    println!("ratio of processor time {:.2}", seconds / hashing);
    Ok(())
}

fn bare(file: &Path) -> Result<[u8; 32], Box<dyn Error>> {
    let mut file = File::open(file)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// Time this thread had a processor, in seconds: on a busy machine the wall clock says little. The time since the start
/// where the system does not tell.
fn cpu() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

/// The most memory this process ever had, in kB; zero where the system does not tell.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.map_or(Ok(0), str::parse)?)
}

/// Writes intents and outcomes as the block does.
fn write(file: &Path, records: u64) -> Result<Head, Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(file)?);
    let mut previous = None;
    for i in 0..records {
        let record = event(i)?.seal(previous)?;
        previous = Some(record.event_hash);
        out.write_all(record.to_line().as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    let last = previous.ok_or("at least one record")?;
    Ok(Head::new("seg_rate", records, last)?)
}

fn event(i: u64) -> Result<Event, TextFault> {
    let data = |members: &[(&str, &str)]| -> Result<Data, TextFault> {
        let pairs = members
            .iter()
            .map(|(name, value)| Ok(((*name).to_owned(), Scalar::Text(Text::new(value)?))));
        pairs.collect()
    };
    let outcome = i % 2 == 1;
    let mut governance = data(&[
        ("purpose_declared", "TREAT"),
        (
            "session_id",
            &format!("55555555-5555-4555-8555-{:012}", i / 2),
        ),
    ])?;
    governance.insert("flagged".into(), Scalar::Flag(false));
    if outcome {
        governance.insert(
            "output_disposition".into(),
            Scalar::Text(Text::new("returned")?),
        );
        let source = format!("[\"sub_{:032x}\"]", i % 977);
        governance.insert("sources_touched".into(), Scalar::Text(Text::new(&source)?));
        governance.insert(
            "sensitivity_encountered".into(),
            Scalar::Text(Text::new("pii")?),
        );
    } else {
        governance.insert("output_disposition".into(), Scalar::Null);
    }
    let security = data(&[
        ("drift_status", "none"),
        ("severity", "info"),
        (
            "quarantine_decision",
            if outcome { "release" } else { "hold" },
        ),
        ("policy_id", "io.github.mcp-ext/audit@1"),
        ("evidence_hash", &format!("hmac-sha256:{i:064x}")),
    ])?;
    let second = i / 1000 % 86_400;
    Ok(Event {
        event_id: Text::new(&format!("99999999-9999-4999-8999-{i:012}"))?,
        occurred_at: format!(
            "2026-11-24T{:02}:{:02}:{:02}.{:03}Z",
            second / 3600,
            second / 60 % 60,
            second % 60,
            i % 1000
        ),
        principal_id: Text::new(&format!("sub_{:032x}", i % 101))?,
        event_type: Text::new("tool_call")?,
        tool_name: Some(Text::new("fhir_read")?),
        outcome: if outcome {
            Outcome::Allowed
        } else {
            Outcome::Deferred
        },
        extensions: BTreeMap::from([
            ("caller-governance".to_owned(), governance),
            ("runtime-security".to_owned(), security),
        ]),
    })
}
