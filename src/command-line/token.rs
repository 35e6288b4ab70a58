//! `myelin admin token`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    AskError, Client, Output,
    ask::encoded,
    output::{cell, list, time_ms},
};

const PATH: &str = "/_synapse/admin/v1/registration_tokens";

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Makes a token that lets people register.
    #[command(
        after_help = "Examples:\n  myelin admin token create\n  myelin admin token create --uses 1 --expires 7d\n  myelin admin token create --token family-2026"
    )]
    Create {
        /// The token itself; generated if it is not given.
        #[arg(long, value_name = "TEXT")]
        token: Option<String>,
        /// How often it can be used.
        #[arg(long, value_name = "COUNT")]
        uses: Option<u64>,
        /// How long it can be used: 90m, 12h, 7d.
        #[arg(long, value_name = "TIME", value_parser = duration_ms)]
        expires: Option<u64>,
    },
    /// Lists tokens.
    List {
        /// Those that can still be used alone.
        #[arg(long)]
        valid: bool,
    },
    /// Ends a token. Accounts made with it stay.
    Revoke {
        /// The token.
        token: String,
    },
}

impl Token {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::Create {
                token,
                uses,
                expires,
            } => {
                let mut body = json!({ "uses_allowed": uses });
                if let Some(token) = token {
                    body["token"] = json!(token);
                }
                if let Some(expires) = expires {
                    // By this machine's clock.
                    body["expiry_time"] = json!(client.host().now_ms().saturating_add(expires));
                }
                let made = client.post(&format!("{PATH}/new"), &body).await?;
                Ok(Output::record(&record(&made), made.clone()))
            }
            Self::List { valid } => {
                let query = if valid { "?valid=true" } else { "" };
                let answer = client.get(&format!("{PATH}{query}")).await?;
                let rows = list(&answer, "registration_tokens")
                    .iter()
                    .map(row)
                    .collect();
                Ok(Output::table(
                    &["token", "used", "uses allowed", "expires"],
                    rows,
                    "There is no token.",
                    answer.clone(),
                ))
            }
            Self::Revoke { token } => {
                let answer = client
                    .delete(&format!("{PATH}/{}", encoded(&token)), &json!({}))
                    .await?;
                Ok(Output::done(
                    format!("{token} can no longer be used."),
                    answer,
                ))
            }
        }
    }
}

fn row(token: &Value) -> Vec<String> {
    record(token).into_iter().map(|(_, value)| value).collect()
}

fn record(token: &Value) -> Vec<(&'static str, String)> {
    let allowed = &token["uses_allowed"];
    let expires = &token["expiry_time"];
    vec![
        ("token", cell(&token["token"])),
        ("used", cell(&token["completed"])),
        (
            "uses allowed",
            if allowed.is_null() {
                "any number".to_owned()
            } else {
                cell(allowed)
            },
        ),
        (
            "expires",
            if expires.is_null() {
                "never".to_owned()
            } else {
                time_ms(expires)
            },
        ),
    ]
}

/// `90m`, `12h`, `7d`, `2w` in milliseconds.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no length of time; try 90m, 12h or 7d");
    let (number, unit) =
        text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds * 1_000).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    #[test]
    fn lengths_of_time_are_read() {
        for (text, ms) in [
            ("90m", 5_400_000),
            ("12h", 43_200_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("0s", 0),
        ] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        for wrong in ["", "7", "d", "-1d", "7 d", "1y", "99999999999999999d", "7ä"] {
            assert!(duration_ms(wrong).is_err(), "{wrong}");
        }
    }
}
