//! What a command prints: for people a table or a few lines, for programs JSON.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};

/// The answer to a command.
#[derive(Debug)]
pub struct Output {
    json: Value,
    text: String,
}

impl Output {
    /// Something was done, and this says what.
    pub fn done(text: impl Into<String>, json: Value) -> Self {
        let mut text = text.into();
        text.push('\n');
        Self { json, text }
    }

    /// Rows under headers; `empty` where there is none.
    pub fn table(headers: &[&str], rows: Vec<Vec<String>>, empty: &str, json: Value) -> Self {
        if rows.is_empty() {
            return Self::done(empty, json);
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(headers.iter().map(|header| header.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        Self {
            json,
            text: trimmed(&table.to_string()),
        }
    }

    /// Names and values, one under the other.
    pub fn record(pairs: &[(&str, String)], json: Value) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        for (name, value) in pairs {
            table.add_row([(*name).to_owned(), printable(value)]);
        }
        Self {
            json,
            text: trimmed(&table.to_string()),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.text.clone()
    }

    pub(crate) fn json_text(&self) -> String {
        format!("{:#}\n", self.json)
    }
}

/// Names are chosen by strangers: no control characters reach the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '\u{fffd}'
            } else {
                character
            }
        })
        .collect()
}

/// Without the spaces around each line that a table without borders has.
fn trimmed(table: &str) -> String {
    let mut text = String::with_capacity(table.len());
    for line in table.lines() {
        text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        text.push('\n');
    }
    text
}

/// Text as it is, `-` for null, anything else as JSON.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        value => value.to_string(),
    }
}

/// Milliseconds since the Unix epoch as `2026-11-22 16:05` (UTC); `-` for null.
pub(crate) fn time_ms(value: &Value) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]");
    value
        .as_i64()
        .and_then(|ms| OffsetDateTime::from_unix_timestamp(ms / 1_000).ok())
        .and_then(|time| time.format(&format).ok())
        .unwrap_or_else(|| "-".to_owned())
}

/// Bytes for people: `512 B`, `1.5 KiB`, `2.0 GiB`; `-` for null.
pub(crate) fn size(value: &Value) -> String {
    let Some(bytes) = value.as_u64() else {
        return "-".to_owned();
    };
    if bytes < 1 << 10 {
        return format!("{bytes} B");
    }
    // Whole numbers: a tenth is the rest, cut off.
    let (unit, shift) = match bytes {
        0..0x10_0000 => ("KiB", 10),
        0x10_0000..0x4000_0000 => ("MiB", 20),
        _ => ("GiB", 30),
    };
    let (whole, rest) = (bytes >> shift, bytes & ((1 << shift) - 1));
    format!("{whole}.{} {unit}", (rest * 10) >> shift)
}

/// The array under `key`; none where there is none.
pub(crate) fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Output, size, time_ms};

    #[test]
    fn a_table_has_headers_and_no_trailing_spaces() {
        let rows = vec![
            vec!["alice".to_owned(), "yes".to_owned()],
            vec!["bob\u{1b}[2J".to_owned(), "-".to_owned()],
        ];
        let output = Output::table(&["name", "admin"], rows, "Nobody.", json!([]));
        assert_eq!(
            output.text(),
            "NAME     ADMIN\nalice    yes\nbob\u{fffd}[2J  -\n"
        );
        let none = Output::table(&["name"], Vec::new(), "Nobody.", json!([]));
        assert_eq!(none.text(), "Nobody.\n");
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0_u64, "0 B"),
            (1_023, "1023 B"),
            (1_024, "1.0 KiB"),
            (1_536, "1.5 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (5_368_709_120, "5.0 GiB"),
        ] {
            assert_eq!(size(&json!(bytes)), text);
        }
        assert_eq!(size(&json!(null)), "-");
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(time_ms(&json!(1_770_000_000_000_u64)), "2026-02-02 02:40");
        assert_eq!(time_ms(&json!(null)), "-");
    }
}
