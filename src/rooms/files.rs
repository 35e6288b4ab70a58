//! Which files a room's messages show.

use std::collections::BTreeSet;

use ruma::OwnedMxcUri;
use serde_json::Value;
use store::{Pos, RoomNid, Rsn, Scan, tables::Timeline};

use crate::{RoomError, Rooms};

/// Events read at a time.
const CHUNK: usize = 250;
/// Where a content names a file, however deep.
const KEYS: [&str; 2] = ["url", "thumbnail_url"];
/// Deeper than any content of the spec.
const MAX_DEPTH: usize = 16;

impl Rooms {
    /// The files that a room's events show, without the pictures of its members. Reads the whole room; what is encrypted
    /// names no files that could be read here.
    pub async fn files_of(&self, room: RoomNid) -> Result<BTreeSet<OwnedMxcUri>, RoomError> {
        let (mut files, mut from) = (BTreeSet::new(), Pos::MIN);
        loop {
            let chunk = Scan::range::<Timeline>(&(room, from), &(room, Pos::MAX)).limit(CHUNK);
            let chunk = self.store().scan::<Timeline>(chunk).await?;
            let Some(((_, last), _)) = chunk.last() else {
                return Ok(files);
            };
            from = last.next();
            let numbers: Vec<Rsn> = chunk.iter().map(|(_, row)| row.rsn).collect();
            for event in self.events(room, &numbers).await? {
                if &*event.event_type == "m.room.member" || !event.content().contains("mxc://") {
                    continue;
                }
                if let Ok(content) = serde_json::from_str::<Value>(event.content()) {
                    collect(&content, MAX_DEPTH, &mut files);
                }
            }
        }
    }
}

fn collect(value: &Value, depth: usize, files: &mut BTreeSet<OwnedMxcUri>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(text) if KEYS.contains(&key.as_str()) => {
                        let uri = OwnedMxcUri::from(text);
                        if uri.is_valid() {
                            files.insert(uri);
                        }
                    }
                    _ => collect(value, depth, files),
                }
            }
        }
        Value::Array(elements) => {
            for element in elements {
                collect(element, depth, files);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{MAX_DEPTH, collect};

    fn found(content: &Value) -> Vec<String> {
        let mut files = BTreeSet::new();
        collect(content, MAX_DEPTH, &mut files);
        files.into_iter().map(|uri| uri.to_string()).collect()
    }

    #[test]
    fn files_are_found_where_contents_name_them() {
        let content = json!({
            "body": "mxc://a/text",
            "url": "mxc://a/one",
            "info": { "thumbnail_url": "mxc://a/two", "w": 1 },
            "m.new_content": { "gallery": [{ "url": "mxc://a/three" }] },
            "avatar": { "url": "https://a/four" },
            "thumbnail_url": 5,
        });
        assert_eq!(
            found(&content),
            ["mxc://a/one", "mxc://a/three", "mxc://a/two"]
        );
    }

    #[test]
    fn a_bottomless_content_is_left() {
        let mut content = json!({ "url": "mxc://a/deep" });
        for _ in 0..100 {
            content = json!([content]);
        }
        assert!(found(&content).is_empty());
    }
}
