//! Clears away tokens that have expired and authentications that nobody finishes.

use serde::{Deserialize, de::DeserializeOwned};
use store::{
    Batch, Scan, StoreError, Table,
    tables::{LoginTokens, OpenIdTokens, Raw},
};

use crate::{Users, rows};

/// What both kinds of rows have.
#[derive(Deserialize)]
struct Expiring {
    expires_ms: u64,
}

/// Rows read at a time: both tokens live for an hour at most, so there are not many.
const ROWS: usize = 10_000;

impl Users {
    /// Forgets what has expired: OpenID tokens, login tokens, interactive authentications. Gives the number of tokens.
    pub async fn forget_expired(&self) -> Result<usize, StoreError> {
        let lifetime_ms = self.0.options.sessions.interactive_auth_lifetime_ms;
        let now_ms = self.0.host.now_ms();
        self.0.interactions.lock().forget_old(now_ms, lifetime_ms);
        Ok(self.forget::<OpenIdTokens>().await? + self.forget::<LoginTokens>().await?)
    }

    async fn forget<T: Table<Value = Raw>>(&self) -> Result<usize, StoreError> {
        let now_ms = self.0.host.now_ms();
        let rows = Scan::prefix::<T>(&()).limit(ROWS);
        let mut batch = Batch::new();
        let mut forgotten = 0;
        for (key, raw) in self.0.store.scan::<T>(rows).await? {
            let row: Expiring = parse::<T, _>(&raw)?;
            if row.expires_ms <= now_ms {
                batch.delete::<T>(&key);
                forgotten += 1;
            }
        }
        if forgotten > 0 {
            batch.relax();
            self.0.store.commit(batch).await?;
        }
        Ok(forgotten)
    }
}

fn parse<T: Table, V: DeserializeOwned>(raw: &Raw) -> Result<V, StoreError> {
    rows::parse::<T, V>(raw)
}

#[cfg(test)]
mod tests {
    use crate::{NewSession, tests::Fixture};

    #[tokio::test]
    async fn what_has_expired_is_forgotten() {
        const MINUTE_MS: u64 = 60_000;
        let fixture = Fixture::new();
        let users = &fixture.users;
        let alice = fixture.session("alice").await;
        let openid = users.issue_openid_token(alice.user).await.unwrap().token;
        users.generate_login_token(&alice).await.unwrap();
        assert_eq!(users.forget_expired().await.unwrap(), 0);
        // A login token holds for two minutes, an OpenID token for an hour.
        fixture.clock.advance(2 * MINUTE_MS);
        assert_eq!(users.forget_expired().await.unwrap(), 1);
        assert!(users.openid_user(&openid).await.unwrap().is_some());
        fixture.clock.advance(58 * MINUTE_MS);
        let late = users.generate_login_token(&alice).await.unwrap().token;
        assert_eq!(users.forget_expired().await.unwrap(), 1);
        assert_eq!(users.forget_expired().await.unwrap(), 0);
        let new = NewSession::default();
        users.login_with_token(&late, &new).await.unwrap();
    }
}
