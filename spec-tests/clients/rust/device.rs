//! A device that syncs, and what it sees.

use std::{ops::Deref, time::Duration};

use matrix_sdk::{
    Client, Room,
    config::SyncSettings,
    deserialized_responses::{TimelineEvent, TimelineEventKind},
    event_cache::RoomEventCache,
    ruma::{
        DeviceId, OwnedEventId, RoomId, UserId,
        events::{
            AnySyncMessageLikeEvent, AnySyncTimelineEvent,
            room::message::{Relation, RoomMessageEventContent},
        },
    },
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{Result, check};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A logged-in device; it syncs until it is dropped.
pub struct Device {
    client: Client,
    syncing: JoinHandle<()>,
}

impl Deref for Device {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.syncing.abort();
    }
}

impl Device {
    /// Starts to sync, and waits for what the library does on its own after a login.
    pub async fn start(client: Client) -> Result<Self> {
        client.event_cache().subscribe()?;
        // Before the first sync: the library asks for its own keys once before it. An answer from before its signature, and a token from
        // after it, and it never learns of it.
        client
            .encryption()
            .wait_for_e2ee_initialization_tasks()
            .await;
        client.sync_once(SyncSettings::new()).await?;
        let syncing = tokio::spawn(sync(client.clone()));
        Ok(Self { client, syncing })
    }

    pub fn own_user_id(&self) -> Result<&UserId> {
        Ok(self.user_id().ok_or("nobody is logged in")?)
    }

    pub fn own_device_id(&self) -> Result<&DeviceId> {
        Ok(self.device_id().ok_or("nobody is logged in")?)
    }

    /// Waits until the device has heard of a room.
    pub async fn room(&self, room_id: &RoomId) -> Result<Room> {
        until("the room", async || Ok(self.get_room(room_id))).await
    }

    /// Sends a text as a message.
    pub async fn send(&self, room_id: &RoomId, body: &str) -> Result<OwnedEventId> {
        let room = self.room(room_id).await?;
        let content = RoomMessageEventContent::text_plain(body);
        Ok(room.send(content).await?.response.event_id)
    }

    /// Waits until a message can be read.
    pub async fn read(&self, room_id: &RoomId, body: &str) -> Result<TimelineEvent> {
        let timeline = self.timeline(room_id).await?;
        let what = format!("{body:?} for {:?}", self.device_id());
        until(&what, async || {
            let events = timeline.events().await?;
            Ok(events
                .into_iter()
                .find(|event| body_of(event).as_deref() == Some(body)))
        })
        .await
    }

    /// Waits until a message can be read that nobody else could.
    pub async fn decrypt(&self, room_id: &RoomId, body: &str) -> Result {
        let event = self.read(room_id, body).await?;
        check(
            matches!(event.kind, TimelineEventKind::Decrypted(_)),
            format!("{body:?} was sent in the clear"),
        )
    }

    /// What the device has of a room's events.
    pub async fn timeline(&self, room_id: &RoomId) -> Result<RoomEventCache> {
        Ok(self.room(room_id).await?.event_cache().await?.0)
    }
}

/// Waits until `look` finds something, for [`PATIENCE`].
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        check(Instant::now() < end, format!("{what} did not come"))?;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a condition holds, for [`PATIENCE`].
pub async fn until_true(what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result {
    until(what, async || Ok(holds().await?.then_some(()))).await
}

/// The text of a message that is there and is no edit.
pub fn body_of(event: &TimelineEvent) -> Option<String> {
    let Ok(AnySyncTimelineEvent::MessageLike(AnySyncMessageLikeEvent::RoomMessage(message))) =
        event.raw().deserialize()
    else {
        return None;
    };
    let content = &message.as_original()?.content;
    let is_edit = matches!(content.relates_to, Some(Relation::Replacement(_)));
    (!is_edit).then(|| content.body().to_owned())
}

/// `Client::sync`, without the second that it rests after each quick answer, and over restarts of the server.
async fn sync(client: Client) {
    loop {
        if client.sync_once(SyncSettings::new()).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}
