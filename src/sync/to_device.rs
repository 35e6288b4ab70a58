//! Messages for the client's own device, and what others can claim of it.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#extensions-to-sync)

use std::sync::Arc;

use encryption::{Follower, InboxPage, KeyCounts};
use host::Host;
use rooms::{Rooms, write_json_str};
use store::{Pos, UserNid, rows::Membership};
use tokio::sync::mpsc;

use crate::{
    SyncError,
    answer::Context,
    device_lists::DeviceLists,
    sessions::Sessions,
    write::{Members, list},
};

/// "100 messages is recommended as a reasonable limit."
const MAX_MESSAGES: usize = 100;

/// Older clients take this algorithm, left out, for one that they need not fill up.
const ALWAYS_COUNTED: &str = "signed_curve25519";

/// What is known of a device's inbox without looking.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InboxMarks {
    /// The latest message.
    latest: Pos,
    /// Up to here everything is deleted.
    acknowledged: Pos,
}

impl Context {
    /// The messages that the device does not have yet. Those that it has are deleted.
    pub(crate) async fn inbox(&self) -> Result<InboxPage, SyncError> {
        if self.request.since.is_some() {
            self.acknowledge().await?;
        }
        let (device_id, since) = (self.request.device_id.as_str(), self.request.inbox);
        let known = self.session.lock().inboxes.get(device_id).copied();
        if known.is_some_and(|known| known.latest <= since) {
            return Ok(InboxPage::default());
        }
        // Beyond what may be told: a message may be kept and not yet published, and the session not have heard of it.
        let inbox = (self.request.user, device_id);
        let mut page = self
            .engine
            .0
            .encryption
            .inbox(inbox, since, Pos::MAX, MAX_MESSAGES)
            .await?;
        if known.is_none() && !page.more {
            let latest = page.events.last().map_or(since, |(pos, _)| *pos);
            let mut session = self.session.lock();
            let marks = session.inboxes.entry(device_id.to_owned()).or_default();
            marks.latest = latest.max(marks.latest);
            if self.request.since.is_some() {
                marks.acknowledged = since.max(marks.acknowledged);
            }
        }
        let told = page.events.len();
        page.events.retain(|(pos, _)| *pos <= self.upto);
        page.more &= page.events.len() == told;
        Ok(page)
    }

    async fn acknowledge(&self) -> Result<(), SyncError> {
        let (device_id, upto) = (self.request.device_id.as_str(), self.request.inbox);
        let known = self.session.lock().inboxes.get(device_id).copied();
        if known.is_some_and(|known| known.latest.min(upto) <= known.acknowledged) {
            return Ok(());
        }
        let encryption = &self.engine.0.encryption;
        encryption
            .acknowledge(self.request.user, device_id, upto)
            .await?;
        if let Some(marks) = self.session.lock().inboxes.get_mut(device_id) {
            marks.acknowledged = upto.max(marks.acknowledged);
        }
        Ok(())
    }

    /// What others can claim of the device.
    pub(crate) async fn key_counts(&self) -> Result<Arc<KeyCounts>, SyncError> {
        let (user, device_id) = (self.request.user, self.request.device_id.as_str());
        Ok(self.engine.0.encryption.key_counts(user, device_id).await?)
    }

    /// How far the device has its messages once it has this page, if that is not as far as the answer tells.
    pub(crate) fn inbox_end(page: &InboxPage) -> Option<Pos> {
        let (last, _) = page.events.last()?;
        page.more.then_some(*last)
    }
}

/// Writes `to_device`; nothing if there are no messages.
pub(crate) fn write_inbox(object: &mut Members<'_>, page: &InboxPage) {
    if page.events.is_empty() {
        return;
    }
    let out = object.name("to_device");
    out.extend_from_slice(b"{\"events\":[");
    list(out, &page.events, |out, (_, event)| {
        out.extend_from_slice(event);
    });
    out.extend_from_slice(b"]}");
}

/// Writes `device_lists`; nothing if they are as they were.
pub(crate) fn write_lists(object: &mut Members<'_>, lists: &DeviceLists) {
    if *lists == DeviceLists::default() {
        return;
    }
    let mut members = Members::open(object.name("device_lists"));
    for (name, users) in [("changed", &lists.changed), ("left", &lists.left)] {
        let out = members.name(name);
        out.push(b'[');
        list(out, users, |out, user| write_json_str(out, user.as_str()));
        out.push(b']');
    }
    members.close();
}

/// Writes what others can claim of the device.
pub(crate) fn write_counts(object: &mut Members<'_>, counts: &KeyCounts) {
    let mut members = Members::open(object.name("device_one_time_keys_count"));
    if !counts.one_time_keys.contains_key(ALWAYS_COUNTED) {
        members.number(ALWAYS_COUNTED, 0);
    }
    for (algorithm, count) in &counts.one_time_keys {
        members.number(algorithm, u64::from(*count));
    }
    members.close();
    let out = object.name("device_unused_fallback_key_types");
    out.push(b'[');
    list(out, &counts.unused_fallback_keys, |out, algorithm| {
        write_json_str(out, algorithm);
    });
    out.push(b']');
}

/// Wakes who is to be told of keys and messages.
pub(crate) struct EncryptionNews {
    sessions: Arc<Sessions>,
    /// Users whose device lists have changed, for a task: whom that concerns is in the store, and commits do not wait
    /// for that. As short as the commits are slow.
    changed: mpsc::UnboundedSender<(UserNid, Pos)>,
}

impl EncryptionNews {
    /// With its task, which ends with it.
    pub(crate) fn start(sessions: &Arc<Sessions>, rooms: Rooms, host: &Host) -> Self {
        let (changed, mut changes) = mpsc::unbounded_channel();
        let watched = Arc::clone(sessions);
        host.spawn("device list news", async move {
            while let Some((user, pos)) = changes.recv().await {
                wake_who_shares(&watched, &rooms, user, pos).await;
            }
        });
        Self {
            sessions: Arc::clone(sessions),
            changed,
        }
    }
}

/// What is told is in the log; this only wakes those who wait.
async fn wake_who_shares(sessions: &Sessions, rooms: &Rooms, user: UserNid, pos: Pos) {
    let joined = match rooms.rooms_of_nid(user).await {
        Ok(joined) => joined,
        Err(error) => {
            tracing::warn!(%error, "a changed device list wakes nobody");
            return;
        }
    };
    for (room, row) in joined {
        if row.member.membership == Membership::Join {
            sessions.for_watchers(room, |session| session.publish(pos, |_| true));
        }
    }
}

impl Follower for EncryptionNews {
    fn device_list_changed(&self, user: UserNid, audience: Option<UserNid>, pos: Pos) {
        for own in [Some(user).filter(|_| audience.is_none()), audience]
            .into_iter()
            .flatten()
        {
            if let Some(session) = self.sessions.get(own) {
                session.publish(pos, |_| true);
            }
        }
        if audience.is_none() {
            // The task is gone when the server stops.
            let _stopping = self.changed.send((user, pos));
        }
    }

    fn message_sent(&self, user: UserNid, device_id: &str, pos: Pos) {
        if let Some(session) = self.sessions.get(user) {
            session.publish(pos, |state| {
                let marks = state.inboxes.entry(device_id.to_owned()).or_default();
                marks.latest = pos.max(marks.latest);
                true
            });
        }
    }
}
