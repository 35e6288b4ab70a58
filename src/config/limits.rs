//! How often is too often, how much is too much.

use serde::{Deserialize, Serialize};

/// One limit: `burst` at once, then `per_second`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests per second in the long run.
    pub per_second: f64,
    /// Requests that may come at once.
    pub burst: u32,
}

impl RateLimit {
    const fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst }
    }
}

/// `rate_limits.*`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Whether anybody is limited.
    pub enabled: bool,
    /// Logins from one address.
    pub login_address: RateLimit,
    /// Logins to one account.
    pub login_account: RateLimit,
    /// Failed logins to one account.
    pub login_failed: RateLimit,
    /// Registrations from one address.
    pub registration: RateLimit,
    /// Checks of a registration token from one address.
    pub registration_token: RateLimit,
    /// Events sent by one user.
    pub message: RateLimit,
    /// Rooms joined by one user.
    pub join: RateLimit,
    /// Invitations by one user.
    pub invite: RateLimit,
    /// Rooms created by one user.
    pub create_room: RateLimit,
    /// Files uploaded or announced by one user.
    pub upload: RateLimit,
    /// Links previewed for one user.
    pub preview: RateLimit,
    /// Searches by one user or from one address: for events, users, rooms, in spaces.
    pub search: RateLimit,
    /// Questions for other users' keys by one user.
    pub keys: RateLimit,
    /// Whatever a guest changes, beside the limits of everybody.
    pub guest: RateLimit,
}

impl Default for RateLimits {
    fn default() -> Self {
        // Synapse's defaults where it has one, rounded; people meet none of them.
        Self {
            enabled: true,
            login_address: RateLimit::new(0.05, 10),
            login_account: RateLimit::new(0.05, 10),
            login_failed: RateLimit::new(0.17, 5),
            registration: RateLimit::new(0.17, 5),
            registration_token: RateLimit::new(0.1, 5),
            message: RateLimit::new(10.0, 50),
            join: RateLimit::new(0.5, 20),
            invite: RateLimit::new(0.5, 20),
            create_room: RateLimit::new(0.1, 10),
            upload: RateLimit::new(2.0, 50),
            preview: RateLimit::new(2.0, 30),
            // Synapse has none that fits: clients search while one types, and ask for keys at each new member.
            search: RateLimit::new(5.0, 50),
            keys: RateLimit::new(20.0, 500),
            // Synapse has none: a tenth of a user's messages.
            guest: RateLimit::new(1.0, 20),
        }
    }
}

impl RateLimits {
    /// Every limit with its key.
    pub fn each(&self) -> [(&'static str, RateLimit); 14] {
        [
            ("login_address", self.login_address),
            ("login_account", self.login_account),
            ("login_failed", self.login_failed),
            ("registration", self.registration),
            ("registration_token", self.registration_token),
            ("message", self.message),
            ("join", self.join),
            ("invite", self.invite),
            ("create_room", self.create_room),
            ("upload", self.upload),
            ("preview", self.preview),
            ("search", self.search),
            ("keys", self.keys),
            ("guest", self.guest),
        ]
    }
}

/// `limits.*`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest body of a request, in bytes.
    pub request_body_bytes: usize,
    /// How long a client may take to send a body, in milliseconds.
    pub request_body_timeout_ms: u64,
    /// How long a client may take to send the head of a request, and stay connected without one, in milliseconds.
    pub header_timeout_ms: u64,
    /// How long a TLS handshake may take, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// The most bytes in the head of a request.
    pub header_bytes: usize,
    /// The most headers of a request.
    pub headers: usize,
    /// Clients connected at the same time. More have to wait.
    pub connections: usize,
    /// How long requests may go on once the server is told to stop, in milliseconds.
    pub drain_timeout_ms: u64,
    /// The longest that /sync waits for news, in milliseconds.
    pub sync_timeout_ms: u64,
    /// The most events of a room in one /sync.
    pub sync_timeline_events: usize,
    /// The most events in one page of /messages and /context.
    pub page_events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_body_bytes: 4 << 20,
            request_body_timeout_ms: 60_000,
            header_timeout_ms: 60_000,
            // The slowest mobile network answers in 2 s.
            handshake_timeout_ms: 10_000,
            header_bytes: 64 << 10,
            headers: 100,
            connections: 16_384,
            drain_timeout_ms: 5_000,
            sync_timeout_ms: 90_000,
            sync_timeline_events: 100,
            page_events: 1_000,
        }
    }
}
