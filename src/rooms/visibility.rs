//! What a user may see of a room's past.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility)
//!
//! The answer only changes where the room's `m.room.history_visibility` or the user's own membership does. Both histories are
//! tiny, so they are read once, and become ranges of positions that answer for every event without another look.

use std::sync::Arc;

use ruma::{UserId, events::room::history_visibility::HistoryVisibility};
use serde::Deserialize;
use store::{
    Pos, RoomNid, Rsn, Scan, StateKeyNid, UserNid, rows::Membership, tables::StateHistory,
};

use crate::{Event, RoomError, Rooms};

/// What one user may see of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visibility {
    /// Positions whose events are visible: first and last included, in order, apart.
    ranges: Vec<(Pos, Pos)>,
    /// The user's membership from each position on, oldest first.
    members: Vec<(Pos, Membership)>,
    reach: Option<Pos>,
}

impl Visibility {
    /// What an administrator sees: all there is.
    pub(crate) fn everything() -> Self {
        Self {
            ranges: vec![(Pos::MIN, Pos::MAX)],
            members: Vec::new(),
            reach: Some(Pos::MAX),
        }
    }

    /// Whether the user may see the event at a position.
    pub fn may_see(&self, pos: Pos) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= pos);
        after
            .checked_sub(1)
            .is_some_and(|index| pos <= self.ranges[index].1)
    }

    /// Whether the user may see every event, so that nobody has to ask about each.
    pub fn sees_all(&self) -> bool {
        self.ranges == [(Pos::MIN, Pos::MAX)]
    }

    /// Up to which position the user may read the room's state and members: [`Pos::MAX`] in the room, the position of their
    /// leaving for those who have been in it, `None` for those to whom it is closed.
    pub fn reach(&self) -> Option<Pos> {
        self.reach
    }

    /// The user's membership just after the event at a position, for `unsigned.membership`; `None` before the room knew them.
    pub fn membership_at(&self, pos: Pos) -> Option<Membership> {
        let after = self.members.partition_point(|(from, _)| *from <= pos);
        after.checked_sub(1).map(|index| self.members[index].1)
    }

    /// The same as the spec's word: `leave` before the room knew the user.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#definition-clientevent_unsigneddata)
    pub fn membership_word_at(&self, pos: Pos) -> &'static str {
        self.membership_at(pos)
            .unwrap_or(Membership::Leave)
            .as_str()
    }

    /// The visible stretches between two positions, both included, oldest first.
    pub fn ranges_within(
        &self,
        from: Pos,
        upto: Pos,
    ) -> impl DoubleEndedIterator<Item = (Pos, Pos)> {
        let clipped = self
            .ranges
            .iter()
            .map(move |(first, last)| ((*first).max(from), (*last).min(upto)));
        clipped.filter(|(first, last)| first <= last)
    }

    /// From the histories of the room's setting and of the user's membership, each oldest first.
    fn of(settings: &[(Pos, HistoryVisibility)], members: Vec<(Pos, Membership)>) -> Self {
        let now = settings
            .last()
            .map_or(&HistoryVisibility::Shared, |(_, setting)| setting);
        let reach =
            reach(&members).or((*now == HistoryVisibility::WorldReadable).then_some(Pos::MAX));
        let mut changes: Vec<Pos> = settings
            .iter()
            .map(|(pos, _)| *pos)
            .chain(members.iter().map(|(pos, _)| *pos))
            .collect();
        changes.sort_unstable();
        changes.dedup();
        let starts = std::iter::once(Pos::MIN).chain(changes.iter().copied());
        let ends = changes.iter().copied().chain(std::iter::once(Pos::MAX));

        // Each stretch between two changes is visible as a whole or not at all. Its ends belong to it: the event of a change
        // may be seen by whom the state before it or the state after it lets.
        let mut ranges: Vec<(Pos, Pos)> = Vec::new();
        for (first, last) in starts.zip(ends) {
            let setting = at(settings, first).unwrap_or(&HistoryVisibility::Shared);
            let membership = at(&members, first).copied();
            let joins_later = members
                .iter()
                .any(|(pos, later)| *pos > first && *later == Membership::Join);
            if !allows(setting, membership, joins_later) {
                continue;
            }
            match ranges.last_mut() {
                Some(range) if range.1 == first => range.1 = last,
                _ => ranges.push((first, last)),
            }
        }
        Self {
            ranges,
            members,
            reach,
        }
    }
}

/// What was in force at a position.
fn at<T>(history: &[(Pos, T)], pos: Pos) -> Option<&T> {
    history
        .iter()
        .rev()
        .find(|(from, _)| *from <= pos)
        .map(|(_, value)| value)
}

/// The spec's rules for an event, by the room's setting and the user's membership when it was sent.
fn allows(setting: &HistoryVisibility, membership: Option<Membership>, joins_later: bool) -> bool {
    // 1. If the `history_visibility` was set to `world_readable`, allow.
    if *setting == HistoryVisibility::WorldReadable {
        return true;
    }
    // 2. If the user's `membership` was `join`, allow.
    if membership == Some(Membership::Join) {
        return true;
    }
    // 3. If `history_visibility` was set to `shared`, and the user joined the room at any point after the event was sent, allow.
    if *setting == HistoryVisibility::Shared && joins_later {
        return true;
    }
    // 4. If the user's `membership` was `invite`, and the `history_visibility` was set to `invited`, allow.
    // 5. Otherwise, deny.
    *setting == HistoryVisibility::Invited && membership == Some(Membership::Invite)
}

/// Everything for those who are in the room; for those who were, the event that made them leave the last time.
fn reach(members: &[(Pos, Membership)]) -> Option<Pos> {
    let joined = members
        .iter()
        .rposition(|(_, membership)| *membership == Membership::Join)?;
    Some(members.get(joined + 1).map_or(Pos::MAX, |(left, _)| *left))
}

impl Rooms {
    /// What a user may see of a room. Whoever has forgotten a room is a stranger to it.
    pub async fn visibility(&self, room: RoomNid, user: &UserId) -> Result<Visibility, RoomError> {
        let mut settings = Vec::new();
        if let Some(key) = self.state_key("m.room.history_visibility", "").await? {
            let (positions, numbers) = self.history(room, key).await?;
            for (pos, event) in positions
                .into_iter()
                .zip(self.events(room, &numbers).await?)
            {
                settings.push((pos, setting_of(&event)));
            }
        }
        Ok(Visibility::of(
            &settings,
            self.membership_history(room, user).await?,
        ))
    }

    async fn membership_history(
        &self,
        room: RoomNid,
        user_id: &UserId,
    ) -> Result<Vec<(Pos, Membership)>, RoomError> {
        let Some(user) = self
            .store()
            .interner()
            .find::<UserNid>(user_id.as_str())
            .await?
        else {
            return Ok(Vec::new());
        };
        let Some(now) = self.member(room, user).await? else {
            return Ok(Vec::new());
        };
        if self
            .room_of(user, room)
            .await?
            .is_some_and(|row| row.forgotten)
        {
            return Ok(Vec::new());
        }
        let Some(key) = self.state_key("m.room.member", user_id.as_str()).await? else {
            return Ok(Vec::new());
        };
        let (positions, numbers) = self.history(room, key).await?;
        // Most members have joined once and are what they were then: their row says it all.
        if numbers == [now.rsn] {
            return Ok(vec![(now.pos, now.membership)]);
        }
        let mut history: Vec<(Pos, Membership)> = Vec::new();
        for (pos, event) in positions
            .into_iter()
            .zip(self.events(room, &numbers).await?)
        {
            let membership = membership_of_event(&event);
            // Changes of a profile change nothing here.
            if let Some(membership) =
                membership.filter(|new| history.last().is_none_or(|(_, old)| old != new))
            {
                history.push((pos, membership));
            }
        }
        Ok(history)
    }

    /// When a state key changed, and to which events, oldest first.
    async fn history(
        &self,
        room: RoomNid,
        key: StateKeyNid,
    ) -> Result<(Vec<Pos>, Vec<Rsn>), RoomError> {
        let rows = self
            .store()
            .scan::<StateHistory>(Scan::prefix::<StateHistory>(&(room, key)))
            .await?;
        Ok(rows
            .into_iter()
            .map(|((_, _, pos), rsn)| (pos, rsn))
            .unzip())
    }
}

/// `history_visibility` of an `m.room.history_visibility` event; `shared` where it is not understood.
fn setting_of(event: &Arc<Event>) -> HistoryVisibility {
    #[derive(Deserialize)]
    struct Content {
        history_visibility: HistoryVisibility,
    }
    let content: Option<Content> = serde_json::from_str(event.content()).ok();
    match content.map(|content| content.history_visibility) {
        Some(
            known @ (HistoryVisibility::WorldReadable
            | HistoryVisibility::Shared
            | HistoryVisibility::Invited
            | HistoryVisibility::Joined),
        ) => known,
        _ => HistoryVisibility::Shared,
    }
}

/// `membership` of an `m.room.member` event.
pub(crate) fn membership_of_event(event: &Event) -> Option<Membership> {
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow)]
        membership: std::borrow::Cow<'a, str>,
    }
    let content: Content<'_> = serde_json::from_str(event.content()).ok()?;
    Membership::parse(&content.membership)
}

#[cfg(test)]
mod tests;
