//! Keys in words.

use std::fmt::Write as _;

use store::{Nid, Pos, RoomNid, Rsn, StateKeyNid, Table, UserNid, codec::Tail, sweep};

use crate::work::Work;

/// A part of a key, as people read it.
pub(crate) trait Readable {
    fn readable(&self, work: &Work<'_>) -> String;
}

impl Readable for RoomNid {
    fn readable(&self, work: &Work<'_>) -> String {
        named(work, "room", *self)
    }
}

impl Readable for UserNid {
    fn readable(&self, work: &Work<'_>) -> String {
        // In the log of device lists, everybody.
        if self.0 == 0 {
            return "everybody".to_owned();
        }
        named(work, "user", *self)
    }
}

impl Readable for StateKeyNid {
    fn readable(&self, work: &Work<'_>) -> String {
        named(work, "state", *self).replace('\0', " ")
    }
}

fn named<N: Nid>(work: &Work<'_>, kind: &str, number: N) -> String {
    match work.name(number).ok().flatten() {
        Some(name) => String::from_utf8_lossy(&name).into_owned(),
        None => format!("{kind} number {}", number.as_u32()),
    }
}

impl Readable for Pos {
    fn readable(&self, _: &Work<'_>) -> String {
        format!("position {self}")
    }
}

impl Readable for Rsn {
    fn readable(&self, _: &Work<'_>) -> String {
        format!("event number {}", self.0)
    }
}

impl Readable for String {
    fn readable(&self, _: &Work<'_>) -> String {
        if self.is_empty() {
            "\"\"".to_owned()
        } else {
            self.escape_debug().to_string()
        }
    }
}

impl Readable for Tail {
    fn readable(&self, _: &Work<'_>) -> String {
        let text = str::from_utf8(&self.0).map(|text| text.replace('\0', " "));
        match text {
            Ok(text) if !text.is_empty() && !text.contains(char::is_control) => text,
            _ => hex(&self.0),
        }
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Readable for $type {
            fn readable(&self, _: &Work<'_>) -> String {
                self.to_string()
            }
        }
    )*};
}

number!(u8, u16, u32, u64);

macro_rules! tuple {
    ($(($($name:ident),*);)*) => {$(
        impl<$($name: Readable),*> Readable for ($($name,)*) {
            fn readable(&self, work: &Work<'_>) -> String {
                #[expect(non_snake_case, reason = "a type parameter and its value share a name")]
                let ($($name,)*) = self;
                [$($name.readable(work)),*].join(", ")
            }
        }
    )*};
}

tuple! {
    (A, B);
    (A, B, C);
    (A, B, C, D);
}

/// A key as it lies in the store; in hexadecimal if it does not decode.
pub(crate) fn key<T: Table<Key: Readable>>(work: &Work<'_>, bytes: &[u8]) -> String {
    match sweep::key::<T>(bytes) {
        Ok(key) => key.readable(work),
        Err(_) => hex(bytes),
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
