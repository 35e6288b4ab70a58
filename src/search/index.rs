//! Keeps the index in step with the commit log: reads on from where it has been, in batches that are atomic with the mark.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use host::Shutdown;
use rooms::{Event, Follower, Reader, RoomError, RoomNews, What};
use serde::Deserialize;
use store::{
    Batch, Pos, Raw, RoomNid, Rsn, Scan,
    tables::{Cursors, Log, SearchPostings, SearchTexts, Timeline},
};

use crate::{
    Key, Search,
    words::{Term, count_terms},
};

/// The name of the mark.
const CURSOR: &str = "search";

/// Events read at a time.
const CHUNK: usize = 200;

/// How long what was sent is left to gather unless somebody searches: a batch of many events costs little more than one of
/// a single event, and following each message by itself took an eighth of the time that a send costs.
const GATHER: std::time::Duration = std::time::Duration::from_millis(250);

/// How long to wait after the store has failed.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

impl Follower for Search {
    fn room_news(&self, news: &RoomNews) {
        if matches!(news.what, What::Event { .. }) {
            self.0.wake.notify_one();
        }
    }
}

/// What is kept of a text, so that it can be taken out of the index again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    /// It has these terms.
    Terms(Vec<Term>),
    /// It is an edit of this event.
    EditOf(Rsn),
}

impl Kept {
    fn write(&self) -> Raw {
        let mut bytes = Vec::new();
        match self {
            Self::Terms(terms) => {
                bytes.push(0);
                for term in terms {
                    bytes.extend_from_slice(&term.to_be_bytes());
                }
            }
            Self::EditOf(rsn) => {
                bytes.push(1);
                bytes.extend_from_slice(&rsn.0.to_be_bytes());
            }
        }
        Raw(Bytes::from(bytes))
    }

    fn read(raw: &Raw) -> Option<Self> {
        let (kind, rest) = raw.0.split_first()?;
        match kind {
            0 => {
                let terms = rest.chunks_exact(8).map(|bytes| {
                    bytes
                        .iter()
                        .fold(0, |term, byte| term << 8 | u64::from(*byte))
                });
                Some(Self::Terms(terms.collect()))
            }
            1 => Some(Self::EditOf(Rsn(u32::from_be_bytes(rest.try_into().ok()?)))),
            _ => None,
        }
    }
}

/// One batch being gathered.
struct Step<'a> {
    search: &'a Search,
    batch: Batch,
    upto: Pos,
    /// What the batch itself changes.
    texts: HashMap<(RoomNid, Pos), Option<Kept>>,
    encrypted: HashMap<RoomNid, bool>,
}

impl Search {
    /// Follows the log until the server stops.
    pub async fn run(self, shutdown: Shutdown) {
        while !shutdown.is_started() {
            match self.step().await {
                Ok(true) => (),
                Ok(false) => {
                    tokio::select! {
                        () = self.gathered() => (),
                        () = shutdown.wait() => (),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the search index does not get on");
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => (),
                        () = shutdown.wait() => (),
                    }
                }
            }
        }
    }

    /// Waits until something was sent, and a while longer for more of it.
    async fn gathered(&self) {
        self.0.wake.notified().await;
        tokio::select! {
            () = self.0.hurry.notified() => (),
            () = tokio::time::sleep(GATHER) => (),
        }
    }

    /// Indexes the next events; returns whether there may be more.
    async fn step(&self) -> Result<bool, RoomError> {
        let store = self.0.rooms.store();
        let cursor = store.get::<Cursors>(&CURSOR.to_owned()).await?;
        let upto = store.visible();
        let range = Scan::range::<Log>(&cursor.unwrap_or(Pos::ZERO).next(), &upto.next());
        let rows = store.scan::<Log>(range.limit(CHUNK)).await?;
        let more = rows.len() == CHUNK;
        if let Some((last, _)) = rows.last() {
            let last = *last;
            let mut step = Step {
                search: self,
                batch: Batch::new(),
                upto,
                texts: HashMap::new(),
                encrypted: HashMap::new(),
            };
            for (_, (room, rsn)) in rows {
                // One that was deleted meanwhile is in nobody's way.
                if let Some(event) = self.0.rooms.events(room, &[rsn]).await?.pop() {
                    step.event(&event).await?;
                }
            }
            let mut batch = step.batch;
            batch.put::<Cursors>(&CURSOR.to_owned(), &last);
            batch.relax();
            store.commit(batch).await?;
        }
        if !more {
            self.0.indexed.send_replace(upto);
        }
        Ok(more)
    }
}

impl Search {
    /// Takes the texts of events that are being removed out of the index, in the commit that removes them.
    pub async fn forget(
        &self,
        room: RoomNid,
        positions: &[Pos],
        batch: &mut Batch,
    ) -> Result<(), RoomError> {
        let keys: Vec<_> = positions.iter().map(|pos| (room, *pos)).collect();
        let rows = self.0.rooms.store().multi_get::<SearchTexts>(&keys).await?;
        for (key, row) in keys.iter().zip(rows) {
            let Some(row) = row else { continue };
            if let Some(Kept::Terms(terms)) = Kept::read(&row) {
                for term in terms {
                    batch.delete::<SearchPostings>(&(room, term, key.1));
                }
            }
            batch.delete::<SearchTexts>(key);
        }
        Ok(())
    }

    /// Takes out what a step of the index that was under way has brought back: texts before `horizon` of events that
    /// are there no more.
    pub async fn forget_strays(&self, room: RoomNid, horizon: Pos) -> Result<(), RoomError> {
        let store = self.0.rooms.store();
        let range = Scan::range::<SearchTexts>(&(room, Pos::MIN), &(room, horizon));
        let texts = store.scan::<SearchTexts>(range).await?;
        let keys: Vec<_> = texts.into_iter().map(|(key, _)| key).collect();
        let rows = store.multi_get::<Timeline>(&keys).await?;
        let strays = keys.iter().zip(rows).filter(|(_, row)| row.is_none());
        let strays: Vec<_> = strays.map(|((_, pos), _)| *pos).collect();
        let mut batch = Batch::new();
        self.forget(room, &strays, &mut batch).await?;
        store.commit(batch).await?;
        Ok(())
    }
}

impl Step<'_> {
    async fn event(&mut self, event: &Arc<Event>) -> Result<(), RoomError> {
        let rooms = &self.search.0.rooms;
        if let Some(target) = &event.redacts {
            let target = rooms.event_by_id(target).await?;
            if let Some(target) = target.filter(|target| target.room == event.room) {
                self.redacted(&target).await?;
            }
            return Ok(());
        }
        if event.is_state_of("m.room.encryption", "") {
            // "The search will not include rooms that are end to end encrypted."
            self.batch.delete_prefix::<SearchPostings>(&(event.room,));
            self.batch.delete_prefix::<SearchTexts>(&(event.room,));
            self.texts.retain(|(room, _), _| *room != event.room);
            self.encrypted.insert(event.room, true);
            return Ok(());
        }
        if event.redacted_by.some().is_some() || !is_searched(event) {
            return Ok(());
        }
        if self.is_encrypted(event.room).await? {
            return Ok(());
        }
        let edited = event
            .relation()
            .filter(|relation| relation.rel_type == "m.replace" && !event.is_state());
        let Some(edited) = edited else {
            return self.index(event, event).await;
        };
        let original = rooms.event_by_id(&edited.event_id).await?;
        let Some(original) = original.filter(|original| original.room == event.room) else {
            return Ok(());
        };
        self.put(event, Some(Kept::EditOf(original.rsn)));
        self.index_latest(&original).await
    }

    async fn is_encrypted(&mut self, room: RoomNid) -> Result<bool, RoomError> {
        if let Some(known) = self.encrypted.get(&room) {
            return Ok(*known);
        }
        let encrypted = self.search.is_encrypted(room).await?;
        self.encrypted.insert(room, encrypted);
        Ok(encrypted)
    }

    /// Takes a redacted event out of the index.
    async fn redacted(&mut self, target: &Arc<Event>) -> Result<(), RoomError> {
        if target.redacted_by.some().is_none() {
            return Ok(());
        }
        let kept = self.kept(target).await?;
        self.unindex(target, kept.as_ref());
        if let Some(Kept::EditOf(original)) = kept {
            let rooms = &self.search.0.rooms;
            if let Some(original) = rooms.events(target.room, &[original]).await?.pop() {
                self.index_latest(&original).await?;
            }
        }
        Ok(())
    }

    /// Indexes an event as it reads after its edits.
    async fn index_latest(&mut self, original: &Arc<Event>) -> Result<(), RoomError> {
        if original.redacted_by.some().is_some() || !is_searched(original) {
            return Ok(());
        }
        let nobody = HashSet::new();
        let everybody = Reader {
            user_id: &original.sender,
            visibility: None,
            ignored: &nobody,
            upto: self.upto,
        };
        let edit = self
            .search
            .0
            .rooms
            .latest_edit(original, &everybody)
            .await?;
        let text = edit.unwrap_or_else(|| Arc::clone(original));
        self.index(original, &text).await
    }

    /// Indexes `event` under the text of `content`.
    async fn index(&mut self, event: &Arc<Event>, content: &Event) -> Result<(), RoomError> {
        let kept = self.kept(event).await?;
        self.unindex(event, kept.as_ref());
        let Some((key, text)) = text_of(content, event.rsn != content.rsn) else {
            return Ok(());
        };
        let counts = count_terms(&text);
        let length = counts.values().fold(0u16, |sum, n| sum.saturating_add(*n));
        for (term, count) in &counts {
            self.batch.put::<SearchPostings>(
                &(event.room, *term, event.pos),
                &(event.rsn, key as u8, *count, length),
            );
        }
        if !counts.is_empty() {
            self.put(event, Some(Kept::Terms(counts.into_keys().collect())));
        }
        Ok(())
    }

    fn unindex(&mut self, event: &Event, kept: Option<&Kept>) {
        if let Some(Kept::Terms(terms)) = kept {
            for term in terms {
                self.batch
                    .delete::<SearchPostings>(&(event.room, *term, event.pos));
            }
        }
        if kept.is_some() {
            self.put(event, None);
        }
    }

    async fn kept(&mut self, event: &Event) -> Result<Option<Kept>, RoomError> {
        let key = (event.room, event.pos);
        if let Some(kept) = self.texts.get(&key) {
            return Ok(kept.clone());
        }
        if self.encrypted.get(&event.room) == Some(&true) {
            return Ok(None);
        }
        let row = self.search.0.rooms.store().get::<SearchTexts>(&key).await?;
        Ok(row.as_ref().and_then(Kept::read))
    }

    fn put(&mut self, event: &Event, kept: Option<Kept>) {
        let key = (event.room, event.pos);
        match &kept {
            Some(kept) => self.batch.put::<SearchTexts>(&key, &kept.write()),
            None => self.batch.delete::<SearchTexts>(&key),
        }
        self.texts.insert(key, kept);
    }
}

/// Whether it is of a type that is searched.
fn is_searched(event: &Event) -> bool {
    match &*event.event_type {
        "m.room.message" => !event.is_state(),
        "m.room.name" | "m.room.topic" => event.is_state(),
        _ => false,
    }
}

/// The text of an event that is searched. An edit has its own in `m.new_content`.
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#room_events)
fn text_of(event: &Event, is_edit: bool) -> Option<(Key, String)> {
    #[derive(Deserialize)]
    struct Message {
        body: String,
    }
    #[derive(Deserialize)]
    struct Edit {
        #[serde(rename = "m.new_content")]
        new_content: Message,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    let content = event.content();
    match &*event.event_type {
        "m.room.message" if is_edit => {
            let edit: Edit = serde_json::from_str(content).ok()?;
            Some((Key::Body, edit.new_content.body))
        }
        "m.room.message" => {
            let message: Message = serde_json::from_str(content).ok()?;
            Some((Key::Body, message.body))
        }
        "m.room.name" => {
            let name: Name = serde_json::from_str(content).ok()?;
            Some((Key::Name, name.name))
        }
        "m.room.topic" => Some((Key::Topic, topic(content)?)),
        _ => None,
    }
}

/// `topic`, and the plain text of `m.topic` where that differs.
fn topic(content: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Content {
        topic: Option<String>,
        #[serde(rename = "m.topic")]
        rich: Option<serde_json::Value>,
    }
    let content: Content = serde_json::from_str(content).ok()?;
    let representations = content
        .rich
        .as_ref()
        .and_then(|rich| rich["m.text"].as_array());
    let plain = representations.into_iter().flatten().find(|text| {
        // "Defaults to `text/plain` if omitted."
        text.get("mimetype")
            .is_none_or(|mimetype| mimetype == "text/plain")
    });
    let plain = plain.and_then(|text| text["body"].as_str());
    match (content.topic, plain) {
        (Some(topic), Some(plain)) if topic != plain => Some(format!("{topic}\n{plain}")),
        (Some(topic), _) => Some(topic),
        (None, plain) => plain.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
