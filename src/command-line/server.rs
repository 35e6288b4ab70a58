//! `myelin admin server`

use clap::Subcommand;

use crate::{
    AskError, Client, Output,
    output::{cell, list, time_ms},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Its name, version, and how many accounts it has.
    Info,
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
            Self::Audit { limit } => {
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
        }
    }
}
