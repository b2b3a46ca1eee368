//! What a test must not leave behind: open files, child processes, tasks. Read from `/proc`; elsewhere nothing is seen.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what is ending may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The open files of this process.
pub fn files() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

/// The living processes whose command line holds `token`.
pub fn processes(token: &str) -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            // Empty for one that has ended and is not yet awaited.
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(token))
        })
        .collect()
}

/// The children of this process, those included that have ended and were not awaited.
pub fn children() -> HashSet<u32> {
    let mut all = HashSet::new();
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return all;
    };
    for thread in threads.flatten() {
        let list = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
    }
    all
}

/// A figure of a process in kB, as `VmRSS` or `VmHWM`.
pub fn memory(pid: u32, figure: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(figure))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Waits until `what` is so.
///
/// # Panics
/// When it never is; `still` says what is there instead.
pub fn until(still: impl Fn() -> String, what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < PATIENCE, "{}", still());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Remembers what is open before a test.
pub struct Before {
    files: Option<usize>,
    children: HashSet<u32>,
}

impl Before {
    pub fn now() -> Self {
        if !Path::new("/proc/self/fd").exists() {
            eprintln!("SKIPPED faults, what is left open: there is no /proc on this system");
        }
        Self {
            files: files(),
            children: children(),
        }
    }

    /// # Panics
    /// When a file or a child is left that was not there before.
    pub fn assert_nothing_left(&self) {
        until(
            || format!("{:?} files are open, {:?} were before", files(), self.files),
            || files() <= self.files,
        );
        until(
            || format!("children are left: {:?}", children()),
            || children().is_subset(&self.children),
        );
    }
}
