//! Finds the events that have all words of a question, of those that a user may see.

use std::{collections::HashSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rooms::{Event, EventFilter, RoomError, Visibility};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use store::{Pos, RoomNid, Rsn, Scan, UserNid, rows::Membership, tables::SearchPostings};

use crate::{
    Key, Search,
    words::{Term, highlights, terms_of_question},
};

/// What is looked for.
pub struct Query<'a> {
    /// Who asks.
    pub user: UserNid,
    /// Who asks.
    pub user_id: &'a UserId,
    /// Whom they do not want to hear.
    pub ignored: &'a HashSet<OwnedUserId>,
    /// Words that all must be there.
    pub term: &'a str,
    /// Where; everywhere if there are none.
    pub keys: &'a [Key],
    /// Among which events.
    pub filter: &'a EventFilter,
    /// In which order.
    pub order: Order,
    /// The most events at a time.
    pub limit: usize,
    /// A token of an earlier answer to the same question.
    pub from: Option<&'a str>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What fits best.
    Rank,
    /// What is newest.
    Recent,
}

/// Found events that have something in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Group {
    /// The room.
    Room(OwnedRoomId),
    /// The sender.
    Sender(OwnedUserId),
}

/// Some of what was found.
pub struct Found {
    /// How many there are, roughly.
    pub count: usize,
    /// In the order asked for.
    pub hits: Vec<Hit>,
    /// For more of the same.
    pub next: Option<String>,
    /// The words found.
    pub highlights: Vec<String>,
    all: Vec<Hit>,
    shown: usize,
    upto: Pos,
}

/// A found event.
#[derive(Clone)]
pub struct Hit {
    /// The event.
    pub event: Arc<Event>,
    /// Where it is.
    pub room_id: OwnedRoomId,
    /// How well it fits: the more the better.
    pub rank: f64,
}

/// Where an answer ends.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    /// The answer tells of nothing later.
    upto: i64,
    /// How many were told.
    offset: usize,
    /// Of this group alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
}

/// An event that has all terms.
#[derive(Clone, Copy)]
struct Match {
    room: RoomNid,
    pos: Pos,
    rsn: Rsn,
    rank: f64,
}

/// Words of a question that count.
const MAX_TERMS: usize = 32;

/// Events of one room that are found, the latest.
const MAX_IN_ROOM: usize = 500;

/// Events that have one of the words and are looked at for the others, in one room.
const MAX_SCANNED: usize = 5_000;

/// Events that are found, before the filter is asked.
const MAX_MATCHES: usize = 5_000;

/// Events that are read for one answer.
const MAX_READ: usize = 1_000;

/// Rows read at a time.
const CHUNK: usize = 250;

impl Search {
    /// Searches the rooms that a user is in or has left.
    ///
    /// # Errors
    /// [`RoomError::InvalidParam`] for a bad token.
    pub async fn find(&self, query: &Query<'_>) -> Result<Found, RoomError> {
        let token = query.from.map(Token::parse).transpose()?;
        let latest = self.catch_up().await;
        let upto = token
            .as_ref()
            .map_or(latest, |token| Pos(token.upto).min(latest));
        let mut terms = terms_of_question(query.term);
        terms.truncate(MAX_TERMS);
        let mut all = Vec::new();
        if !terms.is_empty() {
            let mut found = self.matches(query, &terms, upto).await?;
            found.sort_unstable_by(|(_, a), (_, b)| {
                let rank = match query.order {
                    Order::Rank => b.rank.total_cmp(&a.rank),
                    Order::Recent => std::cmp::Ordering::Equal,
                };
                rank.then(b.pos.cmp(&a.pos))
            });
            found.truncate(MAX_READ);
            for (room_id, found) in found {
                let event = self.0.rooms.event(found.room, found.rsn).await?;
                if query.filter.takes(&event) && !query.ignored.contains(&event.sender) {
                    all.push(Hit {
                        event,
                        room_id,
                        rank: found.rank,
                    });
                }
            }
        }
        let group = token.as_ref().and_then(|token| token.group.clone());
        if let Some(group) = &group {
            all.retain(|hit| group.has(hit));
        }
        let offset = token.map_or(0, |token| token.offset).min(all.len());
        let shown = (offset + query.limit).min(all.len());
        let next = (shown < all.len()).then(|| {
            Token {
                upto: upto.0,
                offset: shown,
                group,
            }
            .to_text()
        });
        Ok(Found {
            count: all.len(),
            hits: all[offset..shown].to_vec(),
            next,
            highlights: highlights(query.term),
            all,
            shown,
            upto,
        })
    }

    /// Everything that has all terms and that the user may see.
    async fn matches(
        &self,
        query: &Query<'_>,
        terms: &[Term],
        upto: Pos,
    ) -> Result<Vec<(OwnedRoomId, Match)>, RoomError> {
        let rooms = &self.0.rooms;
        let mut all = Vec::new();
        for (room, row) in rooms.rooms_of_nid(query.user).await? {
            let was_there = matches!(
                row.member.membership,
                Membership::Join | Membership::Leave | Membership::Ban
            );
            if row.forgotten || !was_there || all.len() >= MAX_MATCHES {
                continue;
            }
            // Nearly all rooms have nothing: everything else is asked later.
            let first = Scan::prefix::<SearchPostings>(&(room, terms[0])).limit(1);
            let store = rooms.store();
            if store.scan::<SearchPostings>(first).await?.is_empty() {
                continue;
            }
            let room_id = rooms.room(room).await?.id.clone();
            if !query.filter.takes_room(&room_id) || self.is_encrypted(room).await? {
                continue;
            }
            let visibility = rooms.visibility(room, query.user_id).await?;
            let found = self
                .matches_in(room, terms, query.keys, (&visibility, upto))
                .await?;
            all.extend(found.into_iter().map(|found| (room_id.clone(), found)));
        }
        Ok(all)
    }

    /// The latest events of a room that have all terms.
    async fn matches_in(
        &self,
        room: RoomNid,
        terms: &[Term],
        keys: &[Key],
        (visibility, upto): (&Visibility, Pos),
    ) -> Result<Vec<Match>, RoomError> {
        let store = self.0.rooms.store();
        let mut found = Vec::new();
        let (mut last, mut scanned) = (upto, 0);
        while found.len() < MAX_IN_ROOM && scanned < MAX_SCANNED {
            let range = Scan::range::<SearchPostings>(
                &(room, terms[0], Pos::MIN),
                &(room, terms[0], last.next()),
            );
            let rows = store
                .scan::<SearchPostings>(range.reverse().limit(CHUNK))
                .await?;
            let whole = rows.len() < CHUNK;
            scanned += rows.len();
            let mut matches = Vec::with_capacity(rows.len());
            for ((_, _, pos), (rsn, key, count, length)) in rows {
                last = pos.prev();
                let wanted = keys.is_empty() || keys.iter().any(|of| *of as u8 == key);
                if wanted && visibility.may_see(pos) {
                    let rank = weight(count, length);
                    matches.push(Match {
                        room,
                        pos,
                        rsn,
                        rank,
                    });
                }
            }
            for term in &terms[1..] {
                let keys: Vec<_> = matches.iter().map(|of| (room, *term, of.pos)).collect();
                let rows = store.multi_get::<SearchPostings>(&keys).await?;
                let with = matches.into_iter().zip(rows).filter_map(|(of, row)| {
                    let (_, _, count, length) = row?;
                    let rank = of.rank + weight(count, length);
                    Some(Match { rank, ..of })
                });
                matches = with.collect();
            }
            found.extend(matches);
            if whole {
                break;
            }
        }
        found.truncate(MAX_IN_ROOM);
        Ok(found)
    }
}

/// What a term adds to the rank of a text: the more often it is there, and the less else.
fn weight(count: u16, length: u16) -> f64 {
    f64::from(count).sqrt() / f64::from(length.max(1)).sqrt()
}

impl Found {
    /// For more of one group after these.
    pub fn next_of(&self, group: &Group) -> Option<String> {
        let shown = &self.all[..self.shown];
        let offset = shown.iter().filter(|hit| group.has(hit)).count();
        let more = self.all[self.shown..].iter().any(|hit| group.has(hit));
        more.then(|| {
            Token {
                upto: self.upto.0,
                offset,
                group: Some(group.clone()),
            }
            .to_text()
        })
    }
}

impl Group {
    fn has(&self, hit: &Hit) -> bool {
        match self {
            Self::Room(room_id) => *room_id == hit.room_id,
            Self::Sender(sender) => *sender == hit.event.sender,
        }
    }
}

impl Token {
    fn parse(text: &str) -> Result<Self, RoomError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or_else(|| RoomError::InvalidParam("unknown `next_batch`".to_owned()))
    }

    fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}
