//! What the kernel knows of this process, under the names that every client of Prometheus gives it.
//!
//! `man 5 proc`. Where there is no `/proc`, or something in it does not read, that figure is left out.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// A look at the process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    /// Seconds since the Unix epoch.
    pub(crate) start_seconds: Option<f64>,
    pub(crate) open_files: Option<u64>,
    pub(crate) most_files: Option<u64>,
}

impl Process {
    /// Reads a few files of the kernel's, which are in memory.
    pub(crate) fn look() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        let units = Units {
            page_bytes: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second(),
        };
        let files = fs::read_dir("/proc/self/fd");
        Self {
            // The one that reads the directory is among them.
            open_files: files
                .ok()
                .map(|files| (files.count() as u64).saturating_sub(1)),
            most_files: getrlimit(Resource::Nofile).current,
            ..Self::parse(&stat, &system, units)
        }
    }

    fn parse(stat: &str, system: &str, units: Units) -> Self {
        // The second field is the name of the program, in parentheses, and may hold anything.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        // Counted from 1 in the manual, and the third field is the first after the name.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let booted = system
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
        let seconds = |ticks| units.seconds(ticks);
        Self {
            cpu_seconds: field(14)
                .zip(field(15))
                .map(|(user, kernel)| seconds(user + kernel)),
            threads: field(20),
            start_seconds: booted.zip(field(22)).map(|(booted, after)| {
                seconds(
                    booted
                        .saturating_mul(units.ticks_per_second)
                        .saturating_add(after),
                )
            }),
            virtual_bytes: field(23),
            resident_bytes: field(24).map(|pages| pages.saturating_mul(units.page_bytes)),
            open_files: None,
            most_files: None,
        }
    }
}

/// What the kernel counts in.
#[derive(Clone, Copy)]
struct Units {
    page_bytes: u64,
    ticks_per_second: u64,
}

impl Units {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 2^53 ticks, which are longer than there has been a Unix"
    )]
    fn seconds(self, ticks: u64) -> f64 {
        ticks as f64 / self.ticks_per_second.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{Process, Units};

    const UNITS: Units = Units {
        page_bytes: 4_096,
        ticks_per_second: 100,
    };

    #[test]
    fn the_kernels_line_is_read_by_its_fields() {
        let stat =
            "4711 (my) elin ) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 8 18 1234 99000 77 20";
        let read = Process::parse(stat, "cpu 1 2\nbtime 1700000000\nprocesses 9\n", UNITS);
        let expected = Process {
            cpu_seconds: Some(3.0),
            threads: Some(8),
            start_seconds: Some(1_700_000_012.34),
            virtual_bytes: Some(99_000),
            resident_bytes: Some(77 * 4_096),
            ..Process::default()
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn what_does_not_read_is_left_out() {
        for stat in [
            "",
            "1 (x",
            "1 (x) S 1 2",
            "1 (x) S a b c d e f g h i j k l m n o p q r s t u",
        ] {
            assert_eq!(
                Process::parse(stat, "btime x", UNITS),
                Process::default(),
                "{stat}"
            );
        }
    }

    #[test]
    fn this_process_is_seen() {
        if !std::path::Path::new("/proc/self/stat").exists() {
            return;
        }
        let look = Process::look();
        assert!(look.resident_bytes.unwrap() > 1 << 20, "{look:?}");
        assert!(look.open_files.unwrap() >= 3, "{look:?}");
        assert!(look.threads.unwrap() >= 2, "{look:?}");
        assert!(look.start_seconds.unwrap() > 1_600_000_000.0, "{look:?}");
        assert!(look.most_files.unwrap() >= look.open_files.unwrap());
    }
}
