//! The most memory that a process held at a time.

use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Waits for a process to end and says how many bytes of memory it held at most.
///
/// The kernel keeps the peak, so that looking now and then misses only what came after the last look.
///
/// # Errors
/// The process cannot be waited for.
pub fn wait(child: &mut Child) -> io::Result<(ExitStatus, u64)> {
    let mut peak = 0;
    loop {
        peak = peak.max(so_far(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            return Ok((status, peak));
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn so_far(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
