//! Part of a file ([RFC 9110, 14](https://www.rfc-editor.org/rfc/rfc9110#section-14)): players seek, downloads resume.

use std::ops::Range;

use http::{HeaderMap, header};

/// What a request wants of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// These bytes.
    Some(Range<u64>),
    /// Bytes that there are none of.
    Unsatisfiable,
}

/// What `headers` ask of a file of `size` bytes. What is not understood, and several parts at once, mean the whole.
pub(super) fn part(headers: &HeaderMap, size: u64, etag: &str) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|condition| condition != etag) {
        return Part::Whole;
    }
    let range = text(header::RANGE).and_then(|range| range.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.trim().split_once('-')) else {
        return Part::Whole;
    };
    let (first, last) = match (number(first), number(last)) {
        (Number::Is(first), Number::None) => (first, size),
        (Number::Is(first), Number::Is(last)) if first <= last => (first, last.saturating_add(1)),
        (Number::None, Number::Is(count)) => (size.saturating_sub(count), size),
        _ => return Part::Whole,
    };
    let range = first..last.min(size);
    if range.is_empty() {
        Part::Unsatisfiable
    } else {
        Part::Some(range)
    }
}

enum Number {
    Is(u64),
    None,
    Bad,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        Number::None
    } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Beyond any file.
        Number::Is(text.parse().unwrap_or(u64::MAX))
    } else {
        Number::Bad
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{Part, part};

    fn check(range: &str, expected: &Part) {
        let mut headers = HeaderMap::new();
        headers.insert("range", range.parse().unwrap());
        assert_eq!(&part(&headers, 100, "\"e\""), expected, "{range}");
    }

    #[test]
    fn one_range_is_understood() {
        check("bytes=0-0", &Part::Some(0..1));
        check("bytes=10-19", &Part::Some(10..20));
        check("bytes=90-", &Part::Some(90..100));
        check("bytes=90-1000", &Part::Some(90..100));
        check("bytes=90-99999999999999999999999", &Part::Some(90..100));
        check("bytes=-10", &Part::Some(90..100));
        check("bytes=-1000", &Part::Some(0..100));
    }

    #[test]
    fn beyond_the_end_there_is_nothing() {
        check("bytes=100-", &Part::Unsatisfiable);
        check("bytes=100-200", &Part::Unsatisfiable);
        check("bytes=-0", &Part::Unsatisfiable);
        check("bytes=99999999999999999999999-", &Part::Unsatisfiable);
    }

    #[test]
    fn everything_else_means_the_whole() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=1-x",
            "bytes=+1-2",
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=--5",
            "bytes=1--2",
        ] {
            check(range, &Part::Whole);
        }
    }

    #[test]
    fn if_range_must_name_the_same_file() {
        let mut headers = HeaderMap::new();
        headers.insert("range", "bytes=1-2".parse().unwrap());
        headers.insert("if-range", "\"e\"".parse().unwrap());
        assert_eq!(part(&headers, 100, "\"e\""), Part::Some(1..3));
        assert_eq!(part(&headers, 100, "\"other\""), Part::Whole);
    }

    #[test]
    fn an_empty_file_has_no_parts() {
        let mut headers = HeaderMap::new();
        headers.insert("range", "bytes=0-".parse().unwrap());
        assert_eq!(part(&headers, 0, "\"e\""), Part::Unsatisfiable);
    }
}
