//! Starts Synapse, as its own documentation installs it: from PyPI, with PostgreSQL.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::launched::{Launched, Program, Server, free_address};
use super::postgres::{Postgres, ROLE};
use super::python::{environment, run};
use crate::Result;

const SECRET: &str = "a secret for measuring";
/// The version of its driver for PostgreSQL; a wheel, where `psycopg2` itself would have to be compiled.
const DRIVER: &str = "psycopg2-binary==2.9.13";
/// Server names of both kinds cost the same; nothing resolves this one.
const SERVER_NAME: &str = "load.invalid";

/// Which Synapse.
#[derive(Clone, Debug)]
pub struct Choice {
    pub version: String,
    /// SQLite even where PostgreSQL is.
    pub sqlite: bool,
}

/// One process, no workers, in a temporary directory; its own defaults but for what [`configuration`] names.
pub async fn launch(choice: &Choice) -> Result<Server> {
    let packages = [
        format!("matrix-synapse=={}", choice.version),
        DRIVER.to_owned(),
    ];
    let python = environment(&format!("synapse-{}", choice.version), &packages)?.join("bin/python");
    let database = if choice.sqlite {
        None
    } else {
        Postgres::start().await?
    };
    let dir = tempfile::tempdir()?;
    let address = free_address()?;
    let config = dir.path().join("homeserver.yaml");
    let port = address.port();
    std::fs::write(&config, configuration(&dir, port, database.as_ref()))?;
    std::fs::write(dir.path().join("log.yaml"), LOG)?;
    let config = config.display().to_string();
    let arguments = ["-m", "synapse.app.homeserver", "--config-path", &config];
    run(Command::new(&python)
        .args(arguments)
        .arg("--generate-keys")
        .current_dir(dir.path()))?;
    let kept = match &database {
        Some(database) => format!("{}, its default settings (fsync on)", database.version),
        None => "SQLite, as Synapse opens it".to_owned(),
    };
    let about = format!(
        "Synapse {}, one process, {kept}, no rate limits",
        choice.version
    );
    let data = database.as_ref().map_or_else(
        || vec![dir.path().to_owned()],
        |database| vec![database.tables(), dir.path().join("media")],
    );
    let program = Program {
        path: python.clone(),
        arguments: arguments.map(str::to_owned).to_vec(),
    };
    let launched = Launched::new(("synapse", about), address, program, dir, data, database)?;
    Ok(Server {
        launched,
        secret: SECRET.to_owned(),
    })
}

/// Warnings only: writing a line per request would be work that the others do not do.
const LOG: &str = "\
version: 1
handlers: {console: {class: logging.StreamHandler, stream: ext://sys.stderr}}
root: {level: WARNING, handlers: [console]}
";

/// Rate limits off, nothing said to the outside. What Synapse does to a new database in the background it does at once, so that it
/// is over when something is measured. Answers to `/sync` are not kept for a second request with the same token, which clients do
/// not make but the scenarios of incremental syncs do.
fn configuration(dir: &TempDir, port: u16, database: Option<&Postgres>) -> String {
    let at = |name: &str| dir.path().join(name).display().to_string();
    let database = database.map_or_else(
        || format!("{{name: sqlite3, args: {{database: '{}'}}}}", at("homeserver.db")),
        |database| {
            let host = Path::new(database.socket()).display();
            format!(
                "{{name: psycopg2, args: {{user: {ROLE}, dbname: {ROLE}, host: '{host}', cp_min: 5, cp_max: 10}}}}"
            )
        },
    );
    let none = "{per_second: 1000000, burst_count: 1000000}";
    let text = format!(
        "server_name: {SERVER_NAME}
listeners: [{{port: {port}, type: http, tls: false, bind_addresses: ['127.0.0.1'], resources: [{{names: [client]}}]}}]
database: {database}
log_config: '{}'
media_store_path: '{}'
signing_key_path: '{}'
pid_file: '{}'
registration_shared_secret: '{SECRET}'
report_stats: false
trusted_key_servers: []
suppress_key_server_warning: true
caches: {{sync_response_cache_duration: 0s}}
background_updates: {{sleep_enabled: false}}
rc_login: {{address: {none}, account: {none}, failed_attempts: {none}}}
rc_joins: {{local: {none}, remote: {none}}}
rc_invites: {{per_room: {none}, per_user: {none}, per_issuer: {none}}}
rc_presence: {{per_user: {none}}}
",
        at("log.yaml"),
        at("media"),
        at("signing.key"),
        at("homeserver.pid"),
    );
    let limits = [
        "rc_message",
        "rc_registration",
        "rc_registration_token_validity",
        "rc_admin_redaction",
        "rc_joins_per_room",
        "rc_3pid_validation",
        "rc_media_create",
        "rc_room_creation",
        "rc_reports",
        "rc_delayed_event_mgmt",
        "rc_user_directory",
    ]
    .map(|name| format!("{name}: {none}\n"));
    text + &limits.concat()
}
