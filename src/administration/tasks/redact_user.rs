//! Redacts what a user has said, in some rooms or in all that they are in.

use rooms::RoomError;
use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{Pos, UserNid};

use super::{Task, json_of, run::Step};
use crate::{Administration, AdministrationError};

/// Events of a room that are looked at in one step. Each that is redacted is a commit of its own; what a crash cuts off
/// is looked at again, and is redacted already.
const EVENTS: usize = 100;

/// Events that could not be redacted, of which it is told why.
const MAX_FAILED: usize = 1_000;

/// Events to be redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RedactUser {
    /// Whose.
    pub user_id: OwnedUserId,
    /// Where; in every room that the user is in where there is none.
    #[serde(default)]
    pub rooms: Vec<OwnedRoomId>,
    /// Why, for everybody to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// At most so many in each room, the latest.
    pub limit: u64,
    /// Who redacts; the user themselves, if nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redacted_by: Option<OwnedUserId>,
}

/// Where it is: the rooms that are left, the one being looked at first, how many were redacted there and before which
/// position to go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct At {
    rooms: Option<Vec<OwnedRoomId>>,
    redacted: u64,
    before: Option<i64>,
}

pub(super) async fn step(
    administration: &Administration,
    task: &mut Task,
    job: &RedactUser,
) -> Result<Step, AdministrationError> {
    let rooms = &administration.0.rooms;
    let mut at: At = serde_json::from_value(task.at.clone()).unwrap_or_default();
    let Some(left) = &mut at.rooms else {
        let wanted = if job.rooms.is_empty() {
            rooms.joined_rooms(&job.user_id).await?
        } else {
            job.rooms.clone()
        };
        task.total = wanted.len() as u64;
        task.result = json!({ "redacted": 0, "failed_redactions": {} });
        at.rooms = Some(wanted);
        task.at = json_of(&at)?;
        administration.save(task).await?;
        return Ok(Step::More);
    };
    let Some(room_id) = left.first().cloned() else {
        return Ok(Step::Done);
    };
    let user = rooms
        .store()
        .interner()
        .find::<UserNid>(job.user_id.as_str());
    let next = match (rooms.nid(&room_id).await, user.await?) {
        (Ok(room), Some(user)) => {
            let before = at.before.map_or(Pos::MAX, Pos);
            let (sent, next) = rooms.sent_by(room, user, before, EVENTS).await?;
            for event in sent {
                if at.redacted >= job.limit {
                    break;
                }
                if is_redactable(&event)
                    && redact(administration, task, job, &room_id, &event).await?
                {
                    at.redacted += 1;
                }
            }
            next.filter(|_| at.redacted < job.limit)
        }
        // A room that is not here has nothing of theirs.
        (Err(RoomError::UnknownRoom), _) | (Ok(_), None) => None,
        (Err(error), _) => return Err(error.into()),
    };
    at.before = next.map(|next| next.0);
    if next.is_none() {
        if let Some(left) = &mut at.rooms {
            left.remove(0);
        }
        at.redacted = 0;
        task.done += 1;
    }
    task.at = json_of(&at)?;
    administration.save(task).await?;
    Ok(Step::More)
}

/// What somebody says, and how they call themselves. Other state is the room's, and a redaction redacts nobody.
fn is_redactable(event: &rooms::Event) -> bool {
    let is_said = !event.is_state() && &*event.event_type != "m.room.redaction";
    event.redacted_by.some().is_none() && (is_said || event.member().is_some())
}

/// Whether it was.
async fn redact(
    administration: &Administration,
    task: &mut Task,
    job: &RedactUser,
    room_id: &OwnedRoomId,
    event: &rooms::Event,
) -> Result<bool, AdministrationError> {
    let by = job.redacted_by.as_ref().unwrap_or(&job.user_id);
    let (rooms, reason) = (&administration.0.rooms, job.reason.as_deref());
    let redacted = rooms
        .redact(room_id, by, &event.event_id, reason, None)
        .await;
    let error = match redacted {
        Ok(_) => {
            let redacted = task.result["redacted"].as_u64().unwrap_or(0);
            task.result["redacted"] = json!(redacted + 1);
            return Ok(true);
        }
        Err(RoomError::Store(error)) => return Err(error.into()),
        Err(error) => error,
    };
    if !task.result["failed_redactions"].is_object() {
        task.result["failed_redactions"] = Value::Object(Map::new());
    }
    if let Some(failed) = task.result["failed_redactions"].as_object_mut()
        && failed.len() < MAX_FAILED
    {
        failed.insert(event.event_id.to_string(), json!(error.to_string()));
    }
    Ok(false)
}
