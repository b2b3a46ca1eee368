//! What a process still holds after many calls, beside what it holds after 10,000.

use crate::http::{Call, Peer as HttpPeer};
use crate::stdio::{self, Peer as StdioPeer};

const FEW: u32 = 10_000;

/// Resident memory in kB once the allocator has given back what it does not need. Only Linux says so.
fn resident(pid: u32) -> u64 {
    std::thread::sleep(std::time::Duration::from_secs(25));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|kb| kb.parse().ok())
        .expect("a figure")
}

fn report(what: &str, few: u64, many: u64, calls: u32) {
    println!(
        "{what}: {few} kB after {FEW} calls, {many} kB after {calls}: {:.3}",
        many as f64 / few as f64
    );
}

/// Half of the calls are answered here, half are forwarded.
pub fn measure(calls: u32) {
    let mut wrap = StdioPeer::start("wrap");
    stdio::pipelined(&mut wrap, FEW, 2);
    let few = resident(wrap.pid());
    stdio::pipelined(&mut wrap, calls - FEW, 2);
    report("stdio", few, resident(wrap.pid()), calls);
    wrap.end();

    let server = HttpPeer::start("server", None);
    let mut wrap = HttpPeer::start("wrap", Some(&server));
    let around = [Call::Json, Call::Own, Call::Events, Call::Own];
    wrap.concurrent(FEW, &around);
    let few = resident(wrap.pid());
    wrap.concurrent(calls - FEW, &around);
    report("HTTP", few, resident(wrap.pid()), calls);
    wrap.end();
    server.end();
}
