//! What the metrics tell of the users.

use crate::{Users, passwords::PasswordFigures};

/// A look at caches and at the work with passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserFigures {
    /// Bytes of sessions in memory, and how many they may be.
    pub sessions: (u64, u64),
    /// The same of push rules.
    pub push_rules: (u64, u64),
    /// The same of filters.
    pub filters: (u64, u64),
    /// The work with passwords.
    pub passwords: PasswordFigures,
}

impl Users {
    /// For the metrics.
    pub fn figures(&self) -> UserFigures {
        UserFigures {
            sessions: self.0.sessions.size(),
            push_rules: self.0.rulesets.size(),
            filters: self.0.filters.size(),
            passwords: self.0.passwords.figures(),
        }
    }
}
