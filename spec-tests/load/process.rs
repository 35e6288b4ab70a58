//! What Linux says of a server's processes: CPU, memory, disk.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::Result;

/// The kernel counts the CPU time of ended children in these, whatever its own tick (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);
/// `st_blocks` counts these, whatever the file system's own blocks.
const BLOCK_BYTES: u64 = 512;

/// What a server's processes have used so far, and hold now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// In user and system mode, all processes, the ended ones included.
    pub cpu: Duration,
    /// Bytes that were on their way to a disk (`write_bytes`), all processes that still run.
    pub written: u64,
    /// Resident memory of the first process, in KiB.
    pub resident_kib: u64,
    /// The most that the first process ever had since [`forget_peak`], in KiB.
    pub peak_kib: u64,
    /// Proportional memory of all processes, in KiB: a page that several share counts once.
    pub proportional_kib: u64,
}

/// Looks at these processes and all below them. What may not be read of another user's process is left out.
pub fn usage(roots: &[u32]) -> Result<Usage> {
    let mut usage = Usage::default();
    for pid in families(roots)? {
        usage.cpu += cpu(pid);
        usage.written += field(&format!("/proc/{pid}/io"), "write_bytes:").unwrap_or_default();
        usage.proportional_kib +=
            field(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or_default();
    }
    if let Some(first) = roots.first() {
        let status = format!("/proc/{first}/status");
        usage.resident_kib = field(&status, "VmRSS:").unwrap_or_default();
        usage.peak_kib = field(&status, "VmHWM:").unwrap_or_default();
    }
    Ok(usage)
}

/// CPU time of a process, to the nanosecond, and of its children that have ended; zero once it has ended itself.
fn cpu(pid: u32) -> Duration {
    let own = i32::try_from(pid)
        .ok()
        .and_then(|pid| clock_getcpuclockid(Pid::from_raw(pid)).ok())
        .and_then(|clock| clock_gettime(clock).ok())
        .map(Duration::from)
        .unwrap_or_default();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // cutime, cstime: fields 16 and 17, counted from the state, which is field 3.
    let ended: u32 = after_name(&stat)
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    own + TICK * ended
}

/// The processes and those below them.
fn families(roots: &[u32]) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = number(&entry.file_name()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let parent = after_name(&stat)
            .nth(1)
            .and_then(|field| field.parse::<u32>().ok());
        parents.push((child, parent.unwrap_or_default()));
    }
    let mut family = roots.to_vec();
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, above)| *above == parent);
        family.extend(children.map(|(child, _)| *child));
        next += 1;
    }
    Ok(family)
}

fn number(name: &std::ffi::OsStr) -> Option<u32> {
    name.to_str()?.parse().ok()
}

/// The fields of `/proc/PID/stat` after the name, which may hold spaces and parentheses itself.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
}

/// Starts the peak anew. Another user's process does not allow it; then the peak is that of its whole life.
pub fn forget_peak(roots: &[u32]) {
    if let Some(first) = roots.first() {
        let _ = fs::write(format!("/proc/{first}/clear_refs"), "5");
    }
}

/// The first number after `name` at the beginning of a line.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes that all files below a directory take on the disk. A file that is preallocated or sparse counts as it lies there.
pub fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * BLOCK_BYTES,
            // Deleted meanwhile.
            Err(_) => 0,
        })
        .sum()
}

/// The process that listens on this port.
pub fn listening_on(port: u16) -> Result<u32> {
    let wanted = format!(":{port:04X}");
    let mut sockets = HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            // 0A is LISTEN; the tenth field is the socket's inode.
            if fields.len() > 9 && fields[1].ends_with(&wanted) && fields[3] == "0A" {
                sockets.insert(format!("socket:[{}]", fields[9]));
            }
        }
    }
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = number(&process.file_name()) else {
            continue;
        };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let mut links = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok());
        if links.any(|link| link.to_str().is_some_and(|link| sockets.contains(link))) {
            return Ok(pid);
        }
    }
    Err(format!("no process of yours listens on port {port}; give its pid=PID").into())
}
