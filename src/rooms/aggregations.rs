//! What is told with an event about those that relate to it: its latest edit, references, its thread.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events)
//!
//! Nothing of it is kept: `Parents` says which events of a page there is anything to tell about, and for these few the rows of
//! `Relations` are read. So an event in memory stays as it is when another relates to it, and readers who ignore somebody, or
//! who may not see everything, get counts of their own.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock},
};

use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde::{Deserialize, de::IgnoredAny};
use store::{Pos, RoomNid, Rsn, Scan, UserNid, rows::RelationRow, tables::Parents};

use crate::{ClientView, Event, RoomError, Rooms, Visibility, relations::Kind, write_json_str};

/// For whom events are told.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Who they are.
    pub user_id: &'a UserId,
    /// What they may see of the room; everything if there is none.
    pub visibility: Option<&'a Visibility>,
    /// Whom they do not want to hear.
    pub ignored: &'a HashSet<OwnedUserId>,
    /// Up to where they are told.
    pub upto: Pos,
}

/// What is told with some events about those that relate to them.
#[derive(Clone, Debug, Default)]
pub struct Bundles(HashMap<(RoomNid, Rsn), Bundle>);

/// What is told with one event.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    room_id: Arc<str>,
    edit: Option<Arc<Event>>,
    references: Vec<OwnedEventId>,
    thread: Option<Thread>,
}

#[derive(Clone, Debug)]
struct Thread {
    latest: Arc<Event>,
    /// What is told with the latest event.
    bundle: Option<Box<Bundle>>,
    count: usize,
    participated: bool,
}

/// The reader, by numbers.
struct Numbers<'a> {
    reader: &'a Reader<'a>,
    user: Option<UserNid>,
    ignored: HashSet<UserNid>,
}

/// The latest edits among which the one that counts is looked for.
const MAX_EDITS: usize = 50;

/// The latest edits that are looked at, those of others than the sender included.
const MAX_EDITS_SCANNED: usize = 1000;

/// The latest references that are told.
const MAX_REFERENCES: usize = 100;

/// Events of one thread that are counted.
pub(crate) const MAX_IN_THREAD: usize = 10_000;

impl Bundles {
    /// Nothing to tell with any event.
    pub fn none() -> &'static Self {
        static NONE: LazyLock<Bundles> = LazyLock::new(Bundles::default);
        &NONE
    }

    pub(crate) fn of(&self, event: &Event) -> Option<&Bundle> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(event.room, event.rsn))
    }

    /// Both.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Bundle {
    fn is_empty(&self) -> bool {
        self.edit.is_none() && self.references.is_empty() && self.thread.is_none()
    }

    /// Appends the value of `m.relations`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, view: &ClientView<'_>) {
        let view = ClientView {
            room_id: Some(&self.room_id),
            now_ms: view.now_ms,
            ..ClientView::default()
        };
        let mut separator = b'{';
        let mut name = |out: &mut Vec<u8>, name: &str| {
            out.push(separator);
            separator = b',';
            write_json_str(out, name);
            out.push(b':');
        };
        if let Some(edit) = &self.edit {
            name(out, "m.replace");
            edit.write_client(out, &view);
        }
        if !self.references.is_empty() {
            name(out, "m.reference");
            let mut separator = "{\"chunk\":[";
            for event_id in &self.references {
                out.extend_from_slice(separator.as_bytes());
                separator = ",";
                out.extend_from_slice(b"{\"event_id\":");
                write_json_str(out, event_id.as_str());
                out.push(b'}');
            }
            out.extend_from_slice(b"]}");
        }
        if let Some(thread) = &self.thread {
            name(out, "m.thread");
            out.extend_from_slice(b"{\"latest_event\":");
            thread
                .latest
                .write_with(out, &view, thread.bundle.as_deref());
            let (count, participated) = (thread.count, thread.participated);
            let rest = format!(",\"count\":{count},\"current_user_participated\":{participated}}}");
            out.extend_from_slice(rest.as_bytes());
        }
        out.push(b'}');
    }
}

impl Reader<'_> {
    fn sees(&self, pos: Pos) -> bool {
        pos <= self.upto && self.visibility.is_none_or(|seen| seen.may_see(pos))
    }
}

impl Rooms {
    /// What to tell with some events of one room. Costs one look-up if nothing relates to any of them.
    pub async fn bundles(
        &self,
        reader: &Reader<'_>,
        events: &[Arc<Event>],
    ) -> Result<Bundles, RoomError> {
        let mut bundles = Bundles::default();
        let parents = self.parents_among(events).await?;
        if parents.is_empty() {
            return Ok(bundles);
        }
        let numbers = self.numbers(reader).await?;
        for event in parents {
            if let Some(bundle) = self.bundle(&numbers, &event).await? {
                bundles.0.insert((event.room, event.rsn), bundle);
            }
        }
        Ok(bundles)
    }

    async fn numbers<'a>(&self, reader: &'a Reader<'a>) -> Result<Numbers<'a>, RoomError> {
        Ok(Numbers {
            reader,
            user: self.user_number(reader.user_id).await?,
            ignored: self.user_numbers(reader.ignored).await?,
        })
    }

    /// Those events to which others relate. "State events do not currently receive bundled aggregations."
    async fn parents_among(&self, events: &[Arc<Event>]) -> Result<Vec<Arc<Event>>, RoomError> {
        let mut messages: Vec<&Arc<Event>> =
            events.iter().filter(|event| !event.is_state()).collect();
        messages.sort_unstable_by_key(|event| event.pos);
        messages.dedup_by_key(|event| event.pos);
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
            return Ok(Vec::new());
        };
        // Most pages are stretches of the timeline without many gaps.
        let limit = 2 * messages.len() + 1;
        let range = Scan::range::<Parents>(&(first.room, first.pos), &(last.room, last.pos.next()));
        let rows = self.store().scan::<Parents>(range.limit(limit)).await?;
        let parents: HashSet<Pos> = if rows.len() < limit {
            rows.into_iter().map(|((_, pos), ())| pos).collect()
        } else {
            let keys: Vec<_> = messages
                .iter()
                .map(|event| (event.room, event.pos))
                .collect();
            let rows = self.store().multi_get::<Parents>(&keys).await?;
            let present = keys.into_iter().zip(rows);
            present
                .filter_map(|((_, pos), row)| row.map(|()| pos))
                .collect()
        };
        Ok(messages
            .into_iter()
            .filter(|event| parents.contains(&event.pos))
            .map(Arc::clone)
            .collect())
    }

    async fn bundle(
        &self,
        numbers: &Numbers<'_>,
        event: &Arc<Event>,
    ) -> Result<Option<Bundle>, RoomError> {
        let mut bundle = self.bundle_without_thread(numbers, event).await?;
        let rows = self.thread_rows(numbers, event).await?;
        if let Some((_, latest)) = rows.first() {
            let latest = self.event(event.room, latest.rsn).await?;
            let own = if self
                .parents_among(std::slice::from_ref(&latest))
                .await?
                .is_empty()
            {
                None
            } else {
                let own = self.bundle_without_thread(numbers, &latest).await?;
                (!own.is_empty()).then(|| Box::new(own))
            };
            bundle.thread = Some(Thread {
                latest,
                bundle: own,
                count: rows.len(),
                participated: numbers.participates(event, &rows),
            });
        }
        Ok((!bundle.is_empty()).then_some(bundle))
    }

    async fn bundle_without_thread(
        &self,
        numbers: &Numbers<'_>,
        event: &Arc<Event>,
    ) -> Result<Bundle, RoomError> {
        let range = (Pos::MIN.next(), numbers.reader.upto);
        let parent = (event.room, &*event.event_id);
        let references = self
            .related(parent, Kind::Reference, range, (true, MAX_REFERENCES))
            .await?;
        let references: Vec<Rsn> = numbers.heard(references).map(|(_, row)| row.rsn).collect();
        let mut references: Vec<OwnedEventId> = self
            .events(event.room, &references)
            .await?
            .iter()
            .map(|event| event.event_id.clone())
            .collect();
        references.reverse();
        Ok(Bundle {
            room_id: self.room(event.room).await?.id.as_str().into(),
            edit: self.latest_edit(event, numbers.reader).await?,
            references,
            thread: None,
        })
    }

    /// The latest valid edit of an event, of those that a reader may see.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#validity-of-replacement-events)
    pub async fn latest_edit(
        &self,
        event: &Arc<Event>,
        reader: &Reader<'_>,
    ) -> Result<Option<Arc<Event>>, RoomError> {
        if event.is_state() || event.redacted_by.some().is_some() {
            return Ok(None);
        }
        // "You cannot edit an edit."
        let is_edit = event
            .relation()
            .is_some_and(|relation| relation.kind() == Kind::Replace);
        let Some(sender) = self.user_number(&event.sender).await?.filter(|_| !is_edit) else {
            return Ok(None);
        };
        let range = (Pos::MIN.next(), reader.upto);
        let parent = (event.room, &*event.event_id);
        let rows = self
            .related(parent, Kind::Replace, range, (true, MAX_EDITS_SCANNED))
            .await?;
        let numbers: Vec<Rsn> = rows
            .into_iter()
            .filter(|(pos, row)| row.sender == sender && reader.sees(*pos))
            .map(|(_, row)| row.rsn)
            .take(MAX_EDITS)
            .collect();
        let edits = self.events(event.room, &numbers).await?;
        Ok(edits
            .into_iter()
            .filter(|edit| replaces(edit, event))
            .max_by(|a, b| {
                (a.origin_server_ts, &a.event_id).cmp(&(b.origin_server_ts, &b.event_id))
            }))
    }

    /// The events of a thread that a reader hears, latest first.
    async fn thread_rows(
        &self,
        numbers: &Numbers<'_>,
        root: &Event,
    ) -> Result<Vec<(Pos, RelationRow)>, RoomError> {
        let range = (Pos::MIN.next(), numbers.reader.upto);
        let parent = (root.room, &*root.event_id);
        let rows = self
            .related(parent, Kind::Thread, range, (true, MAX_IN_THREAD))
            .await?;
        Ok(numbers.heard(rows).collect())
    }

    /// For a reader: where a thread's latest event is, and whether the reader takes part.
    pub(crate) async fn thread_state(
        &self,
        reader: &Reader<'_>,
        root: &Event,
    ) -> Result<Option<(Pos, bool)>, RoomError> {
        let numbers = self.numbers(reader).await?;
        let rows = self.thread_rows(&numbers, root).await?;
        let latest = rows.first().map(|(pos, _)| *pos);
        Ok(latest.map(|latest| (latest, numbers.participates(root, &rows))))
    }
}

impl Numbers<'_> {
    /// Rows of events that the reader may see, by users that the reader does not ignore.
    fn heard(&self, rows: Vec<(Pos, RelationRow)>) -> impl Iterator<Item = (Pos, RelationRow)> {
        rows.into_iter()
            .filter(|(pos, row)| self.reader.sees(*pos) && !self.ignored.contains(&row.sender))
    }

    fn participates(&self, root: &Event, rows: &[(Pos, RelationRow)]) -> bool {
        root.sender == *self.reader.user_id
            || rows.iter().any(|(_, row)| Some(row.sender) == self.user)
    }
}

/// Whether `edit`, which has the same sender and names `event`, is a valid replacement of it.
fn replaces(edit: &Event, event: &Event) -> bool {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.new_content")]
        new_content: Option<IgnoredAny>,
    }
    let has_new_content = || {
        serde_json::from_str::<Content>(edit.content())
            .is_ok_and(|content| content.new_content.is_some())
    };
    // The new content of an encrypted edit is encrypted.
    edit.event_type == event.event_type
        && !edit.is_state()
        && (&*edit.event_type == "m.room.encrypted" || has_new_content())
}
