//! How far a command has come: a bar on a terminal, a line for each stage elsewhere, or nothing.

use std::{
    io::{self, IsTerminal as _, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use consistency::Progress;
use parking_lot::Mutex;

/// What is shown where there is no terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// Nothing: the result says it all.
    Nothing,
    /// A line when a stage begins.
    Lines,
}

/// On standard error; what is found or made comes after it.
pub(crate) struct Bar {
    is_terminal: bool,
    elsewhere: Elsewhere,
    stage: Mutex<&'static str>,
    /// What was last drawn, in thousandths.
    drawn: AtomicU64,
}

/// Characters of the bar.
const WIDTH: usize = 40;

impl Bar {
    pub(crate) fn new(elsewhere: Elsewhere) -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            elsewhere,
            stage: Mutex::new(""),
            drawn: AtomicU64::new(u64::MAX),
        }
    }

    fn draw(&self, done: u64, total: u64) {
        let share = (done.saturating_mul(WIDTH as u64))
            .checked_div(total)
            .unwrap_or(0);
        let full = usize::try_from(share).unwrap_or_default();
        let percent = done.saturating_mul(100) / total.max(1);
        let stage = *self.stage.lock();
        // A bar that cannot be drawn is no reason to stop.
        let _ = write!(
            io::stderr(),
            "\r[{}{}] {percent:>3} %  {stage:<20}",
            "#".repeat(full),
            " ".repeat(WIDTH.saturating_sub(full))
        );
    }

    pub(crate) fn clear(&self) {
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

impl Progress for Bar {
    fn stage(&self, name: &'static str) {
        *self.stage.lock() = name;
        self.drawn.store(u64::MAX, Ordering::Relaxed);
        if self.is_terminal {
            self.draw(0, 1);
        } else if self.elsewhere == Elsewhere::Lines {
            let _ = writeln!(io::stderr(), "{name} …");
        }
    }

    fn advance(&self, done: u64, total: u64) {
        let now = (done.saturating_mul(1_000)).checked_div(total).unwrap_or(0);
        if self.is_terminal && self.drawn.swap(now, Ordering::Relaxed) != now {
            self.draw(done, total);
        }
    }
}
