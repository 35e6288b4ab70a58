//! `myelin admin report`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    AskError, Client, Output,
    output::{cell, list, time_ms},
};

/// Reports asked for at once.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    /// Lists what people reported, the latest first.
    List,
    /// Shows a reported event and what it says.
    Show {
        /// The report's number.
        id: u64,
    },
    /// Closes a report: it is deleted.
    Close {
        /// The report's number.
        id: u64,
    },
}

impl Report {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::List => list_reports(client).await,
            Self::Show { id } => {
                let answer = client.get(&path(id)).await?;
                let pairs = [
                    ("report", cell(&answer["id"])),
                    ("when (UTC)", time_ms(&answer["received_ts"])),
                    ("by", cell(&answer["user_id"])),
                    ("reason", cell(&answer["reason"])),
                    ("room", cell(&answer["room_id"])),
                    ("event", cell(&answer["event_id"])),
                    ("of", cell(&answer["sender"])),
                    ("content", answer["event_json"]["content"].to_string()),
                ];
                Ok(Output::record(&pairs, answer.clone()))
            }
            Self::Close { id } => {
                let answer = client.delete(&path(id), &json!({})).await?;
                Ok(Output::done(format!("Report {id} is closed."), answer))
            }
        }
    }
}

fn path(id: u64) -> String {
    format!("/_synapse/admin/v1/event_reports/{id}")
}

async fn list_reports(client: &Client<'_>) -> Result<Output, AskError> {
    let (mut reports, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("/_myelin/admin/v1/reports?limit={PAGE}{before}");
        let page = client.get(&path).await?;
        reports.extend_from_slice(list(&page, "reports"));
        let Some(next) = page["next"].as_i64() else {
            break;
        };
        before = format!("&before={next}");
    }
    let rows = reports.iter().map(row).collect();
    Ok(Output::table(
        &["report", "when (UTC)", "by", "about", "reason"],
        rows,
        "Nobody has complained.",
        json!({ "reports": reports }),
    ))
}

fn row(report: &Value) -> Vec<String> {
    let about = ["event_id", "user_id", "room_id"]
        .into_iter()
        .find_map(|key| report[key].as_str())
        .unwrap_or_default();
    vec![
        cell(&report["id"]),
        time_ms(&report["at_ms"]),
        cell(&report["by"]),
        format!("{} {about}", cell(&report["what"])),
        cell(&report["reason"]),
    ]
}
