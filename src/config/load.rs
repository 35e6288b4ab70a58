//! Reads the options: defaults, file, environment, command line; later wins, and every mistake names its key.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use ruma::OwnedServerName;
use serde::Deserialize;
use thiserror::Error;
use toml::{Table, Value};

use crate::{Config, Jwt, MediaBackend, Secret, Tracing};

/// Variables with our prefix that are no options: the file to read, and the binary that tests start.
const NOT_OPTIONS: [&str; 2] = ["MYELIN_CONFIG", "MYELIN_BIN"];

/// The file read from the working directory when none is named.
const DEFAULT_FILE: &str = "config/myelin.toml";

/// Where an option was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// `-O key=value`.
    CommandLine,
    /// The options taken together.
    Together,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "the file {}", path.display()),
            Self::Environment(name) => write!(formatter, "the environment variable {name}"),
            Self::CommandLine => formatter.write_str("the command line"),
            Self::Together => formatter.write_str("the options together"),
        }
    }
}

/// Why the options cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not TOML.
    #[error("{} is not valid TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// There is no such option.
    #[error("unknown key `{key}` in {from}")]
    UnknownKey {
        /// The full path of the key.
        key: String,
        /// Where it was set.
        from: Source,
    },
    /// An option has a value it cannot have.
    #[error("`{key}` in {from}: {message}")]
    Invalid {
        /// The full path of the key.
        key: String,
        /// Where it was set.
        from: Source,
        /// What is wrong.
        message: String,
    },
}

/// Reads the options.
///
/// `file` must exist if given; otherwise `config/myelin.toml` is read if it is there. `environment` is every variable
/// of the process, `overrides` are the `key=value` of `-O`.
///
/// # Errors
/// [`ConfigError`], which names the key and where it was set.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[String],
) -> Result<Config, ConfigError> {
    complete(set(file, environment, overrides)?)
}

/// What is set, as the text of a file that needs no other: for a backup. Secrets are in it, those that lie in files too.
///
/// # Errors
/// As [`load`].
pub fn portable(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[String],
) -> Result<String, ConfigError> {
    let mut table = set(file, environment, overrides)?;
    let config = complete(table.clone())?;
    for (section, name, secret) in [
        (
            "registration",
            "shared_secret",
            &config.registration.shared_secret,
        ),
        ("jwt", "key", &config.jwt.key),
        (
            "media",
            "s3_secret_access_key",
            &config.media.s3_secret_access_key,
        ),
        (
            "calls",
            "turn_shared_secret",
            &config.calls.turn_shared_secret,
        ),
        ("tracing", "otlp_headers", &config.tracing.otlp_headers),
    ] {
        if let Some(section) = table.get_mut(section).and_then(Value::as_table_mut)
            && section.remove(&format!("{name}_file")).is_some()
            && let Some(secret) = secret
        {
            section.insert(name.to_owned(), Value::String(secret.expose().to_owned()));
        }
    }
    Ok(table.to_string())
}

/// Everything that is set, later over earlier.
fn set(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[String],
) -> Result<Table, ConfigError> {
    let mut merged = Table::new();
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    if let Some(path) = file {
        let text = read(&path)?;
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: path.clone(),
                message: error.to_string(),
            })?;
        let mut leaves = Vec::new();
        flatten(&mut Vec::new(), &table, &mut leaves);
        for (key, value) in leaves {
            put(&mut merged, &key, value, &Source::File(path.clone()))?;
        }
    }
    let mut environment: Vec<_> = environment
        .into_iter()
        .filter(|(name, _)| name.starts_with("MYELIN_") && !NOT_OPTIONS.contains(&name.as_str()))
        .collect();
    environment.sort();
    for (name, text) in environment {
        let key: Vec<String> = name["MYELIN_".len()..]
            .split("__")
            .map(str::to_ascii_lowercase)
            .collect();
        put_text(&mut merged, &key, &text, &Source::Environment(name))?;
    }
    for pair in overrides {
        let Some((key, text)) = pair.split_once('=') else {
            return Err(ConfigError::Invalid {
                key: pair.clone(),
                from: Source::CommandLine,
                message: "write -O key=value".to_owned(),
            });
        };
        let key: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
        put_text(&mut merged, &key, text, &Source::CommandLine)?;
    }
    Ok(merged)
}

/// The options, defaults included.
fn complete(set: Table) -> Result<Config, ConfigError> {
    let mut config =
        Config::deserialize(Value::Table(set)).map_err(|error| together("", error.message()))?;
    read_secrets(&mut config)?;
    validate(&config)?;
    Ok(config)
}

/// The default server name; a constant of the grammar, so it always parses.
pub(crate) fn localhost() -> OwnedServerName {
    ruma::server_name!("localhost").to_owned()
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// The values of `table` with their full paths.
fn flatten(at: &mut Vec<String>, table: &Table, leaves: &mut Vec<(Vec<String>, Value)>) {
    for (key, value) in table {
        at.push(key.clone());
        match value {
            Value::Table(inner) => flatten(at, inner, leaves),
            value => leaves.push((at.clone(), value.clone())),
        }
        at.pop();
    }
}

/// Sets `key` to what `text` means: a TOML value, else a string, else a list separated by commas.
fn put_text(
    into: &mut Table,
    key: &[String],
    text: &str,
    from: &Source,
) -> Result<(), ConfigError> {
    let as_toml = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    let as_string = Value::String(text.to_owned());
    let as_list = Value::Array(
        text.split(',')
            .map(|part| Value::String(part.trim().to_owned()))
            .collect(),
    );
    let mut candidates = as_toml.into_iter().chain([as_string, as_list]);
    let mut refused = None;
    let value = candidates.find(|candidate| match check(key, candidate, from) {
        Ok(()) => true,
        Err(error) => {
            refused.get_or_insert(error);
            false
        }
    });
    match (value, refused) {
        (Some(value), _) => put(into, key, value, from),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(()),
    }
}

/// Sets `key` to `value` if there is such a key and it can have that value.
fn put(into: &mut Table, key: &[String], value: Value, from: &Source) -> Result<(), ConfigError> {
    check(key, &value, from)?;
    if let Some(limit) = rate_limit_part(key)
        && find(into, limit).is_none()
    {
        put(into, limit, Value::Table(default_table(limit)), from)?;
    }
    let Some((last, parents)) = key.split_last() else {
        return Ok(());
    };
    let mut table = into;
    for parent in parents {
        let entry = table
            .entry(parent.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        match entry {
            Value::Table(inner) => table = inner,
            _ => {
                return Err(ConfigError::UnknownKey {
                    key: key.join("."),
                    from: from.clone(),
                });
            }
        }
    }
    table.insert(last.clone(), value);
    Ok(())
}

fn find<'a>(table: &'a Table, key: &[String]) -> Option<&'a Value> {
    let (last, parents) = key.split_last()?;
    let mut table = table;
    for parent in parents {
        table = table.get(parent)?.as_table()?;
    }
    table.get(last)
}

fn default_table(key: &[String]) -> Table {
    let defaults = Table::try_from(Config::default()).unwrap_or_default();
    find(&defaults, key)
        .and_then(Value::as_table)
        .cloned()
        .unwrap_or_default()
}

/// `rate_limits.message` of `rate_limits.message.burst`: only whole with both parts, so one given alone completes what
/// is there.
fn rate_limit_part(key: &[String]) -> Option<&[String]> {
    (key.len() == 3 && key[0] == "rate_limits").then(|| &key[..2])
}

/// Whether the one option `key` alone can be `value`.
fn check(key: &[String], value: &Value, from: &Source) -> Result<(), ConfigError> {
    let mut nested = value.clone();
    let mut path = key;
    if let (Some(limit), Some(part)) = (rate_limit_part(key), key.last()) {
        let mut whole = default_table(limit);
        whole.insert(part.clone(), nested);
        (nested, path) = (Value::Table(whole), limit);
    }
    for part in path.iter().rev() {
        nested = Value::Table(Table::from_iter([(part.clone(), nested)]));
    }
    let Err(error) = Config::deserialize(nested) else {
        return Ok(());
    };
    let key = key.join(".");
    let message = error.message().trim().to_owned();
    if message.starts_with("unknown field") {
        return Err(ConfigError::UnknownKey {
            key,
            from: from.clone(),
        });
    }
    Err(ConfigError::Invalid {
        key,
        from: from.clone(),
        message,
    })
}

fn together(key: &str, message: &str) -> ConfigError {
    ConfigError::Invalid {
        key: key.to_owned(),
        from: Source::Together,
        message: message.to_owned(),
    }
}

/// Reads the `_file` twins.
fn read_secrets(config: &mut Config) -> Result<(), ConfigError> {
    let registration = &mut config.registration;
    let Jwt { key, key_file, .. } = &mut config.jwt;
    let twins = [
        (
            "registration.shared_secret",
            &mut registration.shared_secret,
            &registration.shared_secret_file,
        ),
        ("jwt.key", key, &*key_file),
        (
            "media.s3_secret_access_key",
            &mut config.media.s3_secret_access_key,
            &config.media.s3_secret_access_key_file,
        ),
        (
            "calls.turn_shared_secret",
            &mut config.calls.turn_shared_secret,
            &config.calls.turn_shared_secret_file,
        ),
        (
            "tracing.otlp_headers",
            &mut config.tracing.otlp_headers,
            &config.tracing.otlp_headers_file,
        ),
    ];
    for (name, secret, file) in twins {
        let Some(file) = file else { continue };
        if secret.is_some() {
            return Err(together(name, "give the value or the file, not both"));
        }
        let text = read(file)?;
        *secret = Some(Secret::new(text.trim_end_matches(['\r', '\n'])));
    }
    Ok(())
}

/// What the types alone cannot say.
fn validate(config: &Config) -> Result<(), ConfigError> {
    if config.listen.is_empty() {
        return Err(together("listen", "name at least one address"));
    }
    let tls = config.tls.validate();
    tls.map_err(|(key, message)| together(key, &message))?;
    validate_tracing(&config.tracing)?;
    if let Some(listen) = config
        .metrics
        .listen
        .iter()
        .find(|listen| config.listen.contains(listen) && !listen.to_string().ends_with(":0"))
    {
        let message = format!("{listen} is in `listen` too: figures are for nobody else");
        return Err(together("metrics.listen", &message));
    }
    if let Some(url) = &config.public_base_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        return Err(together(
            "public_base_url",
            "write a URL that begins with https:// or http://",
        ));
    }
    if config.rooms.default_version.rules().is_none() {
        let message = format!(
            "room version `{}` is not known",
            config.rooms.default_version
        );
        return Err(together("rooms.default_version", &message));
    }
    if config.jwt.enabled && config.jwt.key.is_none() {
        return Err(together(
            "jwt.key",
            "needed when jwt.enabled is true (or jwt.key_file)",
        ));
    }
    if config
        .registration
        .shared_secret
        .as_ref()
        .is_some_and(|secret| secret.expose().is_empty())
    {
        return Err(together("registration.shared_secret", "must not be empty"));
    }
    if config.media.backend == MediaBackend::S3 && config.media.s3_bucket.is_none() {
        return Err(together(
            "media.s3_bucket",
            "needed when media.backend is \"s3\"",
        ));
    }
    let limits = &config.limits;
    for (key, value) in [
        ("limits.request_body_bytes", limits.request_body_bytes),
        ("limits.headers", limits.headers),
        ("limits.connections", limits.connections),
        ("previews.max_concurrent", config.previews.max_concurrent),
    ] {
        if value == 0 {
            return Err(together(key, "must be more than 0"));
        }
    }
    if limits.header_bytes < 8_192 {
        return Err(together("limits.header_bytes", "must be at least 8192"));
    }
    if config.sessions.max_devices == 0 {
        return Err(together("sessions.max_devices", "must be at least 1"));
    }
    let rates = &config.rate_limits;
    for (key, limit) in rates.each() {
        if !(limit.per_second > 0.0 && limit.per_second.is_finite() && limit.burst > 0) {
            return Err(together(
                &format!("rate_limits.{key}"),
                "per_second and burst must be more than 0",
            ));
        }
    }
    Ok(())
}

fn validate_tracing(tracing: &Tracing) -> Result<(), ConfigError> {
    if let Some(url) = &tracing.otlp_endpoint
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        let message = "write a URL that begins with https:// or http://";
        return Err(together("tracing.otlp_endpoint", message));
    }
    if !(0.0..=1.0).contains(&tracing.sample_ratio) {
        let message = "must be from 0.0 to 1.0";
        return Err(together("tracing.sample_ratio", message));
    }
    if tracing.service_name.is_empty() {
        return Err(together("tracing.service_name", "must not be empty"));
    }
    Ok(())
}
