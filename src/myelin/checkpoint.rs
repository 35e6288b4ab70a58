//! A copy of the database for a command: of the server that runs here, or of the data directory where none does.

use std::{
    error::Error,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use administration::CHECKPOINTS;
use command_line::{Client, Socket};
use config::Config;
use host::Host;
use serde_json::json;
use store::Store;

use crate::{data_dir::DataDir, opening::store_options};

/// A copy; removed with this.
pub(crate) struct Copied {
    pub(crate) path: PathBuf,
    /// Everything up to here is in it.
    pub(crate) position: i64,
}

impl Drop for Copied {
    fn drop(&mut self) {
        // What is left is cleared away by a later command.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whose copies nobody wants any more: a backup of terabytes may take a day.
const FORGOTTEN: Duration = Duration::from_hours(48);

/// Whether a server runs in the data directory.
pub(crate) fn is_running(config: &Config) -> Result<bool, Box<dyn Error>> {
    let socket = Socket(DataDir::socket_of(&config.data_dir));
    Ok(runtime()?.block_on(socket.is_served())?)
}

/// Copies the database as it is now.
pub(crate) fn copy(config: &Config, host: &Host) -> Result<Copied, Box<dyn Error>> {
    let folder = config.data_dir.join(CHECKPOINTS);
    clear_forgotten(&folder);
    if is_running(config)? {
        return ask(config, &folder, host);
    }
    if !config.data_dir.join("db").is_dir() {
        let message = format!("{} holds no server", config.data_dir.display());
        return Err(message.into());
    }
    let data = DataDir::open(&config.data_dir)?;
    // Whoever holds the database's lock owns the directory.
    let store = Store::open(&store_options(config, &data), host.clone())?;
    data.claim(&config.server_name)?;
    let mut maker = fs::DirBuilder::new();
    maker.recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(host.random_string(12));
    let position = runtime()?.block_on(async {
        let position = store.checkpoint(&path).await;
        store.close().await;
        position
    })?;
    Ok(Copied {
        path,
        position: position.0,
    })
}

/// Asks the server that runs.
fn ask(config: &Config, folder: &Path, host: &Host) -> Result<Copied, Box<dyn Error>> {
    let socket = Socket(DataDir::socket_of(&config.data_dir));
    let client = Client::new(&socket, host.clone());
    let answer = runtime()?.block_on(client.post("/_myelin/admin/v1/checkpoints", &json!({})))?;
    let name = answer["name"].as_str();
    // A name, and no way out of the folder.
    let name = name.filter(|name| name.chars().all(|letter| letter.is_ascii_alphanumeric()));
    let (Some(name), Some(position)) = (name, answer["position"].as_i64()) else {
        return Err("the server that runs here is of another version: restart it first".into());
    };
    Ok(Copied {
        path: folder.join(name),
        position,
    })
}

/// Removes copies that a command was killed over.
fn clear_forgotten(folder: &Path) {
    // What cannot be cleared away now can be later.
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let made = entry.metadata().and_then(|metadata| metadata.modified());
        let age = made.ok().and_then(|made| made.elapsed().ok());
        if age.is_some_and(|age| age > FORGOTTEN) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}
