//! The body of `POST /_matrix/push/v1/notify`.
//!
//! [spec](https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify)

use rooms::Event;
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{CorruptRow, RoomNid};
use users::KeptPusher;

use crate::{Push, PushError, queue::Waiting};

impl Push {
    /// A notification of an event.
    pub(crate) async fn event_body(
        &self,
        pusher: &KeptPusher,
        user_id: &UserId,
        (event, waiting): (&Event, &Waiting),
        unread: Option<u64>,
    ) -> Result<Vec<u8>, PushError> {
        let room_id = self.room_id(event.room).await?;
        let mut notification = counts(unread);
        let mut put = |key: &str, value: Value| {
            notification.insert(key.to_owned(), value);
        };
        let urgent = waiting.is_urgent(&event.event_type);
        put("event_id", event.event_id.as_str().into());
        put("room_id", room_id.as_str().into());
        put("prio", if urgent { "high" } else { "low" }.into());
        // "If omitted, the server is expected to populate all of the event-related fields."
        let format = pusher.pusher.data.get("format");
        if format.is_some_and(|format| format == "event_id_only") {
            put("devices", json!([device(pusher)]));
            return Ok(body(notification));
        }
        let mut device = device(pusher);
        device.insert("tweaks".to_owned(), Value::Object(waiting.tweaks.clone()));
        put("devices", json!([device]));
        put("type", (*event.event_type).into());
        put("sender", event.sender.as_str().into());
        if event.member().is_some() {
            put("user_is_target", (event.member() == Some(user_id)).into());
        }
        if self.0.options.include_content
            && let Ok(content) = serde_json::from_str(event.content())
        {
            put("content", content);
        }
        let named = [
            (
                "sender_display_name",
                "m.room.member",
                event.sender.as_str(),
            ),
            ("room_name", "m.room.name", ""),
            ("room_alias", "m.room.canonical_alias", ""),
        ];
        for (field, event_type, state_key) in named {
            if let Some(text) = self.text(event.room, event_type, state_key).await? {
                put(field, text.into());
            }
        }
        Ok(body(notification))
    }

    /// What a state event calls something or somebody.
    async fn text(
        &self,
        room: RoomNid,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<String>, PushError> {
        #[derive(Deserialize)]
        struct Content {
            displayname: Option<String>,
            name: Option<String>,
            alias: Option<String>,
        }
        let rooms = &self.0.rooms;
        let event = rooms.state_event(room, event_type, state_key).await?;
        let content = event.and_then(|event| serde_json::from_str::<Content>(event.content()).ok());
        let text = content.and_then(|content| match event_type {
            "m.room.member" => content.displayname,
            "m.room.name" => content.name,
            _ => content.alias,
        });
        Ok(text.filter(|text| !text.is_empty()))
    }

    pub(crate) async fn room_id(&self, room: RoomNid) -> Result<OwnedRoomId, PushError> {
        let name = self.0.rooms.store().interner().name(room).await?;
        let room_id = RoomId::parse(&*name).map_err(|_| CorruptRow("not a room id"));
        Ok(room_id.map_err(rooms::RoomError::from)?)
    }
}

/// The number on the icon, and nothing else.
pub(crate) fn badge_body(pusher: &KeptPusher, unread: u64) -> Vec<u8> {
    let mut notification = counts(Some(unread));
    notification.insert("devices".to_owned(), json!([device(pusher)]));
    body(notification)
}

/// "Counts whose value is zero should be omitted": then no gateway would clear a badge. Sygnal leaves it alone where the
/// count is missing, and so Synapse tells it.
fn counts(unread: Option<u64>) -> Map<String, Value> {
    let counts = unread.map(|unread| ("counts".to_owned(), json!({ "unread": unread })));
    counts.into_iter().collect()
}

/// "`data` passed in at pusher creation minus the `url` key."
fn device(pusher: &KeptPusher) -> Map<String, Value> {
    let mut data = pusher.pusher.data.clone();
    data.remove("url");
    let key = &pusher.pusher.key;
    [
        ("app_id", key.app_id.as_str().into()),
        ("pushkey", key.pushkey.as_str().into()),
        ("pushkey_ts", (pusher.changed_ms / 1_000).into()),
        ("data", Value::Object(data)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn body(notification: Map<String, Value>) -> Vec<u8> {
    let whole = [("notification".to_owned(), Value::Object(notification))];
    Value::Object(Map::from_iter(whole))
        .to_string()
        .into_bytes()
}
