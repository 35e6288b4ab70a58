//! Sending events into a room: messages, state, redactions.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room)

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, RoomId, UserId};
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use store::{
    Batch, Rsn,
    codec::Tail,
    rows::{EventRow, Membership, TransactionRow},
    tables::{EventIds, Events, Transactions},
};

use crate::{
    Event, Room, RoomError, Rooms,
    append::{Append, Commit, NewEvent},
    event::event_key,
    guests::GUEST_ACCESS,
    room::{TransactionKey, Writer},
    server_acl::SERVER_ACL,
};

/// A client's name for one request, so that the same request sent twice has one effect.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers)
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// The device that sends.
    pub device_id: &'a str,
    /// The id that the device chose.
    pub txn_id: &'a str,
}

impl Rooms {
    /// Sends a message event.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], also for rooms that do not exist; [`RoomError::Forbidden`] by the authorisation rules;
    /// `BadJson` and `TooLarge` for content that no event can have.
    pub async fn send_message(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        event_type: &str,
        content: &RawValue,
        transaction: Option<Transaction<'_>>,
    ) -> Result<OwnedEventId, RoomError> {
        if event_type == "m.room.redaction" {
            // From room version 11 on a redaction is an event like any other and clients may send it as one.
            let content: RedactionContent = serde_json::from_str(content.get()).map_err(|_| {
                RoomError::BadJson("a redaction needs `redacts` in its content".to_owned())
            })?;
            return self
                .redact(
                    room_id,
                    sender,
                    &content.redacts,
                    content.reason.as_deref(),
                    transaction,
                )
                .await;
        }
        let room = self.room_to_send(room_id).await?;
        let new = NewEvent {
            event_type,
            state_key: None,
            sender,
            content,
            redacts: None,
            transaction: transaction.map(|transaction| (transaction.device_id, transaction.txn_id)),
        };
        let key = self
            .transaction_key("send", &room, sender, event_type, transaction)
            .await?;
        self.write(&room, key, async |append| append.append_checked(new).await)
            .await
    }

    /// Sets state. Setting what is already there, by the same sender, answers with the event that is there.
    ///
    /// # Errors
    /// As [`Rooms::send_message`]; [`RoomError::BadAlias`] for an `m.room.canonical_alias` that names aliases of other rooms;
    /// [`RoomError::InvalidParam`] for an `m.room.server_acl` that denies this server.
    pub async fn set_state(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        event_type: &str,
        state_key: &str,
        content: &RawValue,
    ) -> Result<OwnedEventId, RoomError> {
        let room = self.room_to_send(room_id).await?;
        if event_type == "m.room.canonical_alias" {
            self.check_canonical_alias(&room, content, None).await?;
        }
        if event_type == SERVER_ACL {
            self.check_server_acl(content)?;
        }
        if event_type == "m.room.member" {
            return self.set_member(&room, sender, state_key, content).await;
        }
        let is_guest_access = event_type == GUEST_ACCESS && state_key.is_empty();
        let setting = self.write(&room, None, async |append| {
            if let Some(current) = append.current(event_type, state_key).await?
                && current.pdu.sender == sender
                && same_json(content, &current.pdu.content)
                && append.membership(sender).await? == Some(Membership::Join)
            {
                return Ok(current.pdu.event_id.clone());
            }
            let event_id = append
                .append(NewEvent::state(event_type, state_key, sender, content))
                .await?;
            if is_guest_access {
                self.some_guests_leave(append).await?;
            }
            Ok(event_id)
        });
        let event_id = setting.await?;
        if is_guest_access {
            self.guests_leave(&room).await?;
        }
        Ok(event_id)
    }

    /// Redacts an event.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] if the room has no such event; [`RoomError::Forbidden`] unless it is the sender's own or the
    /// sender's power level reaches `redact`.
    pub async fn redact(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        target: &EventId,
        reason: Option<&str>,
        transaction: Option<Transaction<'_>>,
    ) -> Result<OwnedEventId, RoomError> {
        let room = self.room_to_send(room_id).await?;
        let content = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        let content =
            to_raw_value(&content).map_err(|error| RoomError::BadJson(error.to_string()))?;
        let new = NewEvent {
            event_type: "m.room.redaction",
            state_key: None,
            sender,
            content: &content,
            redacts: Some(target),
            transaction: transaction.map(|transaction| (transaction.device_id, transaction.txn_id)),
        };
        let key = self
            .transaction_key("redact", &room, sender, target.as_str(), transaction)
            .await?;
        let mut is_guest_access = false;
        let redacting = self.write(&room, key, async |append| {
            if append.membership(sender).await? != Some(Membership::Join) {
                return Err(RoomError::NotJoined);
            }
            let (event, row) = self.event_of_room(&room, target).await?;
            is_guest_access = &*event.event_type == GUEST_ACCESS;
            if &*event.event_type == "m.room.create" {
                // Allowed by the rules; but in most versions it would take the room's type and its way to its predecessor.
                return Err(RoomError::Forbidden(
                    "the creation of a room stays".to_owned(),
                ));
            }
            let power_levels = append.power_levels().await?;
            if event.sender != *sender && !power_levels.user_can_redact_event_of_other(sender) {
                return Err(RoomError::Forbidden(
                    "you cannot redact other users' events here".to_owned(),
                ));
            }
            let event_id = append.append(new).await?;
            append.replace_redacted(&event, row).await?;
            Ok(event_id)
        });
        let event_id = redacting.await?;
        if is_guest_access {
            self.guests_leave(&room).await?;
        }
        Ok(event_id)
    }

    /// The room that a client wants to send to. Whether it exists is not told to those who are not in it.
    pub(crate) async fn room_to_send(&self, room_id: &RoomId) -> Result<Arc<Room>, RoomError> {
        self.room_by_id(room_id).await.map_err(|error| match error {
            RoomError::UnknownRoom => RoomError::NotJoined,
            error => error,
        })
    }

    /// Holds the room's writer while `appending` appends, commits, and waits for the disk. A transaction that was answered
    /// before is answered the same again.
    pub(crate) async fn write(
        &self,
        room: &Arc<Room>,
        transaction: Option<TransactionKey>,
        appending: impl AsyncFnOnce(&mut Append<'_>) -> Result<OwnedEventId, RoomError>,
    ) -> Result<OwnedEventId, RoomError> {
        let mut writer = room.lock().await?;
        if let Some(key) = &transaction
            && let Some(answered) = self.answered(&writer, key).await?
        {
            drop(writer);
            // It may still be on its way to the disk: an empty commit is answered after everything before it.
            self.store().commit(Batch::new()).await?;
            return Ok(answered);
        }
        let mut commit = Commit::new();
        let mut append = Append::new(self, room, &mut writer, &mut commit);
        let event_id = appending(&mut append).await?;
        let ahead = append.finish();
        if let Some(key) = &transaction {
            let row = self.answer(event_id.to_string());
            commit.batch.put::<Transactions>(key, &row);
        }
        if commit.is_empty() {
            return Ok(event_id);
        }
        let queued = commit.queue(self, vec![(&mut writer, ahead)])?;
        if let Some(key) = transaction {
            writer.remember(
                key,
                event_id.clone(),
                queued.first(),
                self.store().visible(),
            );
        }
        drop(writer);
        queued.await?;
        Ok(event_id)
    }

    /// As [`Rooms::write`], for changes that answer with nothing.
    pub(crate) async fn change(
        &self,
        room: &Arc<Room>,
        changing: impl AsyncFnOnce(&mut Append<'_>) -> Result<(), RoomError>,
    ) -> Result<(), RoomError> {
        let mut writer = room.lock().await?;
        let mut commit = Commit::new();
        let mut append = Append::new(self, room, &mut writer, &mut commit);
        changing(&mut append).await?;
        let ahead = append.finish();
        if commit.is_empty() {
            return Ok(());
        }
        let queued = commit.queue(self, vec![(&mut writer, ahead)])?;
        drop(writer);
        queued.await?;
        Ok(())
    }

    /// The key of a transaction: within one endpoint, one room and one event type.
    pub(crate) async fn transaction_key(
        &self,
        endpoint: &str,
        room: &Room,
        sender: &UserId,
        what: &str,
        transaction: Option<Transaction<'_>>,
    ) -> Result<Option<TransactionKey>, RoomError> {
        let Some(Transaction { device_id, txn_id }) = transaction else {
            return Ok(None);
        };
        let sender = self.store().interner().number(sender.as_str()).await?;
        let scope = format!("{endpoint}\0{}\0{what}\0{txn_id}", room.nid.0);
        Ok(Some((
            sender,
            device_id.to_owned(),
            Tail(scope.into_bytes()),
        )))
    }

    /// The row of a transaction that is answered now.
    pub(crate) fn answer(&self, answer: String) -> TransactionRow {
        TransactionRow {
            at_ms: self.host().now_ms(),
            answer,
        }
    }

    /// What was answered to a transaction before.
    async fn answered(
        &self,
        writer: &Writer,
        key: &TransactionKey,
    ) -> Result<Option<OwnedEventId>, RoomError> {
        if let Some((event_id, _)) = writer.transactions.get(key) {
            return Ok(Some(event_id.clone()));
        }
        let Some(row) = self.store().get::<Transactions>(key).await? else {
            return Ok(None);
        };
        let event_id = EventId::parse(row.answer);
        Ok(Some(
            event_id.map_err(|_| store::CorruptRow("not an event id"))?,
        ))
    }

    /// An event of this very room, with its row.
    async fn event_of_room(
        &self,
        room: &Room,
        event_id: &EventId,
    ) -> Result<(Event, EventRow), RoomError> {
        let found = self
            .store()
            .get::<EventIds>(&Tail(event_key(event_id)))
            .await?;
        let Some((_, rsn)) = found.filter(|(nid, _): &(_, Rsn)| *nid == room.nid) else {
            return Err(RoomError::NotFound("event"));
        };
        let row = self
            .store()
            .get::<Events>(&(room.nid, rsn))
            .await?
            .ok_or(RoomError::NotFound("event"))?;
        Ok((Event::from_row(room.nid, rsn, row.clone())?, row))
    }
}

/// Whether two texts are the same JSON.
pub(crate) fn same_json(one: &RawValue, other: &RawValue) -> bool {
    let parse = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
    parse(one).is_some_and(|one| parse(other) == Some(one))
}

#[derive(serde::Deserialize)]
struct RedactionContent {
    redacts: OwnedEventId,
    reason: Option<String>,
}
