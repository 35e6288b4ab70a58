//! The state part of a room's update: what the client cannot know from the timeline.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#syncing),
//! [lazily loaded members](https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members)

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ruma::{OwnedUserId, RoomId, UserId};
use store::{Pos, RoomNid, Rsn, StateKeyNid};

use crate::{SyncError, answer::Context, delta::Span, timeline::Timeline};

/// How the name of a member's state key begins.
const MEMBER: &str = "m.room.member\0";

impl Context {
    /// What the client's state lacks: up to the start of the timeline, or to its end if the client asked for that. Each
    /// event comes after those that it builds on.
    ///
    /// `heroes` are members whom the room's name may consist of.
    pub(crate) async fn state(
        &self,
        room: RoomNid,
        room_id: &RoomId,
        (span, timeline): (&Span, &Timeline),
        heroes: &[OwnedUserId],
    ) -> Result<Vec<Rsn>, SyncError> {
        let filter = &self.filter().state;
        if !filter.takes_room(room_id) {
            return Ok(Vec::new());
        }
        let start = timeline
            .events
            .first()
            .map_or(span.upto, |first| first.pos.prev());
        let at = if self.request.use_state_after {
            span.upto
        } else {
            start
        };
        let mut state = match span.state_after() {
            None => self.rooms().state_at(room, at).await?,
            Some(after) => self.changed_state(room, (after, at), timeline).await?,
        };
        if !self.request.use_state_after && !timeline.whole {
            // What the timeline leaves out is told here. Where it has the same key later, that is applied later.
            let told: HashSet<Rsn> = timeline.events.iter().map(|event| event.rsn).collect();
            for change in self.rooms().state_changes(room, start, span.upto).await? {
                if !told.contains(&change.new) {
                    state.insert(change.key, change.new);
                }
            }
        }
        if filter.lazy_load_members {
            self.choose_members(room, (span, timeline), at, heroes, &mut state)
                .await?;
        }
        let numbers: BTreeSet<Rsn> = state.into_values().filter_map(Rsn::some).collect();
        Ok(numbers.into_iter().collect())
    }

    /// What changed after `after` and up to `at`; nothing is read where the timeline shows that nothing did.
    async fn changed_state(
        &self,
        room: RoomNid,
        (after, at): (Pos, Pos),
        timeline: &Timeline,
    ) -> Result<BTreeMap<StateKeyNid, Rsn>, SyncError> {
        let all_told = timeline.whole && !timeline.limited;
        let no_state = !timeline.events.iter().any(|event| event.is_state());
        if all_told && (no_state || !self.request.use_state_after) {
            return Ok(BTreeMap::new());
        }
        let changes = self.rooms().state_changes(room, after, at).await?;
        Ok(changes
            .into_iter()
            .map(|change| (change.key, change.new))
            .collect())
    }

    /// Leaves those members that matter to the timeline, and adds those that the client may not know.
    async fn choose_members(
        &self,
        room: RoomNid,
        (span, timeline): (&Span, &Timeline),
        at: Pos,
        heroes: &[OwnedUserId],
        state: &mut BTreeMap<StateKeyNid, Rsn>,
    ) -> Result<(), SyncError> {
        let mut wanted: HashSet<&UserId> =
            timeline.events.iter().map(|event| &*event.sender).collect();
        wanted.extend(heroes.iter().map(|hero| &**hero));
        if span.state_after().is_none() {
            // "servers MUST include the syncing user's own membership event when they join a room, or when the full state
            // of rooms is requested"
            wanted.insert(&self.request.user_id);
        }
        let mut wanted_keys = HashSet::new();
        for user in wanted {
            if let Some(key) = self
                .rooms()
                .state_key("m.room.member", user.as_str())
                .await?
            {
                wanted_keys.insert(key);
            }
        }
        if span.state_after().is_none() {
            let mut unwanted = Vec::new();
            for key in state.keys() {
                if !wanted_keys.contains(key) && self.is_member(*key).await? {
                    unwanted.push(*key);
                }
            }
            for key in unwanted {
                state.remove(&key);
            }
        } else {
            // What changed in the gap is told in any case.
            for key in &wanted_keys {
                if state.contains_key(key) || self.knows(room, *key, span) {
                    continue;
                }
                if let Some(rsn) = self.rooms().state_key_at(room, *key, at).await? {
                    state.insert(*key, rsn);
                }
            }
        }
        let mut session = self.session.lock();
        let told = session
            .told
            .entry(self.request.device_id.to_string())
            .or_default();
        for key in wanted_keys {
            told.tell(room, key, self.upto);
        }
        Ok(())
    }

    /// Whether the client was told of a member, and came back with the token of that answer.
    fn knows(&self, room: RoomNid, member: StateKeyNid, span: &Span) -> bool {
        let (Some(since), false) = (span.after, self.filter().state.include_redundant_members)
        else {
            return false;
        };
        let session = self.session.lock();
        session
            .told
            .get(self.request.device_id.as_str())
            .is_some_and(|told| told.knows(room, member, since))
    }

    async fn is_member(&self, key: StateKeyNid) -> Result<bool, SyncError> {
        Ok(self
            .engine
            .store()
            .interner()
            .name(key)
            .await?
            .starts_with(MEMBER))
    }
}
