//! Copies of the database for commands on the same machine, in the data directory.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, path::Path};

use store::{Pos, StoreError};

use crate::{Administration, AdministrationError};

/// Where they lie in the data directory.
pub const CHECKPOINTS: &str = "checkpoints";

/// A copy of the database.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its folder below [`CHECKPOINTS`].
    pub name: String,
    /// Everything up to here is in it.
    pub position: Pos,
}

impl Administration {
    /// Copies the database as it is into a new folder of the data directory. Whoever asked removes it.
    pub async fn checkpoint(&self, data_dir: &Path) -> Result<Checkpoint, AdministrationError> {
        let folder = data_dir.join(CHECKPOINTS);
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|error| {
            StoreError::Engine(format!("{} cannot be made: {error}", folder.display()))
        })?;
        let name = self.0.host.random_string(12);
        let position = self.0.store.checkpoint(&folder.join(&name)).await?;
        Ok(Checkpoint { name, position })
    }
}
