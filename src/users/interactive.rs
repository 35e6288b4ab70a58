//! User-interactive authentication: stages to pass before a request is taken
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api)).
//!
//! Sessions live in memory, for `sessions.interactive_auth_lifetime_ms`, at most 10,000: a client whose session is
//! gone starts anew.

use std::collections::{HashMap, VecDeque};

use config::RegistrationMode;
use store::{StoreError, UserNid};

use crate::{LoginError, Session, UserName, Users};

/// A stage that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `m.login.password`
    Password,
    /// `m.login.dummy`
    Dummy,
    /// `m.login.registration_token`
    RegistrationToken,
    /// `org.matrix.login.jwt`: for users who have no password.
    Jwt,
}

impl Stage {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "m.login.password",
            Self::Dummy => "m.login.dummy",
            Self::RegistrationToken => "m.login.registration_token",
            Self::Jwt => "org.matrix.login.jwt",
        }
    }
}

/// What is to be allowed. A session counts for the purpose it was begun with only.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// Registration, by whoever.
    Register,
    /// An operation on the account of a session; its name is method and path.
    Account {
        /// Who asks.
        session: &'a Session,
        /// Method and path.
        operation: &'a str,
    },
}

impl Purpose<'_> {
    fn key(&self) -> (Option<UserNid>, &str) {
        match self {
            Self::Register => (None, "register"),
            Self::Account { session, operation } => (Some(session.user), operation),
        }
    }
}

/// The `auth` of a request.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which session it goes on with; without one a new session begins.
    pub session: Option<String>,
    /// What is shown; `None` to hear how far one is.
    pub credential: Option<Credential>,
}

/// What a client shows to pass a stage.
#[derive(Clone)]
pub enum Credential {
    /// `m.login.password`; `None` where the identifier is not one that we know a user by.
    Password {
        /// Who.
        user: Option<UserName>,
        /// The secret.
        password: String,
    },
    /// `m.login.dummy`
    Dummy,
    /// `m.login.registration_token`
    RegistrationToken(String),
    /// `org.matrix.login.jwt`
    Jwt(String),
    /// A type that we do not know.
    Unknown,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential")
    }
}

impl Credential {
    fn stage(&self) -> Option<Stage> {
        match self {
            Self::Password { .. } => Some(Stage::Password),
            Self::Dummy => Some(Stage::Dummy),
            Self::RegistrationToken(_) => Some(Stage::RegistrationToken),
            Self::Jwt(_) => Some(Stage::Jwt),
            Self::Unknown => None,
        }
    }
}

/// What is still to be done: the body of the 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Any of these ways will do.
    pub flows: Vec<Vec<Stage>>,
    /// What is done.
    pub completed: Vec<Stage>,
    /// To be shown with the next attempt.
    pub session: String,
    /// Why the attempt failed, if one was made.
    pub failure: Option<Failure>,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The wrong user or password.
    WrongPassword,
    /// The registration token does not hold.
    WrongRegistrationToken,
    /// The JSON web token does not hold, or names somebody else.
    WrongJwt,
    /// The stage is in none of the flows.
    NotOffered,
    /// The session is too old, or was never begun.
    UnknownSession,
}

/// All stages are passed.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    pub(crate) registration_token: Option<String>,
}

/// The request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum InteractiveError {
    /// More is to be shown.
    #[error("authentication is not complete")]
    Challenge(Challenge),
    /// The session was begun for something else.
    #[error("the session was begun for another request")]
    OtherPurpose,
    /// Checking failed.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl From<StoreError> for InteractiveError {
    fn from(error: StoreError) -> Self {
        Self::Login(error.into())
    }
}

/// The oldest goes.
const MAX_SESSIONS: usize = 10_000;

#[derive(Default)]
pub(crate) struct Interactions {
    sessions: HashMap<String, Interaction>,
    /// Ids and when they were begun, oldest first; some are done already.
    order: VecDeque<(String, u64)>,
}

#[derive(Clone)]
struct Interaction {
    purpose: (Option<UserNid>, String),
    completed: Vec<Stage>,
    registration_token: Option<String>,
}

impl Interactions {
    fn put(&mut self, id: String, interaction: Interaction, now_ms: u64) {
        if self.sessions.insert(id.clone(), interaction).is_none() {
            self.order.push_back((id, now_ms));
        }
        while self.order.len() > MAX_SESSIONS {
            self.drop_oldest();
        }
    }

    pub(crate) fn forget_old(&mut self, now_ms: u64, lifetime_ms: u64) {
        while self
            .order
            .front()
            .is_some_and(|(_, begun_ms)| begun_ms.saturating_add(lifetime_ms) <= now_ms)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((id, _)) = self.order.pop_front() {
            self.sessions.remove(&id);
        }
    }
}

impl Users {
    /// Lets a request through that shows, now or step by step, what its purpose asks for.
    ///
    /// An attempt that passes the last stage is taken at once, with or without a session, as bots and older
    /// clients send it. A session that was completed is over: the next request is asked again.
    pub async fn interact(
        &self,
        purpose: Purpose<'_>,
        attempt: Option<Attempt>,
    ) -> Result<Proof, InteractiveError> {
        let flows = self.flows(&purpose).await?;
        let (id, mut interaction, mut failure) = self.interaction(&purpose, attempt.as_ref())?;
        if let Some(credential) = attempt.and_then(|attempt| attempt.credential) {
            match self.check(&purpose, &credential).await? {
                Ok(stage) => {
                    failure = None;
                    interaction.completed.retain(|done| *done != stage);
                    interaction.completed.push(stage);
                    if let Credential::RegistrationToken(token) = credential {
                        interaction.registration_token = Some(token);
                    }
                }
                Err(wrong) => failure = Some(wrong),
            }
        }
        let done = |flow: &Vec<Stage>| {
            flow.iter()
                .all(|stage| interaction.completed.contains(stage))
        };
        let mut interactions = self.0.interactions.lock();
        if failure.is_none() && flows.iter().any(done) {
            if let Some(id) = id {
                interactions.sessions.remove(&id);
            }
            return Ok(Proof {
                registration_token: interaction.registration_token,
            });
        }
        let id = id.unwrap_or_else(|| self.0.host.random_string(24));
        let challenge = Challenge {
            flows,
            completed: interaction.completed.clone(),
            session: id.clone(),
            failure,
        };
        interactions.put(id, interaction, self.0.host.now_ms());
        Err(InteractiveError::Challenge(challenge))
    }

    /// The ways to pass. The dummy is not needed beside a registration token, but in open mode a token is taken
    /// too: the one printed at the first start makes the first administrator.
    async fn flows(&self, purpose: &Purpose<'_>) -> Result<Vec<Vec<Stage>>, StoreError> {
        Ok(match purpose {
            Purpose::Register => match self.registration_mode() {
                RegistrationMode::Open => vec![vec![Stage::Dummy], vec![Stage::RegistrationToken]],
                RegistrationMode::Token | RegistrationMode::Closed => {
                    vec![vec![Stage::RegistrationToken]]
                }
            },
            Purpose::Account { session, .. } => {
                let has_password = self
                    .account_of(session.user)
                    .await?
                    .is_some_and(|account| account.has_password());
                match (has_password, self.offers_jwt()) {
                    (false, true) => vec![vec![Stage::Jwt]],
                    (true, _) | (false, false) => vec![vec![Stage::Password]],
                }
            }
        })
    }

    /// The session that an attempt goes on with, or a new one; and what is wrong about the session named.
    fn interaction(
        &self,
        purpose: &Purpose<'_>,
        attempt: Option<&Attempt>,
    ) -> Result<(Option<String>, Interaction, Option<Failure>), InteractiveError> {
        let (user, operation) = purpose.key();
        let fresh = Interaction {
            purpose: (user, operation.to_owned()),
            completed: Vec::new(),
            registration_token: None,
        };
        let Some(id) = attempt.and_then(|attempt| attempt.session.as_ref()) else {
            return Ok((None, fresh, None));
        };
        let mut interactions = self.0.interactions.lock();
        interactions.forget_old(
            self.0.host.now_ms(),
            self.0.options.sessions.interactive_auth_lifetime_ms,
        );
        match interactions.sessions.get(id) {
            Some(known) if known.purpose == fresh.purpose => {
                Ok((Some(id.clone()), known.clone(), None))
            }
            Some(_) => Err(InteractiveError::OtherPurpose),
            None => Ok((None, fresh, Some(Failure::UnknownSession))),
        }
    }

    async fn check(
        &self,
        purpose: &Purpose<'_>,
        credential: &Credential,
    ) -> Result<Result<Stage, Failure>, InteractiveError> {
        let Some(stage) = credential.stage() else {
            return Ok(Err(Failure::NotOffered));
        };
        let right = match (purpose, credential) {
            (Purpose::Register, Credential::Dummy) => return Ok(self.dummy_allowed()),
            (Purpose::Register, Credential::RegistrationToken(token)) => {
                let right = self.registration_token_holds(token).await?;
                return Ok(if right {
                    Ok(stage)
                } else {
                    Err(Failure::WrongRegistrationToken)
                });
            }
            (
                Purpose::Account { session, .. },
                Credential::Password {
                    user: Some(name),
                    password,
                },
            ) => {
                let found = self.check_password_of(name, password).await?;
                found.is_some_and(|(user, _)| user == session.user)
            }
            (Purpose::Account { .. }, Credential::Password { user: None, .. }) => false,
            (Purpose::Account { session, .. }, Credential::Jwt(token)) if self.offers_jwt() => {
                let right = self.user_of_jwt(token).await? == Some(session.user);
                return Ok(if right {
                    Ok(stage)
                } else {
                    Err(Failure::WrongJwt)
                });
            }
            _ => return Ok(Err(Failure::NotOffered)),
        };
        Ok(if right {
            Ok(stage)
        } else {
            Err(Failure::WrongPassword)
        })
    }

    fn dummy_allowed(&self) -> Result<Stage, Failure> {
        match self.registration_mode() {
            RegistrationMode::Open => Ok(Stage::Dummy),
            // A client may tick off the dummy before it has the token.
            RegistrationMode::Token | RegistrationMode::Closed => Err(Failure::NotOffered),
        }
    }
}

#[cfg(test)]
mod tests;
