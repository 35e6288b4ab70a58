//! Media: rows against each other, and against the files in the data directory.

use std::{
    fs::File,
    io::{ErrorKind, Read as _},
    path::PathBuf,
};

use serde::{Deserialize, de::IgnoredAny};
use sha2::{Digest, Sha256};
use store::{
    UserNid,
    tables::{
        Media, MediaUsage, MediaUses, PendingMedia, QuarantinedFiles, Raw, Thumbnails,
        UnsettledFiles, UrlPreviews, UserMedia,
    },
};

use crate::{CheckError, Finding, Problem, Remedy, readable, work::Work};

/// A media id, as far as it is checked.
#[derive(Deserialize)]
struct MediaRow {
    owner: Option<u32>,
    created_ms: u64,
    #[serde(default)]
    expires_ms: Option<u64>,
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Content {
    sha256: String,
    size: u64,
}

#[derive(Deserialize)]
struct Thumbnail {
    size: u64,
}

/// Who put a file into quarantine, and when.
#[derive(Deserialize)]
struct Quarantine {
    #[serde(rename = "by")]
    _by: String,
    #[serde(rename = "at_ms")]
    _at_ms: u64,
}

/// Characters of a SHA-256 in hexadecimal.
const HASH_CHARACTERS: usize = 64;

/// Under this name it is kept what kind of image a file is; there is no thumbnail of it.
const SOURCE: &str = "source";

/// Bytes of a file read at a time.
const READ_BYTES: usize = 1 << 20;

/// A file that is to be looked at.
pub(crate) struct Wanted {
    path: PathBuf,
    name: String,
    /// In hexadecimal, for files that are named by it.
    sha256: Option<String>,
    size: u64,
    /// The row of a thumbnail: without its file it is removed, and the thumbnail is made again.
    thumbnail: Option<(String, String)>,
}

/// The rows of media; gives the files that they speak of.
pub(crate) fn check_rows(work: &Work<'_>) -> Result<Vec<Wanted>, CheckError> {
    let mut wanted: Vec<Wanted> = Vec::new();
    work.each::<Media>(&(), Remedy::Restore, |key, raw| {
        let Some(row) = work.json::<Media, MediaRow>(&key, &raw, Remedy::Restore)? else {
            return Ok(());
        };
        media(work, &key, &row)
    })?;
    let mut last = String::new();
    work.each::<MediaUses>(&(), Remedy::Remove, |key, ()| {
        let place = (key.1.clone(), key.2.clone());
        let content = work.get::<Media>(&place)?.map(|raw| content(&raw));
        let Some(size) = content.and_then(|content| match content {
            // What it stands for is not known: it is left.
            None => Some(None),
            Some(content) => content
                .filter(|content| content.sha256 == key.0)
                .map(|content| Some(content.size)),
        }) else {
            return work.stray::<MediaUses>(&key, "the media id stands for another file");
        };
        if let Some(size) = size
            && key.0 != last
            && let Some(folder) = &work.options.media
        {
            last.clone_from(&key.0);
            wanted.push(Wanted {
                path: folder.join("files").join(folder_of(&key.0)).join(&key.0),
                name: key.0.clone(),
                sha256: Some(key.0),
                size,
                thumbnail: None,
            });
        }
        Ok(())
    })?;
    thumbnails(work, &mut wanted)?;
    uploads(work)?;
    Ok(wanted)
}

/// The first two digits name the folder.
fn folder_of(sha256: &str) -> &str {
    sha256.get(..2).unwrap_or_default()
}

/// `None` for a row that cannot be read; inside, what the id stands for.
#[expect(
    clippy::option_option,
    reason = "a row that cannot be read is not one without content"
)]
fn content(raw: &Raw) -> Option<Option<Content>> {
    let row: MediaRow = serde_json::from_slice(&raw.0).ok()?;
    Some(row.content)
}

fn media(work: &Work<'_>, key: &(String, String), row: &MediaRow) -> Result<(), CheckError> {
    let owner = row.owner.map(|owner| (UserNid(owner), key.1.clone()));
    match (&row.content, owner) {
        (Some(content), owner) => {
            let place = (content.sha256.clone(), key.0.clone(), key.1.clone());
            if work.get::<MediaUses>(&place)?.is_none() {
                work.missing::<MediaUses>(&place, "the media id stands for the file", &())?;
            }
            if let Some(place) = owner
                && work.get::<UserMedia>(&place)?.is_none()
            {
                work.missing::<UserMedia>(&place, "the user has uploaded it", &row.created_ms)?;
            }
        }
        (None, Some(place)) => {
            let expires_ms = row.expires_ms.unwrap_or_default();
            if work.get::<PendingMedia>(&place)?.is_none() {
                work.missing::<PendingMedia>(&place, "the upload is announced", &expires_ms)?;
            }
        }
        (None, None) => {}
    }
    Ok(())
}

fn thumbnails(work: &Work<'_>, wanted: &mut Vec<Wanted>) -> Result<(), CheckError> {
    work.each::<Thumbnails>(&(), Remedy::Remove, |key, raw| {
        if !work.any::<MediaUses>(&(key.0.clone(),))? {
            // A file that is being deleted takes them along.
            if work.get::<UnsettledFiles>(&key.0)?.is_some() {
                return Ok(());
            }
            return work.stray::<Thumbnails>(&key, "there is no such file");
        }
        if key.1 == SOURCE {
            let _: Option<IgnoredAny> = work.json::<Thumbnails, _>(&key, &raw, Remedy::Remove)?;
            return Ok(());
        }
        let row = work.json::<Thumbnails, Thumbnail>(&key, &raw, Remedy::Remove)?;
        if let Some(row) = row
            && let Some(folder) = &work.options.media
        {
            let folder = folder.join("thumbnails").join(folder_of(&key.0));
            wanted.push(Wanted {
                path: folder.join(&key.0).join(&key.1),
                name: format!("{}/{}", key.0, key.1),
                sha256: None,
                size: row.size,
                thumbnail: Some(key),
            });
        }
        Ok(())
    })?;
    // Whoever settles them looks at the other tables, not at these rows.
    work.each::<UnsettledFiles>(&(), Remedy::Remove, |_, _| Ok(()))?;
    // One without a file keeps it from coming back. One that cannot be read is restored: removed, it would let a file out.
    work.each::<QuarantinedFiles>(&(), Remedy::Restore, |sha256, raw| {
        let is_hash =
            sha256.len() == HASH_CHARACTERS && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return work.stray::<QuarantinedFiles>(&sha256, "no file has such a hash");
        }
        let _: Option<Quarantine> =
            work.json::<QuarantinedFiles, _>(&sha256, &raw, Remedy::Restore)?;
        Ok(())
    })?;
    work.each::<UrlPreviews>(&(), Remedy::Remove, |key, raw| {
        let _: Option<IgnoredAny> = work.json::<UrlPreviews, _>(&key, &raw, Remedy::Remove)?;
        Ok(())
    })
}

/// What users have uploaded and announced.
fn uploads(work: &Work<'_>) -> Result<(), CheckError> {
    let server = work.options.server_name.to_string();
    let mut sums: Option<(UserNid, Usage)> = None;
    let compare = |sums: Option<(UserNid, Usage)>| match sums {
        Some((user, right)) => usage(work, user, right),
        None => Ok(()),
    };
    work.each::<UserMedia>(&(), Remedy::Remove, |key, _| {
        let row = work.get::<Media>(&(server.clone(), key.1.clone()))?;
        let content = row.as_ref().map(content);
        let Some(content) = content else {
            return work.stray::<UserMedia>(&key, "there is no such media");
        };
        if sums.as_ref().is_none_or(|(user, _)| *user != key.0) {
            compare(sums.replace((key.0, Usage::default())))?;
        }
        if let (Some((_, usage)), Some(Some(content))) = (&mut sums, content) {
            usage.bytes += content.size;
            usage.files += 1;
        }
        Ok(())
    })?;
    compare(sums)?;
    work.each::<MediaUsage>(&(), Remedy::Remove, |user, _| {
        if !work.any::<UserMedia>(&(user,))? {
            usage(work, user, Usage::default())?;
        }
        Ok(())
    })?;
    work.each::<PendingMedia>(&(), Remedy::Remove, |key, _| {
        let row = work.get::<Media>(&(server.clone(), key.1.clone()))?;
        match row.as_ref().map(content) {
            Some(None | Some(None)) => Ok(()),
            Some(Some(_)) => work.stray::<PendingMedia>(&key, "the upload has come"),
            None => work.stray::<PendingMedia>(&key, "there is no such media"),
        }
    })
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
struct Usage {
    bytes: u64,
    files: u64,
}

fn usage(work: &Work<'_>, user: UserNid, right: Usage) -> Result<(), CheckError> {
    let row = work.get::<MediaUsage>(&user)?;
    let found = row
        .as_ref()
        .and_then(|row| serde_json::from_slice::<Usage>(&row.0).ok());
    if found.unwrap_or_default() == right {
        return Ok(());
    }
    let raw = Raw(serde_json::json!(right).to_string().into());
    let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("{found:?}"));
    work.differs::<MediaUsage>(&user, (found, format!("{right:?}")), &raw)
}

/// Looks at one file: whether it is there, as large as it should be and, unless it is quick, what it was.
pub(crate) fn check_file(work: &Work<'_>, file: &Wanted) -> Result<(), CheckError> {
    work.count(|report| report.files += 1);
    let reason = match look(work, file) {
        Ok(None) => {
            work.advance(1);
            return Ok(());
        }
        Ok(Some(reason)) => reason,
        Err(error) if error.kind() == ErrorKind::NotFound => "the file is missing".to_owned(),
        Err(error) => format!("the file cannot be read: {error}"),
    };
    work.advance(1);
    let remedy = match &file.thumbnail {
        Some(row) => {
            work.delete::<Thumbnails>(row)?;
            Remedy::Remove
        }
        None => Remedy::Restore,
    };
    work.found(Finding {
        table: "media",
        key: file.name.clone(),
        problem: Problem::File { reason },
        remedy,
    });
    Ok(())
}

fn look(work: &Work<'_>, file: &Wanted) -> std::io::Result<Option<String>> {
    let mut opened = File::open(&file.path)?;
    let size = opened.metadata()?.len();
    if size != file.size {
        return Ok(Some(format!("it has {size} bytes, not {}", file.size)));
    }
    let Some(sha256) = file.sha256.as_ref().filter(|_| !work.options.quick) else {
        return Ok(None);
    };
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(size).unwrap_or(READ_BYTES).max(1))];
    loop {
        match opened.read(&mut buffer)? {
            0 => break,
            bytes => hasher.update(&buffer[..bytes]),
        }
    }
    work.count(|report| report.file_bytes += size);
    let found = readable::hex(&hasher.finalize());
    Ok((found != *sha256).then(|| format!("its content has the hash {found}")))
}
