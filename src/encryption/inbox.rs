//! Messages to devices: kept until the device says that it has them
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging)).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use quick_cache::sync::Cache;
use ruma::UserId;
use serde::Serialize;
use serde_json::value::RawValue;
use store::{
    Batch, Pos, Scan, StoreError, UserNid,
    codec::Tail,
    rows::TransactionRow,
    tables::{Inbox, Transactions},
};

use crate::{Encryption, InboxError, json};

/// Who sends, and under which name of the request.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// The sender.
    pub user: UserNid,
    /// Their id.
    pub user_id: &'a UserId,
    /// Their device.
    pub device_id: &'a str,
    /// The type of all messages.
    pub event_type: &'a str,
    /// The client's name for the request.
    pub txn_id: &'a str,
    /// When, in milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// To which of a user's devices.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recipient {
    /// All that have no message of their own.
    All,
    /// One.
    Device(String),
}

/// Contents by user and device.
pub type Messages = BTreeMap<UserNid, BTreeMap<Recipient, Box<RawValue>>>;

/// Messages for a device, oldest first.
#[derive(Debug, Default)]
pub struct InboxPage {
    /// The events as JSON, with where they lie.
    pub events: Vec<(Pos, Bytes)>,
    /// There are more.
    pub more: bool,
}

/// Messages that wait for one device. Beyond that the oldest go: a device that is behind by so many has been away for
/// months, and asks for the keys that it misses.
const MAX_WAITING: usize = if cfg!(test) { 300 } else { 10_000 };
/// How many messages may come for a device before its inbox is measured again.
const MEASURED_EVERY: u32 = if cfg!(test) { 50 } else { 1_000 };
/// Inboxes whose messages are counted until they are measured.
const COUNTED: usize = 100_000;
/// Messages read at a time.
const PAGE: usize = if cfg!(test) { 7 } else { 200 };
/// Messages in one call.
const MAX_MESSAGES: usize = 10_000;
/// A room key takes 1 KiB; a secret or a verification less.
const MAX_CONTENT_BYTES: usize = 64 * 1024;
/// All messages of one call together, one content sent to many devices counted for each.
const MAX_CALL_BYTES: usize = 8 << 20;
/// As of every identifier.
const MAX_NAME_BYTES: usize = 255;

/// How many messages came for each device since its inbox was measured.
pub(crate) struct Inboxes(Cache<(UserNid, String), Arc<AtomicU32>>);

impl Default for Inboxes {
    fn default() -> Self {
        Self(Cache::new(COUNTED))
    }
}

impl Inboxes {
    /// Counts one message; gives whether the inbox is to be measured.
    fn count(&self, key: &(UserNid, String)) -> bool {
        let Ok(count) = self
            .0
            .get_or_insert_with(key, || Ok::<_, ()>(Arc::default()))
        else {
            return false;
        };
        (count.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(MEASURED_EVERY)
    }
}

#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    sender: &'a UserId,
    content: &'a RawValue,
}

impl Encryption {
    /// Sends messages to devices, all in one commit with the transaction id: a call that comes again changes nothing.
    /// Devices that do not exist are passed over.
    pub async fn send_to_devices(
        &self,
        sending: Sending<'_>,
        messages: &Messages,
    ) -> Result<(), InboxError> {
        check(&sending, messages)?;
        let scope = format!("sendToDevice\0{}\0{}", sending.event_type, sending.txn_id);
        let transaction = (
            sending.user,
            sending.device_id.to_owned(),
            Tail(scope.into_bytes()),
        );
        let store = &self.0.store;
        if store.get::<Transactions>(&transaction).await?.is_some() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.guard_absent::<Transactions>(&transaction);
        let row = TransactionRow {
            at_ms: sending.now_ms,
            answer: String::new(),
        };
        batch.put::<Transactions>(&transaction, &row);
        // No device is removed from here on until the messages are queued: none stays behind.
        let devices_stay = self.0.locks.read(messages.keys().copied()).await;
        let (mut sent, mut bytes) = (Vec::new(), 0);
        for (user, contents) in messages {
            for device in self.devices(*user).await? {
                let recipient = Recipient::Device(device.device_id);
                let content = contents.get(&recipient);
                let Some(content) = content.or_else(|| contents.get(&Recipient::All)) else {
                    continue;
                };
                let Recipient::Device(device_id) = recipient else {
                    continue;
                };
                let event = json::write::<Inbox>(&Event {
                    kind: sending.event_type,
                    sender: sending.user_id,
                    content,
                })?;
                bytes += event.0.len();
                if bytes > MAX_CALL_BYTES {
                    return Err(InboxError::TooLarge("Too many bytes at once.".into()));
                }
                batch.put::<Inbox>(&(*user, device_id.clone(), Pos::unassigned(0)), &event);
                sent.push((*user, device_id));
            }
        }
        let full: Vec<_> = sent
            .iter()
            .filter(|key| self.0.inboxes.count(key))
            .cloned()
            .collect();
        let encryption = self.clone();
        batch.after(move |pos| {
            let followers = encryption.0.followers.read().clone();
            for (user, device_id) in &sent {
                for follower in &followers {
                    follower.message_sent(*user, device_id, pos);
                }
            }
        });
        let queued = store.queue(batch)?;
        drop(devices_stay);
        match queued.await {
            // The same call came twice at once, and the other is kept.
            Ok(_) | Err(StoreError::Guard) => {}
            Err(error) => return Err(error.into()),
        }
        for (user, device_id) in full {
            self.trim(user, &device_id).await?;
        }
        Ok(())
    }

    /// Messages for a device behind `since` and up to `upto`, at most `limit`.
    pub async fn inbox(
        &self,
        (user, device_id): (UserNid, &str),
        since: Pos,
        upto: Pos,
        limit: usize,
    ) -> Result<InboxPage, StoreError> {
        let key = |pos| (user, device_id.to_owned(), pos);
        let range = Scan::range::<Inbox>(&key(since.next()), &key(upto.next())).limit(limit + 1);
        let rows = self.0.store.scan::<Inbox>(range).await?;
        let more = rows.len() > limit;
        let events = rows.into_iter().take(limit);
        Ok(InboxPage {
            events: events.map(|((_, _, pos), row)| (pos, row.0)).collect(),
            more,
        })
    }

    /// The device has everything up to `upto`: it is deleted, without anybody waiting for that.
    pub async fn acknowledge(
        &self,
        user: UserNid,
        device_id: &str,
        upto: Pos,
    ) -> Result<(), StoreError> {
        let range = |from: Pos| {
            let key = |pos| (user, device_id.to_owned(), pos);
            Scan::range::<Inbox>(&key(from), &key(upto.next())).limit(PAGE)
        };
        let mut from = Pos::MIN;
        loop {
            let rows = self.0.store.scan::<Inbox>(range(from)).await?;
            let Some(((_, _, last), _)) = rows.last() else {
                return Ok(());
            };
            from = last.next();
            let is_all = rows.len() < PAGE;
            let mut batch = Batch::new();
            for (key, _) in rows {
                batch.delete::<Inbox>(&key);
            }
            batch.relax();
            // If the queue does not take it, the next acknowledgement does it.
            drop(self.0.store.queue(batch));
            if is_all {
                return Ok(());
            }
        }
    }

    /// Leaves the latest [`MAX_WAITING`] messages.
    async fn trim(&self, user: UserNid, device_id: &str) -> Result<(), StoreError> {
        let key = |pos| (user, device_id.to_owned(), pos);
        let (mut counted, mut end) = (0, Pos::MAX);
        while counted < MAX_WAITING {
            let range = Scan::range::<Inbox>(&key(Pos::MIN), &key(end));
            let rows = self
                .0
                .store
                .scan::<Inbox>(range.reverse().limit(PAGE.min(MAX_WAITING - counted)))
                .await?;
            let Some(((_, _, oldest), _)) = rows.last() else {
                return Ok(());
            };
            end = *oldest;
            counted += rows.len();
        }
        self.acknowledge(user, device_id, end.prev()).await
    }
}

fn check(sending: &Sending<'_>, messages: &Messages) -> Result<(), InboxError> {
    if sending.event_type.len() > MAX_NAME_BYTES {
        return Err(InboxError::Invalid("The event type is too long."));
    }
    if sending.txn_id.len() > MAX_NAME_BYTES {
        return Err(InboxError::Invalid("The transaction id is too long."));
    }
    if messages.values().map(BTreeMap::len).sum::<usize>() > MAX_MESSAGES {
        return Err(InboxError::TooLarge("Too many messages at once.".into()));
    }
    for content in messages.values().flat_map(BTreeMap::values) {
        if content.get().len() > MAX_CONTENT_BYTES {
            return Err(InboxError::TooLarge(
                format!("A message is larger than {MAX_CONTENT_BYTES} bytes.").into(),
            ));
        }
        if !json::is_object(content) {
            return Err(InboxError::NotAnObject);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
