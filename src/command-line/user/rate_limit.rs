//! `myelin admin user rate-limit`

use clap::Args;
use serde_json::json;

use super::{Who, v1};
use crate::{AskError, Client, Output};

/// How often somebody may send: what is there, or something else.
#[derive(Args, Debug)]
pub(crate) struct RateLimit {
    #[command(flatten)]
    who: Who,
    /// Messages a second in the long run.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["unlimited", "reset"], value_parser = clap::value_parser!(u32).range(1..))]
    per_second: Option<u32>,
    /// Messages at once.
    #[arg(
        long,
        value_name = "NUMBER",
        requires = "per_second",
        default_value_t = 10
    )]
    burst: u32,
    /// Nothing limits them.
    #[arg(long, conflicts_with = "reset")]
    unlimited: bool,
    /// What holds for everybody holds for them again.
    #[arg(long)]
    reset: bool,
}

impl RateLimit {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        let path = format!("{}/override_ratelimit", v1(&self.who));
        let answer = if self.reset {
            client.delete(&path, &json!({})).await?
        } else if self.unlimited {
            client.post(&path, &json!({})).await?
        } else if let Some(per_second) = self.per_second {
            let body = json!({ "messages_per_second": per_second, "burst_count": self.burst });
            client.post(&path, &body).await?
        } else {
            client.get(&path).await?
        };
        let text = match answer["messages_per_second"].as_u64() {
            None => "as everybody".to_owned(),
            Some(0) => "without a limit".to_owned(),
            Some(number) => format!(
                "{number} messages a second, {} at once",
                answer["burst_count"]
            ),
        };
        Ok(Output::done(format!("{}: {text}.", self.who.name), answer))
    }
}
