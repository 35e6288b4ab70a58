//! OpenID tokens: they prove to a third party who somebody is, and are good for nothing else
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#openid)).

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use store::{Batch, StoreError, UserNid, tables::OpenIdTokens};

use crate::{
    Users, rows,
    tokens::{self, TokenHash, TokenKind},
};

/// As long as Synapse's.
const LIFETIME_MS: u64 = 3_600_000;

/// A token for a third party.
#[derive(Clone, Debug)]
pub struct OpenIdToken {
    /// Shown once; only its SHA-256 is kept.
    pub token: String,
    /// How long it holds, in milliseconds.
    pub lifetime_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Row {
    user: u32,
    expires_ms: u64,
}

impl Users {
    /// A new token for a user.
    pub async fn issue_openid_token(&self, user: UserNid) -> Result<OpenIdToken, StoreError> {
        let token = tokens::generate(&self.0.host, TokenKind::OpenId);
        let row = Row {
            user: user.0,
            expires_ms: self.0.host.now_ms().saturating_add(LIFETIME_MS),
        };
        let mut batch = Batch::new();
        batch.put::<OpenIdTokens>(
            &TokenHash::of_new(&token).key(),
            &rows::write::<OpenIdTokens>(&row)?,
        );
        self.0.store.commit(batch).await?;
        Ok(OpenIdToken {
            token,
            lifetime_ms: LIFETIME_MS,
        })
    }

    /// Whose token it is, while it holds. One that has expired is removed.
    pub async fn openid_user(&self, token: &str) -> Result<Option<OwnedUserId>, StoreError> {
        let Some(hash) = TokenHash::of(token) else {
            return Ok(None);
        };
        let row: Option<Row> = rows::read::<OpenIdTokens, _>(&self.0.store, &hash.key()).await?;
        let Some(row) = row else { return Ok(None) };
        if row.expires_ms <= self.0.host.now_ms() {
            let mut batch = Batch::new();
            batch.delete::<OpenIdTokens>(&hash.key());
            batch.relax();
            drop(self.0.store.queue(batch)?);
            return Ok(None);
        }
        self.user_id(UserNid(row.user)).await.map(Some)
    }
}
