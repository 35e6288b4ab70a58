//! What a user has uploaded, for the administrator and for whoever cleans up after an account.

use store::{Scan, StoreError, UserNid, tables};

use crate::{Media, rows::MediaRow};

/// A page of a user's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFiles {
    /// How many there are in all.
    pub total: usize,
    /// How many bytes they take in all; bytes that several ids stand for count for each.
    pub total_bytes: u64,
    /// The latest first.
    pub files: Vec<UserFile>,
}

/// A user's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFile {
    /// `mxc://server/<this>`
    pub media_id: String,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Bytes.
    pub size: u64,
    /// As the uploader named it.
    pub content_type: Option<String>,
    /// As the uploader named it.
    pub file_name: Option<String>,
}

impl Media {
    /// At most `limit` of a user's files, without the latest `skip`.
    ///
    /// # Errors
    /// The store failed.
    pub async fn of_user(
        &self,
        user: UserNid,
        skip: usize,
        limit: usize,
    ) -> Result<UserFiles, StoreError> {
        let all = Scan::prefix::<tables::UserMedia>(&(user,));
        let mut all = self.0.store.scan::<tables::UserMedia>(all).await?;
        all.sort_unstable_by(|(a, a_ms), (b, b_ms)| b_ms.cmp(a_ms).then_with(|| a.cmp(b)));
        let page: Vec<_> = all
            .iter()
            .skip(skip)
            .take(limit)
            .map(|((_, media_id), _)| media_id.clone())
            .collect();
        let keys: Vec<_> = page.iter().map(|media_id| self.key(media_id)).collect();
        let rows = self.0.store.multi_get::<tables::Media>(&keys).await?;
        let mut files = Vec::with_capacity(page.len());
        for (media_id, raw) in page.into_iter().zip(rows) {
            // Deleted meanwhile.
            let Some(raw) = raw else { continue };
            let row: MediaRow = raw.parse().map_err(|source| StoreError::Corrupt {
                table: "Media",
                source,
            })?;
            let Some(content) = row.content else { continue };
            files.push(UserFile {
                media_id,
                created_ms: row.created_ms,
                size: content.size,
                content_type: content.content_type,
                file_name: content.file_name,
            });
        }
        Ok(UserFiles {
            total: all.len(),
            total_bytes: self.usage(user).await?.bytes,
            files,
        })
    }
}
