//! `myelin admin task`, and waiting for long jobs.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    AskError, Client, Output,
    ask::encoded,
    output::{cell, list, time_ms},
};

const PATH: &str = "/_myelin/admin/v1/tasks";
/// How often a task that is waited for is looked at: a bar that moves four times a second looks alive.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Characters of the bar.
const WIDTH: u64 = 40;

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Lists long jobs, the latest first.
    List {
        /// Those alone that are still to be done.
        #[arg(long)]
        unfinished: bool,
    },
    /// Shows one: how far it is, and what has come of it.
    Show {
        /// Its number, as the list has it.
        task: u64,
    },
    /// Waits until one has ended, with a bar on the terminal.
    Wait {
        /// Its number, as the list has it.
        task: u64,
    },
    /// Stops one. What it has done stays done; what would be left in halves is not stopped.
    Cancel {
        /// Its number, as the list has it.
        task: u64,
    },
}

impl Task {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::List { unfinished } => {
                let answer = client
                    .get(&format!("{PATH}?unfinished={unfinished}"))
                    .await?;
                let rows = list(&answer, "tasks").iter().map(row).collect();
                let headers = ["task", "started (UTC)", "by", "what", "to", "state", "done"];
                Ok(Output::table(
                    &headers,
                    rows,
                    "Nothing to do.",
                    answer.clone(),
                ))
            }
            Self::Show { task } => Ok(shown(&client.get(&format!("{PATH}/{task}")).await?)),
            Self::Wait { task } => Ok(shown(&wait(client, &task.to_string()).await?)),
            Self::Cancel { task } => {
                let path = format!("{PATH}/{task}/cancel");
                let answer = client.post(&path, &json!({})).await?;
                Ok(Output::done(format!("Task {task} is cancelled."), answer))
            }
        }
    }
}

fn row(task: &Value) -> Vec<String> {
    vec![
        cell(&task["id"]),
        time_ms(&task["created_ts"]),
        cell(&task["by"]),
        cell(&task["kind"]),
        cell(&task["target"]),
        cell(&task["state"]),
        format!("{} of {}", task["done"], task["total"]),
    ]
}

fn shown(task: &Value) -> Output {
    let pairs = [
        ("task", cell(&task["id"])),
        ("what", cell(&task["kind"])),
        ("to", cell(&task["target"])),
        ("by", cell(&task["by"])),
        ("state", cell(&task["state"])),
        ("done", format!("{} of {}", task["done"], task["total"])),
        ("started (UTC)", time_ms(&task["created_ts"])),
        ("ended (UTC)", time_ms(&task["ended_ts"])),
        ("result", cell(&task["result"])),
        ("error", cell(&task["error"])),
    ];
    Output::record(&pairs, task.clone())
}

/// A task that is not waited for.
pub(crate) fn begun(id: &str) -> Output {
    let text = format!("Task {id} has begun. See how it goes: myelin admin task wait {id}");
    Output::done(text, json!({ "id": id }))
}

/// Waits until a task has ended, and gives it.
///
/// # Errors
/// If it has failed, or was cancelled.
pub(crate) async fn wait(client: &Client<'_>, id: &str) -> Result<Value, AskError> {
    let is_shown = io::stderr().is_terminal();
    let path = format!("{PATH}/{}", encoded(id));
    loop {
        let task = client.get(&path).await?;
        if is_shown {
            draw(&task);
        }
        let state = task["state"].as_str().unwrap_or_default();
        if !matches!(state, "queued" | "running") {
            if is_shown {
                let _ = write!(io::stderr(), "\r\u{1b}[K");
            }
            let why = task["error"]
                .as_str()
                .unwrap_or("somebody has cancelled it");
            return match state {
                "done" => Ok(task),
                _ => Err(AskError::Local(format!("Task {id} was not done: {why}."))),
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn draw(task: &Value) {
    let (done, total) = (
        task["done"].as_u64().unwrap_or(0),
        task["total"].as_u64().unwrap_or(0),
    );
    let full = done
        .saturating_mul(WIDTH)
        .checked_div(total)
        .unwrap_or(0)
        .min(WIDTH);
    let full = usize::try_from(full).unwrap_or_default();
    let empty = usize::try_from(WIDTH).unwrap_or_default() - full;
    // A bar that cannot be drawn is no reason to stop.
    let _ = write!(
        io::stderr(),
        "\r[{}{}] {done} of {total}  {}\u{1b}[K",
        "#".repeat(full),
        " ".repeat(empty),
        cell(&task["state"])
    );
}
