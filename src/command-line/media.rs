//! `myelin admin media`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    AskError, Client, Output,
    ask::encoded,
    output::{cell, list, time_ms},
    token::duration_ms,
};

/// Files asked for, and deleted, at once.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Media {
    /// Lists what somebody has uploaded, the latest first, or what a room shows.
    #[command(
        after_help = "Examples:\n  myelin admin media list alice\n  myelin admin media list --room '#cats:example.org'"
    )]
    List {
        /// The name before the colon, or the whole user id.
        #[arg(required_unless_present = "room")]
        user: Option<String>,
        /// What the messages of this room show that are not encrypted.
        #[arg(long, value_name = "ROOM", conflicts_with = "user")]
        room: Option<String>,
    },
    /// Shows what is known of a file.
    Show {
        /// The file, as messages name it.
        #[arg(value_name = "MXC", value_parser = place)]
        uri: Place,
    },
    /// Gives a file to nobody any more, also where others have uploaded the same, or will. The file is kept.
    #[command(
        after_help = "Examples:\n  myelin admin media quarantine mxc://example.org/AbCdEf\n  myelin admin media quarantine --all-of mallory\n  myelin admin media quarantine --room '!room:example.org'"
    )]
    Quarantine(Which),
    /// Takes a file out of quarantine.
    Unquarantine {
        /// The file, as messages name it.
        #[arg(value_name = "MXC", value_parser = place)]
        uri: Place,
    },
    /// Keeps a file, such as a sticker that many use, from being put into quarantine and from being purged.
    Protect {
        /// The file, as messages name it.
        #[arg(value_name = "MXC", value_parser = place)]
        uri: Place,
        /// Takes it back.
        #[arg(long)]
        undo: bool,
    },
    /// Deletes a file, or all files of somebody. Nobody can download them any more.
    #[command(
        after_help = "Examples:\n  myelin admin media delete mxc://example.org/AbCdEf\n  myelin admin media delete --all-of mallory"
    )]
    Delete {
        /// The file, as messages name it.
        #[arg(value_name = "MXC", required_unless_present = "all_of", value_parser = place)]
        uri: Option<Place>,
        /// Everything that this user has uploaded.
        #[arg(long, value_name = "USER", conflicts_with = "uri")]
        all_of: Option<String>,
    },
    /// Deletes old files. Pictures of people and rooms stay, and so do protected files.
    #[command(
        after_help = "Examples:\n  myelin admin media purge --older-than 90d\n  myelin admin media purge --older-than 4w --larger-than 10M"
    )]
    Purge {
        /// Uploaded longer ago than 12h, 90d, 4w.
        #[arg(long, value_name = "TIME", value_parser = duration_ms)]
        older_than: u64,
        /// Larger than 100k, 10M, 1G alone.
        #[arg(long, value_name = "SIZE", default_value = "0", value_parser = bytes)]
        larger_than: u64,
        /// Pictures of people and rooms go too.
        #[arg(long)]
        pictures: bool,
    },
}

/// Server and media id.
pub(crate) type Place = (String, String);

/// Which files: one, or many at once.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The file, as messages name it.
    #[arg(value_name = "MXC", value_parser = place)]
    uri: Option<Place>,
    /// Everything that this user has uploaded.
    #[arg(long, value_name = "USER")]
    all_of: Option<String>,
    /// What the messages of this room show that are not encrypted.
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
}

/// `mxc://server/id` as server and id.
fn place(uri: &str) -> Result<Place, String> {
    uri.strip_prefix("mxc://")
        .and_then(|rest| rest.split_once('/'))
        .map(|(server, id)| (server.to_owned(), id.to_owned()))
        .ok_or_else(|| "a file is named mxc://SERVER/ID".to_owned())
}

/// `512`, `100k`, `10M` or `1G` in bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'M')) => (&text[..at], 20),
        Some((at, 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(1 << unit))
        .ok_or_else(|| format!("`{text}` is no size; try 100k, 10M or 1G"))
}

impl Media {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::List { user, room } => match (user, room) {
                (Some(user), _) => list_files(client, &user).await,
                (None, room) => list_room(client, &room.unwrap_or_default()).await,
            },
            Self::Show { uri } => {
                let answer = client.get(&format!("{MEDIA}/{}", path(&uri))).await?;
                Ok(Output::record(&described(&answer["media_info"]), answer))
            }
            Self::Quarantine(which) => quarantine(client, which).await,
            Self::Unquarantine { uri } => {
                let path = format!("{MEDIA}/unquarantine/{}", path(&uri));
                let answer = client.post(&path, &json!({})).await?;
                Ok(Output::done("It is given out again.", answer))
            }
            Self::Protect { uri, undo } => {
                let (what, text) = if undo {
                    ("unprotect", "It is no longer protected.")
                } else {
                    ("protect", "It is protected.")
                };
                let path = format!("{MEDIA}/{what}/{}", encoded(&uri.1));
                Ok(Output::done(text, client.post(&path, &json!({})).await?))
            }
            Self::Delete { uri, all_of } => delete(client, uri, all_of).await,
            Self::Purge {
                older_than,
                larger_than,
                pictures,
            } => {
                let before_ts = client.host().now_ms().saturating_sub(older_than);
                let keep = !pictures;
                let query = format!(
                    "before_ts={before_ts}&size_gt={larger_than}&keep_profiles={keep}&limit={PAGE}"
                );
                all_deleted(async || {
                    let path = format!("{MEDIA}/delete?{query}");
                    client.post(&path, &json!({})).await
                })
                .await
            }
        }
    }
}

const MEDIA: &str = "/_synapse/admin/v1/media";

fn path((server, media_id): &Place) -> String {
    format!("{}/{}", encoded(server), encoded(media_id))
}

async fn quarantine(client: &Client<'_>, which: Which) -> Result<Output, AskError> {
    let path = match &which {
        Which { uri: Some(uri), .. } => format!("{MEDIA}/quarantine/{}", path(uri)),
        Which {
            all_of: Some(user), ..
        } => format!("/_synapse/admin/v1/user/{}/media/quarantine", encoded(user)),
        Which { room, .. } => {
            let room = encoded(room.as_deref().unwrap_or_default());
            format!("/_synapse/admin/v1/room/{room}/media/quarantine")
        }
    };
    let answer = client.post(&path, &json!({})).await?;
    let text = match answer["num_quarantined"].as_u64() {
        Some(count) => format!("{count} in quarantine that were not."),
        None => "In quarantine.".to_owned(),
    };
    Ok(Output::done(text, answer))
}

async fn delete(
    client: &Client<'_>,
    uri: Option<Place>,
    all_of: Option<String>,
) -> Result<Output, AskError> {
    if let Some(uri) = uri {
        let path = format!("{MEDIA}/{}", path(&uri));
        let answer = client.delete(&path, &json!({})).await?;
        return Ok(deleted(list(&answer, "deleted_media")));
    }
    let path = format!("{}?limit={PAGE}", of_user(&all_of.unwrap_or_default()));
    all_deleted(async || client.delete(&path, &json!({})).await).await
}

/// Asks again until nothing is left.
async fn all_deleted(ask: impl AsyncFn() -> Result<Value, AskError>) -> Result<Output, AskError> {
    let mut gone = Vec::new();
    loop {
        let answer = ask().await?;
        let page = list(&answer, "deleted_media");
        gone.extend_from_slice(page);
        if page.is_empty() {
            return Ok(deleted(&gone));
        }
    }
}

fn deleted(gone: &[Value]) -> Output {
    let json = json!({ "total": gone.len(), "deleted_media": gone });
    Output::done(format!("{} deleted.", gone.len()), json)
}

fn described(file: &Value) -> Vec<(&'static str, String)> {
    vec![
        ("file", cell(&file["media_id"])),
        ("uploaded by", cell(&file["user_id"])),
        ("uploaded (UTC)", time_ms(&file["created_ts"])),
        ("bytes", cell(&file["media_length"])),
        ("type", cell(&file["media_type"])),
        ("name", cell(&file["upload_name"])),
        ("SHA-256", cell(&file["sha256"])),
        ("in quarantine by", cell(&file["quarantined_by"])),
        ("protected", cell(&file["safe_from_quarantine"])),
    ]
}

async fn list_room(client: &Client<'_>, room: &str) -> Result<Output, AskError> {
    let path = format!("/_synapse/admin/v1/room/{}/media", encoded(room));
    let answer = client.get(&path).await?;
    let rows = ["local", "remote"]
        .into_iter()
        .flat_map(|kind| list(&answer, kind))
        .map(|uri| vec![cell(uri)])
        .collect();
    Ok(Output::table(&["file"], rows, "Nothing.", answer))
}

fn of_user(user: &str) -> String {
    format!("/_synapse/admin/v1/users/{}/media", encoded(user))
}

pub(crate) async fn list_files(client: &Client<'_>, user: &str) -> Result<Output, AskError> {
    let (mut files, mut from) = (Vec::new(), Some(0));
    while let Some(start) = from {
        let path = format!("{}?limit={PAGE}&from={start}", of_user(user));
        let page = client.get(&path).await?;
        files.extend_from_slice(list(&page, "media"));
        from = page["next_token"].as_u64();
    }
    let rows = files
        .iter()
        .map(|file| {
            vec![
                cell(&file["media_id"]),
                time_ms(&file["created_ts"]),
                cell(&file["media_length"]),
                cell(&file["media_type"]),
                cell(&file["upload_name"]),
                state(file),
            ]
        })
        .collect();
    Ok(Output::table(
        &["file", "uploaded (UTC)", "bytes", "type", "name", "state"],
        rows,
        "Nothing.",
        json!({ "total": files.len(), "media": files }),
    ))
}

/// What is out of the ordinary about a file.
fn state(file: &Value) -> String {
    match (
        file["quarantined_by"].as_str(),
        &file["safe_from_quarantine"],
    ) {
        (Some(by), _) => format!("in quarantine by {by}"),
        (None, Value::Bool(true)) => "protected".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, place};

    #[test]
    fn sizes_are_read() {
        for (text, size) in [
            ("0", 0),
            ("512", 512),
            ("3k", 3_072),
            ("10M", 10 << 20),
            ("1G", 1 << 30),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for wrong in ["", "M", "1T", "-1k", "1.5M", "99999999999G", "\u{e9}"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_are_named_by_their_uri() {
        let named = |server: &str, id: &str| Ok((server.to_owned(), id.to_owned()));
        assert_eq!(place("mxc://a.org/x"), named("a.org", "x"));
        for wrong in ["x", "a.org/x", "mxc://a.org", "https://a.org/x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
