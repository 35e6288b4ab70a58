//! What a check says: findings, each with its row and what can be done, and the sum of it.

use std::fmt;

use serde::Serialize;
use store::{Scan, Store, StoreError, tables::MediaUses};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The table, as `store::tables` names it; `media` for an upload, `database` for a file of the database.
    pub table: &'static str,
    /// The row, in words: names instead of numbers.
    pub key: String,
    /// What is wrong.
    pub problem: Problem,
    /// What `--repair` does about it.
    pub remedy: Remedy,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Problem {
    /// Its bytes mean nothing.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// It should be there.
    Missing {
        /// Who speaks of it.
        because: String,
    },
    /// It should not be there.
    Stray {
        /// What it would belong to.
        because: String,
    },
    /// It says something else than what it follows from.
    Differs {
        /// What it says.
        found: String,
        /// What is right.
        right: String,
    },
    /// An event whose bytes are not those that were signed.
    Event {
        /// How one knows.
        reason: String,
    },
    /// A position that the clock has not given out.
    Beyond {
        /// The position.
        pos: i64,
        /// How far the clock has come.
        mark: i64,
    },
    /// A file is not what its row says.
    File {
        /// How it differs.
        reason: String,
    },
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// It follows from events and primary rows: written anew.
    Rebuild,
    /// It means nothing to anybody: removed.
    Remove,
    /// The search index is emptied, and filled anew by the server.
    Reindex,
    /// The clock is put ahead of every position.
    RaiseClock,
    /// It is primary and lost: only a backup has it. Nothing is guessed.
    Restore,
}

impl Remedy {
    /// Whether a repair heals it: it is derived from what is still there.
    pub fn heals(self) -> bool {
        self != Self::Restore
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Self::Missing { because } => write!(f, "is missing: {because}"),
            Self::Stray { because } => write!(f, "belongs to nothing: {because}"),
            Self::Differs { found, right } => write!(f, "says {found}, but it is {right}"),
            Self::Event { reason } => write!(f, "is not the event that was signed: {reason}"),
            Self::Beyond { pos, mark } => {
                write!(f, "is at position {pos}, but the clock is at {mark}")
            }
            Self::File { reason } => write!(f, "{reason}"),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rebuild => "rebuild",
            Self::Remove => "remove",
            Self::Reindex => "index anew",
            Self::RaiseClock => "raise the clock",
            Self::Restore => "lost: restore a backup",
        })
    }
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings, as many as `CheckOptions::max_findings`.
    pub findings: Vec<Finding>,
    /// All findings, those left out included.
    pub found: u64,
    /// Those of them that a repair heals.
    pub healable: u64,
    /// Rows written and removed by this repair.
    pub repaired: u64,
    /// Rooms looked at.
    pub rooms: u64,
    /// Events hashed and verified.
    pub events: u64,
    /// Accounts.
    pub accounts: u64,
    /// Media files.
    pub files: u64,
    /// Media bytes hashed.
    pub file_bytes: u64,
}

impl Report {
    /// Takes back what was said about uploads that nobody has any more: of a server that runs, one may have been deleted
    /// while the check went on. `later` is a copy of its database that was made after the check.
    pub fn forget_deleted(&mut self, later: &Store) -> Result<(), StoreError> {
        let sweep = later.sweep();
        let mut kept = Vec::with_capacity(self.findings.len());
        for finding in std::mem::take(&mut self.findings) {
            let is_file = matches!(finding.problem, Problem::File { .. });
            // Of a thumbnail, the file that it is of.
            let sha256 = finding.key.split('/').next().unwrap_or_default().to_owned();
            let mut is_used = !is_file;
            if is_file {
                let uses = Scan::prefix::<MediaUses>(&(sha256,)).limit(1);
                sweep.rows::<MediaUses>(&uses, &mut |_| {
                    is_used = true;
                    false
                })?;
            }
            if is_used {
                kept.push(finding);
            } else {
                self.found -= 1;
                self.healable -= u64::from(finding.remedy.heals());
            }
        }
        self.findings = kept;
        Ok(())
    }

    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.found == 0
    }
}
