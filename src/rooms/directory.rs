//! The published room directory: which rooms are in it, and what it tells of them.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#published-room-directory)
//!
//! Every published room's entry is kept in memory, in order; a room whose state changes is marked when the change is
//! published and read again by the next request. A request costs its page and the rooms that changed since the last one.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ruma::{
    OwnedMxcUri, OwnedRoomId, RoomAliasId, RoomId, UInt, UserId,
    directory::{PublicRoomsChunk, PublicRoomsChunkInit, RoomTypeFilter},
};
use serde_json::Value;
use store::{Batch, RoomNid, Scan, tables::PublishedRooms};

use crate::{RoomError, Rooms};

/// The most entries of one page.
const MAX_PAGE: usize = 500;
/// Entries of a page when the client does not say.
const DEFAULT_PAGE: usize = 100;
/// Bytes of a name in the directory: what it shows is a preview, and all of it is in memory.
const MAX_NAME_BYTES: usize = 255;
/// Bytes of a topic in the directory.
const MAX_TOPIC_BYTES: usize = 1_000;

/// What a client wants to see of the directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectoryQuery<'a> {
    /// Where the page starts: a `next_batch` or `prev_batch` of before.
    pub since: Option<&'a str>,
    /// At most so many entries; at most 500 in any case.
    pub limit: Option<usize>,
    /// Has to be part of the name, the topic or the canonical alias.
    pub search_term: Option<&'a str>,
    /// One of them has to be the room's type; empty for all.
    pub room_types: &'a [RoomTypeFilter],
}

/// A page of the directory.
#[derive(Clone, Debug, Default)]
pub struct DirectoryPage {
    /// The rooms, those with most members first.
    pub chunk: Vec<PublicRoomsChunk>,
    /// Leads to the rooms after these, if there are any.
    pub next_batch: Option<String>,
    /// Leads to the rooms before these, if there are any.
    pub prev_batch: Option<String>,
    /// How many rooms match.
    pub total: usize,
}

/// The directory in memory.
#[derive(Default)]
pub(crate) struct Directory {
    marks: Mutex<Marks>,
    listed: tokio::sync::Mutex<Listed>,
}

/// What the publisher tells.
#[derive(Default)]
struct Marks {
    /// Somebody reads the directory, or has read it: marks are kept.
    in_use: bool,
    published: HashSet<RoomNid>,
    touched: HashSet<RoomNid>,
}

/// The entries. Whatever interrupts a request, it can be taken up where it was left.
#[derive(Default)]
struct Listed {
    /// Which rooms are published has been read from the store.
    scanned: bool,
    /// Rooms that have to be read again.
    pending: HashSet<RoomNid>,
    /// `ordered` is older than `entries`.
    stale: bool,
    entries: HashMap<RoomNid, Arc<Entry>>,
    ordered: Arc<Vec<Arc<Entry>>>,
}

/// One room of the directory.
#[derive(Debug)]
struct Entry {
    chunk: PublicRoomsChunk,
    /// Name, topic and alias in lower case, a line each.
    words: String,
}

/// The order of the directory, as a token names a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    joined: Reverse<u64>,
    room_id: &'a str,
}

impl Entry {
    fn place(&self) -> Place<'_> {
        Place {
            joined: Reverse(self.chunk.num_joined_members.into()),
            room_id: self.chunk.room_id.as_str(),
        }
    }

    fn matches(&self, term: &str, room_types: &[RoomTypeFilter]) -> bool {
        let room_type = self
            .chunk
            .room_type
            .as_ref()
            .map(ruma::room::RoomType::as_str);
        let wanted =
            room_types.is_empty() || room_types.iter().any(|wanted| wanted.as_str() == room_type);
        wanted && self.words.contains(term)
    }
}

impl Directory {
    /// The state of a room has changed.
    pub(crate) fn room_changed(&self, room: RoomNid) {
        let mut marks = self.marks.lock();
        if marks.published.contains(&room) {
            marks.touched.insert(room);
        }
    }

    /// A room was put into the directory or taken out of it.
    pub(crate) fn visibility_changed(&self, room: RoomNid) {
        let mut marks = self.marks.lock();
        if marks.in_use {
            marks.touched.insert(room);
        }
    }
}

impl Rooms {
    /// Whether a room is in the published directory.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]
    pub async fn is_published(&self, room_id: &RoomId) -> Result<bool, RoomError> {
        let room = self.room_by_id(room_id).await?;
        Ok(self
            .store()
            .get::<PublishedRooms>(&room.nid)
            .await?
            .is_some())
    }

    /// Puts a room into the published directory or takes it out: whoever has the power to send
    /// `m.room.canonical_alias` may.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`], [`RoomError::Forbidden`]
    pub async fn set_published(
        &self,
        room_id: &RoomId,
        user: &UserId,
        published: bool,
    ) -> Result<(), RoomError> {
        let room = self.room_by_id(room_id).await?;
        if !self
            .may_send_state(&room, user, "m.room.canonical_alias")
            .await?
        {
            return Err(RoomError::Forbidden(
                "only the room's moderators may publish it".to_owned(),
            ));
        }
        let mut batch = Batch::new();
        if published {
            batch.put::<PublishedRooms>(&room.nid, &());
        } else {
            batch.delete::<PublishedRooms>(&room.nid);
        }
        self.store().commit(batch).await?;
        self.directory().visibility_changed(room.nid);
        Ok(())
    }

    /// A page of the directory.
    ///
    /// # Errors
    /// [`RoomError::InvalidParam`] for a `since` that is none of ours.
    pub async fn published_rooms(
        &self,
        query: &DirectoryQuery<'_>,
    ) -> Result<DirectoryPage, RoomError> {
        let since = query.since.map(Since::parse).transpose()?;
        let limit = query
            .limit
            .filter(|limit| *limit > 0)
            .unwrap_or(DEFAULT_PAGE)
            .min(MAX_PAGE);
        let ordered = self.listed().await?;
        let term = query.search_term.unwrap_or_default().to_lowercase();
        if term.is_empty() && query.room_types.is_empty() {
            return Ok(page(&ordered, since.as_ref(), limit));
        }
        let matching: Vec<_> = ordered
            .iter()
            .filter(|entry| entry.matches(&term, query.room_types))
            .cloned()
            .collect();
        Ok(page(&matching, since.as_ref(), limit))
    }

    /// Every entry in order, up to date.
    async fn listed(&self) -> Result<Arc<Vec<Arc<Entry>>>, RoomError> {
        let directory = self.directory();
        let mut listed = directory.listed.lock().await;
        {
            let mut marks = directory.marks.lock();
            marks.in_use = true;
            listed.pending.extend(marks.touched.drain());
        }
        if !listed.scanned {
            let rows = self
                .store()
                .scan::<PublishedRooms>(Scan::prefix::<PublishedRooms>(&()))
                .await?;
            listed
                .pending
                .extend(rows.into_iter().map(|(room, ())| room));
            listed.scanned = true;
        }
        while let Some(room) = listed.pending.iter().next().copied() {
            // Listening first: what changes while the room is read marks it again.
            directory.marks.lock().published.insert(room);
            if self.store().get::<PublishedRooms>(&room).await?.is_some() {
                let entry = self.entry(room).await?;
                listed.entries.insert(room, Arc::new(entry));
            } else {
                directory.marks.lock().published.remove(&room);
                listed.entries.remove(&room);
            }
            listed.stale = true;
            listed.pending.remove(&room);
        }
        if listed.stale {
            // A room that everybody has left stays published and is shown again when somebody returns.
            let inhabited = |entry: &&Arc<Entry>| entry.chunk.num_joined_members > UInt::MIN;
            let mut ordered: Vec<_> = listed.entries.values().filter(inhabited).cloned().collect();
            ordered.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
            listed.ordered = Arc::new(ordered);
            listed.stale = false;
        }
        Ok(Arc::clone(&listed.ordered))
    }

    async fn entry(&self, room: RoomNid) -> Result<Entry, RoomError> {
        let chunk = self.public_summary(room).await?;
        let alias = chunk.canonical_alias.as_ref().map(|alias| alias.as_str());
        let words = [chunk.name.as_deref(), chunk.topic.as_deref(), alias];
        let words: Vec<_> = words.into_iter().flatten().map(str::to_lowercase).collect();
        Ok(Entry {
            words: words.join("\n"),
            chunk,
        })
    }

    /// What the directory tells of a room.
    ///
    /// # Errors
    /// [`RoomError::UnknownRoom`]
    pub async fn public_summary(&self, room: RoomNid) -> Result<PublicRoomsChunk, RoomError> {
        let head = self.head(room).await?;
        let id = self.store().interner().name(room).await?;
        let room_id =
            OwnedRoomId::try_from(&*id).map_err(|_| store::CorruptRow("not a room id"))?;
        let is = |content: Option<&Value>, key: &str, word: &str| text(content, key) == Some(word);
        let visibility = self.content(room, "m.room.history_visibility").await?;
        let guest_access = self.content(room, "m.room.guest_access").await?;
        let mut chunk = PublicRoomsChunk::from(PublicRoomsChunkInit {
            num_joined_members: head.joined.into(),
            room_id,
            world_readable: is(visibility.as_ref(), "history_visibility", "world_readable"),
            guest_can_join: is(guest_access.as_ref(), "guest_access", "can_join"),
        });
        let alias = self.content(room, "m.room.canonical_alias").await?;
        chunk.canonical_alias =
            text(alias.as_ref(), "alias").and_then(|alias| RoomAliasId::parse(alias).ok());
        let name = self.content(room, "m.room.name").await?;
        chunk.name = text(name.as_ref(), "name").map(|name| cut(name, MAX_NAME_BYTES));
        let topic = self.content(room, "m.room.topic").await?;
        chunk.topic = plain_topic(topic.as_ref()).map(|topic| cut(topic, MAX_TOPIC_BYTES));
        let avatar = self.content(room, "m.room.avatar").await?;
        let avatar = text(avatar.as_ref(), "url")
            .filter(|url| url.starts_with("mxc://") && url.len() <= MAX_NAME_BYTES);
        chunk.avatar_url = avatar.map(OwnedMxcUri::from);
        let join_rules = self.content(room, "m.room.join_rules").await?;
        chunk.join_rule = text(join_rules.as_ref(), "join_rule")
            .unwrap_or("invite")
            .into();
        let create = self.content(room, "m.room.create").await?;
        chunk.room_type = text(create.as_ref(), "type").map(Into::into);
        Ok(chunk)
    }

    /// The content of the room's state with an empty state key.
    pub(crate) async fn content(
        &self,
        room: RoomNid,
        event_type: &str,
    ) -> Result<Option<Value>, RoomError> {
        let event = self.state_event(room, event_type, "").await?;
        Ok(event.and_then(|event| serde_json::from_str(event.content()).ok()))
    }
}

/// A token: the direction, and the place that is left out.
#[derive(Debug)]
struct Since {
    backwards: bool,
    joined: u64,
    room_id: String,
}

impl Since {
    fn parse(token: &str) -> Result<Self, RoomError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let parsed = text.as_deref().and_then(|text| {
            let (direction, rest) = text.split_at_checked(1)?;
            let (joined, room_id) = rest.split_once(' ')?;
            let backwards = match direction {
                "n" => false,
                "p" => true,
                _ => return None,
            };
            Some(Self {
                backwards,
                joined: joined.parse().ok()?,
                room_id: room_id.to_owned(),
            })
        });
        parsed.ok_or_else(|| {
            RoomError::InvalidParam("`since` is not a token of this server".to_owned())
        })
    }

    fn place(&self) -> Place<'_> {
        Place {
            joined: Reverse(self.joined),
            room_id: &self.room_id,
        }
    }
}

fn token(direction: char, entry: &Entry) -> String {
    let Place {
        joined: Reverse(joined),
        room_id,
    } = entry.place();
    URL_SAFE_NO_PAD.encode(format!("{direction}{joined} {room_id}"))
}

fn page(ordered: &[Arc<Entry>], since: Option<&Since>, limit: usize) -> DirectoryPage {
    let (from, to) = match since {
        None => (0, limit.min(ordered.len())),
        Some(since) if since.backwards => {
            let to = ordered.partition_point(|entry| entry.place() < since.place());
            (to.saturating_sub(limit), to)
        }
        Some(since) => {
            let from = ordered.partition_point(|entry| entry.place() <= since.place());
            (from, (from + limit).min(ordered.len()))
        }
    };
    let shown = &ordered[from..to];
    DirectoryPage {
        chunk: shown.iter().map(|entry| entry.chunk.clone()).collect(),
        next_batch: shown
            .last()
            .filter(|_| to < ordered.len())
            .map(|last| token('n', last)),
        prev_batch: shown
            .first()
            .filter(|_| from > 0)
            .map(|first| token('p', first)),
        total: ordered.len(),
    }
}

/// A member of a content that is a string and not empty.
fn text<'a>(content: Option<&'a Value>, key: &str) -> Option<&'a str> {
    content?.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The topic in plain text: of `m.topic` if it has one, else of `topic`.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#mroomtopic)
fn plain_topic(content: Option<&Value>) -> Option<&str> {
    let representations = content?
        .get("m.topic")
        .and_then(|topic| topic.get("m.text"))
        .and_then(Value::as_array);
    let is_plain = |block: &&Value| {
        block
            .get("mimetype")
            .is_none_or(|mimetype| mimetype == "text/plain")
    };
    let plain = representations.into_iter().flatten().find(is_plain);
    text(plain, "body").or_else(|| text(content, "topic"))
}

fn cut(text: &str, max_bytes: usize) -> String {
    text[..text.floor_char_boundary(max_bytes)].to_owned()
}
