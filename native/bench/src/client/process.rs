//! What the operating system counts. It is Linux that has these files.

use std::time::Instant;

use crate::{Result, Told};

/// Wall and CPU time.
pub(crate) struct Clock {
    wall: Instant,
    cpu: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// Both, in microseconds.
    pub(crate) fn stop(self) -> Told {
        vec![("wall", microseconds(self.wall)), ("cpu", cpu().saturating_sub(self.cpu))]
    }
}

/// How many have passed since.
pub(crate) fn microseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// What this process has used so far, in microseconds.
fn cpu() -> u64 {
    // Ticks of 10 ms: fields 14 and 15, and the second has spaces and parentheses in it.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum::<u64>() * 10_000
}

/// The memory of this process, in bytes.
pub(crate) fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// The value below which `percent` of them are.
pub(crate) fn percentile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}
