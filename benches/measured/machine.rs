//! What the operating system counts: CPU time and memory.

use std::{fs, time::Instant};

/// CPU time of this process in seconds, of all threads, in user mode and in the kernel.
pub fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that this process had resident, in bytes; `None` where the system does not tell.
pub fn peak_resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Seconds of CPU that all processes of the machine have used; `None` where the system does not tell.
fn busy_seconds() -> Option<f64> {
    let all = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = all.lines().next()?.split_whitespace().skip(1).map_while(|t| t.parse().ok()).collect();
    // user, nice, system, irq, softirq; not idle, iowait and steal. A tick is a hundredth of a second for all user space.
    Some([0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum::<f64>() / 100.0)
}

/// The clocks of machine and process at one moment.
pub struct Snapshot {
    pub at: Instant,
    pub cpu_seconds: f64,
    busy_seconds: Option<f64>,
}

impl Snapshot {
    pub fn now() -> Self {
        Self { at: Instant::now(), cpu_seconds: cpu_seconds(), busy_seconds: busy_seconds() }
    }

    /// How many cores other processes have kept busy from an earlier moment to this one.
    pub fn foreign_cores_since(&self, earlier: &Self) -> f64 {
        let Some((now, then)) = self.busy_seconds.zip(earlier.busy_seconds) else { return 0.0 };
        let own = self.cpu_seconds - earlier.cpu_seconds;
        ((now - then - own) / (self.at - earlier.at).as_secs_f64()).max(0.0)
    }
}
