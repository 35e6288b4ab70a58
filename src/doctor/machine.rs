//! What the machine gives: disk, memory, open files, certificates.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::{Duration, Instant},
};

use config::Config;
use rustix::fs::{StatVfs, statfs, statvfs};

use crate::Finding;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Writes that are timed.
const WRITES: usize = 16;

/// `TMPFS_MAGIC`, `RAMFS_MAGIC` and `NFS_SUPER_MAGIC` of statfs(2).
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const NFS: u64 = 0x6969;

/// What else needs a file descriptor: tables of the database, uploads, requests to others.
const OTHER_FILES: u64 = 1_024;

pub(crate) async fn look(config: &Config, open_files: Option<u64>) -> Vec<Finding> {
    let (config, files) = (config.clone(), open_files);
    let looked = tokio::task::spawn_blocking(move || {
        let mut findings = directory(&config.data_dir);
        findings.extend(files.map(|limit| self::open_files(limit, config.limits.connections)));
        findings.extend(machine_memory().map(|total| memory(needs(&config), total)));
        findings.extend(key_file(&config));
        findings
    });
    looked.await.unwrap_or_default()
}

fn directory(path: &Path) -> Vec<Finding> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            return vec![Finding::bad(
                "data_dir",
                format!("{}: {error}", path.display()),
                "Start the server once, or name its directory with -O data_dir=… or --config.",
            )];
        }
    };
    let mut findings = vec![mode(found.mode(), path)];
    findings.extend(statvfs(path).ok().map(|found| space(&found)));
    let kind = statfs(path).map(|found| u64::try_from(found.f_type).unwrap_or_default());
    findings.extend(kind.ok().and_then(file_system));
    findings.push(match timed(path) {
        Ok(times) => syncing(times),
        Err(error) => Finding::bad(
            "data_dir.write",
            format!("nothing can be written in {}: {error}", path.display()),
            "Run this as the server's own user or as root; if it is, the disk is full or read-only.",
        ),
    });
    findings
}

fn mode(mode: u32, path: &Path) -> Finding {
    const CHECK: &str = "data_dir.mode";
    // Nothing for the group and nothing for others: the six lowest bits.
    if mode.trailing_zeros() >= 6 {
        return Finding::ok(CHECK, "the data directory is its owner's alone");
    }
    Finding::bad(
        CHECK,
        format!("the data directory has the mode {:o}", mode & 0o777),
        format!(
            "chmod 700 {}: it holds the signing key and people's messages.",
            path.display()
        ),
    )
}

fn space(found: &StatVfs) -> Finding {
    let (free, all) = (
        found.f_bavail.saturating_mul(found.f_frsize),
        found.f_blocks.saturating_mul(found.f_frsize),
    );
    // Some file systems have no fixed number of inodes, and say 0.
    let inodes = (found.f_files > 0).then(|| found.f_favail * 100 / found.f_files);
    disk(free, all, inodes)
}

fn disk(free: u64, all: u64, inodes_percent: Option<u64>) -> Finding {
    const CHECK: &str = "data_dir.space";
    const FIX: &str = "Make room: a full disk stops the server. `myelin admin media` lists files; see also media.user_quota_bytes.";
    let percent = (free * 100).checked_div(all).unwrap_or(0);
    let seen = format!("{} MiB are free, {percent} %", free / MIB);
    if free < GIB {
        Finding::bad(CHECK, seen, FIX)
    } else if inodes_percent.is_some_and(|percent| percent < 2) {
        Finding::bad(CHECK, format!("{seen}, but hardly any inodes"), FIX)
    } else if free < 5 * GIB && percent < 10 {
        Finding::warn(CHECK, seen, FIX)
    } else {
        Finding::ok(CHECK, seen)
    }
}

fn file_system(kind: u64) -> Option<Finding> {
    const CHECK: &str = "data_dir.file_system";
    match kind {
        TMPFS | RAMFS => Some(Finding::bad(
            CHECK,
            "the data directory is in memory: it is gone when the machine restarts",
            "Move it to a disk.",
        )),
        NFS => Some(Finding::warn(
            CHECK,
            "the data directory is on NFS, whose locks and syncs depend on its server and its mount options",
            "Move it to a local disk, or mount it with `hard` and `sync`.",
        )),
        _ => None,
    }
}

/// How long writing 4 KiB to the disk takes, several times.
fn timed(directory: &Path) -> io::Result<Vec<Duration>> {
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    let mut times = Vec::with_capacity(WRITES);
    let written = (0..WRITES).try_for_each(|_| {
        let started = Instant::now();
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        times.push(started.elapsed());
        Ok(())
    });
    fs::remove_file(&path)?;
    written.map(|()| times)
}

fn syncing(mut times: Vec<Duration>) -> Finding {
    const CHECK: &str = "data_dir.fsync";
    const FIX: &str = "Everything that is sent waits for one of these. Use an SSD (with power-loss protection at best), and \
                       keep other writers off it.";
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    let seen = format!(
        "a write is on the disk after {:.1} ms, at most {:.1} ms",
        median.as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3
    );
    match median.as_millis() {
        // A good SSD takes 0.1 to 2 ms, a disk that turns about 10.
        0..30 => Finding::ok(CHECK, seen),
        30..150 => Finding::warn(CHECK, seen, FIX),
        _ => Finding::bad(CHECK, seen, FIX),
    }
}

fn open_files(limit: u64, connections: usize) -> Finding {
    const CHECK: &str = "server.open_files";
    let needed = connections as u64 + OTHER_FILES;
    let seen = format!("the server may have {limit} files open");
    let fix = format!(
        "LimitNOFILE={needed} in the unit (or `ulimit -n {needed}`), or fewer limits.connections."
    );
    if limit >= needed {
        Finding::ok(CHECK, seen)
    } else if limit > 4_096 {
        Finding::warn(
            CHECK,
            format!("{seen}, and {connections} clients may connect"),
            fix,
        )
    } else {
        Finding::bad(CHECK, seen, fix)
    }
}

/// What the server may use when it is busy, in bytes, by its options.
fn needs(config: &Config) -> u64 {
    let half = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
    let workers = |set: usize| if set == 0 { half } else { set } as u64;
    let caches = config.storage.cache_bytes + config.storage.queue_bytes + config.rooms.cache_bytes;
    caches as u64
        + workers(config.passwords.workers) * u64::from(config.passwords.memory_kib) * 1_024
        + workers(config.thumbnails.workers) * config.thumbnails.max_memory_bytes
}

/// The machine's memory or, in a container, its part of it, in bytes.
fn machine_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let all = kib * 1_024;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = group.and_then(|text| text.trim().parse().ok());
    Some(limit.unwrap_or(all).min(all))
}

fn memory(needed: u64, all: u64) -> Finding {
    const CHECK: &str = "memory";
    const FIX: &str = "Lower storage.cache_bytes, rooms.cache_bytes or thumbnails.max_memory_bytes, or give the machine more.";
    let seen = format!(
        "caches and workers may take {} MiB of {} MiB",
        needed / MIB,
        all / MIB
    );
    if needed > all / 10 * 9 {
        Finding::bad(CHECK, seen, FIX)
    } else if needed > all / 2 {
        Finding::warn(CHECK, seen, FIX)
    } else {
        Finding::ok(CHECK, seen)
    }
}

/// Who may read the key of our own certificate.
fn key_file(config: &Config) -> Option<Finding> {
    const CHECK: &str = "tls.key_file";
    let path = config.tls.key_file.as_ref()?;
    let shown = path.display();
    Some(match fs::metadata(path) {
        // Nothing for others: the three lowest bits.
        Ok(found) if found.permissions().mode().trailing_zeros() >= 3 => {
            Finding::ok(CHECK, format!("{shown} is not everybody's"))
        }
        Ok(_) => Finding::bad(
            CHECK,
            format!("everybody on this machine can read {shown}"),
            format!("chmod o= {shown}"),
        ),
        Err(error) => Finding::bad(
            CHECK,
            format!("{shown}: {error}"),
            "Let the server's user or its group read it.",
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::{GIB, TMPFS, directory, disk, file_system, memory, mode, open_files, syncing};
    use crate::Level::{self, Bad, Ok, Warn};

    #[test]
    fn space_is_enough_or_not() {
        for (free, all, inodes, expected) in [
            (100 * GIB, 200 * GIB, Some(50), Ok),
            (100 * GIB, 2_000 * GIB, None, Ok),
            (3 * GIB, 20 * GIB, None, Ok),
            (3 * GIB, 200 * GIB, None, Warn),
            (GIB / 2, GIB, None, Bad),
            (100 * GIB, 200 * GIB, Some(1), Bad),
            (0, 0, None, Bad),
        ] {
            assert_eq!(disk(free, all, inodes).level, expected, "{free} of {all}");
        }
    }

    #[test]
    fn disks_are_fast_or_slow() {
        for (ms, expected) in [(1, Ok), (12, Ok), (60, Warn), (300, Bad)] {
            // One that is slow once is no slow disk.
            let mut times = vec![Duration::from_millis(ms); 16];
            times[3] = Duration::from_secs(2);
            assert_eq!(syncing(times).level, expected, "{ms} ms");
        }
    }

    #[test]
    fn limits_are_held_against_what_is_needed() {
        let levels = |checks: &[(Level, Level)]| {
            for (number, (seen, expected)) in checks.iter().enumerate() {
                assert_eq!(seen, expected, "{number}");
            }
        };
        levels(&[
            (open_files(65_536, 16_384).level, Ok),
            (open_files(16_384, 16_384).level, Warn),
            (open_files(1_024, 16_384).level, Bad),
            (memory(GIB / 4, GIB).level, Ok),
            (memory(GIB / 4 * 3, GIB).level, Warn),
            (memory(2 * GIB, GIB).level, Bad),
            (mode(0o40_700, Path::new("/x")).level, Ok),
            (mode(0o40_755, Path::new("/x")).level, Bad),
        ]);
        assert_eq!(file_system(TMPFS).map(|it| it.level), Some(Bad));
        assert_eq!(file_system(0xEF53), None);
    }

    #[test]
    fn a_directory_is_looked_at_and_left_as_it_was() {
        let there = tempfile::tempdir().unwrap();
        let findings = directory(there.path());
        assert!(findings.iter().any(|it| it.check == "data_dir.fsync"));
        assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 0);
        let gone = directory(&there.path().join("gone"));
        assert_eq!((gone[0].check, gone[0].level), ("data_dir", Bad));
    }
}
