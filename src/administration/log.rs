//! What is logged: changed while the server runs, until it stops.

use std::sync::Arc;

use crate::Administration;

/// Whoever writes the log.
pub trait LogFilter: Send + Sync {
    /// What is logged now, as `log.filter` says it.
    fn get(&self) -> String;

    /// Logs something else from now on.
    ///
    /// # Errors
    /// Why the filter is none, for people.
    fn set(&self, filter: &str) -> Result<(), String>;
}

impl Administration {
    /// From now on administrators can change what `log` writes. Said once.
    pub fn change_log_by(&self, log: Arc<dyn LogFilter>) {
        // A second one changes nothing: a process has one log.
        let _ = self.0.log.set(log);
    }

    /// What is logged; none where nobody said who writes the log, as in a command beside no server.
    pub fn log(&self) -> Option<&dyn LogFilter> {
        self.0.log.get().map(AsRef::as_ref)
    }
}
