//! The one kind of token: a place in the log, opaque to clients, for `/sync` and every paged read alike (DESIGN §4).

use std::fmt;

use store::Pos;
use thiserror::Error;

/// A place in the log of one database: right after everything at `pos` and before.
///
/// Written as `m1_<instance>_<pos>`. After a restore from a backup the instance is another, so that an old token
/// starts over instead of silently skipping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// [`store::Store::instance`]
    pub instance: u64,
    /// Everything up to here lies before the token, the rest behind it.
    pub pos: Pos,
}

/// A token that leads nowhere.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// No server of this kind has written it.
    #[error("not a token of this server")]
    Malformed,
    /// It was given out over another database: a backup was restored, or the server was set up anew.
    #[error("a token from before the database was replaced")]
    OtherInstance,
}

const VERSION: &str = "m1";

/// In a token of `/sync`, stands before how far the device has its messages.
const INBOX: char = '~';

impl Token {
    /// Reads a token that must be of the database `instance`.
    ///
    /// What [`Token::with_inbox`] adds is passed over.
    pub fn parse(text: &str, instance: u64) -> Result<Self, TokenError> {
        let text = match text.split_once(INBOX) {
            None => text,
            Some((head, _)) if Self::inbox(text).is_some() => head,
            Some(_) => return Err(TokenError::Malformed),
        };
        let token = Self::read(text).ok_or(TokenError::Malformed)?;
        if token.instance == instance {
            Ok(token)
        } else {
            Err(TokenError::OtherInstance)
        }
    }

    /// A token that says as well that its device has its messages only up to `inbox`: a long queue of messages is told in
    /// several answers, and nothing else has to wait for that.
    pub fn with_inbox(token: &str, inbox: Option<Pos>) -> String {
        match inbox {
            None => token.to_owned(),
            Some(inbox) => format!("{token}{INBOX}{}", inbox.0),
        }
    }

    /// What [`Token::with_inbox`] has added.
    pub fn inbox(text: &str) -> Option<Pos> {
        let (_, inbox) = text.split_once(INBOX)?;
        let pos = Pos(inbox.parse().ok()?);
        // One spelling each.
        (pos.0.to_string() == inbox && (Pos::ZERO..=Pos::MAX).contains(&pos)).then_some(pos)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('_');
        let (VERSION, Some(instance), Some(pos), None) =
            (parts.next()?, parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let token = Self {
            instance: u64::from_str_radix(instance, 16).ok()?,
            pos: Pos(pos.parse().ok()?),
        };
        // One spelling each, and no position that only a batch may hold.
        (token.to_string() == text && token.pos <= Pos::MAX).then_some(token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}_{:x}_{}", self.instance, self.pos.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back() {
        for pos in [Pos::ZERO, Pos(17), Pos(-4), Pos::MAX] {
            let token = Token {
                instance: 0xfeed,
                pos,
            };
            assert_eq!(Token::parse(&token.to_string(), 0xfeed), Ok(token));
        }
    }

    #[test]
    fn a_token_may_say_how_far_its_messages_were_read() {
        let token = Token {
            instance: 0xfeed,
            pos: Pos(17),
        };
        let text = Token::with_inbox(&token.to_string(), Some(Pos(12)));
        assert_eq!(Token::parse(&text, 0xfeed), Ok(token));
        assert_eq!(Token::inbox(&text), Some(Pos(12)));
        assert_eq!(Token::with_inbox("m1_feed_17", None), "m1_feed_17");
        assert_eq!(Token::inbox("m1_feed_17"), None);
        for malformed in [
            "m1_feed_17~",
            "m1_feed_17~-1",
            "m1_feed_17~+1",
            "m1_feed_17~x",
            "m1_feed_17~1~1",
        ] {
            assert_eq!(Token::parse(malformed, 0xfeed), Err(TokenError::Malformed));
        }
    }

    #[test]
    fn a_token_of_another_database_is_known_as_such() {
        assert_eq!(
            Token::parse("m1_feed_17", 0xdead),
            Err(TokenError::OtherInstance)
        );
    }

    #[test]
    fn anything_else_is_no_token() {
        let texts = [
            "",
            "m1",
            "m1_feed",
            "m1_feed_",
            "m1__17",
            "m1_feed_17_1",
            "m2_feed_17",
            "s72594_4483_1934",
            "m1_feed_+17",
            "m1_FEED_17",
            "m1_feed_017",
            "m1_feed_99999999999999999999",
            "m1_feed_9223372036854775807",
            "\u{0}",
        ];
        for text in texts {
            assert_eq!(
                Token::parse(text, 0xfeed),
                Err(TokenError::Malformed),
                "{text}"
            );
        }
    }
}
