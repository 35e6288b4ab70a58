//! Uploaded files, with the rooms and the people that show them.

use std::collections::HashSet;

use media::{DeleteError, FileInfo};
use ruma::{MxcUri, OwnedMxcUri};
use serde_json::Value;
use store::{RoomNid, UserNid};

use crate::{Administration, AdministrationError};

/// Which files are cleared away.
#[derive(Clone, Copy, Debug)]
pub struct OldFiles {
    /// Uploaded before, in milliseconds since the Unix epoch.
    pub before_ms: u64,
    /// Larger than so many bytes.
    pub larger_than: u64,
    /// Pictures of people and rooms stay.
    pub keep_pictures: bool,
    /// At most so many.
    pub limit: usize,
}

/// The files that a room shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomFiles {
    /// Uploaded here; some may be deleted.
    pub local: Vec<OwnedMxcUri>,
    /// Uploaded elsewhere.
    pub remote: Vec<OwnedMxcUri>,
}

impl Administration {
    /// The files that a room shows.
    pub async fn files_of_room(&self, room: RoomNid) -> Result<RoomFiles, AdministrationError> {
        let files = self.0.rooms.files_of(room).await?;
        let (local, remote) = files
            .into_iter()
            .partition(|uri| self.local_id(uri).is_some());
        Ok(RoomFiles { local, remote })
    }

    /// Puts everything that a room shows into quarantine; gives how many files were served before.
    pub async fn quarantine_room(
        &self,
        room: RoomNid,
        by: &str,
    ) -> Result<usize, AdministrationError> {
        let mut count = 0;
        for uri in self.files_of_room(room).await?.local {
            if let Some(media_id) = self.local_id(&uri) {
                count += usize::from(self.quarantine(media_id, by).await?);
            }
        }
        Ok(count)
    }

    /// Puts everything that a user has uploaded into quarantine; gives how many files were served before.
    pub async fn quarantine_user(
        &self,
        user: UserNid,
        by: &str,
    ) -> Result<usize, AdministrationError> {
        let mut count = 0;
        for file in self.0.media.of_user(user, 0, usize::MAX).await?.files {
            count += usize::from(self.quarantine(&file.media_id, by).await?);
        }
        Ok(count)
    }

    async fn quarantine(&self, media_id: &str, by: &str) -> Result<bool, AdministrationError> {
        match self.0.media.quarantine(media_id, by).await {
            Ok(was_served) => Ok(was_served),
            // Deleted, and still shown.
            Err(DeleteError::NotFound) => Ok(false),
            Err(DeleteError::Store(error)) => Err(error.into()),
        }
    }

    /// Deletes old files, the oldest first, but not protected ones; gives their media ids.
    pub async fn delete_old_files(
        &self,
        which: OldFiles,
    ) -> Result<Vec<String>, AdministrationError> {
        let is_old = |file: &FileInfo| {
            file.created_ms < which.before_ms && file.size > which.larger_than && !file.protected
        };
        let mut files = self.0.media.uploads(is_old).await?;
        if which.keep_pictures && !files.is_empty() {
            let pictures = self.pictures(&files).await?;
            files.retain(|file| !pictures.contains(&file.media_id));
        }
        files
            .sort_unstable_by(|a, b| (a.created_ms, &a.media_id).cmp(&(b.created_ms, &b.media_id)));
        let mut deleted = Vec::new();
        for file in files.into_iter().take(which.limit) {
            match self.0.media.delete(&file.media_id).await {
                Ok(()) => deleted.push(file.media_id),
                // By somebody else, a moment ago.
                Err(DeleteError::NotFound) => {}
                Err(DeleteError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(deleted)
    }

    /// The media ids of this server that are somebody's or some room's picture; of pictures that people have in one room
    /// alone, those of the owners of `files`.
    async fn pictures(&self, files: &[FileInfo]) -> Result<HashSet<String>, AdministrationError> {
        let mut accounts = self.0.users.accounts(|_, _| true).await?;
        self.0.users.describe(&mut accounts).await?;
        let mut uris: Vec<String> = accounts
            .into_iter()
            .filter_map(|account| account.avatar_url)
            .collect();
        for (room, _) in self.0.rooms.all_rooms().await? {
            let event = self.0.rooms.state_event(room, "m.room.avatar", "").await?;
            uris.extend(event.and_then(|event| text(event.content(), "url")));
        }
        let owners: HashSet<UserNid> = files.iter().filter_map(|file| file.owner).collect();
        for owner in owners {
            for (room, row) in self.0.rooms.rooms_of_nid(owner).await? {
                let event = self.0.rooms.event(room, row.member.rsn).await?;
                uris.extend(text(event.content(), "avatar_url"));
            }
        }
        Ok(uris
            .iter()
            .filter_map(|uri| self.local_id(<&MxcUri>::from(uri.as_str())))
            .map(str::to_owned)
            .collect())
    }

    /// The media id in a URI of this server.
    fn local_id<'a>(&self, uri: &'a MxcUri) -> Option<&'a str> {
        let (server, media_id) = uri.parts().ok()?;
        self.0.media.is_local(server).then_some(media_id)
    }
}

/// A text in a JSON object.
fn text(content: &str, key: &str) -> Option<String> {
    let content: Value = serde_json::from_str(content).ok()?;
    content[key].as_str().map(str::to_owned)
}
