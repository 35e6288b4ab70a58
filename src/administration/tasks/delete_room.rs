//! Deletes a room: everybody leaves it, or moves to another, and every row of it goes. The stages are those of
//! `rooms::removal`, which says why they come in this order.

use rooms::{Creation, Preset, RoomError};
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::to_raw_value};
use store::{Batch, RoomNid, Rsn, UserNid, rows::Membership};

use super::{Task, json_of, run::Step};
use crate::{Administration, AdministrationError};

/// Members that leave, or go out of the room's books, in one step.
const MEMBERS: usize = 50;

/// What Synapse calls the new room, and what it says there.
const ROOM_NAME: &str = "Content Violation Notification";
const MESSAGE: &str = "Sharing illegal content on this server is not permitted and rooms in violation will be blocked.";

/// A room to be deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeleteRoom {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Nobody enters it again.
    #[serde(default)]
    pub block: bool,
    /// Its rows go; otherwise it stays as an empty room.
    pub purge: bool,
    /// They go even if somebody cannot leave.
    #[serde(default)]
    pub force_purge: bool,
    /// Who creates a room to which everybody moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_room_user_id: Option<OwnedUserId>,
    /// How that is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_name: Option<String>,
    /// What its creator says there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a deletion is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
enum At {
    #[default]
    Begin,
    /// Users with this number and greater have yet to leave.
    Leave {
        from: u32,
    },
    Unlist,
    /// Users with this number and greater have yet to be parted from the room.
    Part {
        from: u32,
    },
    Close,
    /// Events after this one have yet to be unlisted.
    Events {
        after: u32,
    },
    /// The search index has yet to catch up.
    Settle {
        tries: u32,
    },
    Erase,
}

/// What has come of it, in Synapse's words.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Outcome {
    kicked_users: Vec<String>,
    failed_to_kick_users: Vec<String>,
    local_aliases: Vec<String>,
    new_room_id: Option<OwnedRoomId>,
}

/// How often the search index is waited for, a tenth of a second and more each time: what it may leave behind without
/// that is a row that leads nowhere.
const TRIES: u32 = 30;

fn at(value: &Value) -> At {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// Once users have gone out of its books the room is no room any more.
pub(super) fn can_be_cancelled(value: &Value) -> bool {
    matches!(at(value), At::Begin | At::Leave { .. } | At::Unlist)
}

/// Lets people in again, if the room stays.
pub(super) async fn undo(
    administration: &Administration,
    task: &Task,
    job: &DeleteRoom,
) -> Result<(), AdministrationError> {
    let rooms = &administration.0.rooms;
    let blocked = rooms.blocked(&job.room_id).await?;
    if can_be_cancelled(&task.at) && blocked.is_some_and(|blocked| blocked.until_deleted) {
        rooms.unblock(&job.room_id).await?;
    }
    Ok(())
}

/// What a step works on.
struct Deletion<'a> {
    administration: &'a Administration,
    task: &'a mut Task,
    job: &'a DeleteRoom,
    room: RoomNid,
}

pub(super) async fn step(
    administration: &Administration,
    task: &mut Task,
    job: &DeleteRoom,
) -> Result<Step, AdministrationError> {
    let room = administration.0.rooms.nid(&job.room_id).await?;
    let mut deletion = Deletion {
        administration,
        task,
        job,
        room,
    };
    match at(&deletion.task.at) {
        At::Begin => deletion.begin().await,
        At::Leave { from } => deletion.leave(UserNid(from)).await,
        At::Unlist => deletion.unlist().await,
        At::Part { from } => deletion.part(UserNid(from)).await,
        At::Close => deletion.close().await,
        At::Events { after } => deletion.events(Rsn(after)).await,
        At::Settle { tries } => deletion.settle(tries).await,
        At::Erase => deletion.erase().await,
    }
}

impl Deletion<'_> {
    /// Notes where the task is, for the row.
    fn go_to(&mut self, at: &At) -> Result<(), AdministrationError> {
        self.task.at = json_of(at)?;
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        serde_json::from_value(self.task.result.clone()).unwrap_or_default()
    }

    async fn save(&self) -> Result<Step, AdministrationError> {
        self.administration.save(self.task).await?;
        Ok(Step::More)
    }

    /// Keeps everybody out, and makes the room to which they move.
    async fn begin(&mut self) -> Result<Step, AdministrationError> {
        let (rooms, job) = (&self.administration.0.rooms, self.job);
        if job.block {
            rooms.block(&job.room_id, &self.task.by).await?;
        } else {
            let by = &self.task.by;
            rooms.block_until_deleted(&job.room_id, by).await?;
        }
        let mut outcome = self.outcome();
        // It may be there already, after a crash: then an empty room is left behind, which harms nobody.
        if let (Some(creator), None) = (&job.new_room_user_id, &outcome.new_room_id) {
            outcome.new_room_id = Some(self.new_room(creator).await?);
        }
        self.task.result = json_of(&outcome)?;
        let events = match rooms.head(self.room).await {
            Ok(head) => u64::from(head.last_rsn.0),
            // Cut off before.
            Err(RoomError::UnknownRoom) => 0,
            Err(error) => return Err(error.into()),
        };
        let members = rooms.members(self.room).await?.len() as u64;
        self.task.total = members + if job.purge { members + events } else { 0 };
        self.go_to(&At::Leave { from: 0 })?;
        self.save().await
    }

    async fn new_room(&self, creator: &UserId) -> Result<OwnedRoomId, AdministrationError> {
        let rooms = &self.administration.0.rooms;
        let name = self.job.room_name.as_deref().unwrap_or(ROOM_NAME);
        let creation = Creation {
            creator: creator.to_owned(),
            published: false,
            alias_localpart: None,
            name: Some(name.to_owned()),
            topic: None,
            preset: Preset::PublicChat,
            room_version: None,
            creation_content: Map::new(),
            initial_state: Vec::new(),
            // Those who are moved here do not speak.
            power_level_content_override: Map::from_iter([(
                "users_default".to_owned(),
                json!(-10),
            )]),
            invite: Vec::new(),
            is_direct: false,
        };
        let new = rooms.create(creation).await?;
        let body = self.job.message.as_deref().unwrap_or(MESSAGE);
        let content = to_raw_value(&json!({ "msgtype": "m.text", "body": body }))
            .map_err(|error| RoomError::BadJson(error.to_string()))?;
        rooms
            .send_message(&new, creator, "m.room.message", &content, None)
            .await?;
        Ok(new)
    }

    /// Some members leave, each by themselves, and enter the new room.
    async fn leave(&mut self, from: UserNid) -> Result<Step, AdministrationError> {
        let rooms = &self.administration.0.rooms;
        let members = rooms.local_members(self.room, from, MEMBERS).await?;
        let leaving = members.iter().filter(|(_, _, membership)| {
            matches!(
                membership,
                Membership::Join | Membership::Invite | Membership::Knock
            )
        });
        let leaving: Vec<_> = leaving.map(|(_, user_id, _)| user_id).collect();
        let mut outcome = self.outcome();
        for user_id in &leaving {
            if !outcome.kicked_users.contains(&user_id.to_string()) {
                outcome.kicked_users.push(user_id.to_string());
            }
        }
        if !leaving.is_empty() {
            // Before they do: whoever has left when it is cut off is on the list.
            self.task.result = json_of(&outcome)?;
            self.administration.save(self.task).await?;
        }
        for user_id in leaving {
            self.leave_one(user_id, &mut outcome).await?;
        }
        self.task.result = json_of(&outcome)?;
        self.task.done += members.len() as u64;
        match members.last() {
            Some((last, ..)) if members.len() == MEMBERS => self.go_to(&At::Leave {
                from: last.0.saturating_add(1),
            })?,
            _ => self.go_to(&At::Unlist)?,
        }
        self.save().await
    }

    async fn leave_one(
        &self,
        user_id: &UserId,
        outcome: &mut Outcome,
    ) -> Result<(), AdministrationError> {
        let (rooms, room_id) = (&self.administration.0.rooms, &self.job.room_id);
        match rooms.leave_for_good(room_id, user_id).await {
            Ok(()) => {}
            Err(RoomError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(user.id = %user_id, room.id = %room_id, %error, "a member does not leave");
                outcome.kicked_users.retain(|user| user != user_id.as_str());
                outcome.failed_to_kick_users.push(user_id.to_string());
                return Ok(());
            }
        }
        if let Some(new) = &outcome.new_room_id
            && let Err(error) = rooms.join(new, user_id, Map::new()).await
        {
            tracing::warn!(user.id = %user_id, room.id = %new, %error, "a member does not move");
        }
        Ok(())
    }

    async fn unlist(&mut self) -> Result<Step, AdministrationError> {
        let rooms = &self.administration.0.rooms;
        let mut outcome = self.outcome();
        let heir = match &outcome.new_room_id {
            Some(new) => Some(rooms.nid(new).await?),
            None => None,
        };
        let aliases = rooms.unlist(self.room, heir).await?;
        if heir.is_some() {
            outcome.local_aliases.extend(aliases);
        }
        self.task.result = json_of(&outcome)?;
        if self.job.purge {
            if !outcome.failed_to_kick_users.is_empty() && !self.job.force_purge {
                let message =
                    "some members do not leave; `force_purge` deletes the room all the same";
                return Err(RoomError::Forbidden(message.to_owned()).into());
            }
            self.go_to(&At::Part { from: 0 })?;
            return self.save().await;
        }
        let blocked = rooms.blocked(&self.job.room_id).await?;
        if blocked.is_some_and(|blocked| blocked.until_deleted) {
            rooms.unblock(&self.job.room_id).await?;
        }
        Ok(Step::Done)
    }

    async fn part(&mut self, from: UserNid) -> Result<Step, AdministrationError> {
        let rooms = &self.administration.0.rooms;
        let members = rooms.local_members(self.room, from, MEMBERS).await?;
        let users: Vec<_> = members
            .into_iter()
            .map(|(user, id, _)| (user, id))
            .collect();
        self.task.done += users.len() as u64;
        match users.last() {
            Some((last, _)) if users.len() == MEMBERS => self.go_to(&At::Part {
                from: last.0.saturating_add(1),
            })?,
            _ => self.go_to(&At::Close)?,
        }
        let mut batch = Batch::new();
        self.task.put(&mut batch)?;
        rooms
            .part((self.room, &self.job.room_id), &users, batch)
            .await?;
        Ok(Step::More)
    }

    async fn close(&mut self) -> Result<Step, AdministrationError> {
        self.go_to(&At::Events { after: 0 })?;
        let mut batch = Batch::new();
        self.task.put(&mut batch)?;
        let rooms = &self.administration.0.rooms;
        rooms.close(self.room, self.job.force_purge, batch).await?;
        Ok(Step::More)
    }

    async fn events(&mut self, after: Rsn) -> Result<Step, AdministrationError> {
        let rooms = self.administration.0.rooms.clone();
        let task = &mut *self.task;
        let fill = |batch: &mut Batch, last: Option<Rsn>| {
            let at = match last {
                Some(last) => At::Events { after: last.0 },
                None => At::Settle { tries: 0 },
            };
            task.done += u64::from(last.map_or(0, |last| last.0 - after.0));
            task.at = json_of(&at)?;
            task.put(batch)?;
            Ok(())
        };
        rooms.unlist_events(self.room, after, fill).await?;
        Ok(Step::More)
    }

    /// What the search index still had in hand when the log was emptied is to be in it before it is emptied too.
    async fn settle(&mut self, tries: u32) -> Result<Step, AdministrationError> {
        if !self.administration.0.search.settle().await && tries < TRIES {
            self.go_to(&At::Settle { tries: tries + 1 })?;
            return Ok(Step::Later);
        }
        self.go_to(&At::Erase)?;
        Ok(Step::More)
    }

    async fn erase(&mut self) -> Result<Step, AdministrationError> {
        let mut batch = Batch::new();
        self.task.put(&mut batch)?;
        let rooms = &self.administration.0.rooms;
        rooms.erase((self.room, &self.job.room_id), batch).await?;
        Ok(Step::Done)
    }
}
