//! Which state a room has where branches of its history meet.
//!
//! [spec](https://spec.matrix.org/v1.19/rooms/v12/#state-resolution)
//!
//! The algorithm is ruma's. It wants whole states and the whole auth chain of each; here it gets of both only what can make
//! a difference:
//!
//! * Of the state that is agreed on it gets those keys that an event in question replaces or is authorised by.
//! * Of the auth chains it gets their difference. Numbers that grow along the auth graph let the walk end where the chains
//!   have become one. Of the agreed state, what is younger than the first event that is not in all chains is looked at once:
//!   that alone grows with the room.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, btree_map::Entry},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId,
    events::StateEventType,
    state_res::{self, utils::event_id_set::EventIdSet},
};

use crate::{MAX_PREV_EVENTS, Pdu, Rules};

/// A state: events by type and state key.
pub type StateMap = state_res::StateMap<OwnedEventId>;

/// What is known of the room whose states meet. An event that is not known, or has no number, has no say.
pub trait Known {
    /// An event.
    fn event(&self, id: &EventId) -> Option<Arc<Pdu>>;

    /// The event's number: greater than the numbers of all its `auth_events`.
    fn number(&self, id: &EventId) -> Option<u64>;

    /// The event that all states agree on for a key.
    fn agreed(&self, key: &(StateEventType, String)) -> Option<OwnedEventId>;

    /// All events that the states agree on and whose number is greater than `number`.
    fn agreed_after(&self, number: u64) -> Vec<OwnedEventId>;
}

/// Why states cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Room version 1 has an algorithm of its own, which is not here.
    #[error("states of rooms of version 1 cannot be resolved")]
    Version1,
    /// More states than an event can have `prev_events`.
    #[error("{0} states meet, more than {MAX_PREV_EVENTS}")]
    TooMany(usize),
    /// An event in question does not have the form of its type.
    #[error("state resolution failed: {0}")]
    Malformed(String),
}

impl Rules {
    /// Resolves states, each given by the keys on which they do not all agree. Returns what such keys become; a key that
    /// is not there is not set. What was agreed on stays.
    ///
    /// # Errors
    /// [`ResolveError`]
    pub fn resolve(
        &self,
        differing: &[StateMap],
        known: &impl Known,
    ) -> Result<StateMap, ResolveError> {
        let rules = self.ruma.state_res.v2_rules();
        let rules = rules.ok_or(ResolveError::Version1)?;
        if differing.len() > MAX_PREV_EVENTS {
            return Err(ResolveError::TooMany(differing.len()));
        }
        let walk = Walk {
            known,
            all: (1 << differing.len()) - 1,
        };
        let conflicted = walk.conflicted(differing);
        let difference = walk.auth_difference(&conflicted);
        let between = if rules.consider_conflicted_state_subgraph {
            walk.between(&conflicted)
        } else {
            EventIdSet::new()
        };
        let in_question = conflicted.keys().chain(&difference).chain(between.iter());
        let agreed = self.agreed(in_question, known);
        let states: Vec<StateMap> = differing
            .iter()
            .map(|state| {
                let mut state = state.clone();
                state.extend(agreed.clone());
                state
            })
            .collect();
        let mut resolved = state_res::resolve(
            &self.ruma.authorization,
            rules,
            &states,
            // What is in one chain and not in another is the difference.
            vec![difference.into_iter().collect(), EventIdSet::new()],
            |id| known.event(id),
            |_| Some(between.clone()),
        )
        .map_err(|error| ResolveError::Malformed(error.to_string()))?;
        resolved.retain(|key, _| !agreed.contains_key(key));
        Ok(resolved)
    }

    /// The agreed state that matters to events: what they would replace, and what they are authorised by.
    fn agreed<'a>(
        &self,
        events: impl Iterator<Item = &'a OwnedEventId>,
        known: &impl Known,
    ) -> StateMap {
        let mut keys = HashSet::from([(StateEventType::RoomPowerLevels, String::new())]);
        for event in events.filter_map(|id| known.event(id)) {
            let state_key = event.state_key.as_deref();
            // An event whose content is malformed is authorised by nothing and changes nothing.
            let types =
                self.auth_types(&event.event_type, &event.sender, state_key, &event.content);
            keys.extend(types.unwrap_or_default());
            keys.extend(event.state().map(|(of, key)| (of, key.to_owned())));
        }
        keys.into_iter()
            .filter_map(|key| known.agreed(&key).map(|id| (key, id)))
            .collect()
    }
}

/// Of which states something is true: a bit for each.
type States = u32;

/// Events by their numbers: whoever names an event comes behind it.
type Numbered = (u64, OwnedEventId);

/// Follows `auth_events`.
struct Walk<'a, K> {
    known: &'a K,
    /// The bits of all states.
    all: States,
}

/// Events in the auth chains of states, still to be followed.
#[derive(Default)]
struct Pending {
    in_chains_of: BTreeMap<Numbered, States>,
    /// How many of them are not in the chains of all.
    partial: usize,
}

impl<K: Known> Walk<'_, K> {
    /// The conflicted state set: events that are in some states and not in all.
    fn conflicted(&self, states: &[StateMap]) -> HashMap<OwnedEventId, States> {
        let mut events: HashMap<OwnedEventId, States> = HashMap::new();
        for (index, state) in states.iter().enumerate() {
            for id in state.values() {
                *events.entry(id.clone()).or_default() |= 1 << index;
            }
        }
        events.retain(|_, states| *states != self.all);
        events
    }

    /// The auth difference: events that are in the auth chains of some states and not of all.
    fn auth_difference(&self, conflicted: &HashMap<OwnedEventId, States>) -> HashSet<OwnedEventId> {
        let mut pending = Pending::default();
        for (id, states) in conflicted {
            self.name(&mut pending, id, *states);
        }
        let mut difference = BTreeSet::new();
        // Where none is partial, all that is below is in all chains, too.
        while pending.partial > 0
            && let Some((event, states)) = pending.in_chains_of.pop_last()
        {
            self.name(&mut pending, &event.1, states);
            if states != self.all {
                pending.partial -= 1;
                difference.insert(event);
            }
        }
        self.without_agreed(difference)
    }

    /// Puts what an event names into the chains that it is in itself.
    fn name(&self, pending: &mut Pending, id: &EventId, states: States) {
        for named in self.auth_events(id) {
            let before = pending.in_chains_of.get(&named).copied();
            let now = before.unwrap_or_default() | states;
            let was_partial = before.is_some_and(|before| before != self.all);
            pending.partial -= usize::from(was_partial);
            pending.partial += usize::from(now != self.all);
            pending.in_chains_of.insert(named, now);
        }
    }

    /// Leaves out what is in the auth chain of agreed state, and so in the chains of all.
    fn without_agreed(&self, mut events: BTreeSet<Numbered>) -> HashSet<OwnedEventId> {
        let Some(&(first, _)) = events.first() else {
            return HashSet::new();
        };
        let mut seen = HashSet::new();
        let mut pending = self.known.agreed_after(first);
        while !events.is_empty()
            && let Some(id) = pending.pop()
        {
            let Some(event) = self.known.event(&id) else {
                continue;
            };
            for named in &event.auth_events {
                if let Some(number) = self.known.number(named)
                    && number >= first
                    && seen.insert(number)
                {
                    events.remove(&(number, named.clone()));
                    pending.push(named.clone());
                }
            }
        }
        events.into_iter().map(|(_, id)| id).collect()
    }

    /// The conflicted state subgraph: events on the paths from one conflicted event to another, those included.
    fn between(&self, conflicted: &HashMap<OwnedEventId, States>) -> EventIdSet<OwnedEventId> {
        let number = |id: &OwnedEventId| Some((self.known.number(id)?, id.clone()));
        let mut pending: Vec<Numbered> = conflicted.keys().filter_map(number).collect();
        let first = pending.iter().map(|(number, _)| *number).min();
        let mut reached: BTreeMap<Numbered, Vec<Numbered>> = BTreeMap::new();
        while let Some(event) = pending.pop() {
            let Entry::Vacant(place) = reached.entry(event) else {
                continue;
            };
            let mut named = self.auth_events(&place.key().1);
            // Below the first conflicted event no path leads to one.
            named.retain(|(number, _)| Some(*number) >= first);
            pending.extend(named.iter().cloned());
            place.insert(named);
        }
        let mut between = EventIdSet::new();
        for ((_, id), named) in reached {
            if conflicted.contains_key(&id) || named.iter().any(|(_, id)| between.contains(id)) {
                between.insert(id);
            }
        }
        between
    }

    fn auth_events(&self, id: &EventId) -> Vec<Numbered> {
        let Some(event) = self.known.event(id) else {
            return Vec::new();
        };
        let number = |id: &OwnedEventId| Some((self.known.number(id)?, id.clone()));
        event.auth_events.iter().filter_map(number).collect()
    }
}
