//! Tells whoever waits on behalf of a session that the session has ended.

use std::pin::pin;

use store::UserNid;
use tokio::sync::Notify;

use crate::{AuthenticationError, Session, Users};

/// Requests wait by the thousand, and somebody logs out now and then: one of this many parts of them looks then.
const STRIPES: usize = 1_024;

/// Rings when sessions end; shared by users whose numbers have the same remainder.
pub(crate) struct Endings(Vec<Notify>);

impl Default for Endings {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Notify::new()).collect())
    }
}

impl Endings {
    fn of(&self, user: UserNid) -> &Notify {
        &self.0[user.0 as usize % STRIPES]
    }

    /// A session of `user` may have ended: its tokens no longer stand in the cache.
    pub(crate) fn ring(&self, user: UserNid) {
        self.of(user).notify_waiters();
    }
}

impl Users {
    /// Resolves when the session ends, and tells why: logged out, its device removed, the account closed or locked.
    /// Of an access token that merely expires nobody hears here.
    pub async fn ended(&self, session: &Session) -> AuthenticationError {
        let endings = self.0.endings.of(session.user);
        loop {
            let mut ringing = pin!(endings.notified());
            // Before looking, so that nothing is missed in between.
            ringing.as_mut().enable();
            match self.still_holds(session.token).await {
                // Who waits goes on waiting; the next request finds the store as it is.
                Ok(()) | Err(AuthenticationError::Store(_)) => ringing.await,
                Err(error) => return error,
            }
        }
    }
}

#[cfg(test)]
mod tests;
