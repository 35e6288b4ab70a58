//! Whose sessions are in memory, for the administrator.

use std::sync::atomic::Ordering;

use store::UserNid;

use crate::Engine;

/// A session that is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Whose it is.
    pub user: UserNid,
    /// The rooms that it knows.
    pub rooms: usize,
    /// Bytes, roughly.
    pub bytes: usize,
    /// Requests that wait, or are being answered.
    pub requests: usize,
    /// When it was last used, in milliseconds since the Unix epoch.
    pub used_ms: u64,
}

impl Engine {
    /// The sessions in memory, the latest used first.
    pub fn resident(&self) -> Vec<Resident> {
        let mut resident: Vec<Resident> = self
            .0
            .sessions
            .all()
            .into_iter()
            .map(|session| {
                let (rooms, bytes) = {
                    let state = session.lock();
                    (state.rooms(), state.weight())
                };
                Resident {
                    user: session.user,
                    rooms,
                    bytes,
                    requests: session.users.load(Ordering::Acquire),
                    used_ms: session.used_ms.load(Ordering::Relaxed),
                }
            })
            .collect();
        resident.sort_unstable_by_key(|session| (u64::MAX - session.used_ms, session.user.0));
        resident
    }
}
