//! What Linux says of a server's process: CPU, memory, disk.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Result;

/// The kernel counts CPU time in these, whatever its own tick (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process and its children, the ended ones included.
pub fn cpu(pid: u32) -> Result<Duration> {
    let mut ticks = 0;
    for pid in family(pid)? {
        // A child may end between being listed and being read.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // utime, stime, cutime, cstime: fields 14 to 17, counted from the state, which is field 3.
        ticks += after_name(&stat)
            .skip(11)
            .take(4)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum::<u64>();
    }
    Ok(TICK * u32::try_from(ticks)?)
}

/// The process and those below it.
fn family(pid: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
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
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(
            parents
                .iter()
                .filter(|(_, above)| *above == parent)
                .map(|(child, _)| *child),
        );
        next += 1;
    }
    Ok(family)
}

/// The fields of `/proc/PID/stat` after the name, which may hold spaces and parentheses itself.
fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
}

/// Peak resident memory since the last [`forget_peak`], in KiB.
pub fn peak_kib(pid: u32) -> Result<u64> {
    field_kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// Resident memory now, in KiB.
pub fn resident_kib(pid: u32) -> Result<u64> {
    field_kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// Memory now, shared pages divided among those who share them, in KiB.
pub fn proportional_kib(pid: u32) -> Result<u64> {
    field_kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// Starts the peak anew. Another user's process does not allow it; then the peak is that of its whole life.
pub fn forget_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn field_kib(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .ok_or("no such field")?;
    let number = line.split_whitespace().nth(1).ok_or("no number")?;
    Ok(number.parse()?)
}

/// Bytes of all files below a directory.
pub fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.len(),
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
        for line in fs::read_to_string(table)
            .unwrap_or_default()
            .lines()
            .skip(1)
        {
            let fields: Vec<_> = line.split_whitespace().collect();
            // 0A is LISTEN; the tenth field is the socket's inode.
            if fields.len() > 9 && fields[1].ends_with(&wanted) && fields[3] == "0A" {
                sockets.insert(format!("socket:[{}]", fields[9]));
            }
        }
    }
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let links = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok());
        if links
            .into_iter()
            .any(|link| link.to_str().is_some_and(|link| sockets.contains(link)))
        {
            return Ok(pid);
        }
    }
    Err(format!("no process of yours listens on port {port}; give its pid=PID").into())
}
