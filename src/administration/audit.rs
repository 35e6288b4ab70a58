//! What administrators did, kept: who reads or changes what belongs to others leaves a trace.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Batch, Pos, Raw, Scan, StoreError, Table, tables::AuditLog};

use crate::Administration;

/// Something that an administrator did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deed {
    /// Who: a user id, or `uid 1000` for a process of the server's own user.
    pub by: String,
    /// What, such as `user.login_as`.
    pub action: String,
    /// To whom or what: a user id, a room id, a token.
    pub target: String,
    /// The rest; no secrets.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl Administration {
    /// Keeps that `by` is about to do `action`: on the disk before it is done.
    pub async fn audit(
        &self,
        by: &str,
        action: &str,
        target: &str,
        details: Value,
    ) -> Result<(), StoreError> {
        let deed = Deed {
            by: by.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            details,
            at_ms: self.0.host.now_ms(),
        };
        let row = Raw::json(&deed).map_err(corrupt)?;
        let mut batch = Batch::new();
        batch.put::<AuditLog>(&Pos::unassigned(0), &row);
        self.0.store.commit(batch).await?;
        tracing::info!(by, action, target, "an administrator acts");
        Ok(())
    }

    /// What was done, the latest first: at most `limit`, before `before`. Each with its position, to go on from.
    pub async fn deeds(
        &self,
        before: Option<Pos>,
        limit: usize,
    ) -> Result<Vec<(Pos, Deed)>, StoreError> {
        let scan = Scan::range::<AuditLog>(&Pos::MIN, &before.unwrap_or(Pos::MAX));
        let rows = self.0.store.scan::<AuditLog>(scan.reverse().limit(limit));
        rows.await?
            .into_iter()
            .map(|(pos, raw)| Ok((pos, raw.parse().map_err(corrupt)?)))
            .collect()
    }
}

fn corrupt(source: store::CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: AuditLog::NAME,
        source,
    }
}
