//! What handlers may ask for: each service by its own type, through `State<…>`.

use std::{ops::Deref, sync::Arc};

use ::rooms::{Delayed, Rooms, Typing, Watch};
use administration::Administration;
use axum::extract::FromRef;
use config::Config;
use encryption::Encryption;
use host::{Host, Shutdown};
use http_layer::{HttpFigures, RateLimits};
use media::Media;
use push::Push;
use search::Search;
use sync::{Engine, Presence};
use tls::Certificates;
use traces::TraceFigures;
use users::Users;

/// Every service; each request has its own, which costs one counter and not one for each service.
#[derive(Clone)]
pub struct Services(Arc<AllServices>);

/// What [`Services`] are. `myelin` builds them.
pub struct AllServices {
    /// The options.
    pub config: Arc<Config>,
    /// Clock, dice and tasks.
    pub host: Host,
    /// What is counted of requests.
    pub http: HttpFigures,
    /// The certificate that TLS clients are shown, if the server speaks TLS itself.
    pub certificates: Arc<Certificates>,
    /// How often is too often.
    pub limits: RateLimits,
    /// What became of spans.
    pub traces: TraceFigures,
    /// Whether the server is stopping: long polls answer at once.
    pub shutdown: Shutdown,
    /// What concerns users, rooms and files at once.
    pub administration: Administration,
    /// Accounts and what belongs to one user.
    pub users: Users,
    /// Rooms and their events.
    pub rooms: Rooms,
    /// Who is typing where.
    pub typing: Typing,
    /// Events that wait for their time.
    pub delayed: Delayed,
    /// Who waits for the next event of a room without being in it.
    pub watch: Watch,
    /// Keys, and messages between devices.
    pub encryption: Encryption,
    /// Uploaded files, and what is behind links.
    pub media: Media,
    /// Notifies phones.
    pub push: Push,
    /// Finds events by words.
    pub search: Search,
    /// What is told to whom.
    pub sync: Engine,
}

impl From<AllServices> for Services {
    fn from(all: AllServices) -> Self {
        Self(Arc::new(all))
    }
}

impl Deref for Services {
    type Target = AllServices;

    fn deref(&self) -> &AllServices {
        &self.0
    }
}

impl FromRef<Services> for Arc<Config> {
    fn from_ref(services: &Services) -> Self {
        Self::clone(&services.config)
    }
}

impl FromRef<Services> for Host {
    fn from_ref(services: &Services) -> Self {
        services.host.clone()
    }
}

impl FromRef<Services> for RateLimits {
    fn from_ref(services: &Services) -> Self {
        services.limits.clone()
    }
}

impl FromRef<Services> for Shutdown {
    fn from_ref(services: &Services) -> Self {
        services.shutdown.clone()
    }
}

impl FromRef<Services> for Administration {
    fn from_ref(services: &Services) -> Self {
        services.administration.clone()
    }
}

impl FromRef<Services> for Users {
    fn from_ref(services: &Services) -> Self {
        services.users.clone()
    }
}

impl FromRef<Services> for Rooms {
    fn from_ref(services: &Services) -> Self {
        services.rooms.clone()
    }
}

impl FromRef<Services> for Encryption {
    fn from_ref(services: &Services) -> Self {
        services.encryption.clone()
    }
}

impl FromRef<Services> for Media {
    fn from_ref(services: &Services) -> Self {
        services.media.clone()
    }
}

impl FromRef<Services> for Delayed {
    fn from_ref(services: &Services) -> Self {
        services.delayed.clone()
    }
}

impl FromRef<Services> for Watch {
    fn from_ref(services: &Services) -> Self {
        services.watch.clone()
    }
}

impl FromRef<Services> for Search {
    fn from_ref(services: &Services) -> Self {
        services.search.clone()
    }
}

impl FromRef<Services> for Typing {
    fn from_ref(services: &Services) -> Self {
        services.typing.clone()
    }
}

impl FromRef<Services> for Engine {
    fn from_ref(services: &Services) -> Self {
        services.sync.clone()
    }
}

impl FromRef<Services> for Presence {
    fn from_ref(services: &Services) -> Self {
        services.sync.presence().clone()
    }
}
