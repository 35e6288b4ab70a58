//! Removes what was said in a room before some event. The stages are those of `rooms::history`.

use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Batch, Pos, RoomNid, UserNid};

use super::{Task, json_of, run::Step};
use crate::{Administration, AdministrationError};

/// History to be removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PurgeHistory {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The position of the first event that stays, whatever it is.
    pub before: i64,
    /// What users of this server have said goes, too.
    pub delete_local_events: bool,
}

/// Where a purge is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
enum At {
    #[default]
    Begin,
    /// The search index has yet to catch up.
    Settle {
        tries: u32,
    },
    /// Users with this number and greater have yet to be marked.
    Marks {
        from: u32,
    },
    Horizon,
    /// Events behind this position have yet to go.
    Events {
        after: i64,
    },
    /// The search index may have brought back some.
    Sweep {
        tries: u32,
    },
}

/// How often the search index is waited for; `myelin check --repair` would make the rest good.
const TRIES: u32 = 30;

fn at(value: &Value) -> At {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// While marks are being raised they do not say the same; otherwise it may stop wherever it is.
pub(super) fn can_be_cancelled(value: &Value) -> bool {
    !matches!(at(value), At::Marks { .. } | At::Horizon)
}

pub(super) async fn step(
    administration: &Administration,
    task: &mut Task,
    job: &PurgeHistory,
) -> Result<Step, AdministrationError> {
    let rooms = &administration.0.rooms;
    let (search, horizon) = (&administration.0.search, Pos(job.before));
    let room = rooms.nid(&job.room_id).await?;
    match at(&task.at) {
        At::Begin => {
            task.result = json!({ "removed": 0 });
            // Every event here was sent here: there is no other server yet.
            if !job.delete_local_events {
                return Ok(Step::Done);
            }
            task.total = u64::from(rooms.head(room).await?.last_rsn.0);
            task.at = json_of(&At::Settle { tries: 0 })?;
        }
        At::Settle { tries } if tries < TRIES && !search.settle().await => {
            task.at = json_of(&At::Settle { tries: tries + 1 })?;
            return Ok(Step::Later);
        }
        At::Settle { .. } => task.at = json_of(&At::Marks { from: 0 })?,
        At::Marks { from } => {
            let next = rooms.raise_marks(room, horizon, UserNid(from)).await?;
            task.at = match next {
                Some(next) => json_of(&At::Marks { from: next.0 })?,
                None => json_of(&At::Horizon)?,
            };
        }
        At::Horizon => {
            task.at = json_of(&At::Events { after: i64::MIN })?;
            let mut batch = Batch::new();
            task.put(&mut batch)?;
            rooms.set_horizon(room, horizon, batch).await?;
            return Ok(Step::More);
        }
        At::Events { after } => {
            return events(administration, task, (room, Pos(after), horizon)).await;
        }
        At::Sweep { tries } if tries < TRIES && !search.settle().await => {
            task.at = json_of(&At::Sweep { tries: tries + 1 })?;
            return Ok(Step::Later);
        }
        At::Sweep { .. } => {
            search.forget_strays(room, horizon).await?;
            return Ok(Step::Done);
        }
    }
    administration.save(task).await?;
    Ok(Step::More)
}

async fn events(
    administration: &Administration,
    task: &mut Task,
    (room, after, horizon): (RoomNid, Pos, Pos),
) -> Result<Step, AdministrationError> {
    let rooms = &administration.0.rooms;
    let keep = async |mut purge: rooms::Purge| {
        let search = &administration.0.search;
        search
            .forget(room, &purge.positions, &mut purge.batch)
            .await?;
        let removed = purge.positions.len() as u64;
        let before = task.result["removed"].as_u64().unwrap_or(0);
        task.result = json!({ "removed": before + removed });
        task.done = (task.done + removed).min(task.total);
        task.at = match purge.reached {
            Some(reached) => json_of(&At::Events { after: reached.0 })?,
            None => json_of(&At::Sweep { tries: 0 })?,
        };
        task.put(&mut purge.batch)?;
        rooms.commit_purge(purge).await
    };
    rooms.purge_page(room, (after, horizon), keep).await?;
    Ok(Step::More)
}
