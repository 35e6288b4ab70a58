//! Spaces: the tree of rooms below one.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces)

use std::{collections::HashSet, sync::Arc};

use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Event, RoomError, Rooms, Summary};

/// Rooms of a page when the client does not say, and at most.
const MAX_PAGE: usize = 50;
/// How deep a tree is followed.
const MAX_DEPTH: usize = 50;
/// Rooms that one tree is followed to.
const MAX_ROOMS: usize = 5_000;
/// "Must be a string of characters in the range \x20 to \x7E, not longer than 50 characters."
const MAX_ORDER_BYTES: usize = 50;

/// What a client wants to see of a tree.
#[derive(Clone, Debug, Default)]
pub struct HierarchyQuery<'a> {
    /// A `next_batch` of before.
    pub from: Option<&'a str>,
    /// At most so many rooms.
    pub limit: Option<usize>,
    /// No deeper than this; the room itself is at depth 0.
    pub max_depth: Option<usize>,
    /// Only children that their space suggests.
    pub suggested_only: bool,
}

/// One room of a tree.
#[derive(Clone, Debug)]
pub struct HierarchyRoom {
    /// The room.
    pub summary: Summary,
    /// Its valid `m.space.child` events, in order; none if it is not a space.
    pub children: Vec<Arc<Event>>,
}

/// A page of a tree.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    /// Depth first.
    pub rooms: Vec<HierarchyRoom>,
    /// Leads to the rest.
    pub next_batch: Option<String>,
}

/// `content` of `m.space.child`.
#[derive(Deserialize)]
struct Child {
    via: Vec<String>,
    #[serde(default)]
    order: Option<Value>,
    #[serde(default)]
    suggested: Option<Value>,
}

/// A token: what was asked for, and how many rooms have been told. The tree is followed anew for each page: it keeps no
/// memory for clients that never come back, and holds over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    suggested_only: bool,
    max_depth: usize,
    told: usize,
}

impl Rooms {
    /// A page of the tree below a room, as far as `user` may see it.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] for a root that is not the user's to see, or not here; [`RoomError::InvalidParam`] for a
    /// token that is none, or belongs to another question.
    pub async fn hierarchy(
        &self,
        root: &RoomId,
        user: &UserId,
        query: &HierarchyQuery<'_>,
    ) -> Result<Hierarchy, RoomError> {
        self.tree(root, Some(user), query).await
    }

    /// A page of the tree below a room, as an administrator sees it: all of it that is here.
    ///
    /// # Errors
    /// As [`Rooms::hierarchy`].
    pub async fn whole_hierarchy(
        &self,
        root: &RoomId,
        query: &HierarchyQuery<'_>,
    ) -> Result<Hierarchy, RoomError> {
        self.tree(root, None, query).await
    }

    async fn tree(
        &self,
        root: &RoomId,
        user: Option<&UserId>,
        query: &HierarchyQuery<'_>,
    ) -> Result<Hierarchy, RoomError> {
        let mut place = Place {
            suggested_only: query.suggested_only,
            max_depth: query.max_depth.unwrap_or(MAX_DEPTH).min(MAX_DEPTH),
            told: 0,
        };
        if let Some(from) = query.from {
            place.told = place.resume(from)?;
        }
        let limit = query.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
        let mut page = Hierarchy::default();
        let mut seen: HashSet<OwnedRoomId> = HashSet::new();
        let mut ahead: Vec<(OwnedRoomId, usize)> = vec![(root.to_owned(), 0)];
        let mut told = 0;
        while let Some((room_id, depth)) = ahead.pop() {
            if seen.len() >= MAX_ROOMS || !seen.insert(room_id.clone()) {
                continue;
            }
            let summary = match user {
                Some(user) => self.summary(&room_id, Some(user)).await?,
                None => self.whole_summary(&room_id).await?,
            };
            let Some(summary) = summary else {
                if depth == 0 {
                    return Err(RoomError::Forbidden(
                        "You are not allowed to view this room.".to_owned(),
                    ));
                }
                continue;
            };
            if page.rooms.len() >= limit {
                place.told += page.rooms.len();
                page.next_batch = Some(place.to_string());
                break;
            }
            let children = self.children(&summary, place.suggested_only).await?;
            if depth < place.max_depth {
                // The first one is to be on top.
                for child in children.iter().rev() {
                    let id = child.state_key.as_deref().unwrap_or_default();
                    if let Ok(id) = RoomId::parse(id) {
                        ahead.push((id, depth + 1));
                    }
                }
            }
            if told >= place.told {
                page.rooms.push(HierarchyRoom { summary, children });
            }
            told += 1;
        }
        Ok(page)
    }

    /// The children of a space, in order.
    async fn children(
        &self,
        summary: &Summary,
        suggested_only: bool,
    ) -> Result<Vec<Arc<Event>>, RoomError> {
        let room_type = summary.chunk.room_type.as_ref();
        if room_type.is_none_or(|room_type| room_type.as_str() != "m.space") {
            return Ok(Vec::new());
        }
        let state = self
            .state_events_but_members(summary.room, self.store().visible())
            .await?;
        let mut children: Vec<(Order, Arc<Event>)> = state
            .into_iter()
            .filter(|event| &*event.event_type == "m.space.child")
            .filter_map(|event| Some((order(&event, suggested_only)?, event)))
            .collect();
        children.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(children.into_iter().map(|(_, event)| event).collect())
    }
}

impl HierarchyRoom {
    /// As clients see it, without `children_state`: events are spliced in as they are.
    pub fn to_json(&self) -> Map<String, Value> {
        self.summary.to_json()
    }
}

/// "Rooms are sorted based on a lexicographic ordering of the Unicode codepoints of the characters in `order` values.
/// Rooms with no `order` come last, in ascending numeric order of the `origin_server_ts` of their `m.space.child`
/// events, or ascending lexicographic order of their `room_id`s in case of equal `origin_server_ts`."
type Order = (bool, String, u64, String);

/// The place of a valid child; `None` for one that is removed, malformed, or not suggested where it has to be.
fn order(event: &Event, suggested_only: bool) -> Option<Order> {
    let child: Child = serde_json::from_str(event.content()).ok()?;
    let room_id = event.state_key.as_deref()?;
    let suggested = child.suggested.is_some_and(|value| value == true);
    if child.via.is_empty() || RoomId::parse(room_id).is_err() || (suggested_only && !suggested) {
        return None;
    }
    let order = child.order.as_ref().and_then(Value::as_str);
    let order = order.filter(|order| {
        order.len() <= MAX_ORDER_BYTES && order.bytes().all(|byte| (0x20..=0x7E).contains(&byte))
    });
    Some((
        order.is_none(),
        order.unwrap_or_default().to_owned(),
        event.origin_server_ts,
        room_id.to_owned(),
    ))
}

impl Place {
    /// How many rooms the token says were told, if it continues the same question.
    fn resume(self, token: &str) -> Result<usize, RoomError> {
        let told = token
            .rsplit_once('_')
            .and_then(|(_, told)| told.parse().ok());
        let Some(place) = told.map(|told| Self { told, ..self }) else {
            return Err(RoomError::InvalidParam(
                "`from` is not a token of this server".to_owned(),
            ));
        };
        if place.to_string() != token {
            return Err(RoomError::InvalidParam(
                "suggested_only and max_depth cannot change on paginated requests".to_owned(),
            ));
        }
        Ok(place.told)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let suggested = if self.suggested_only { 's' } else { 'a' };
        write!(f, "h1_{suggested}_{}_{}", self.max_depth, self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_only_continues_its_own_question() {
        let place = Place {
            suggested_only: false,
            max_depth: 3,
            told: 20,
        };
        assert_eq!(place.resume(&place.to_string()).unwrap(), 20);
        let other = Place {
            max_depth: 4,
            ..place
        };
        for token in [
            other.to_string(),
            "h1_s_3_20".to_owned(),
            "x".to_owned(),
            "h1_a_3_".to_owned(),
            "h1_a_3_020".to_owned(),
        ] {
            assert!(
                matches!(place.resume(&token), Err(RoomError::InvalidParam(_))),
                "{token}"
            );
        }
    }
}
