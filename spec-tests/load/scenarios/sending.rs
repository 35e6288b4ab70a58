//! Messages: by one, by many in one room, by many over many rooms.

use std::sync::Arc;

use super::{BODY, Made, Numbers, Stage, in_tasks, with_rooms};
use crate::Result;
use crate::target::Target;

/// Writers over many rooms.
const WRITERS: usize = 32;

pub async fn one_writer(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let made = with_rooms(&target, 1, 1).await?;
    Ok(writing(&target, made, 1, numbers.some(0)))
}

pub async fn one_room(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let writers = numbers.some(0);
    let made = with_rooms(&target, writers, 1).await?;
    Ok(writing(&target, made, writers, numbers.some(1)))
}

pub async fn many_rooms(target: Arc<Target>, numbers: Numbers) -> Result<Stage> {
    let rooms = numbers.some(0);
    let writers = WRITERS.min(rooms);
    let users = target.users(writers).await?;
    let owners = users.clone();
    // In the order of their numbers, so that a message goes into a room of its writer.
    let mut made = in_tasks(8, rooms, move |index| {
        let owner = owners[index % writers].clone();
        async move { Ok((index, owner.create_room().await?)) }
    })
    .await?;
    made.sort_unstable();
    let rooms = made.into_iter().map(|(_, room)| room).collect();
    Ok(writing(
        &target,
        Made { users, rooms },
        writers,
        numbers.some(1),
    ))
}

/// The message with number n is by user n into room n, each modulo how many there are.
fn writing(target: &Target, made: Made, writers: usize, count: usize) -> Stage {
    let run = target.fresh("txn");
    // A room's writer must be in it: rooms are a multiple of one writer's, or one.
    let each = made.rooms.len() / made.users.len();
    Stage::each(writers, count, move |index| {
        let writer = index % made.users.len();
        let room = if each == 0 {
            0
        } else {
            writer + made.users.len() * (index / made.users.len() % each)
        };
        let (user, room) = (made.users[writer].clone(), made.rooms[room].clone());
        let transaction = format!("{run}-{index}");
        async move { user.send(&room, &transaction, BODY).await.map(drop) }
    })
}
