//! Starts a server of this project.

use std::path::Path;

use super::launched::{Launched, Program, Server, free_address};
use crate::Result;

const SECRET: &str = "a secret for measuring";

/// `NAME=/path/to/myelin[,key=value…]`: in a temporary directory, with these options, rate limits off.
pub fn launch(description: &str) -> Result<Server> {
    let mut parts = description.split(',');
    let first = parts.next().unwrap_or_default();
    let (name, path) = first
        .split_once('=')
        .ok_or("a server to start is NAME=/path/to/myelin")?;
    let path = std::path::absolute(Path::new(path))?;
    let dir = tempfile::tempdir()?;
    let address = free_address()?;
    let data = dir.path().join("data");
    let mut options = vec![
        format!("data_dir={}", data.display()),
        format!("listen=[\"{address}\"]"),
        "rate_limits.enabled=false".to_owned(),
        format!("registration.shared_secret={SECRET}"),
    ];
    let own: Vec<_> = parts
        .map(|part| part.trim_start_matches("-O").trim())
        .collect();
    options.extend(own.iter().map(|&option| option.to_owned()));
    let arguments = options
        .into_iter()
        .fold(vec!["serve".to_owned()], |mut all, option| {
            all.extend(["-O".to_owned(), option]);
            all
        });
    let durable = own
        .iter()
        .any(|option| option.starts_with("storage.durability"));
    let about = format!(
        "{}{}: {}",
        path.display(),
        if durable {
            ""
        } else {
            ", fsync before each answer"
        },
        if own.is_empty() {
            "default options but no rate limits".to_owned()
        } else {
            own.join(" ")
        },
    );
    let program = Program { path, arguments };
    let launched = Launched::new((name, about), address, program, dir, vec![data], None)?;
    Ok(Server {
        launched,
        secret: SECRET.to_owned(),
    })
}
