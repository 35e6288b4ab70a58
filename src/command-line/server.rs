//! `myelin admin server`

use clap::Subcommand;
use serde_json::Value;

use crate::{
    AskError, Client, Output,
    output::{cell, list, size, time_ms},
};

/// Sessions asked for at once.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Its name, version, and how many accounts it has.
    Info,
    /// How much there is, how much of it is in memory, and how long the server has been running.
    Stats,
    /// Whose clients sync: in memory, with the requests that wait.
    Sessions,
    /// What administrators did, the latest first.
    Audit {
        /// At most so many.
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: u32,
    },
}

impl Server {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::Info => {
                let answer = client.get("/_myelin/admin/v1/server").await?;
                let users = &answer["users"];
                let pairs = [
                    ("server name", cell(&answer["server_name"])),
                    ("version", cell(&answer["version"])),
                    ("base URL", cell(&answer["base_url"])),
                    ("data directory", cell(&answer["data_dir"])),
                    (
                        "default room version",
                        cell(&answer["default_room_version"]),
                    ),
                    ("accounts", cell(&users["all"])),
                    ("of them active", cell(&users["active"])),
                    ("administrators", cell(&users["admin"])),
                    ("locked", cell(&users["locked"])),
                    ("suspended", cell(&users["suspended"])),
                ];
                Ok(Output::record(&pairs, answer.clone()))
            }
            Self::Stats => {
                let answer = client.get("/_myelin/admin/v1/server/statistics").await?;
                Ok(Output::record(&statistics(&answer), answer))
            }
            Self::Sessions => sessions(client).await,
            Self::Audit { limit } => audit(client, limit).await,
        }
    }
}

fn statistics(answer: &Value) -> Vec<(&'static str, String)> {
    let (users, rooms, sync) = (&answer["users"], &answer["rooms"], &answer["sync"]);
    let (media, store) = (&answer["media"], &answer["store"]);
    let seconds = answer["uptime_ms"].as_u64().unwrap_or_default() / 1_000;
    let (minutes, hours, days) = (seconds / 60 % 60, seconds / 3_600 % 24, seconds / 86_400);
    vec![
        ("running for", format!("{days} d {hours} h {minutes} min")),
        ("memory", size(&answer["memory_bytes"])),
        ("of it the database", size(&store["memory_bytes"])),
        ("active accounts", cell(&users["active"])),
        ("rooms", cell(&rooms["all"])),
        ("of them with members", cell(&rooms["joined"])),
        ("events", cell(&rooms["events"])),
        ("files", cell(&media["files"])),
        ("their size", size(&media["bytes"])),
        ("sync sessions in memory", cell(&sync["sessions"])),
        ("sync requests under way", cell(&sync["requests"])),
        ("commits since the start", cell(&store["commits"])),
        ("commits waiting", cell(&store["commits_waiting"])),
        (
            "longest wait for the disk",
            format!("{} ms", store["longest_sync_ms"]),
        ),
    ]
}

async fn sessions(client: &Client<'_>) -> Result<Output, AskError> {
    let (mut sessions, mut from) = (Vec::new(), Some(0));
    while let Some(start) = from {
        let path = format!("/_myelin/admin/v1/server/sessions?limit={PAGE}&from={start}");
        let page = client.get(&path).await?;
        sessions.extend_from_slice(list(&page, "sessions"));
        from = page["next"].as_u64();
    }
    let rows = sessions
        .iter()
        .map(|session| {
            vec![
                cell(&session["user_id"]),
                cell(&session["requests"]),
                cell(&session["rooms"]),
                size(&session["bytes"]),
                time_ms(&session["last_used_ts"]),
            ]
        })
        .collect();
    Ok(Output::table(
        &["user", "requests", "rooms", "memory", "last used (UTC)"],
        rows,
        "Nobody.",
        serde_json::json!({ "total": sessions.len(), "sessions": sessions }),
    ))
}

async fn audit(client: &Client<'_>, limit: u32) -> Result<Output, AskError> {
    let answer = client
        .get(&format!("/_myelin/admin/v1/audit?limit={limit}"))
        .await?;
    let rows = list(&answer, "deeds")
        .iter()
        .map(|deed| {
            let details = &deed["details"];
            vec![
                time_ms(&deed["at_ms"]),
                cell(&deed["by"]),
                cell(&deed["action"]),
                cell(&deed["target"]),
                if details.is_null() {
                    String::new()
                } else {
                    details.to_string()
                },
            ]
        })
        .collect();
    Ok(Output::table(
        &["when (UTC)", "who", "did", "to", "details"],
        rows,
        "Nothing yet.",
        answer.clone(),
    ))
}
