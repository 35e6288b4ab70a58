//! Events that relate to others: what is written with them, and reading them back by the event that they relate to.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events)

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, OwnedUserId, UserId, api::Direction};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{
    Batch, Pos, RoomNid, Rsn, Scan, UserNid,
    rows::RelationRow,
    tables::{Parents, Relations, Threads},
};

use crate::{Event, RoomError, Rooms, Visibility, append::NewEvent, room::Writer};

/// What `m.relates_to` says, if it says it as the spec wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// `rel_type`
    pub rel_type: String,
    /// `event_id`: the event that it relates to.
    pub event_id: OwnedEventId,
    /// `key`, of an annotation.
    pub key: Option<String>,
}

/// Kinds of relation, as `Relations` tells them apart. The first three are told with the event related to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `m.replace`
    Replace = 1,
    /// `m.reference`
    Reference = 2,
    /// `m.thread`
    Thread = 3,
    /// `m.annotation`
    Annotation = 4,
    /// Everything else.
    Other = 5,
}

/// An annotation as there may be one: event annotated, sender, type, key.
pub(crate) type Annotation = (OwnedEventId, OwnedUserId, Box<str>, String);

/// Which events related to another are wanted.
#[derive(Clone, Debug)]
pub struct RelationQuery<'a> {
    /// `rel_type`
    pub rel_type: Option<&'a str>,
    /// `type`
    pub event_type: Option<&'a str>,
    /// Those that relate to the event by way of others too.
    pub recurse: bool,
    /// The token to start at; the end of what the user may see if there is none.
    pub from: Option<Pos>,
    /// The token to stop at.
    pub to: Option<Pos>,
    /// Which way.
    pub direction: Direction,
    /// The most events, up to [`MAX_RELATED`].
    pub limit: usize,
}

/// Some of the events related to another.
#[derive(Clone, Debug)]
pub struct RelatedPage {
    /// In the direction asked for.
    pub events: Vec<Arc<Event>>,
    /// The token at the end, if there is more behind it.
    pub end: Option<Pos>,
}

/// The most events on a page of related ones. Synapse has the same bound.
pub const MAX_RELATED: usize = 1000;

/// How many steps a relation by way of others may have: what the spec asks for at least.
pub const RECURSION_DEPTH: u8 = 3;

/// The most events that are followed for one recursive question.
const MAX_FOLLOWED: usize = 1000;

/// The most events looked at for one page, where the question passes few of them.
const MAX_SCANNED: usize = 5000;

/// Events that are read at a time.
const CHUNK: usize = 250;

/// Annotations of one sender that are compared before another is let through.
const MAX_COMPARED: usize = 500;

impl Relation {
    /// Reads `m.relates_to`. "Relationships which don't match the schema … are simply ignored."
    pub(crate) fn parse(relates_to: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct RelatesTo<'a> {
            rel_type: String,
            event_id: OwnedEventId,
            #[serde(borrow)]
            key: Option<&'a RawValue>,
        }
        let relation: RelatesTo<'_> = serde_json::from_str(relates_to.get()).ok()?;
        Some(Self {
            rel_type: relation.rel_type,
            event_id: relation.event_id,
            key: relation
                .key
                .and_then(|key| serde_json::from_str(key.get()).ok()),
        })
    }

    /// Reads an event's content.
    pub fn of_content(content: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content<'a> {
            #[serde(borrow, rename = "m.relates_to")]
            relates_to: &'a RawValue,
        }
        let content: Content<'_> = serde_json::from_str(content).ok()?;
        Self::parse(content.relates_to)
    }

    /// Which of them it is.
    pub fn kind(&self) -> Kind {
        match &*self.rel_type {
            "m.replace" => Kind::Replace,
            "m.reference" => Kind::Reference,
            "m.thread" => Kind::Thread,
            "m.annotation" => Kind::Annotation,
            _ => Kind::Other,
        }
    }
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Replace,
        Self::Reference,
        Self::Thread,
        Self::Annotation,
        Self::Other,
    ];

    fn of(rel_type: Option<&str>) -> Vec<Self> {
        match rel_type {
            None => Self::ALL.to_vec(),
            Some("m.replace") => vec![Self::Replace],
            Some("m.reference") => vec![Self::Reference],
            Some("m.thread") => vec![Self::Thread],
            Some("m.annotation") => vec![Self::Annotation],
            Some(_) => vec![Self::Other],
        }
    }
}

impl Event {
    /// What its `m.relates_to` says.
    pub fn relation(&self) -> Option<Relation> {
        Relation::of_content(self.content())
    }
}

impl Rooms {
    /// The rows of an event's relation. They are there whether or not the other event is known.
    pub(crate) async fn write_relation(
        &self,
        batch: &mut Batch,
        (room, pos): (RoomNid, Pos),
        relation: &Relation,
        row: RelationRow,
    ) -> Result<(), RoomError> {
        let kind = relation.kind();
        let key = (room, relation.event_id.to_string(), kind as u8, pos);
        batch.put::<Relations>(&key, &row);
        if kind < Kind::Annotation
            && let Some(parent) = self.event_by_id(&relation.event_id).await?
            && parent.room == room
        {
            batch.put::<Parents>(&(room, parent.pos), &());
            if kind == Kind::Thread {
                batch.put::<Threads>(&(room, pos), &parent.rsn);
            }
        }
        Ok(())
    }

    /// Takes an event's relation away.
    pub(crate) fn delete_relation(batch: &mut Batch, event: &Event, relation: &Relation) {
        let kind = relation.kind();
        let key = (
            event.room,
            relation.event_id.to_string(),
            kind as u8,
            event.pos,
        );
        batch.delete::<Relations>(&key);
        if kind == Kind::Thread {
            batch.delete::<Threads>(&(event.room, event.pos));
        }
    }

    /// Refuses what clients must not send: the same annotation twice, and threads off events that relate to others.
    /// Returns the annotation that is about to be sent.
    ///
    /// # Errors
    /// [`RoomError::DuplicateAnnotation`], [`RoomError::BadRelation`]
    pub(crate) async fn check_relation(
        &self,
        room: RoomNid,
        writer: &mut Writer,
        new: &NewEvent<'_>,
    ) -> Result<Option<Annotation>, RoomError> {
        let Some(relation) = Relation::of_content(new.content.get()) else {
            return Ok(None);
        };
        match (relation.kind(), &relation.key) {
            (Kind::Annotation, Some(key)) => {
                let annotation = (
                    relation.event_id.clone(),
                    new.sender.to_owned(),
                    new.event_type.into(),
                    key.clone(),
                );
                let visible = self.store().visible();
                writer.annotations.retain(|_, queued| *queued > visible);
                if writer.annotations.contains_key(&annotation)
                    || self.is_annotated(room, &annotation).await?
                {
                    return Err(RoomError::DuplicateAnnotation);
                }
                Ok(Some(annotation))
            }
            (Kind::Thread, _) => {
                let root = self.event_by_id(&relation.event_id).await?;
                if root.is_some_and(|root| root.room == room && root.relation().is_some()) {
                    return Err(RoomError::BadRelation(
                        "a thread cannot start from an event that relates to another",
                    ));
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Whether there is such an annotation.
    async fn is_annotated(
        &self,
        room: RoomNid,
        (event_id, sender, event_type, key): &Annotation,
    ) -> Result<bool, RoomError> {
        let Some(sender) = self.user_number(sender).await? else {
            return Ok(false);
        };
        let prefix = (room, event_id.to_string(), Kind::Annotation as u8);
        let rows = self
            .store()
            .scan::<Relations>(Scan::prefix::<Relations>(&prefix).limit(MAX_SCANNED))
            .await?;
        let numbers: Vec<Rsn> = rows
            .into_iter()
            .filter(|(_, row)| row.sender == sender)
            .map(|(_, row)| row.rsn)
            .take(MAX_COMPARED)
            .collect();
        let same = |event: &Arc<Event>| {
            event.event_type == *event_type
                && event
                    .relation()
                    .is_some_and(|relation| relation.key.as_ref() == Some(key))
        };
        Ok(self.events(room, &numbers).await?.iter().any(same))
    }

    pub(crate) async fn user_number(&self, user: &UserId) -> Result<Option<UserNid>, RoomError> {
        Ok(self.store().interner().find(user.as_str()).await?)
    }

    /// The numbers of some users, as far as they were ever seen.
    pub(crate) async fn user_numbers(
        &self,
        users: &HashSet<OwnedUserId>,
    ) -> Result<HashSet<UserNid>, RoomError> {
        let mut numbers = HashSet::with_capacity(users.len());
        for user in users {
            numbers.extend(self.user_number(user).await?);
        }
        Ok(numbers)
    }

    /// The events of one kind that relate to another and lie between two positions, both included; latest first if `backward`.
    pub(crate) async fn related(
        &self,
        (room, event_id): (RoomNid, &EventId),
        kind: Kind,
        (first, last): (Pos, Pos),
        (backward, limit): (bool, usize),
    ) -> Result<Vec<(Pos, RelationRow)>, RoomError> {
        let key = |pos| (room, event_id.to_string(), kind as u8, pos);
        let mut scan = Scan::range::<Relations>(&key(first), &key(last.next())).limit(limit);
        if backward {
            scan = scan.reverse();
        }
        let rows = self.store().scan::<Relations>(scan).await?;
        Ok(rows
            .into_iter()
            .map(|((_, _, _, pos), row)| (pos, row))
            .collect())
    }

    /// A page of the events that relate to another, as far as the user may see them.
    pub async fn relations(
        &self,
        parent: &Event,
        visibility: &Visibility,
        query: &RelationQuery<'_>,
    ) -> Result<RelatedPage, RoomError> {
        let latest = self.store().visible();
        let backward = query.direction == Direction::Backward;
        // Everything after `low`, up to and including `high`.
        let (low, high) = if backward {
            (
                query.to.unwrap_or(Pos::MIN),
                query.from.unwrap_or(latest).min(latest),
            )
        } else {
            (
                query.from.unwrap_or(Pos::MIN),
                query.to.unwrap_or(latest).min(latest),
            )
        };
        let (mut first, mut last) = (low.next(), high);
        let followed = if query.recurse {
            Some(self.follow_relations(parent, latest).await?)
        } else {
            None
        };
        let limit = query.limit.clamp(1, MAX_RELATED);
        let mut page = RelatedPage {
            events: Vec::new(),
            end: None,
        };
        let mut scanned = 0;
        while first <= last {
            let rows = match &followed {
                Some(all) => slice(all, (first, last), (backward, CHUNK)),
                None => self.direct(parent, query, (first, last), backward).await?,
            };
            let whole = rows.len() < CHUNK;
            let numbers: Vec<Rsn> = rows.iter().map(|(_, rsn)| *rsn).collect();
            for event in self.events(parent.room, &numbers).await? {
                if page.events.len() == limit || scanned == MAX_SCANNED {
                    page.end = Some(if backward { last } else { first.prev() });
                    return Ok(page);
                }
                scanned += 1;
                if backward {
                    last = event.pos.prev();
                } else {
                    first = event.pos.next();
                }
                if visibility.may_see(event.pos) && is_wanted(&event, query) {
                    page.events.push(event);
                }
            }
            if whole {
                break;
            }
        }
        Ok(page)
    }

    /// The next events that relate to `parent` itself.
    async fn direct(
        &self,
        parent: &Event,
        query: &RelationQuery<'_>,
        range: (Pos, Pos),
        backward: bool,
    ) -> Result<Vec<(Pos, Rsn)>, RoomError> {
        let parent = (parent.room, &*parent.event_id);
        let mut all = Vec::new();
        for kind in Kind::of(query.rel_type) {
            let rows = self.related(parent, kind, range, (backward, CHUNK)).await?;
            all.extend(rows.into_iter().map(|(pos, row)| (pos, row.rsn)));
        }
        all.sort_unstable();
        Ok(slice(&all, range, (backward, CHUNK)))
    }

    /// Everything that relates to an event by at most [`RECURSION_DEPTH`] steps, oldest first.
    async fn follow_relations(
        &self,
        parent: &Event,
        latest: Pos,
    ) -> Result<Vec<(Pos, Rsn)>, RoomError> {
        let room = parent.room;
        let mut found: HashMap<Rsn, Pos> = HashMap::new();
        let mut parents = vec![parent.event_id.clone()];
        for depth in 1..=RECURSION_DEPTH {
            let mut children = Vec::new();
            for event_id in &parents {
                for kind in Kind::ALL {
                    let left = MAX_FOLLOWED.saturating_sub(found.len());
                    let range = (Pos::MIN.next(), latest);
                    let rows = self
                        .related((room, event_id), kind, range, (true, left))
                        .await?;
                    for (pos, row) in rows {
                        if found.insert(row.rsn, pos).is_none() {
                            children.push(row.rsn);
                        }
                    }
                }
            }
            if depth < RECURSION_DEPTH {
                let children = self.events(room, &children).await?;
                parents = children
                    .into_iter()
                    .map(|event| event.event_id.clone())
                    .collect();
            }
        }
        // A loop leads back here.
        found.remove(&parent.rsn);
        let mut found: Vec<_> = found.into_iter().map(|(rsn, pos)| (pos, rsn)).collect();
        found.sort_unstable();
        Ok(found)
    }
}

fn is_wanted(event: &Event, query: &RelationQuery<'_>) -> bool {
    query
        .event_type
        .is_none_or(|event_type| event_type == &*event.event_type)
        && query.rel_type.is_none_or(|rel_type| {
            event
                .relation()
                .is_some_and(|relation| relation.rel_type == rel_type)
        })
}

/// At most `limit` of some rows that come oldest first, from one end of a range.
fn slice(
    all: &[(Pos, Rsn)],
    (first, last): (Pos, Pos),
    (backward, limit): (bool, usize),
) -> Vec<(Pos, Rsn)> {
    let within = all
        .iter()
        .copied()
        .filter(|(pos, _)| (first..=last).contains(pos));
    if backward {
        within.rev().take(limit).collect()
    } else {
        within.take(limit).collect()
    }
}

#[cfg(test)]
mod tests;
