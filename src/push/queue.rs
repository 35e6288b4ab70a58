//! What waits to be sent to a pusher, in the table `PushQueue`.

use ruma::push::Action;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{
    Batch, Pos, Raw, RoomNid, Rsn, Scan, StoreError, Table,
    tables::{PushQueue, Pushers},
};

use crate::{Push, lane::LaneKey};

/// One notification that waits. Which event it is of; the rest is looked up when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    room: u32,
    rsn: u32,
    /// When it was queued, in milliseconds since the Unix epoch.
    pub(crate) since_ms: u64,
    /// `tweaks`, as the rule that notified says.
    pub(crate) tweaks: Map<String, Value>,
}

impl Waiting {
    pub(crate) fn new(room: RoomNid, rsn: Rsn, since_ms: u64, actions: &[Action]) -> Self {
        Self {
            room: room.0,
            rsn: rsn.0,
            since_ms,
            tweaks: tweaks(actions),
        }
    }

    pub(crate) fn event(&self) -> (RoomNid, Rsn) {
        (RoomNid(self.room), Rsn(self.rsn))
    }

    /// Whether the user is to be disturbed: Synapse's rule.
    pub(crate) fn is_urgent(&self, event_type: &str) -> bool {
        // What an encrypted event says nobody knows here.
        event_type == "m.room.encrypted"
            || self.tweaks.contains_key("sound")
            || self.tweaks.get("highlight") == Some(&Value::Bool(true))
    }

    pub(crate) fn to_row(&self) -> Result<Raw, StoreError> {
        Raw::json(self).map_err(corrupt)
    }
}

/// "If a `highlight` tweak is given with no value, its value is defined to be `true`."
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#actions)
fn tweaks(actions: &[Action]) -> Map<String, Value> {
    let actions = actions.iter().map(serde_json::to_value);
    let tweaks = actions.filter_map(|action| {
        let Ok(Value::Object(mut action)) = action else {
            return None;
        };
        let name = action.get("set_tweak")?.as_str()?.to_owned();
        let value = action.remove("value").unwrap_or(Value::Bool(true));
        Some((name, value))
    });
    tweaks.collect()
}

fn corrupt(source: store::CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: PushQueue::NAME,
        source,
    }
}

impl Push {
    /// Every pusher for which something waits.
    pub(crate) async fn waiting(&self) -> Result<Vec<LaneKey>, StoreError> {
        let rows = Scan::prefix::<PushQueue>(&());
        let rows = self.0.rooms.store().scan::<PushQueue>(rows).await?;
        let mut lanes: Vec<LaneKey> = rows
            .into_iter()
            .map(|((user, app_id, pushkey, _), _)| (user, app_id, pushkey))
            .collect();
        lanes.dedup();
        Ok(lanes)
    }

    /// What waits longest.
    pub(crate) async fn first(&self, lane: &LaneKey) -> Result<Option<(Pos, Waiting)>, StoreError> {
        let rows = Scan::prefix::<PushQueue>(lane).limit(1);
        let rows = self.0.rooms.store().scan::<PushQueue>(rows).await?;
        let Some(((.., pos), raw)) = rows.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some((pos, raw.parse().map_err(corrupt)?)))
    }

    /// The positions of all that waits.
    pub(crate) async fn positions(&self, lane: &LaneKey) -> Result<Vec<Pos>, StoreError> {
        let rows = Scan::prefix::<PushQueue>(lane).limit(self.0.options.max_queued);
        let rows = self.0.rooms.store().scan::<PushQueue>(rows).await?;
        Ok(rows.into_iter().map(|((.., pos), _)| pos).collect())
    }

    /// It need not be sent any more.
    pub(crate) async fn done(&self, lane: &LaneKey, pos: Pos) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.delete::<PushQueue>(&(lane.0, lane.1.clone(), lane.2.clone(), pos));
        // Lost by a power cut, it is sent once more.
        batch.relax();
        self.0.rooms.store().commit(batch).await?;
        Ok(())
    }

    /// Nothing need be sent to a pusher that is gone, unless it has come back.
    pub(crate) async fn drop_queue(&self, lane: &LaneKey) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.guard_absent::<Pushers>(lane);
        batch.delete_prefix::<PushQueue>(lane);
        batch.relax();
        match self.0.rooms.store().commit(batch).await {
            Ok(_) | Err(StoreError::Guard) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn actions_become_tweaks_and_urgency() {
        let rows = [
            (json!(["notify"]), "m.room.message", json!({}), false),
            (json!(["notify"]), "m.room.encrypted", json!({}), true),
            (
                json!(["notify", {"set_tweak": "highlight"}]),
                "m.room.message",
                json!({"highlight": true}),
                true,
            ),
            (
                json!(["notify", {"set_tweak": "highlight", "value": false}]),
                "m.room.message",
                json!({"highlight": false}),
                false,
            ),
            (
                json!(["notify", {"set_tweak": "sound", "value": "ring"}, {"set_tweak": "own", "value": [1]}]),
                "m.call.invite",
                json!({"sound": "ring", "own": [1]}),
                true,
            ),
        ];
        for (actions, event_type, tweaks, urgent) in rows {
            let parsed: Vec<Action> = serde_json::from_value(actions.clone()).unwrap();
            let waiting = Waiting::new(RoomNid(1), Rsn(2), 3, &parsed);
            assert_eq!(Value::Object(waiting.tweaks.clone()), tweaks, "{actions}");
            assert_eq!(waiting.is_urgent(event_type), urgent, "{actions}");
            let row = waiting.to_row().unwrap();
            assert_eq!(row.parse::<Waiting>().unwrap(), waiting);
        }
    }
}
