//! What follows from a room's events, in the order in which they were appended.
//!
//! This is written apart from what `rooms` writes, on purpose: it is the other half of the comparison.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use room_versions::{Create, Pdu, Rules};
use rooms::derived::{Class, Kind, classify};
use ruma::{EventId, UserId, events::room::power_levels::RoomPowerLevels};
use store::{
    Pos, RoomNid, Rsn, StateKeyNid, UserNid,
    codec::Tail,
    rows::{
        Cause, EventRow, MemberRow, Membership, MembershipLogRow, RelationRow, RoomHeadRow,
        StateChangeRow, StateRef, StateRow, TimelineRow, UserRoomRow,
    },
    sweep,
    tables::{
        CurrentState, EventIds, Events, Highlights, Horizons, Log, Members, MembershipLog,
        Relations, RoomHeads, StateHistory, StateLog, Threads, Timeline, Uncounted, UserRooms,
    },
};

use crate::{
    CheckError, Problem, Remedy,
    derived::{Sink, expect},
    pdu::{event_key, membership_of, state_key_name},
    work::Work,
};

/// What a redacted event had added to the counters, in `Uncounted`.
const UNCOUNTED_NOTIFYING: u8 = 1;
const UNCOUNTED_HIGHLIGHTING: u8 = 2;

/// What is known of an event, in a few bytes: there may be millions in a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Info {
    pub(super) rsn: Rsn,
    pub(super) pos: Pos,
    depth: u64,
}

/// What is believed of a lost event, because other rows still tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    pub(super) pos: Pos,
    pub(super) timeline: TimelineRow,
    /// The state that it was.
    pub(super) state: Option<StateKeyNid>,
    pub(super) member: Option<(UserNid, MemberRow)>,
}

/// What is known before the events are read.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) lost: HashSet<Rsn>,
    pub(super) traces: HashMap<Rsn, Trace>,
    /// Positions that two other rows agree on, where the event's own says something else.
    pub(super) positions: HashMap<Rsn, Pos>,
}

/// What is found in an event beside its bytes.
pub(super) struct Remark {
    pub(super) rsn: Rsn,
    pub(super) problem: Problem,
    pub(super) remedy: Remedy,
    /// The row as it should be, if that is known.
    pub(super) row: Option<EventRow>,
}

/// The current state of one key.
#[derive(Clone, Copy, Debug)]
struct Held {
    rsn: Rsn,
    pos: Pos,
    membership: Option<Membership>,
}

/// A room, from its first event to its last.
pub(super) struct Derivation<'a, 'b> {
    work: &'a Work<'b>,
    room: RoomNid,
    rules: &'a Rules,
    known: &'a Known,
    creation: Option<Create>,
    power_levels: Option<RoomPowerLevels>,
    /// The event of the power levels was redacted since: what it allowed is not known.
    power_is_redacted: bool,
    pub(super) infos: Vec<Info>,
    ids: HashMap<u64, u32>,
    state: HashMap<StateKeyNid, Held>,
    members: HashMap<UserNid, (MemberRow, bool)>,
    /// Events that no later one names, with their depth.
    extremities: HashMap<u64, Rsn>,
    joined: u32,
    invited: u32,
    notifying: u32,
    highlighting: u32,
    /// How far users have read by speaking, and by joining.
    pub(super) read: HashMap<UserNid, Pos>,
    pub(super) threads: HashMap<UserNid, Pos>,
    /// Whose membership the event being read changes, from what to what.
    change: Option<(UserNid, Option<Membership>, Membership)>,
    /// Positions of events that others relate to.
    pub(super) parents: Vec<Pos>,
    /// Redactions, and the event that each redacts.
    redactions: HashMap<Rsn, u64>,
    /// Redacted events, and by which each was.
    redacted: HashMap<u64, (Rsn, Rsn)>,
    pub(super) remarks: Vec<Remark>,
    names: HashMap<String, u32>,
    /// Before this position only state events are left, and there these were the counters.
    horizon: Option<(Pos, u32, u32)>,
    /// The horizon is behind us.
    is_past_horizon: bool,
}

fn hash_of(event_id: &EventId) -> u64 {
    let mut hasher = DefaultHasher::new();
    event_id.as_str().hash(&mut hasher);
    hasher.finish()
}

impl<'a, 'b> Derivation<'a, 'b> {
    pub(super) fn new(
        work: &'a Work<'b>,
        room: RoomNid,
        rules: &'a Rules,
        known: &'a Known,
    ) -> Self {
        Self {
            work,
            room,
            rules,
            known,
            creation: None,
            power_levels: None,
            power_is_redacted: false,
            infos: Vec::new(),
            ids: HashMap::new(),
            state: HashMap::new(),
            members: HashMap::new(),
            extremities: HashMap::new(),
            joined: 0,
            invited: 0,
            notifying: 0,
            highlighting: 0,
            read: HashMap::new(),
            threads: HashMap::new(),
            change: None,
            parents: Vec::new(),
            redactions: HashMap::new(),
            redacted: HashMap::new(),
            remarks: Vec::new(),
            names: HashMap::new(),
            horizon: None,
            is_past_horizon: false,
        }
    }

    /// Reads all events and gives what follows to `sink`.
    pub(super) fn run(&mut self, sink: &mut impl Sink) -> Result<(), CheckError> {
        self.horizon = self.work.get::<Horizons>(&self.room)?;
        let mut lost: Vec<_> = self.known.traces.iter().collect();
        lost.sort_unstable_by_key(|(rsn, _)| **rsn);
        let mut lost = lost.into_iter().peekable();
        let mut pages = self.work.pages::<Events>(&(self.room,));
        while let Some(page) = pages.next()? {
            let rows = page.len() as u64;
            for (key, value) in page {
                let Ok((_, rsn)) = sweep::key::<Events>(&key) else {
                    continue;
                };
                while let Some((before, trace)) = lost.next_if(|(before, _)| **before <= rsn) {
                    self.lost(*trace, *before);
                }
                if self.known.lost.contains(&rsn) {
                    continue;
                }
                let Ok(row) = sweep::value::<Events>(&value) else {
                    continue;
                };
                self.event(sink, rsn, row)?;
            }
            self.work.advance(rows);
        }
        for (rsn, trace) in lost {
            self.lost(*trace, *rsn);
        }
        self.end(sink);
        Ok(())
    }

    /// A lost event was counted, and perhaps state: what replaced it knows of it.
    fn lost(&mut self, trace: Trace, rsn: Rsn) {
        // It has been counted.
        self.notifying = trace.timeline.notifying;
        self.highlighting = trace.timeline.highlighting;
        let Some(key) = trace.state else { return };
        let membership = trace.member.map(|(_, row)| row.membership);
        let held = Held {
            rsn,
            pos: trace.pos,
            membership,
        };
        self.state.insert(key, held);
        if let Some((user, row)) = trace.member {
            let is_local = self.members.get(&user).is_none_or(|(_, local)| *local);
            self.members.insert(user, (row, is_local));
        }
    }

    fn event(
        &mut self,
        sink: &mut impl Sink,
        rsn: Rsn,
        mut row: EventRow,
    ) -> Result<(), CheckError> {
        if let Some(pos) = self.known.positions.get(&rsn) {
            row.pos = *pos;
            row.state_before = StateRef::Line(*pos);
        }
        let Ok(event_id) = EventId::parse(&*row.event_id) else {
            return Ok(());
        };
        let pdu = match self.rules.parse(&event_id, &row.client, &row.federation) {
            Ok(pdu) => Arc::new(pdu),
            Err(error) => {
                self.work.lose(self.room, rsn);
                let reason = error.to_string();
                self.remark(rsn, Problem::Event { reason }, Remedy::Restore, None);
                return Ok(());
            }
        };
        let sender = self
            .work
            .number::<UserNid>(&mut self.names, pdu.sender.as_str())?;
        let Some(sender) = sender else {
            self.nameless(rsn, format!("its sender {} has no number", pdu.sender));
            return Ok(());
        };
        let (room, pos) = (self.room, row.pos);
        self.links(&pdu, rsn, pos);
        expect::<EventIds>(sink, &Tail(event_key(&event_id)), &(room, rsn));
        expect::<Log>(sink, &pos, &(room, rsn));
        self.change = None;
        let replaced = self.state_event(sink, &pdu, rsn, &row)?;
        let class = self.classify(&pdu, &row);
        let flags = self.timeline(sink, &row, rsn, sender, (&pdu, &class))?;
        self.reads(sender, flags, pos);
        if row.redacted_by.some().is_none() {
            self.relation(sink, &class, (rsn, pos), sender);
            self.mentions(sink, &class, pos)?;
        }
        self.own_row(rsn, row, replaced);
        if let Some(target) = &pdu.redacts {
            self.redactions.insert(rsn, hash_of(target));
        }
        Ok(())
    }

    /// `prev_events`, `auth_events` and `depth`.
    fn links(&mut self, pdu: &Pdu, rsn: Rsn, pos: Pos) {
        let mut depth = 0;
        for prev in &pdu.prev_events {
            let hash = hash_of(prev);
            self.extremities.remove(&hash);
            match self.info_of(hash) {
                Some(info) => depth = depth.max(info.depth),
                None if self.infos.is_empty() => {}
                // What was said before the horizon is gone.
                None if self
                    .infos
                    .last()
                    .is_some_and(|last| self.is_removed(last.pos)) => {}
                None => self.unknown(rsn, "prev_events", prev),
            }
        }
        for auth in &pdu.auth_events {
            if self.info_of(hash_of(auth)).is_none() && !self.infos.is_empty() {
                self.unknown(rsn, "auth_events", auth);
            }
        }
        let right = depth.saturating_add(1);
        if depth > 0 && pdu.depth != right {
            let reason = format!("its depth is {}, but its parents' is {depth}", pdu.depth);
            self.remark(rsn, Problem::Event { reason }, Remedy::Restore, None);
        }
        let hash = hash_of(&pdu.event_id);
        self.ids.insert(hash, rsn.0);
        self.extremities.insert(hash, rsn);
        self.infos.push(Info {
            rsn,
            pos,
            depth: pdu.depth,
        });
    }

    /// Whether what was said at a position was removed.
    pub(super) fn is_removed(&self, pos: Pos) -> bool {
        self.horizon.is_some_and(|(horizon, ..)| pos < horizon)
    }

    /// How far somebody who has read up to `pos` has read: what was removed is read.
    pub(super) fn read_upto(&self, pos: Pos) -> Pos {
        let removed = self.horizon.map(|(horizon, ..)| horizon.prev());
        removed.map_or(pos, |removed| pos.max(removed))
    }

    fn unknown(&mut self, rsn: Rsn, list: &str, event_id: &EventId) {
        // An event before the first that is kept is none of the room's rows' business; nor is a lost one.
        if !self.known.lost.is_empty() || self.infos.first().is_some_and(|first| first.rsn.0 > 1) {
            return;
        }
        let reason = format!("its {list} name {event_id}, which is not kept");
        self.remark(rsn, Problem::Event { reason }, Remedy::Restore, None);
    }

    pub(super) fn info_of(&self, event_id: u64) -> Option<Info> {
        self.info(Rsn(*self.ids.get(&event_id)?))
    }

    pub(super) fn info(&self, rsn: Rsn) -> Option<Info> {
        let at = self.infos.binary_search_by_key(&rsn, |info| info.rsn);
        at.ok().map(|at| self.infos[at])
    }

    pub(super) fn by_id(&self, event_id: &str) -> Option<Info> {
        let event_id = <&EventId>::try_from(event_id).ok()?;
        self.info_of(hash_of(event_id))
    }

    /// The rows of the state line, and what the event replaced.
    fn state_event(
        &mut self,
        sink: &mut impl Sink,
        pdu: &Arc<Pdu>,
        rsn: Rsn,
        row: &EventRow,
    ) -> Result<Option<Rsn>, CheckError> {
        let Some(state_key) = pdu.state_key.as_deref() else {
            return Ok(None);
        };
        let event_type = pdu.event_type.to_string();
        let name = state_key_name(&event_type, state_key);
        let key = self.work.number::<StateKeyNid>(&mut self.names, &name)?;
        let Some(key) = key else {
            self.nameless(
                rsn,
                format!("its state {event_type} {state_key} has no number"),
            );
            return Ok(None);
        };
        let (room, pos) = (self.room, row.pos);
        let before = self.state.get(&key).copied();
        let is_member = event_type == "m.room.member";
        let membership = is_member.then(|| membership_of(pdu)).flatten();
        if is_member {
            self.member(sink, state_key, (rsn, pos), (membership, before))?;
        }
        let old = before.map_or(Rsn::NONE, |held| held.rsn);
        let change = StateChangeRow {
            key,
            new: rsn,
            old,
            cause: Cause::Event,
        };
        expect::<StateHistory>(sink, &(room, key, pos), &rsn);
        expect::<StateLog>(sink, &(room, pos, 0), &change);
        let held = Held {
            rsn,
            pos,
            membership,
        };
        self.state.insert(key, held);
        self.remember_rules(&event_type, state_key, pdu, row);
        Ok(Some(old))
    }

    /// What later events are classified by.
    fn remember_rules(&mut self, event_type: &str, state_key: &str, pdu: &Pdu, row: &EventRow) {
        if !state_key.is_empty() {
            return;
        }
        match event_type {
            "m.room.create" => self.creation = self.rules.create(pdu).ok(),
            "m.room.power_levels" => {
                self.power_is_redacted = row.redacted_by.some().is_some();
                let creation = self.creation.as_ref();
                self.power_levels =
                    creation.and_then(|creation| self.rules.power_levels(creation, Some(pdu)).ok());
            }
            _ => {}
        }
    }

    fn member(
        &mut self,
        sink: &mut impl Sink,
        user: &str,
        (rsn, pos): (Rsn, Pos),
        (membership, before): (Option<Membership>, Option<Held>),
    ) -> Result<(), CheckError> {
        let (Ok(user_id), Some(membership)) = (<&UserId>::try_from(user), membership) else {
            return Ok(());
        };
        let Some(number) = self.work.number::<UserNid>(&mut self.names, user)? else {
            return Ok(());
        };
        let before = before.and_then(|held| held.membership);
        for (count, counted) in [
            (&mut self.joined, Membership::Join),
            (&mut self.invited, Membership::Invite),
        ] {
            *count = (*count + u32::from(membership == counted))
                .saturating_sub(u32::from(before == Some(counted)));
        }
        self.change = Some((number, before, membership));
        let is_local = user_id.server_name() == self.work.options.server_name;
        let member = MemberRow {
            membership,
            rsn,
            pos,
        };
        self.members.insert(number, (member, is_local));
        if is_local {
            let row = MembershipLogRow {
                room: self.room,
                membership,
                before,
            };
            expect::<MembershipLog>(sink, &(number, pos), &row);
        }
        Ok(())
    }

    fn classify(&mut self, pdu: &Pdu, row: &EventRow) -> Classified {
        let mut asked = false;
        if self.power_levels.is_none() {
            let creation = self.creation.as_ref();
            self.power_levels =
                creation.and_then(|creation| self.rules.power_levels(creation, None).ok());
        }
        let power_levels = self.power_levels.as_ref();
        let class = classify(
            &pdu.event_type.to_string(),
            pdu.state_key.is_some(),
            pdu.content.get(),
            || {
                asked = true;
                power_levels
                    .is_some_and(|levels| levels.user_can_trigger_room_notification(&pdu.sender))
            },
        );
        let is_certain = row.redacted_by.some().is_none() && !(asked && self.power_is_redacted);
        Classified { class, is_certain }
    }

    /// The row of the timeline, and its flags. Of what a redaction took away the row that is there is believed.
    fn timeline(
        &mut self,
        sink: &mut impl Sink,
        row: &EventRow,
        rsn: Rsn,
        sender: UserNid,
        (pdu, classified): (&Pdu, &Classified),
    ) -> Result<u8, CheckError> {
        let class = &classified.class;
        self.pass_horizon(row.pos);
        let mut flags = u8::from(pdu.state_key.is_some()) * TimelineRow::STATE
            + u8::from(class.is_threaded()) * TimelineRow::THREADED
            + u8::from(class.notifies) * TimelineRow::NOTIFIES;
        let mut highlights = u32::from(class.highlights_all);
        if !classified.is_certain
            && let Some(there) = self.work.get::<Timeline>(&(self.room, row.pos))?
            && there.rsn == rsn
        {
            let taken = TimelineRow::THREADED | TimelineRow::NOTIFIES;
            flags = (flags & TimelineRow::STATE) | (there.flags & taken);
            let before = self.infos.len().checked_sub(2).map(|at| self.infos[at].pos);
            let before = match before {
                Some(pos) => self.work.get::<Timeline>(&(self.room, pos))?,
                None => None,
            };
            let before = before.map_or(0, |before| before.highlighting);
            highlights = there.highlighting.saturating_sub(before).min(1);
        }
        let is_removed = self.is_removed(row.pos);
        let there = if is_removed {
            self.work.get::<Timeline>(&(self.room, row.pos))?
        } else {
            None
        };
        if let Some(there) = there {
            // What was counted between two events that are left is gone with what was said.
            (self.notifying, self.highlighting) = (there.notifying, there.highlighting);
        } else {
            self.notifying += u32::from(flags & TimelineRow::NOTIFIES != 0);
            self.highlighting += highlights;
        }
        let timeline = TimelineRow {
            rsn,
            sender,
            flags,
            notifying: self.notifying,
            highlighting: self.highlighting,
        };
        expect::<Timeline>(sink, &(self.room, row.pos), &timeline);
        let uncounted = u8::from(flags & TimelineRow::NOTIFIES != 0) * UNCOUNTED_NOTIFYING
            + u8::from(highlights > 0) * UNCOUNTED_HIGHLIGHTING;
        if row.redacted_by.some().is_some() && uncounted != 0 && !is_removed {
            expect::<Uncounted>(sink, &(self.room, row.pos), &uncounted);
        }
        Ok(flags)
    }

    /// From the horizon on counts are added up anew.
    fn pass_horizon(&mut self, pos: Pos) {
        if let Some((horizon, notifying, highlighting)) = self.horizon
            && pos >= horizon
            && !self.is_past_horizon
        {
            self.is_past_horizon = true;
            (self.notifying, self.highlighting) = (notifying, highlighting);
        }
    }

    /// Whoever speaks has read what is before, outside of threads; whoever joins, threads too. A change of name is no word.
    fn reads(&mut self, sender: UserNid, flags: u8, pos: Pos) {
        let own = self.change.filter(|(user, ..)| *user == sender);
        let renames = own.is_some_and(|(_, before, after)| before == Some(after));
        let joins = !renames && own.is_some_and(|(.., after)| after == Membership::Join);
        if flags & TimelineRow::THREADED == 0 && !renames {
            self.read.insert(sender, pos);
        }
        if joins {
            self.threads.insert(sender, pos);
        }
    }

    fn relation(
        &mut self,
        sink: &mut impl Sink,
        classified: &Classified,
        (rsn, pos): (Rsn, Pos),
        sender: UserNid,
    ) {
        let Some(relation) = &classified.class.relation else {
            return;
        };
        let kind = relation.kind();
        let key = (self.room, relation.event_id.to_string(), kind as u8, pos);
        expect::<Relations>(sink, &key, &RelationRow { rsn, sender });
        if kind >= Kind::Annotation {
            return;
        }
        // One that came after its child was not known when the child was written.
        let parent = self.info_of(hash_of(&relation.event_id));
        let Some(parent) = parent.filter(|parent| parent.rsn < rsn) else {
            return;
        };
        self.parents.push(parent.pos);
        if kind == Kind::Thread {
            expect::<Threads>(sink, &(self.room, pos), &parent.rsn);
        }
    }

    /// Highlights for those mentioned who were there to see it.
    fn mentions(
        &mut self,
        sink: &mut impl Sink,
        classified: &Classified,
        pos: Pos,
    ) -> Result<(), CheckError> {
        for user_id in &classified.class.mentions {
            if user_id.server_name() != self.work.options.server_name {
                continue;
            }
            let name = state_key_name("m.room.member", user_id.as_str());
            let Some(key) = self.work.number::<StateKeyNid>(&mut self.names, &name)? else {
                continue;
            };
            let held = self.state.get(&key);
            if held.and_then(|held| held.membership) != Some(Membership::Join) {
                continue;
            }
            let user = self
                .work
                .number::<UserNid>(&mut self.names, user_id.as_str())?;
            if let Some(user) = user {
                expect::<Highlights>(sink, &(user, self.room, pos), &());
            }
        }
        Ok(())
    }

    /// What the event's own row says beside its bytes.
    fn own_row(&mut self, rsn: Rsn, mut row: EventRow, replaced: Option<Rsn>) {
        let was = (row.state_before, row.replaces);
        row.state_before = StateRef::Line(row.pos);
        row.replaces = replaced.unwrap_or(Rsn::NONE);
        let is = (row.state_before, row.replaces);
        if was != is && self.known.lost.is_empty() {
            let problem = Problem::Differs {
                found: format!("{was:?}"),
                right: format!("{is:?}"),
            };
            self.remark(rsn, problem, Remedy::Rebuild, Some(row.clone()));
        }
        if row.redacted_by.some().is_some()
            && let Ok(event_id) = <&EventId>::try_from(&*row.event_id)
        {
            self.redacted
                .insert(hash_of(event_id), (rsn, row.redacted_by));
        }
    }

    /// A name without its number: whatever is keyed by it cannot be told.
    fn nameless(&mut self, rsn: Rsn, reason: String) {
        self.work.lose(self.room, rsn);
        self.remark(rsn, Problem::Event { reason }, Remedy::Restore, None);
    }

    fn remark(&mut self, rsn: Rsn, problem: Problem, remedy: Remedy, row: Option<EventRow>) {
        self.remarks.push(Remark {
            rsn,
            problem,
            remedy,
            row,
        });
    }

    /// What is known once all events are read.
    fn end(&mut self, sink: &mut impl Sink) {
        for (key, held) in &self.state {
            let row = StateRow {
                rsn: held.rsn,
                pos: held.pos,
            };
            expect::<CurrentState>(sink, &(self.room, *key), &row);
        }
        for (user, (member, is_local)) in &self.members {
            expect::<Members>(sink, &(self.room, *user), member);
            if *is_local {
                let row = UserRoomRow {
                    member: *member,
                    forgotten: false,
                };
                expect::<UserRooms>(sink, &(*user, self.room), &row);
            }
        }
        if let Some(last) = self.infos.last() {
            // Before the horizon an event's followers may be gone.
            let is_end = |rsn: &Rsn| {
                let pos = self.info(*rsn).map(|info| info.pos);
                *rsn == last.rsn || pos.is_none_or(|pos| !self.is_removed(pos))
            };
            let ends = self.extremities.values().copied().filter(is_end);
            let mut forward_extremities: Vec<_> = ends.collect();
            forward_extremities.sort_unstable();
            let head = RoomHeadRow {
                version: self.rules.version().to_string(),
                last_rsn: last.rsn,
                last_pos: last.pos,
                depth: last.depth,
                forward_extremities,
                joined: self.joined,
                invited: self.invited,
                notifying: self.notifying,
                highlighting: self.highlighting,
            };
            expect::<RoomHeads>(sink, &self.room, &head);
        }
        self.redactions_applied();
        self.parents.sort_unstable();
        self.parents.dedup();
    }

    /// Each redaction has redacted its event, and each redacted event names one.
    fn redactions_applied(&mut self) {
        let redacted = std::mem::take(&mut self.redacted);
        // Up to version 10 a redaction that is redacted no longer names its event.
        let silent: HashSet<Rsn> = redacted.values().map(|(rsn, _)| *rsn).collect();
        for (target, (rsn, by)) in &redacted {
            let is_lost = self.known.lost.contains(by) || silent.contains(by);
            if self.redactions.get(by) != Some(target) && !is_lost {
                let reason = format!("event number {} does not redact it", by.0);
                self.remark(*rsn, Problem::Event { reason }, Remedy::Restore, None);
            }
        }
        let mut open: Vec<_> = std::mem::take(&mut self.redactions)
            .into_iter()
            .filter(|(_, target)| !redacted.contains_key(target))
            .filter_map(|(by, target)| Some((self.info_of(target)?.rsn, by)))
            .collect();
        open.sort_unstable();
        for (rsn, by) in open {
            let Some(row) = self.redact(rsn, by) else {
                continue;
            };
            let problem = Problem::Differs {
                found: "not redacted".to_owned(),
                right: format!("redacted by event number {}", by.0),
            };
            self.remark(rsn, problem, Remedy::Rebuild, Some(row));
        }
    }

    fn redact(&self, rsn: Rsn, by: Rsn) -> Option<EventRow> {
        let mut row = self.work.get::<Events>(&(self.room, rsn)).ok()??;
        let event_id = EventId::parse(&*row.event_id).ok()?;
        let parts = self
            .rules
            .redact(&event_id, &row.client, &row.federation)
            .ok()?;
        row.client = parts.client.into();
        row.federation = parts.federation.into();
        row.redacted_by = by;
        Some(row)
    }
}

/// What the predefined push rules say of an event, and whether that is what they said when it was sent.
struct Classified {
    class: Class,
    is_certain: bool,
}

impl std::ops::Deref for Classified {
    type Target = Class;

    fn deref(&self) -> &Class {
        &self.class
    }
}
