//! Registration with a secret that the administrator shares with a provisioning tool. Not in the spec;
//! [as Synapse has it](https://element-hq.github.io/synapse/latest/admin_api/register_api.html).

use std::collections::VecDeque;

use hmac::{Hmac, KeyInit, Mac};
use ruma::OwnedUserId;
use sha1::Sha1;

use crate::{IssuedSession, NewSession, SharedSecretError, Users, accounts::NewAccount};

/// A request, as the tool signed it.
#[derive(Clone, Debug, Default)]
pub struct SharedSecretRegistration {
    /// From [`Users::nonce`].
    pub nonce: String,
    /// The localpart.
    pub username: String,
    /// The display name; not signed.
    pub displayname: Option<String>,
    /// The password.
    pub password: String,
    /// Whether the account administers the server.
    pub admin: bool,
    /// `bot`, `support`, or nothing.
    pub user_type: Option<String>,
    /// The HMAC-SHA1 in hexadecimal.
    pub mac: String,
    /// `None` with `inhibit_login`.
    pub session: Option<NewSession>,
}

/// As in Synapse, in milliseconds.
const NONCE_LIFETIME_MS: u64 = 60_000;
/// Nonces given out and not used, at most; the oldest goes.
const MAX_NONCES: usize = 1_000;

/// Nonces given out, oldest first, and when.
#[derive(Default)]
pub(crate) struct Nonces(VecDeque<(String, u64)>);

impl Nonces {
    fn forget_old(&mut self, now_ms: u64) {
        while let Some((_, given_ms)) = self.0.front()
            && given_ms.saturating_add(NONCE_LIFETIME_MS) <= now_ms
        {
            self.0.pop_front();
        }
    }
}

impl Users {
    /// A nonce for one registration within a minute.
    pub fn nonce(&self) -> Result<String, SharedSecretError> {
        if self.0.options.registration.shared_secret.is_none() {
            return Err(SharedSecretError::Disabled);
        }
        let now_ms = self.0.host.now_ms();
        let nonce = self.0.host.random_string(64);
        let mut nonces = self.0.nonces.lock();
        nonces.forget_old(now_ms);
        if nonces.0.len() >= MAX_NONCES {
            nonces.0.pop_front();
        }
        nonces.0.push_back((nonce.clone(), now_ms));
        Ok(nonce)
    }

    /// Creates an account for whoever knows the shared secret, whatever the registration mode.
    pub async fn register_with_shared_secret(
        &self,
        request: SharedSecretRegistration,
    ) -> Result<(OwnedUserId, Option<IssuedSession>), SharedSecretError> {
        let secret = self
            .0
            .options
            .registration
            .shared_secret
            .as_ref()
            .ok_or(SharedSecretError::Disabled)?;
        self.take_nonce(&request.nonce)?;
        if request.username.contains('\0') || request.password.contains('\0') {
            return Err(SharedSecretError::Invalid("A NUL is not allowed."));
        }
        if request.password.is_empty() {
            return Err(SharedSecretError::Invalid("The password is empty."));
        }
        if !matches!(request.user_type.as_deref(), None | Some("bot" | "support")) {
            return Err(SharedSecretError::Invalid(
                "The user type is none of: null, bot, support.",
            ));
        }
        let given = unhex(&request.mac).ok_or(SharedSecretError::WrongMac)?;
        let mac = signed(secret.expose(), &request).ok_or(SharedSecretError::WrongMac)?;
        mac.verify_slice(&given)
            .map_err(|_| SharedSecretError::WrongMac)?;
        let account = NewAccount {
            user_id: self.new_user_id(&request.username)?,
            password: Some(request.password),
            admin: request.admin,
            user_type: request.user_type,
            displayname: request.displayname,
            registration_token: None,
        };
        Ok(self.create(account, request.session.as_ref()).await?)
    }

    fn take_nonce(&self, nonce: &str) -> Result<(), SharedSecretError> {
        let mut nonces = self.0.nonces.lock();
        nonces.forget_old(self.0.host.now_ms());
        let place = nonces
            .0
            .iter()
            .position(|(given, _)| given == nonce)
            .ok_or(SharedSecretError::UnknownNonce)?;
        nonces.0.remove(place);
        Ok(())
    }
}

fn signed(secret: &str, request: &SharedSecretRegistration) -> Option<Hmac<Sha1>> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).ok()?;
    let admin = if request.admin { "admin" } else { "notadmin" };
    mac.update(request.nonce.as_bytes());
    for part in [request.username.as_str(), &request.password, admin]
        .into_iter()
        .chain(request.user_type.as_deref())
    {
        mac.update(&[0]);
        mac.update(part.as_bytes());
    }
    Some(mac)
}

/// What a tool that knows `secret` sends as `mac`; for tests and for our own tools.
pub fn mac(secret: &str, request: &SharedSecretRegistration) -> String {
    use std::fmt::Write;
    let bytes = signed(secret, request)
        .map(|mac| mac.finalize().into_bytes())
        .unwrap_or_default();
    bytes
        .iter()
        .fold(String::with_capacity(40), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() % 2 == 1 {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests;
