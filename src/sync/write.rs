//! Glue between fragments of JSON.

use std::io::Write as _;

use rooms::write_json_str;

/// Members of an object being written.
pub(crate) struct Members<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Members<'a> {
    /// Opens an object.
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Writes a member's name; the value comes next.
    pub(crate) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        write_json_str(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        write_json_str(self.name(name), value);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        // Memory does not fail.
        let _ = write!(self.name(name), "{value}");
    }

    pub(crate) fn boolean(&mut self, name: &str, value: bool) {
        let value: &[u8] = if value { b"true" } else { b"false" };
        self.raw(name, value);
    }

    /// `value` is JSON.
    pub(crate) fn raw(&mut self, name: &str, value: &[u8]) {
        self.name(name).extend_from_slice(value);
    }

    pub(crate) fn close(self) {
        self.out.push(b'}');
    }
}

/// Writes `"name":{"events":[…]}` with whatever `write` writes for each item; nothing if that is nothing.
pub(crate) fn events<T>(
    object: &mut Members<'_>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    let mut items = items.into_iter().peekable();
    if items.peek().is_none() {
        return;
    }
    let out = object.name(name);
    out.extend_from_slice(b"{\"events\":[");
    list(out, items, &mut write);
    out.extend_from_slice(b"]}");
}

/// Writes items with commas between them.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

/// Writes an event that is neither of a room nor of a device: a type and a content.
pub(crate) fn basic_event(out: &mut Vec<u8>, event_type: &str, content: &[u8]) {
    let mut event = Members::open(out);
    event.text("type", event_type);
    event.raw("content", content);
    event.close();
}
