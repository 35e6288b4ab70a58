//! `event_fields`: the few members of events that a client wants.
//!
//! [spec](https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths)

use serde_json::{Map, Value};

/// Paths into events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<Vec<String>>);

/// Paths that are followed; no event has more members that anybody would list.
const MAX_FIELDS: usize = 100;

impl Fields {
    pub(crate) fn new(paths: &[String]) -> Self {
        Self(
            paths
                .iter()
                .take(MAX_FIELDS)
                .map(|path| split(path))
                .collect(),
        )
    }

    /// Appends of `event`, a JSON object, what is wanted.
    pub(crate) fn write(&self, out: &mut Vec<u8>, event: &[u8]) {
        let Ok(Value::Object(event)) = serde_json::from_slice(event) else {
            return;
        };
        let mut wanted = Map::new();
        for path in &self.0 {
            copy(&event, &mut wanted, path);
        }
        // A value always serialises, and memory does not fail.
        let _ = serde_json::to_writer(out, &wanted);
    }
}

/// Parts are separated by dots; a backslash takes the meaning from a dot or a backslash.
fn split(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        let part = match (character, characters.peek()) {
            ('.', _) => {
                parts.push(String::new());
                continue;
            }
            ('\\', Some(&escaped @ ('.' | '\\'))) => {
                characters.next();
                escaped
            }
            (plain, _) => plain,
        };
        if let Some(last) = parts.last_mut() {
            last.push(part);
        }
    }
    parts
}

fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &[String]) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    let Some(value) = from.get(name) else { return };
    if rest.is_empty() {
        to.insert(name.clone(), value.clone());
        return;
    }
    let Value::Object(from) = value else { return };
    let inner = to
        .entry(name.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        copy(from, inner, rest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_fields_asked_for_are_left() {
        let event = json!({
            "type": "m.room.message",
            "content": { "body": "hi", "msgtype": "m.text", "m.relates_to": { "event_id": "$1", "key": "x" }, "a\\b": 1 },
            "unsigned": 3,
        });
        let rows = [
            (vec!["content.body"], json!({ "content": { "body": "hi" } })),
            (
                vec!["type", "content.msgtype", "content.body"],
                json!({ "type": "m.room.message", "content": { "body": "hi", "msgtype": "m.text" } }),
            ),
            (
                vec!["content.m\\.relates_to.key"],
                json!({ "content": { "m.relates_to": { "key": "x" } } }),
            ),
            (vec!["content.a\\\\b"], json!({ "content": { "a\\b": 1 } })),
            (
                vec!["content", "content.body"],
                json!({ "content": event["content"] }),
            ),
            (vec!["content.nothing"], json!({ "content": {} })),
            (vec!["unsigned.age", "", ".", "nothing"], json!({})),
        ];
        for (fields, expected) in rows {
            let paths: Vec<String> = fields.iter().map(ToString::to_string).collect();
            let mut out = Vec::new();
            Fields::new(&paths).write(&mut out, event.to_string().as_bytes());
            assert_eq!(
                serde_json::from_slice::<Value>(&out).unwrap(),
                expected,
                "{fields:?}"
            );
        }
    }
}
