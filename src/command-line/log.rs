//! `myelin admin log`

use clap::Subcommand;
use serde_json::json;

use crate::{AskError, Client, Output, output::cell};

const PATH: &str = "/_myelin/admin/v1/server/log";

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Shows what the server logs, or changes it until the server stops.
    #[command(
        after_help = "Examples:\n  myelin admin log level\n  myelin admin log level debug\n  myelin admin log level 'info,sync=debug'"
    )]
    Level {
        /// A level, or levels by module; as `log.filter` in the configuration.
        filter: Option<String>,
    },
}

impl Log {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        let Self::Level { filter } = self;
        let Some(filter) = filter else {
            let answer = client.get(PATH).await?;
            return Ok(Output::done(cell(&answer["filter"]), answer));
        };
        let answer = client.put(PATH, &json!({ "filter": filter })).await?;
        let filter = cell(&answer["filter"]);
        let text =
            format!("{filter}, until the server stops; `log.filter` is what it starts with.");
        Ok(Output::done(text, answer))
    }
}
