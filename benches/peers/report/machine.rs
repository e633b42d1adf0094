//! What the report says of the machine: nothing that would name it.

use std::{fs, num::NonZero, thread::available_parallelism};

/// Name and value of each property that the system tells.
pub fn describe() -> Vec<(&'static str, String)> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let mut properties = vec![("processor", format!("{processor}, {cores} cores"))];
    let memory = field("/proc/meminfo", "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse::<f64>().ok());
    properties.extend(memory.map(|kib| ("memory", format!("{:.0} GiB", kib / f64::from(1 << 20)))));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let system = std::env::consts::OS;
    properties.push(("system", kernel.map_or(system.to_owned(), |kernel| format!("{system} {}", kernel.trim()))));
    properties
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name)?;
    Some(value.trim().to_owned())
}
