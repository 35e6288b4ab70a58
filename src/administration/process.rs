//! The process that serves.

use crate::Administration;

/// Bytes of a page of memory: 4 KiB everywhere that Linux reports them so.
const PAGE_BYTES: u64 = 4_096;

impl Administration {
    /// When the services were put together, in milliseconds since the Unix epoch.
    pub fn started_ms(&self) -> u64 {
        self.0.started_ms
    }

    /// Bytes of memory that the process takes; none where the system does not tell.
    pub fn resident_bytes(&self) -> Option<u64> {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * PAGE_BYTES)
    }
}
