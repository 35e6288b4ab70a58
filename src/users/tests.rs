//! What the tests of this crate share: users over a store in memory, with a clock that is turned by hand.

use std::sync::Arc;

use config::{Config, RegistrationMode};
use host::{Host, ManualClock};
use parking_lot::Mutex;
use store::{Pos, Store, UserNid};

use crate::{
    IssuedSession, NewSession, Registration, Session, TokenToCreate, UserFollower, UserNews, Users,
    accounts::NewAccount,
};

pub(crate) const PASSWORD: &str = "correct horse";

/// The configuration of tests: everybody may register, and a password costs next to nothing.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.registration.mode = RegistrationMode::Open;
    config.passwords.memory_kib = 8;
    config.passwords.iterations = 1;
    config
}

pub(crate) struct Fixture {
    pub(crate) users: Users,
    pub(crate) clock: ManualClock,
    pub(crate) store: Store,
    pub(crate) host: Host,
    pub(crate) news: Arc<News>,
}

/// Everything that was told.
#[derive(Default)]
pub(crate) struct News(Mutex<Vec<(UserNid, Pos, UserNews)>>);

impl News {
    pub(crate) fn take(&self) -> Vec<UserNews> {
        self.0.lock().drain(..).map(|(_, _, what)| what).collect()
    }
}

impl UserFollower for News {
    fn user_changed(&self, user: UserNid, pos: Pos, what: &UserNews) {
        self.0.lock().push((user, pos, what.clone()));
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(&config())
    }

    pub(crate) fn with(config: &Config) -> Self {
        let clock = ManualClock::new(1_700_000_000_000);
        let host = Host::manual(&clock, 7);
        let store = Store::open_memory(host.clone());
        let users = Users::new(store.clone(), host.clone(), config).unwrap();
        let news = Arc::new(News::default());
        users.follow(news.clone());
        Self {
            users,
            clock,
            store,
            host,
            news,
        }
    }

    /// The same store, with nothing in memory.
    pub(crate) fn restarted(&self, config: &Config) -> Users {
        Users::new(self.store.clone(), self.host.clone(), config).unwrap()
    }

    pub(crate) async fn user(&self, name: &str, new: NewSession) -> IssuedSession {
        let account = NewAccount {
            user_id: self.users.new_user_id(name).unwrap(),
            password: Some(PASSWORD.to_owned()),
            admin: false,
            user_type: None,
            displayname: None,
            registration_token: None,
        };
        let (_, issued) = self.users.create(account, Some(&new)).await.unwrap();
        self.news.take();
        issued.unwrap()
    }

    pub(crate) async fn session(&self, name: &str) -> Session {
        let issued = self.user(name, NewSession::default()).await;
        self.users
            .authenticate(&issued.access_token, None)
            .await
            .unwrap()
    }
}

pub(crate) fn registration(username: &str) -> Registration {
    Registration {
        username: Some(username.to_owned()),
        password: PASSWORD.to_owned(),
        session: Some(NewSession::default()),
        guest: None,
    }
}

/// A registration token.
pub(crate) async fn token(users: &Users, uses: Option<u64>, expires_ms: Option<u64>) -> String {
    let new = TokenToCreate {
        uses_allowed: uses,
        expires_ms,
        ..TokenToCreate::default()
    };
    let made = users.create_registration_token(new).await.unwrap();
    made.unwrap().token
}
