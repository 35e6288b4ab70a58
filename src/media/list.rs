//! What is uploaded, for the administrator and for whoever cleans up after an account.

use store::{Scan, StoreError, UserNid, tables};

use crate::{
    Media,
    quarantine::Quarantine,
    rows::{MediaRow, UsageRow},
};

/// Rows read at once.
const ROWS_AT_ONCE: usize = 1_000;

/// A page of a user's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFiles {
    /// How many there are in all.
    pub total: usize,
    /// How many bytes they take in all; bytes that several ids stand for count for each.
    pub total_bytes: u64,
    /// The latest first.
    pub files: Vec<FileInfo>,
}

/// What an administrator sees of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// `mxc://server/<this>`
    pub media_id: String,
    /// Who uploaded it; nobody for the images of previews.
    pub owner: Option<UserNid>,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Bytes.
    pub size: u64,
    /// As the uploader named it.
    pub content_type: Option<String>,
    /// As the uploader named it.
    pub file_name: Option<String>,
    /// In hexadecimal: the same for the same bytes.
    pub sha256: String,
    /// Whether it may be downloaded without logging in.
    pub open: bool,
    /// Whether it is left alone by quarantines and by what clears away old files.
    pub protected: bool,
    /// Why nobody is given it, if it is so.
    pub quarantine: Option<Quarantine>,
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
            files.extend(self.describe(media_id, parse(&raw)?).await?);
        }
        Ok(UserFiles {
            total: all.len(),
            total_bytes: self.usage(user).await?.bytes,
            files,
        })
    }

    /// Every upload of this server that `picks`, by its id. Reads all of them, a thousand at a time.
    ///
    /// # Errors
    /// The store failed.
    pub async fn uploads(
        &self,
        picks: impl Fn(&FileInfo) -> bool,
    ) -> Result<Vec<FileInfo>, StoreError> {
        let server = self.0.server_name.to_string();
        let (mut found, mut from) = (Vec::new(), (server.clone(), String::new()));
        // Ids are of letters, digits and `-_`.
        let to = (server, "\u{7f}".to_owned());
        loop {
            let page = Scan::range::<tables::Media>(&from, &to);
            let page = self.0.store.scan::<tables::Media>(page.limit(ROWS_AT_ONCE));
            let page = page.await?;
            let Some(((_, last), _)) = page.last() else {
                return Ok(found);
            };
            // The least that is greater.
            from.1 = format!("{last}\0");
            for ((_, media_id), raw) in page {
                let info = self.describe(media_id, parse(&raw)?).await?;
                found.extend(info.filter(|info| picks(info)));
            }
        }
    }

    /// How many files each user has uploaded, and how many bytes they take.
    ///
    /// # Errors
    /// The store failed.
    pub async fn usage_by_user(&self) -> Result<Vec<(UserNid, u64, u64)>, StoreError> {
        let all = Scan::prefix::<tables::MediaUsage>(&());
        let all = self.0.store.scan::<tables::MediaUsage>(all).await?;
        all.into_iter()
            .map(|(user, raw)| {
                let row: UsageRow = raw.parse().map_err(|source| StoreError::Corrupt {
                    table: "MediaUsage",
                    source,
                })?;
                Ok((user, row.files, row.bytes))
            })
            .collect()
    }

    /// `None` for one whose content is yet to come.
    pub(crate) async fn describe(
        &self,
        media_id: String,
        row: MediaRow,
    ) -> Result<Option<FileInfo>, StoreError> {
        let Some(content) = row.content else {
            return Ok(None);
        };
        let quarantine = self.quarantine_of(&content.sha256, row.protected_ms);
        Ok(Some(FileInfo {
            media_id,
            owner: row.owner.map(UserNid),
            created_ms: row.created_ms,
            size: content.size,
            content_type: content.content_type,
            file_name: content.file_name,
            quarantine: quarantine.await?,
            sha256: content.sha256,
            open: row.open,
            protected: row.protected_ms.is_some(),
        }))
    }
}

fn parse(raw: &tables::Raw) -> Result<MediaRow, StoreError> {
    raw.parse().map_err(|source| StoreError::Corrupt {
        table: "Media",
        source,
    })
}
