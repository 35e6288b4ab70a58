//! The id of a request: in its answer, and in each line that the log has of it.

use std::{
    fmt::Write,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName};

/// Not a standard's, but what proxies and other servers call it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id taken from a proxy: twice a UUID.
const LONGEST: usize = 72;

/// Gives out ids; cheap to clone.
///
/// An id is the hash of a number that counts up, under a key that nobody knows: different for each request, also over
/// restarts, without a system call, and it tells nobody how many requests there are.
#[derive(Clone, Default)]
pub(crate) struct RequestIds(Arc<(RandomState, AtomicU64)>);

/// Letters, digits, `-`, `_`, `.`; 1 to 72 of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` unless it is well formed.
    fn parse(text: &str) -> Option<Self> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let good = (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_good);
        good.then(|| Self(text.to_owned()))
    }
}

impl RequestIds {
    /// The id that a trusted proxy has given the request, so that its log and ours agree; else a new one. From anybody
    /// else it is not taken: a client could hide among another's requests.
    pub(crate) fn of(&self, headers: &HeaderMap, trusted: bool) -> RequestId {
        let given = headers.get(REQUEST_ID).filter(|_| trusted);
        given
            .and_then(|value| RequestId::parse(value.to_str().ok()?))
            .unwrap_or_else(|| self.next())
    }

    fn next(&self) -> RequestId {
        let (hasher, count) = &*self.0;
        let hash = hasher.hash_one(count.fetch_add(1, Ordering::Relaxed));
        let mut text = String::with_capacity(16);
        // Writing to a string does not fail.
        let _ = write!(text, "{hash:016x}");
        RequestId(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderMap;

    use super::RequestIds;

    #[test]
    fn only_a_trusted_proxys_well_formed_id_is_taken() {
        let ids = RequestIds::default();
        let long = "x".repeat(73);
        for (given, trusted, taken) in [
            ("5f0c-A_b.9", true, true),
            ("5f0c-A_b.9", false, false),
            ("", true, false),
            ("two words", true, false),
            ("colour=\u{1b}[31m", true, false),
            ("a\"quote", true, false),
            (long.as_str(), true, false),
            (&long[1..], true, true),
        ] {
            let mut headers = HeaderMap::new();
            if let Ok(value) = given.parse() {
                headers.insert("x-request-id", value);
            }
            let id = ids.of(&headers, trusted);
            assert_eq!(id.as_str() == given, taken, "{given} {trusted}");
            assert!(!id.as_str().is_empty());
        }
    }

    #[test]
    fn ids_differ() {
        let (one, other) = (RequestIds::default(), RequestIds::default());
        let ids = (0..10_000).flat_map(|_| [one.next(), other.next()]);
        let ids: HashSet<String> = ids.map(|id| id.as_str().to_owned()).collect();
        assert_eq!(ids.len(), 20_000);
        assert!(ids.iter().all(|id| id.len() == 16));
    }
}
