//! One pusher: sends what waits for it, in order, one at a time.

use std::{sync::Arc, time::Duration};

use host::Shutdown;
use rooms::Event;
use ruma::{OwnedUserId, UserId};
use store::{UserNid, rows::Membership};
use tokio::sync::Notify;
use users::{KeptPusher, PusherKey};

use crate::{Push, PushError, RETRY, notification::badge_body};

/// User, app id and push key: the key of `Pushers`.
pub(crate) type LaneKey = (UserNid, String, String);

/// What is remembered of a pusher that has been used since the server started.
#[derive(Default)]
pub(crate) struct Lane {
    /// A task is at it.
    running: bool,
    /// There is something new since the task last looked.
    again: bool,
    /// Attempts in a row that have failed.
    failures: u32,
    /// The number that the gateway has last been told.
    told: Option<u64>,
    /// Since when it is to be told a new one, in milliseconds since the Unix epoch.
    badge_since_ms: Option<u64>,
    /// The pusher was set anew: it may answer again.
    changed: Arc<Notify>,
}

/// What comes after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn.
    Turn,
    /// Nothing, until there is something new.
    Rest,
    /// Another turn after this long.
    After(Duration),
}

impl Push {
    /// There is something to send.
    pub(crate) fn kick(&self, key: LaneKey, shutdown: &Shutdown) {
        let mut lanes = self.0.lanes.lock();
        let lane = lanes.entry(key.clone()).or_default();
        lane.again = true;
        if !std::mem::replace(&mut lane.running, true) {
            let task = self.clone().deliver(key, shutdown.clone());
            self.0.host.spawn("push", task);
        }
    }

    /// Pushers of the user were set or removed: who waits for a gateway looks again.
    pub(crate) fn wake_lanes(&self, user: UserNid) {
        let mut lanes = self.0.lanes.lock();
        let from = (user, String::new(), String::new());
        for (_, lane) in lanes
            .range_mut(from..)
            .take_while(|((owner, ..), _)| *owner == user)
        {
            lane.failures = 0;
            lane.changed.notify_one();
        }
    }

    /// The user has read something: the number on their icons may be another. Gives the pushers to kick.
    pub(crate) async fn badge_is_due(&self, user: UserNid) -> Result<Vec<LaneKey>, PushError> {
        let now_ms = self.0.host.now_ms();
        let pushers = self.0.users.pushers(user).await?;
        let mut lanes = self.0.lanes.lock();
        let keys = pushers.into_iter().map(|pusher| {
            let key = (user, pusher.key.app_id, pusher.key.pushkey);
            let lane = lanes.entry(key.clone()).or_default();
            lane.badge_since_ms.get_or_insert(now_ms);
            key
        });
        Ok(keys.collect())
    }

    async fn deliver(self, key: LaneKey, shutdown: Shutdown) {
        while !shutdown.is_started() {
            let next = self.turn(&key).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "a push notification has to wait");
                Next::After(RETRY)
            });
            match next {
                Next::Turn => {}
                Next::Rest => {
                    if self.rests(&key) {
                        return;
                    }
                }
                Next::After(pause) => {
                    let changed = self
                        .0
                        .lanes
                        .lock()
                        .get(&key)
                        .map(|lane| lane.changed.clone());
                    let changed = changed.unwrap_or_default();
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = changed.notified() => {}
                        () = shutdown.wait() => return,
                    }
                }
            }
        }
    }

    /// Whether the task of a pusher can end.
    fn rests(&self, key: &LaneKey) -> bool {
        let mut lanes = self.0.lanes.lock();
        let Some(lane) = lanes.get_mut(key) else {
            return true;
        };
        lane.running = lane.again;
        !lane.again
    }

    /// Sends the next notification, or the number on the icon if none waits.
    pub(crate) async fn turn(&self, key: &LaneKey) -> Result<Next, PushError> {
        let (user, app_id, pushkey) = key.clone();
        if let Some(lane) = self.0.lanes.lock().get_mut(key) {
            lane.again = false;
        }
        let pusher = self
            .0
            .users
            .kept_pusher(user, &PusherKey { app_id, pushkey })
            .await?;
        let Some(pusher) = pusher else {
            self.drop_queue(key).await?;
            self.0.lanes.lock().remove(key);
            return Ok(Next::Rest);
        };
        let user_id = self.0.users.user_id(user).await?;
        let Some((pos, waiting)) = self.first(key).await? else {
            return self.send_badge(key, &pusher, &user_id).await;
        };
        let event = {
            let (room, rsn) = waiting.event();
            self.0.rooms.events(room, &[rsn]).await?.pop()
        };
        let Some(event) = event else {
            // It was deleted with its room, or with the room's history.
            self.done(key, pos).await?;
            return Ok(Next::Turn);
        };
        let too_old = self.is_too_old(waiting.since_ms);
        if too_old || !self.is_news(&event, user, &user_id).await? {
            if too_old {
                self.0.counters.expired.increment();
                tracing::info!(user.id = %user_id, "a push notification could not be delivered in time");
            } else {
                self.0.counters.outdated.increment();
            }
            self.done(key, pos).await?;
            return Ok(Next::Turn);
        }
        let unread = self.0.badges.unread(user, &user_id).await;
        let body = self
            .event_body(&pusher, &user_id, (&event, &waiting), unread)
            .await?;
        let next = self.send(key, &pusher, &user_id, body).await?;
        if next == Next::Turn {
            self.told(key, unread);
            self.done(key, pos).await?;
        }
        Ok(next)
    }

    /// Whether an event that has waited still tells something: it was not read, not redacted, and the user not removed.
    async fn is_news(
        &self,
        event: &Event,
        user: UserNid,
        user_id: &UserId,
    ) -> Result<bool, PushError> {
        if event.redacted_by.some().is_some() {
            return Ok(false);
        }
        let rooms = &self.0.rooms;
        let member = rooms.member(event.room, user).await?;
        let there = member.is_some_and(|member| match member.membership {
            Membership::Join => true,
            Membership::Invite => event.member() == Some(user_id),
            Membership::Leave | Membership::Ban | Membership::Knock => false,
        });
        Ok(there && !rooms.read_mark(event.room, user).await?.covers(event))
    }

    async fn send_badge(
        &self,
        key: &LaneKey,
        pusher: &KeptPusher,
        user_id: &OwnedUserId,
    ) -> Result<Next, PushError> {
        let lane = self
            .0
            .lanes
            .lock()
            .get(key)
            .map(|lane| (lane.badge_since_ms, lane.told));
        let Some((Some(since_ms), told)) = lane else {
            return Ok(Next::Rest);
        };
        if self.is_too_old(since_ms) {
            self.told(key, told);
            return Ok(Next::Rest);
        }
        let Some(unread) = self.0.badges.unread(key.0, user_id).await else {
            return Ok(Next::After(RETRY));
        };
        if told == Some(unread) {
            self.told(key, told);
            return Ok(Next::Rest);
        }
        let next = self
            .send(key, pusher, user_id, badge_body(pusher, unread))
            .await?;
        if next == Next::Turn {
            self.told(key, Some(unread));
        }
        Ok(next)
    }

    /// [`Next::Turn`] once the gateway has it.
    async fn send(
        &self,
        key: &LaneKey,
        pusher: &KeptPusher,
        user_id: &UserId,
        body: Vec<u8>,
    ) -> Result<Next, PushError> {
        let url = pusher.pusher.data.get("url").and_then(|url| url.as_str());
        let rejected = match self.0.gateway.notify(url.unwrap_or_default(), body).await {
            Ok(rejected) => rejected,
            Err(error) => {
                self.0.counters.failed.increment();
                tracing::debug!(user.id = %user_id, %error, "a push gateway does not answer");
                return Ok(Next::After(self.failed(key)));
            }
        };
        if let Some(lane) = self.0.lanes.lock().get_mut(key) {
            lane.failures = 0;
        }
        // Of the others nobody knows here whose they are.
        if rejected.contains(&pusher.pusher.key.pushkey) {
            self.0.counters.rejected.increment();
            tracing::info!(user.id = %user_id, app = pusher.pusher.key.app_id, "a pusher was rejected by its gateway");
            self.0.users.reject_pusher(key.0, pusher).await?;
        } else {
            self.0.counters.delivered.increment();
        }
        Ok(Next::Turn)
    }

    fn told(&self, key: &LaneKey, unread: Option<u64>) {
        if let Some(lane) = self.0.lanes.lock().get_mut(key) {
            lane.told = unread;
            lane.badge_since_ms = None;
        }
    }

    /// One more attempt has failed: how long to wait until the next.
    fn failed(&self, key: &LaneKey) -> Duration {
        let mut lanes = self.0.lanes.lock();
        let lane = lanes.entry(key.clone()).or_default();
        let options = &self.0.options;
        let dice = u64::from_be_bytes(self.0.host.random_bytes());
        let pause = pause_ms(
            (options.retry_ms, options.max_retry_ms),
            lane.failures,
            dice,
        );
        lane.failures = lane.failures.saturating_add(1);
        Duration::from_millis(pause)
    }

    fn is_too_old(&self, since_ms: u64) -> bool {
        self.0.host.now_ms().saturating_sub(since_ms) > self.0.options.max_age_ms
    }
}

/// Twice as long with each failure up to the longest ("exponential backoff", the spec says, and not more), half of it by
/// chance: what has failed together shall not come back together.
fn pause_ms((first, longest): (u64, u64), failures: u32, dice: u64) -> u64 {
    let doubled = first
        .saturating_mul(1 << failures.min(40))
        .min(longest)
        .max(1);
    doubled - dice % (doubled / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::pause_ms;

    #[test]
    fn pauses_double_up_to_the_longest_with_half_of_it_by_chance() {
        let bounds = (1_000, 3_600_000);
        for (failures, least, most) in [
            (0, 500, 1_000),
            (1, 1_000, 2_000),
            (5, 16_000, 32_000),
            (11, 1_024_000, 2_048_000),
            (12, 1_800_000, 3_600_000),
            (1_000_000, 1_800_000, 3_600_000),
        ] {
            assert_eq!(pause_ms(bounds, failures, 0), most);
            assert_eq!(pause_ms(bounds, failures, most - least), least);
            for dice in [7, u64::MAX, 123_456_789] {
                let pause = pause_ms(bounds, failures, dice);
                assert!((least..=most).contains(&pause), "{failures}: {pause}");
            }
        }
        assert_eq!(pause_ms((0, 0), 3, 9), 1);
    }
}
