//! What takes how much space, as the database estimates it: exact figures would mean to read everything.

use ruma::OwnedRoomId;
use store::{
    Extent, RoomNid,
    tables::{
        self, CurrentState, Events, Members, Parents, ReadThreads, ReadUpTo, ReceiptLog, Receipts,
        Relations, SearchPostings, SearchTexts, StateHistory, StateLog, Threads, Timeline,
        Uncounted,
    },
};

use crate::{Administration, AdministrationError};

/// What one table takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub table: &'static str,
    /// Its column family.
    pub family: &'static str,
    /// Bytes on the disk, about.
    pub bytes: u64,
}

/// What one room takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSize {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Bytes in the database, about; files are not in it.
    pub bytes: u64,
}

impl Administration {
    /// The tables, the largest first.
    pub async fn size_by_table(&self) -> Result<Vec<TableSize>, AdministrationError> {
        let extents = tables::ALL
            .iter()
            .map(|(_, family, prefix)| Extent::table(*family, *prefix));
        let sizes = self.0.store.approximate_bytes(extents.collect()).await?;
        let mut found: Vec<TableSize> = tables::ALL
            .iter()
            .zip(sizes)
            .map(|((table, family, _), bytes)| TableSize {
                table,
                family: family.name(),
                bytes,
            })
            .collect();
        found.sort_unstable_by_key(|size| (u64::MAX - size.bytes, size.table));
        Ok(found)
    }

    /// The largest rooms, at most `limit` of them, the largest first.
    pub async fn size_by_room(&self, limit: usize) -> Result<Vec<RoomSize>, AdministrationError> {
        let rooms: Vec<RoomNid> = self
            .0
            .rooms
            .all_rooms()
            .await?
            .into_iter()
            .map(|(room, _)| room)
            .collect();
        let extents: Vec<Extent> = rooms.iter().flat_map(|room| of_room(*room)).collect();
        let sizes = self.0.store.approximate_bytes(extents).await?;
        let mut found: Vec<(u64, RoomNid)> = sizes
            .chunks(TABLES_OF_A_ROOM)
            .map(|sizes| sizes.iter().sum())
            .zip(rooms)
            .collect();
        found.sort_unstable_by_key(|(bytes, room)| (u64::MAX - bytes, room.0));
        let mut largest = Vec::new();
        for (bytes, room) in found.into_iter().take(limit) {
            largest.push(RoomSize {
                room_id: self.0.rooms.room(room).await?.id.clone(),
                bytes,
            });
        }
        Ok(largest)
    }
}

const TABLES_OF_A_ROOM: usize = 16;

/// The tables that begin with the room's number and grow with it.
fn of_room(room: RoomNid) -> [Extent; TABLES_OF_A_ROOM] {
    [
        Extent::prefix::<Events>(&(room,)),
        Extent::prefix::<Timeline>(&(room,)),
        Extent::prefix::<Relations>(&(room,)),
        Extent::prefix::<Parents>(&(room,)),
        Extent::prefix::<Threads>(&(room,)),
        Extent::prefix::<Uncounted>(&(room,)),
        Extent::prefix::<CurrentState>(&(room,)),
        Extent::prefix::<StateHistory>(&(room,)),
        Extent::prefix::<StateLog>(&(room,)),
        Extent::prefix::<Members>(&(room,)),
        Extent::prefix::<SearchPostings>(&(room,)),
        Extent::prefix::<SearchTexts>(&(room,)),
        Extent::prefix::<Receipts>(&(room,)),
        Extent::prefix::<ReceiptLog>(&(room,)),
        Extent::prefix::<ReadUpTo>(&(room,)),
        Extent::prefix::<ReadThreads>(&(room,)),
    ]
}
