//! Writes `config/myelin.toml`: keys, order and comments from the source of the types, values from the defaults.

use std::fmt::Write as _;

use toml::{Table, Value};

use crate::Config;

const SOURCES: [&str; 8] = [
    include_str!("options.rs"),
    include_str!("limits.rs"),
    include_str!("media.rs"),
    include_str!("calls.rs"),
    include_str!("push.rs"),
    include_str!("server_notices.rs"),
    include_str!("tls.rs"),
    include_str!("tracing.rs"),
];

/// A field of an options struct: its name, its type, its doc comment.
struct Field {
    name: String,
    kind: String,
    doc: Vec<String>,
}

/// The whole file.
pub(crate) fn defaults() -> String {
    let mut text = String::from(
        "# Every option of myelin with its default. Remove the # before a line to change it.\n\
         # The environment (MYELIN_SERVER_NAME, MYELIN_LOG__FILTER) and `-O log.filter=debug` win over this file.\n",
    );
    let values = Table::try_from(Config::default()).unwrap();
    let (sections, keys): (Vec<Field>, Vec<Field>) = fields("Config")
        .into_iter()
        .partition(|field| !fields(&field.kind).is_empty());
    for key in keys {
        write_key(&mut text, &key, values.get(&key.name));
    }
    for section in sections {
        let inner = values[&section.name].as_table().unwrap();
        text.push('\n');
        write_doc(&mut text, &section.doc);
        writeln!(text, "[{}]", section.name).unwrap();
        for key in fields(&section.kind) {
            write_key(&mut text, &key, inner.get(&key.name));
        }
    }
    text
}

fn write_key(text: &mut String, key: &Field, value: Option<&Value>) {
    text.push('\n');
    write_doc(text, &key.doc);
    let value = value.map_or_else(|| "\"\"".to_owned(), Value::to_string);
    writeln!(text, "#{} = {value}", key.name).unwrap();
}

fn write_doc(text: &mut String, doc: &[String]) {
    assert!(!doc.is_empty(), "every option has a doc comment");
    for line in doc {
        writeln!(text, "# {line}").unwrap();
    }
}

/// The fields of `pub struct {name}`; none if there is no such struct, or if it is a value such as a rate limit.
fn fields(name: &str) -> Vec<Field> {
    let start = format!("pub struct {name} {{\n");
    let Some(body) = SOURCES.iter().find_map(|source| source.split_once(&start)) else {
        return Vec::new();
    };
    let (mut fields, mut doc) = (Vec::new(), Vec::new());
    if name == "RateLimit" {
        return fields;
    }
    for line in body
        .1
        .lines()
        .map(str::trim)
        .take_while(|line| *line != "}")
    {
        if let Some(comment) = line.strip_prefix("/// ") {
            doc.push(comment.to_owned());
        } else if let Some((name, kind)) = line
            .strip_prefix("pub ")
            .and_then(|field| field.split_once(": "))
        {
            let kind = kind.trim_end_matches(',').to_owned();
            fields.push(Field {
                name: name.to_owned(),
                kind,
                doc: std::mem::take(&mut doc),
            });
        }
    }
    fields
}
