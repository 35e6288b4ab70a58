//! The options by section. A doc comment here is the text in `config/myelin.toml`.

use std::path::PathBuf;

use ruma::{OwnedServerName, RoomVersionId};
use serde::{Deserialize, Serialize};

use crate::{
    Calls, Durability, JwtAlgorithm, Limits, Listen, Media, Network, Outbound, Previews, Push,
    RateLimits, Secret, ServerNotices, Thumbnails, Tls, Tracing,
};

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name in user ids, `@alice:server_name`. It can never change once there are users.
    pub server_name: OwnedServerName,
    /// Where to listen: "host:port", "[ipv6]:port" or "unix:/path".
    pub listen: Vec<Listen>,
    /// The one directory that holds everything. Relative to the working directory.
    pub data_dir: PathBuf,
    /// The URL under which clients reach this server, if it is not the address above: "https://matrix.example.org".
    pub public_base_url: Option<String>,
    /// Reverse proxies whose X-Forwarded-For header is believed. Unix sockets always are.
    pub trusted_proxies: Vec<Network>,
    /// Threads that serve requests; 0 is one per core.
    pub worker_threads: usize,
    /// TLS without a reverse proxy.
    pub tls: Tls,
    /// Who may create an account.
    pub registration: Registration,
    /// How passwords are kept.
    pub passwords: Passwords,
    /// How long tokens live.
    pub sessions: Sessions,
    /// Login with a signed token, `org.matrix.login.jwt`.
    pub jwt: Jwt,
    /// Rooms.
    pub rooms: Rooms,
    /// Who is online.
    pub presence: Presence,
    /// The database.
    pub storage: Storage,
    /// Uploaded files.
    pub media: Media,
    /// Small copies of images.
    pub thumbnails: Thumbnails,
    /// What is behind a link.
    pub previews: Previews,
    /// Voice and video.
    pub calls: Calls,
    /// Push notifications.
    pub push: Push,
    /// What the server itself tells its users.
    pub server_notices: ServerNotices,
    /// Requests to URLs that clients name: pages to preview, push gateways.
    pub outbound: Outbound,
    /// What `/.well-known/matrix/…` says besides the base URL.
    pub well_known: WellKnown,
    /// How often is too often. Each limit allows `burst` at once and then `per_second`.
    pub rate_limits: RateLimits,
    /// How much is too much.
    pub limits: Limits,
    /// What is written to the log.
    pub log: Log,
    /// Figures about the server.
    pub metrics: Metrics,
    /// Requests as spans of OpenTelemetry.
    pub tracing: Tracing,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: crate::load::localhost(),
            listen: vec![Listen::Tcp("127.0.0.1:8008".to_owned())],
            data_dir: "./myelin-data".into(),
            public_base_url: None,
            trusted_proxies: ["127.0.0.0/8", "::1/128"]
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            worker_threads: 0,
            tls: Tls::default(),
            registration: Registration::default(),
            passwords: Passwords::default(),
            sessions: Sessions::default(),
            jwt: Jwt::default(),
            rooms: Rooms::default(),
            presence: Presence::default(),
            storage: Storage::default(),
            media: Media::default(),
            thumbnails: Thumbnails::default(),
            previews: Previews::default(),
            calls: Calls::default(),
            push: Push::default(),
            server_notices: ServerNotices::default(),
            outbound: Outbound::default(),
            well_known: WellKnown::default(),
            rate_limits: RateLimits::default(),
            limits: Limits::default(),
            log: Log::default(),
            metrics: Metrics::default(),
            tracing: Tracing::default(),
        }
    }
}

impl Config {
    /// The base URL that clients are told: `public_base_url`, or `https://` and the server's name if it speaks TLS
    /// itself, or one made of the first TCP address.
    pub fn base_url(&self) -> String {
        if let Some(url) = &self.public_base_url {
            return url.trim_end_matches('/').to_owned();
        }
        let name = self.server_name.host();
        match first_port(&self.tls.listen) {
            Some((_, "443")) => return format!("https://{name}"),
            Some((_, port)) => return format!("https://{name}:{port}"),
            None => {}
        }
        let (host, port) = first_port(&self.listen).unwrap_or(("localhost", "8008"));
        match host {
            // Nobody can connect to "any address".
            "0.0.0.0" | "[::]" => format!("http://localhost:{port}"),
            host => format!("http://{host}:{port}"),
        }
    }
}

/// Host and port of the first TCP address.
fn first_port(listen: &[Listen]) -> Option<(&str, &str)> {
    listen.iter().find_map(|listen| match listen {
        Listen::Tcp(address) => address.rsplit_once(':'),
        Listen::Unix(_) => None,
    })
}

/// Who may create an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationMode {
    /// Nobody, except through the shared secret.
    Closed,
    /// Whoever has a registration token.
    #[default]
    Token,
    /// Everybody.
    Open,
}

/// `registration.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// "closed", "token" (whoever has a registration token) or "open" (everybody).
    pub mode: RegistrationMode,
    /// Whether clients may make guest accounts, whatever the mode: no password, and little that they can do.
    pub guests: bool,
    /// The secret for `POST /_synapse/admin/v1/register`, which provisioning tools speak.
    pub shared_secret: Option<Secret>,
    /// A file that holds the secret.
    pub shared_secret_file: Option<PathBuf>,
}

/// `passwords.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Passwords {
    /// The shortest password taken, in characters.
    pub min_length: usize,
    /// Memory of one argon2id hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes of one hash.
    pub parallelism: u32,
    /// Hashes computed at the same time; 0 is half the cores, at least one. Logins must not starve the rest.
    pub workers: usize,
}

impl Default for Passwords {
    fn default() -> Self {
        // The argon2 crate's defaults, OWASP's first recommendation: 26 ms.
        Self {
            min_length: 8,
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            workers: 0,
        }
    }
}

/// `sessions.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// How long an access token lives when the client can refresh it, in milliseconds.
    pub access_token_lifetime_ms: u64,
    /// How long a token for `m.login.token` lives, in milliseconds.
    pub login_token_lifetime_ms: u64,
    /// How long an interactive authentication may take, in milliseconds.
    pub interactive_auth_lifetime_ms: u64,
    /// Devices that one user may be logged in with at the same time; a further login is refused.
    pub max_devices: usize,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            access_token_lifetime_ms: 5 * 60_000,
            login_token_lifetime_ms: 2 * 60_000,
            interactive_auth_lifetime_ms: 15 * 60_000,
            // Nobody was seen with a tenth of it, but for programs that log in anew each time.
            max_devices: 1_000,
        }
    }
}

/// `jwt.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// Whether such tokens are taken.
    pub enabled: bool,
    /// "HS256" (a shared secret), "RS256" or "ES256" (a public key in PEM).
    pub algorithm: JwtAlgorithm,
    /// The shared secret, or the public key in PEM.
    pub key: Option<Secret>,
    /// A file that holds it.
    pub key_file: Option<PathBuf>,
    /// Who must have issued the token (`iss`).
    pub issuer: Option<String>,
    /// For whom the token must be (`aud`): any of these.
    pub audiences: Vec<String>,
    /// The claim that holds the localpart.
    pub subject_claim: String,
    /// Whether an unknown user gets an account.
    pub create_users: bool,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            enabled: false,
            algorithm: JwtAlgorithm::default(),
            key: None,
            key_file: None,
            issuer: None,
            audiences: Vec::new(),
            subject_claim: "sub".to_owned(),
            create_users: true,
        }
    }
}

/// `rooms.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rooms {
    /// The version of new rooms.
    pub default_version: RoomVersionId,
    /// Bytes of memory for rooms kept ready. The least active are dropped.
    pub cache_bytes: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            default_version: RoomVersionId::V12,
            cache_bytes: 64 << 20,
        }
    }
}

/// `presence.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// Whether users see who is online.
    pub enabled: bool,
    /// After how long without a request a user counts as idle, in milliseconds.
    pub idle_after_ms: u64,
    /// After how long without a request a user counts as offline, in milliseconds.
    pub offline_after_ms: u64,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            enabled: true,
            idle_after_ms: 5 * 60_000,
            offline_after_ms: 30 * 60_000,
        }
    }
}

/// `storage.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// "fsync" (on disk before anybody is answered), "interval" (on disk every interval_ms) or "os".
    pub durability: Durability,
    /// The interval of "interval", in milliseconds.
    pub interval_ms: u64,
    /// Bytes of memory for the database's cache.
    pub cache_bytes: usize,
    /// Bytes that may wait to be written before senders are told to slow down.
    pub queue_bytes: usize,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            interval_ms: 1_000,
            cache_bytes: 64 << 20,
            queue_bytes: 64 << 20,
        }
    }
}

/// `well_known.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WellKnown {
    /// Where other servers reach this one, "host:port". Told only if set.
    pub server: Option<String>,
    /// The administrator's email address.
    pub support_email: Option<String>,
    /// The administrator's Matrix id.
    pub support_matrix_id: Option<String>,
    /// A page that helps users.
    pub support_page: Option<String>,
}

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// How requests are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestLog {
    /// Not at all.
    Off,
    /// At the level debug.
    #[default]
    Debug,
    /// At the level info.
    Info,
}

/// `log.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: a level, or a level and others for parts of the server, such as "info,push=debug".
    pub filter: String,
    /// A line for each request, when it is over: "info", "debug" (what `filter` has to let through, as with
    /// "info,http_layer=debug") or "off".
    pub requests: RequestLog,
    /// "pretty" or "json".
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info,ruma_state_res=warn".to_owned(),
            format: LogFormat::default(),
            requests: RequestLog::default(),
        }
    }
}

/// `metrics.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where to listen for Prometheus (`/metrics`) and for whoever watches over the server (`/health`), written as in `listen`,
    /// such as "127.0.0.1:9008". Whoever reaches it is asked for nothing: keep it private.
    pub listen: Vec<Listen>,
}
