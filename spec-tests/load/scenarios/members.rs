//! Large rooms: who comes, who goes, who is there.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::reading::must_be;
use super::{Made, Numbers, Stage, with_rooms};
use crate::Result;
use crate::client::room_path;
use crate::target::Target;

/// Users who come and go.
const COMING: usize = 8;
/// Joins and leaves of a round, as fast as they go.
const COMINGS: usize = 40;
/// Lists of a round, as fast as they go.
const LISTS: usize = 20;

/// A room with so many members: its first user and those after it.
async fn hall(target: &Target, members: usize) -> Result<Made> {
    let name = format!("hall of {members}");
    target
        .library
        .get(name, with_rooms(target, members, 1))
        .await
}

/// An operation is a join and a leave of the same user.
pub async fn churn(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let hall = hall(&target, numbers.some(0)).await?;
    let users = target.users(COMING).await?.into_iter();
    // Each comes and goes one time after the other.
    let users: Vec<_> = users.map(|user| Arc::new(Mutex::new(user))).collect();
    let room = hall.rooms[0].clone();
    Ok(Stage::each(COMING, COMINGS, move |index| {
        let (user, room) = (Arc::clone(&users[index % users.len()]), room.clone());
        async move {
            let user = user.lock().await;
            user.join(&room).await?;
            user.leave(&room).await.map(drop)
        }
    }))
}

pub async fn list(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let members = numbers.some(0);
    let hall = hall(&target, members).await?;
    let path = room_path(&hall.rooms[0], "members?membership=join");
    Ok(Stage::each(1, LISTS, move |index| {
        let (user, path) = (hall.users[index % members].clone(), path.clone());
        async move { must_be(user.get(&path).await?.chunk_len()?, members, "members") }
    }))
}
