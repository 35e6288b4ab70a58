//! How keys and values become bytes: big-endian, fixed width, so that byte order is the order of the parts.

use crate::{CorruptRow, Pos, RoomNid, Rsn, StateKeyNid, UserNid};

/// Bytes being written, and where in them a position is still to be stamped.
#[derive(Debug, Default)]
pub struct Encoder {
    pub(crate) bytes: Vec<u8>,
    /// Offset in `bytes` and index of the unassigned position.
    pub(crate) stamps: Vec<(u32, u16)>,
}

impl Encoder {
    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A length (`u32`), then the bytes.
    pub fn sized(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.raw(bytes);
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    /// Eight bytes; an unassigned position is remembered and stamped when the batch is queued.
    pub fn pos(&mut self, pos: Pos) {
        if let Some(index) = pos.unassigned_index() {
            self.stamps
                .push((u32::try_from(self.bytes.len()).unwrap_or(u32::MAX), index));
        }
        self.raw(&encode_pos(pos));
    }
}

pub(crate) fn encode_pos(pos: Pos) -> [u8; 8] {
    (pos.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Reads what [`Encoder`] wrote.
#[derive(Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Over one key or value.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], CorruptRow> {
        let (head, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(CorruptRow("too short"))?;
        self.bytes = rest;
        Ok(head)
    }

    /// A length and that many bytes.
    pub fn sized(&mut self) -> Result<&'a [u8], CorruptRow> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    /// Whatever is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CorruptRow> {
        self.take(N)?
            .try_into()
            .map_err(|_| CorruptRow("too short"))
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, CorruptRow> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, CorruptRow> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, CorruptRow> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, CorruptRow> {
        self.array().map(u64::from_be_bytes)
    }

    /// A position.
    pub fn pos(&mut self) -> Result<Pos, CorruptRow> {
        self.u64().map(|raw| Pos((raw ^ (1 << 63)).cast_signed()))
    }
}

/// A part of a key, or a whole one. A `String` part ends in a NUL unless it is written with [`Tail`].
pub trait Encode {
    /// Appends itself.
    fn encode(&self, to: &mut Encoder);
}

/// The way back.
pub trait Decode: Sized {
    /// Reads itself.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow>;
}

macro_rules! number {
    ($($type:ty, $write:ident, |$value:ident| $inner:expr, |$raw:ident| $wrap:expr;)*) => {$(
        impl Encode for $type {
            fn encode(&self, to: &mut Encoder) {
                let $value = self;
                to.$write($inner);
            }
        }
        impl Decode for $type {
            fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
                from.$write().map(|$raw| $wrap)
            }
        }
    )*};
}

number! {
    u8, u8, |v| *v, |r| r;
    u16, u16, |v| *v, |r| r;
    u32, u32, |v| *v, |r| r;
    u64, u64, |v| *v, |r| r;
    Pos, pos, |v| *v, |r| r;
    Rsn, u32, |v| v.0, |r| Self(r);
    RoomNid, u32, |v| v.0, |r| Self(r);
    UserNid, u32, |v| v.0, |r| Self(r);
    StateKeyNid, u32, |v| v.0, |r| Self(r);
}

/// Text in the middle of a key: a NUL ends it. A NUL inside is written as `0x00 0xFF`, the end as `0x00 0x01`.
impl Encode for str {
    fn encode(&self, to: &mut Encoder) {
        for byte in self.bytes() {
            to.u8(byte);
            if byte == 0 {
                to.u8(0xFF);
            }
        }
        to.raw(&[0, 1]);
    }
}

impl Encode for String {
    fn encode(&self, to: &mut Encoder) {
        self.as_str().encode(to);
    }
}

impl Decode for String {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        let mut bytes = Vec::new();
        loop {
            match from.u8()? {
                0 => match from.u8()? {
                    1 => break,
                    0xFF => bytes.push(0),
                    _ => return Err(CorruptRow("text has a bad escape")),
                },
                byte => bytes.push(byte),
            }
        }
        Self::from_utf8(bytes).map_err(|_| CorruptRow("text is not UTF-8"))
    }
}

/// Bytes at the end of a key, without an end mark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tail(pub Vec<u8>);

impl Encode for Tail {
    fn encode(&self, to: &mut Encoder) {
        to.raw(&self.0);
    }
}

impl Decode for Tail {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self(from.rest().to_vec()))
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, to: &mut Encoder) {
        (**self).encode(to);
    }
}

macro_rules! tuple {
    ($(($($name:ident),*);)*) => {$(
        impl<$($name: Encode),*> Encode for ($($name,)*) {
            #[expect(non_snake_case, reason = "a type parameter and its value share a name")]
            fn encode(&self, to: &mut Encoder) {
                let ($($name,)*) = self;
                $($name.encode(to);)*
            }
        }
        impl<$($name: Decode),*> Decode for ($($name,)*) {
            fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
                Ok(($($name::decode(from)?,)*))
            }
        }
    )*};
}

tuple! {
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
}

/// The empty key part, and the value of a row that only exists.
impl Encode for () {
    fn encode(&self, _to: &mut Encoder) {}
}

impl Decode for () {
    fn decode(_from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
