//! `myelin admin storage`

use clap::{Subcommand, ValueEnum};

use crate::{
    AskError, Client, Output,
    output::{cell, list, size},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Storage {
    /// Shows what takes how much space. Sizes in the database are estimates, by blocks as they are compressed on the disk;
    /// sizes of files are exact.
    #[command(
        after_help = "Examples:\n  myelin admin storage usage\n  myelin admin storage usage --by room --limit 20\n  myelin admin storage usage --by user"
    )]
    Usage {
        /// What is told apart.
        #[arg(long, value_enum, default_value_t = By::Table)]
        by: By,
        /// At most so many rooms or users, the largest first.
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: u32,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum By {
    /// The tables of the database.
    Table,
    /// Rooms, in the database.
    Room,
    /// Users, by the files that they have uploaded.
    User,
}

impl Storage {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        let Self::Usage { by, limit } = self;
        match by {
            By::Table => tables(client).await,
            By::Room => rooms(client, limit).await,
            By::User => users(client, limit).await,
        }
    }
}

async fn tables(client: &Client<'_>) -> Result<Output, AskError> {
    let answer = client.get("/_myelin/admin/v1/storage/tables").await?;
    let mut rows: Vec<Vec<String>> = list(&answer, "tables")
        .iter()
        .map(|table| {
            vec![
                cell(&table["table"]),
                cell(&table["family"]),
                size(&table["estimated_size"]),
            ]
        })
        .collect();
    rows.push(vec![
        "all".to_owned(),
        String::new(),
        size(&answer["total"]),
    ]);
    let headers = &["table", "family", "about"];
    Ok(Output::table(headers, rows, "Nothing.", answer))
}

async fn rooms(client: &Client<'_>, limit: u32) -> Result<Output, AskError> {
    let path = format!("/_synapse/admin/v1/statistics/database/rooms?limit={limit}");
    let answer = client.get(&path).await?;
    let rows = list(&answer, "rooms")
        .iter()
        .map(|room| vec![cell(&room["room_id"]), size(&room["estimated_size"])])
        .collect();
    Ok(Output::table(&["room", "about"], rows, "No rooms.", answer))
}

async fn users(client: &Client<'_>, limit: u32) -> Result<Output, AskError> {
    let path = format!(
        "/_synapse/admin/v1/statistics/users/media?order_by=media_length&dir=b&limit={limit}"
    );
    let answer = client.get(&path).await?;
    let rows = list(&answer, "users")
        .iter()
        .map(|user| {
            vec![
                cell(&user["user_id"]),
                cell(&user["media_count"]),
                size(&user["media_length"]),
            ]
        })
        .collect();
    let headers = &["user", "files", "size"];
    Ok(Output::table(headers, rows, "No files.", answer))
}
