//! `myelin admin media`

use clap::Subcommand;
use serde_json::json;

use crate::{
    AskError, Client, Output,
    ask::encoded,
    output::{cell, list, time_ms},
};

/// Files asked for, and deleted, at once.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Media {
    /// Lists what somebody has uploaded, the latest first.
    List {
        /// The name before the colon, or the whole user id.
        user: String,
    },
    /// Deletes a file, or all files of somebody. Nobody can download them any more.
    #[command(
        after_help = "Examples:\n  myelin admin media delete mxc://example.org/AbCdEf\n  myelin admin media delete --all-of mallory"
    )]
    Delete {
        /// The file, as messages name it.
        #[arg(value_name = "MXC", required_unless_present = "all_of", value_parser = place)]
        uri: Option<(String, String)>,
        /// Everything that this user has uploaded.
        #[arg(long, value_name = "USER", conflicts_with = "uri")]
        all_of: Option<String>,
    },
}

/// `mxc://server/id` as server and id.
fn place(uri: &str) -> Result<(String, String), String> {
    uri.strip_prefix("mxc://")
        .and_then(|rest| rest.split_once('/'))
        .map(|(server, id)| (server.to_owned(), id.to_owned()))
        .ok_or_else(|| "a file is named mxc://SERVER/ID".to_owned())
}

impl Media {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::List { user } => list_files(client, &user).await,
            Self::Delete { uri, all_of } => {
                let mut deleted = Vec::new();
                if let Some((server, id)) = uri {
                    let path = format!(
                        "/_synapse/admin/v1/media/{}/{}",
                        encoded(&server),
                        encoded(&id)
                    );
                    let answer = client.delete(&path, &json!({})).await?;
                    deleted.extend_from_slice(list(&answer, "deleted_media"));
                }
                if let Some(user) = all_of {
                    let path = format!("{}?limit={PAGE}", of_user(&user));
                    loop {
                        let answer = client.delete(&path, &json!({})).await?;
                        let gone = list(&answer, "deleted_media");
                        if gone.is_empty() {
                            break;
                        }
                        deleted.extend_from_slice(gone);
                    }
                }
                let text = format!("{} deleted.", deleted.len());
                let json = json!({ "total": deleted.len(), "deleted_media": deleted });
                Ok(Output::done(text, json))
            }
        }
    }
}

fn of_user(user: &str) -> String {
    format!("/_synapse/admin/v1/users/{}/media", encoded(user))
}

async fn list_files(client: &Client<'_>, user: &str) -> Result<Output, AskError> {
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
            ]
        })
        .collect();
    Ok(Output::table(
        &["file", "uploaded (UTC)", "bytes", "type", "name"],
        rows,
        "Nothing.",
        json!({ "total": files.len(), "media": files }),
    ))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn files_are_named_by_their_uri() {
        let named = |server: &str, id: &str| Ok((server.to_owned(), id.to_owned()));
        assert_eq!(place("mxc://a.org/x"), named("a.org", "x"));
        for wrong in ["x", "a.org/x", "mxc://a.org", "https://a.org/x"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
