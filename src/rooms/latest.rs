//! Where a loaded room's latest events of some kinds are, so that counting what is unread looks nothing up that is not there.
//!
//! Each answer to a waiting client counts (DESIGN §7), and few rooms have threads, mentions or redacted events behind the
//! place where somebody has read. Only what was published since the room was loaded is known: whoever has not read since
//! then is counted with the look-ups.

use store::Pos;

/// What an event means for counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// It is in a thread.
    pub(crate) threaded: bool,
    /// It mentions somebody who is local.
    pub(crate) mentions: bool,
    /// As in its `TimelineRow`.
    pub(crate) notifying: u32,
    /// As in its `TimelineRow`.
    pub(crate) highlighting: u32,
}

/// Positions of the latest events, of those after `since`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest {
    /// What is there or before is not known.
    since: Pos,
    threaded: Pos,
    mentioning: Pos,
    /// Of those that were redacted the one furthest down the timeline, whenever it was.
    redacted: Pos,
    /// Of the latest event of all: where it is, `notifying`, `highlighting`.
    counters: Option<(Pos, u32, u32)>,
}

impl Latest {
    /// Nothing was published yet after `since`.
    pub(crate) fn since(since: Pos) -> Self {
        Self {
            since,
            threaded: Pos::ZERO,
            mentioning: Pos::ZERO,
            redacted: Pos::ZERO,
            counters: None,
        }
    }

    /// Of a room that is not in memory: nothing is known.
    pub(crate) fn unknown() -> Self {
        Self::since(Pos::MAX)
    }

    /// An event is published.
    pub(crate) fn published(&mut self, pos: Pos, counted: Counted) {
        if counted.threaded {
            self.threaded = pos;
        }
        if counted.mentions {
            self.mentioning = pos;
        }
        self.counters = Some((pos, counted.notifying, counted.highlighting));
    }

    /// The event at a position is redacted.
    pub(crate) fn redacted(&mut self, pos: Pos) {
        self.redacted = self.redacted.max(pos);
    }

    /// Whether there may be an event of a thread after `from`.
    pub(crate) fn threads_after(&self, from: Pos) -> bool {
        from < self.since || from < self.threaded
    }

    /// Whether there may be an event after `from` that mentions a user.
    pub(crate) fn mentions_after(&self, from: Pos) -> bool {
        from < self.since || from < self.mentioning
    }

    /// Whether an event after `from` may have been redacted.
    pub(crate) fn redactions_after(&self, from: Pos) -> bool {
        from < self.since || from < self.redacted
    }

    /// `notifying` and `highlighting` at a position, if the latest event is not after it.
    pub(crate) fn counters(&self, at: Pos) -> Option<(u32, u32)> {
        self.counters
            .filter(|(pos, ..)| *pos <= at)
            .map(|(_, notifying, highlighting)| (notifying, highlighting))
    }
}
