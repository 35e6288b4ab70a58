//! `myelin backup …`: backups of a server that runs or not, rehearsed and brought back.

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use backup::{
    Archive, Created, MediaPlace, MediaSource, Restored, Snapshot, Source, Verified, restore,
    verify,
};
use clap::{Args, Subcommand};
use config::{Config, ConfigError, MediaBackend};
use consistency::CheckOptions;
use host::Host;
use serde_json::{Value, json};

use crate::{
    check::write_finding,
    checkpoint,
    data_dir::DataDir,
    giving_back::GivingBack,
    progress::{Bar, Elsewhere},
};

/// Makes backups that restore.
///
/// A backup holds the database as it is at one moment, the uploaded files, the signing key and the configuration with its
/// secrets: keep it where only you can read it. The server goes on meanwhile. A second backup into the same folder writes
/// only what is new, and each restores by itself. Run it as the server's user.
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = "\
Examples:
  myelin backup create --to /var/backups/myelin    of the server that runs here, or of its data directory
  myelin backup verify /var/backups/myelin         rehearse a restore and check everything; best after each backup
  myelin backup list /var/backups/myelin
  myelin backup restore /var/backups/myelin        into data_dir, which must be empty; then start the server
  myelin backup config /var/backups/myelin > config/myelin.toml    on a new machine, first

Exit codes: 0 done, and all is well; 1 something is wrong with the data; 2 it could not be done.")]
pub(crate) struct Backup {
    #[command(subcommand)]
    what: What,
    /// The result as JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Makes a backup. Each file is read back after it is written.
    #[command(after_help = "\
Examples:
  myelin backup create --to /var/backups/myelin
  myelin backup create --to /var/backups/myelin --full    also reads what earlier backups wrote, and mends it
  myelin backup create --to /mnt/disk --config /etc/myelin/myelin.toml --json | jq .id

Uploads in an S3 bucket are not copied: the backup lists what the bucket must have.")]
    Create {
        /// The folder: a new or an empty one, or one with earlier backups.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Reads what earlier backups have written too, and writes anew what is damaged.
        #[arg(long)]
        full: bool,
    },
    /// Lists the backups in a folder, oldest first.
    List {
        /// The folder.
        directory: PathBuf,
    },
    /// Rehearses a restore in a scratch folder and runs `myelin check` on what it gives.
    #[command(after_help = "\
Examples:
  myelin backup verify /var/backups/myelin
  myelin backup verify /mnt/slow --scratch /var/tmp/rehearsal    needs room for the database, not for the uploads
  myelin backup verify /var/backups/myelin --quick               verifies no signatures")]
    Verify {
        /// The folder.
        directory: PathBuf,
        /// Which backup; otherwise the latest.
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
        /// Where to rehearse, a folder that is made and removed; otherwise inside of DIRECTORY.
        #[arg(long, value_name = "DIR")]
        scratch: Option<PathBuf>,
        /// Verifies no signatures of events.
        #[arg(long)]
        quick: bool,
    },
    /// Brings a backup back into data_dir, which must be empty or not exist.
    ///
    /// Clients that were logged in when the backup was made stay so, and find out by themselves: their next sync starts
    /// over, and they upload new one-time keys. Who logged in later logs in again; what was said later is gone.
    #[command(after_help = "\
Examples:
  myelin backup restore /var/backups/myelin
  myelin backup restore /var/backups/myelin --snapshot 20261122T185500Z-123-Ab12
  myelin backup restore /var/backups/myelin -O data_dir=/srv/myelin")]
    Restore {
        /// The folder.
        directory: PathBuf,
        /// Which backup; otherwise the latest.
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
    },
    /// Prints the configuration of a backup, with its secrets.
    Config {
        /// The folder.
        directory: PathBuf,
        /// Which backup; otherwise the latest.
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
    },
}

/// The name of the configuration in a backup, and after a restore in the data directory.
const CONFIG: &str = "config-of-the-backup.toml";

/// Something is wrong with the data.
const WRONG: u8 = 1;
/// It could not be done.
const NOT_DONE: u8 = 2;

/// Where the options come from.
pub(crate) trait Load {
    /// The options.
    fn config(&self) -> Result<Config, ConfigError>;
    /// What is set, secrets included.
    fn portable(&self) -> Result<String, ConfigError>;
}

/// Does what the command says.
pub(crate) fn backup(command: &Backup, load: &impl Load) -> ExitCode {
    let host = Host::system();
    let elsewhere = if command.json {
        Elsewhere::Nothing
    } else {
        Elsewhere::Lines
    };
    let bar = Bar::new(elsewhere);
    let done = match &command.what {
        What::Create { to, full } => created(to, *full, load, (&host, &bar)),
        What::List { directory } => listed(directory),
        What::Verify {
            directory,
            snapshot,
            scratch,
            quick,
        } => {
            let which = (directory.as_path(), snapshot.as_deref());
            verified(which, scratch.as_deref(), *quick, (&host, &bar))
        }
        What::Restore {
            directory,
            snapshot,
        } => restored((directory, snapshot.as_deref()), load, (&host, &bar)),
        What::Config {
            directory,
            snapshot,
        } => configuration(directory, snapshot.as_deref()),
    };
    bar.clear();
    let told = match done {
        Ok(told) => told,
        Err(error) => {
            eprintln!("myelin: {error}");
            return ExitCode::from(NOT_DONE);
        }
    };
    let text = if command.json {
        format!("{:#}\n", told.json)
    } else {
        told.text
    };
    if let Err(error) = io::stdout().write_all(text.as_bytes()) {
        // Whoever reads has gone, as `head` does; the code still says it.
        eprintln!("myelin: {error}");
    }
    ExitCode::from(if told.is_well { 0 } else { WRONG })
}

/// What was done, for people and for programs.
struct Told {
    text: String,
    json: Value,
    is_well: bool,
}

type Done = Result<Told, Box<dyn Error>>;

fn created(to: &Path, full: bool, load: &impl Load, (host, bar): (&Host, &Bar)) -> Done {
    let config = load.config()?;
    let archive = Archive::open_to_write(to)?;
    // Outlives the checkpoint, whose files are the database's own under other names.
    let _giving_back = GivingBack::of(&config.data_dir);
    let data = DataDir::of(&config)?;
    let mut copied = None;
    let media = match config.media.backend {
        MediaBackend::Files => MediaSource::Folder(config.data_dir.join("media")),
        MediaBackend::S3 => MediaSource::Bucket(config.media.s3_bucket.clone().unwrap_or_default()),
    };
    let source = Source {
        server_name: config.server_name.clone(),
        files: data.small_files(),
        texts: vec![(CONFIG, load.portable()?)],
        media,
        checkpoint: Box::new(|| {
            let made = checkpoint::copy(&config, host).map_err(|error| error.to_string())?;
            let made = copied.insert(made);
            Ok(backup::Checkpoint {
                path: made.path.clone(),
                position: made.position,
            })
        }),
        full,
    };
    let created = backup::create(&archive, source, host, bar)?;
    Ok(tell_created(&created))
}

fn tell_created(created: &Created) -> Told {
    let Created {
        snapshot,
        written,
        reused,
        mended,
        damaged,
    } = created;
    let mut json = summary(snapshot);
    json["written"] = json!({ "files": written.0, "bytes": written.1 });
    json["reused"] = json!({ "files": reused.0, "bytes": reused.1 });
    json["mended"] = json!(mended);
    json["damaged_uploads"] = json!(damaged);
    let mut text = vec![format!(
        "{}: {} files, {}; {} of them written, the others an earlier backup had.\n",
        snapshot.id,
        snapshot.files.len(),
        size(snapshot.bytes()),
        size(written.1),
    )];
    if *mended > 0 {
        text.push(format!(
            "{mended} files of earlier backups were damaged, and are whole again.\n"
        ));
    }
    text.push(elsewhere(snapshot));
    for name in damaged {
        text.push(format!(
            "{name} is not what it was when it was uploaded; kept as it is.\n"
        ));
    }
    text.push("`myelin backup verify` rehearses a restore.\n".to_owned());
    Told {
        text: text.concat(),
        json,
        is_well: damaged.is_empty(),
    }
}

fn listed(directory: &Path) -> Done {
    let archive = Archive::open(directory)?;
    let (mut text, mut list, mut is_well) = (Vec::new(), Vec::new(), true);
    for id in archive.ids()? {
        match archive.snapshot(Some(&id)) {
            Ok(snapshot) => {
                text.push(format!(
                    "{id}  {}  {}  {} files  {}\n",
                    snapshot.made,
                    snapshot.server_name,
                    snapshot.files.len(),
                    size(snapshot.bytes())
                ));
                list.push(summary(&snapshot));
            }
            Err(error) => {
                is_well = false;
                text.push(format!("{id}  {error}\n"));
                list.push(json!({ "id": id, "error": error.to_string() }));
            }
        }
    }
    if list.is_empty() {
        text.push("There is none yet.\n".to_owned());
    }
    Ok(Told {
        text: text.concat(),
        json: Value::Array(list),
        is_well,
    })
}

fn verified(
    (directory, id): (&Path, Option<&str>),
    scratch: Option<&Path>,
    quick: bool,
    (host, bar): (&Host, &Bar),
) -> Done {
    let archive = Archive::open(directory)?;
    let snapshot = archive.snapshot(id)?;
    let name = format!("rehearsal-{}", host.random_string(8));
    let scratch = scratch.map_or_else(|| directory.join(&name), |scratch| scratch.join(&name));
    let (server_name, place) = (snapshot.server_name.clone(), snapshot.media.clone());
    let options = |folder: &Path| {
        let data = DataDir::open(folder).map_err(|error| damaged(folder, &error))?;
        let signer = data.signer(&server_name, host);
        let signer = signer.map_err(|error| damaged(folder, &error))?;
        Ok(CheckOptions {
            key: Some(signer.public_key()),
            media: (place == MediaPlace::Here).then(|| folder.join("media")),
            quick,
            ..CheckOptions::new(server_name.clone())
        })
    };
    let verified = verify(&archive, snapshot, &scratch, options, (host, bar))?;
    Ok(tell_verified(&verified))
}

fn damaged(path: &Path, error: &dyn Error) -> backup::BackupError {
    backup::BackupError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn tell_verified(verified: &Verified) -> Told {
    let mut json = summary(&verified.snapshot);
    json["healthy"] = json!(verified.is_healthy());
    json["damaged"] = json!(verified.damaged);
    let mut text = Vec::new();
    for damaged in &verified.damaged {
        text.push(format!(
            "{}: {} ({})\n",
            damaged.name, damaged.reason, damaged.object
        ));
    }
    let id = &verified.snapshot.id;
    match &verified.rehearsal {
        None => {
            text.push(format!(
                "{id}: {} files are damaged: it cannot be restored. `myelin backup create --full` writes anew those that \
                 the server still has.\n",
                verified.damaged.len()
            ));
        }
        Some((renewed, report)) => {
            json["renewed"] = json!(renewed);
            json["check"] = json!(report);
            for finding in &report.findings {
                text.push(write_finding(finding));
            }
            text.push(elsewhere(&verified.snapshot));
            let end = match report.found {
                0 => "everything agrees".to_owned(),
                found => format!(
                    "{found} findings, {} of which `myelin check --repair` heals after a restore",
                    report.healable
                ),
            };
            text.push(format!(
                "{id} restores: {} rooms, {} events, {} accounts, {} files: {end}\n",
                report.rooms, report.events, report.accounts, report.files
            ));
        }
    }
    Told {
        text: text.concat(),
        json,
        is_well: verified.is_healthy(),
    }
}

fn restored(
    (directory, id): (&Path, Option<&str>),
    load: &impl Load,
    (host, bar): (&Host, &Bar),
) -> Done {
    let config = load.config()?;
    let archive = Archive::open(directory)?;
    let snapshot = archive.snapshot(id)?;
    if snapshot.server_name != config.server_name {
        let message = format!(
            "the backup is of `{}`, but server_name is `{}`; `myelin backup config {}` prints the configuration of then",
            snapshot.server_name,
            config.server_name,
            directory.display()
        );
        return Err(message.into());
    }
    let Restored { snapshot, renewed } = restore(&archive, snapshot, &config.data_dir, host, bar)?;
    let mut json = summary(&snapshot);
    json["data_dir"] = json!(config.data_dir);
    json["renewed"] = json!(renewed);
    let mut text = vec![format!(
        "{} is back in {}: {} files, {}. The configuration of then is in {CONFIG} there.\n\
         Clients start over by themselves; {} one-time keys were dropped, and they upload new ones.\n",
        snapshot.id,
        config.data_dir.display(),
        snapshot.files.len(),
        size(snapshot.bytes()),
        renewed.one_time_keys_dropped,
    )];
    text.push(elsewhere(&snapshot));
    text.push("Start the server.\n".to_owned());
    Ok(Told {
        text: text.concat(),
        json,
        is_well: true,
    })
}

fn configuration(directory: &Path, id: Option<&str>) -> Done {
    let archive = Archive::open(directory)?;
    let snapshot = archive.snapshot(id)?;
    let text = archive.text(&snapshot, CONFIG)?;
    Ok(Told {
        json: json!({ "id": snapshot.id, "config": text }),
        text,
        is_well: true,
    })
}

/// What is not in the backup.
fn elsewhere(snapshot: &Snapshot) -> String {
    match &snapshot.media {
        MediaPlace::Here => String::new(),
        MediaPlace::Bucket { bucket, expected } => format!(
            "{} uploads, {}, are in the bucket {bucket} and in no backup of ours: the backup lists them.\n",
            expected.len(),
            size(expected.iter().map(|file| file.size).sum())
        ),
    }
}

fn summary(snapshot: &Snapshot) -> Value {
    let mut json = json!({
        "id": snapshot.id,
        "made": snapshot.made,
        "made_ms": snapshot.made_ms,
        "myelin": snapshot.myelin,
        "server_name": snapshot.server_name,
        "position": snapshot.position,
        "files": snapshot.files.len(),
        "bytes": snapshot.bytes(),
    });
    if let MediaPlace::Bucket { bucket, expected } = &snapshot.media {
        json["bucket"] = json!({ "name": bucket, "files": expected.len() });
    }
    json
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes / 100, 0);
    // In tenths.
    while value >= 10_000 && unit + 1 < UNITS.len() {
        value /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", value / 10, value % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0.0 kB");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(1_234_567), "1.2 MB");
        assert_eq!(size(9_999_999_999), "9.9 GB");
    }
}
