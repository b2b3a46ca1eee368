//! What the tests share: files that are deleted, and a process that can be ended at any point.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_ext_store::{Point, Probe};

/// A file in a directory of its own, which is deleted when this is dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let directory = std::env::temp_dir().join(format!(
            "mcp-ext-{name}-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("store.sqlite")
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Ends this process by SIGKILL at the point of this number, counted from zero, and names the points on stderr.
pub struct KillAt {
    pub number: u64,
    seen: AtomicU64,
}

impl KillAt {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            seen: AtomicU64::new(0),
        }
    }
}

impl Probe for KillAt {
    fn at(&self, point: Point<'_>) {
        if self.seen.fetch_add(1, Ordering::SeqCst) == self.number {
            eprintln!("killed at: {point}");
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
            loop {
                std::thread::park();
            }
        }
    }
}

/// Runs the test of that name of this binary in a process of its own.
pub fn child(test: &str, variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.envs(variables.iter().map(|(k, v)| (k, v)));
    command
}

pub fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}
