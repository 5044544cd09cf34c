//! What the kernel says of a process, in `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// The CPU time that a process has used, in user and kernel mode, in all of its threads.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, the program's name in parentheses, may hold anything; the rest does not.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let ticks: Vec<u64> =
        fields.split_ascii_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    Ok(TICK * u32::try_from(ticks.iter().sum::<u64>())?)
}

/// The memory that a process has in use (`VmRSS`), in KiB.
pub(crate) fn resident_memory(pid: u32) -> anyhow::Result<f64> {
    kilobytes(pid, "VmRSS:")
}

/// The most memory that a process has had in use (`VmHWM`), in KiB.
pub(crate) fn peak_memory(pid: u32) -> anyhow::Result<f64> {
    kilobytes(pid, "VmHWM:")
}

fn kilobytes(pid: u32, field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(kilobytes.with_context(|| format!("/proc/PID/status has no {field}"))?.parse()?)
}

/// The unit of `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that this runs on.
const TICK: Duration = Duration::from_millis(10);
