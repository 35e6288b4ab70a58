//! What becomes of an event that is redacted, and of the rows that were made from it.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#redactions)

use std::sync::Arc;

use store::{
    Pos, Scan, UserNid,
    rows::EventRow,
    tables::{Events, Highlights, Timeline, Uncounted},
};

use super::Append;
use crate::unread::{UNCOUNTED_HIGHLIGHTING, UNCOUNTED_NOTIFYING};
use crate::{
    Event, RoomError, Rooms, notify,
    room::{Current, slot},
};

impl Append<'_> {
    /// Replaces an event's row by its redacted form. `redaction` is the redaction's own number, appended before.
    pub(crate) async fn replace_redacted(
        &mut self,
        target: &Event,
        mut row: EventRow,
    ) -> Result<(), RoomError> {
        let redaction = self.ahead.head.last_rsn;
        let parts = self
            .room
            .rules
            .redact(&target.event_id, &row.client, &row.federation)?;
        row.client = parts.client.into();
        row.federation = parts.federation.into();
        row.redacted_by = redaction;
        self.redact_state(target, &row)?;
        let mut event = Event::from_row(self.room.nid, target.rsn, row.clone())?;
        event.previous.clone_from(&target.previous);
        self.commit
            .batch
            .put::<Events>(&(self.room.nid, target.rsn), &row);
        self.unlink(target).await?;
        self.uncount(target.pos).await?;
        self.commit.redacted.push((Arc::clone(self.room), event));
        Ok(())
    }

    /// A redacted event can still be current state: later events are authorised against its redacted form.
    fn redact_state(&mut self, target: &Event, row: &EventRow) -> Result<(), RoomError> {
        let Some(state_key) = target.state_key.as_deref() else {
            return Ok(());
        };
        let slot = slot(&target.event_type, state_key);
        let held = self
            .ahead
            .state
            .get(&slot)
            .or_else(|| self.writer.known(&slot))
            .filter(|held| held.rsn == target.rsn);
        if let Some(held) = held.cloned() {
            let pdu = self
                .room
                .rules
                .parse(&target.event_id, &row.client, &row.federation)?;
            let pdu = Arc::new(pdu);
            self.ahead.state.insert(slot, Current { pdu, ..held });
        }
        Ok(())
    }

    /// It relates to nothing any more, and mentions nobody.
    async fn unlink(&mut self, target: &Event) -> Result<(), RoomError> {
        let class = notify::classify(
            &target.event_type,
            target.is_state(),
            target.content(),
            || false,
        );
        if let Some(relation) = &class.relation {
            Rooms::delete_relation(&mut self.commit.batch, target, relation);
        }
        for user_id in &class.mentions {
            if let Some(user) = self
                .rooms
                .store()
                .interner()
                .find::<UserNid>(user_id.as_str())
                .await?
            {
                self.commit
                    .batch
                    .delete::<Highlights>(&(user, self.room.nid, target.pos));
            }
        }
        Ok(())
    }

    /// What it added to the counters stays in those of every later row; readers are told to take it away.
    async fn uncount(&mut self, pos: Pos) -> Result<(), RoomError> {
        let nid = self.room.nid;
        let horizon = self.rooms.horizon(nid).await?;
        if horizon.is_some_and(|horizon| pos < horizon) {
            // Nobody counts from before it.
            return Ok(());
        }
        let range = Scan::range::<Timeline>(&(nid, Pos::MIN), &(nid, pos.next()));
        let rows = self
            .rooms
            .store()
            .scan::<Timeline>(range.reverse().limit(2))
            .await?;
        let mut rows = rows.into_iter();
        let Some((_, row)) = rows.next().filter(|((_, at), _)| *at == pos) else {
            return Ok(());
        };
        let before = rows.next().map_or((0, 0), |(_, before)| {
            (before.notifying, before.highlighting)
        });
        let added = u8::from(row.notifying > before.0) * UNCOUNTED_NOTIFYING
            + u8::from(row.highlighting > before.1) * UNCOUNTED_HIGHLIGHTING;
        if added != 0 {
            self.commit.batch.put::<Uncounted>(&(nid, pos), &added);
        }
        Ok(())
    }
}
