//! What is kept of a text, and which text that is.

use super::*;

#[test]
fn what_is_kept_reads_back() {
    for kept in [
        Kept::Terms(vec![]),
        Kept::Terms(vec![1, u64::MAX]),
        Kept::EditOf(Rsn(7)),
    ] {
        assert_eq!(Kept::read(&kept.write()), Some(kept));
    }
    for bytes in [&[][..], &[2], &[1, 0]] {
        assert_eq!(Kept::read(&Raw(Bytes::copy_from_slice(bytes))), None);
    }
}

#[test]
fn a_topic_is_searched_in_both_its_forms() {
    let rows = [
        (r#"{"topic":"one"}"#, Some("one")),
        (
            r#"{"topic":"one","m.topic":{"m.text":[{"body":"one"}]}}"#,
            Some("one"),
        ),
        (
            r#"{"topic":"one","m.topic":{"m.text":[{"mimetype":"text/html","body":"<b>two</b>"},{"mimetype":"text/plain","body":"two"}]}}"#,
            Some("one\ntwo"),
        ),
        (r#"{"m.topic":{"m.text":[{"body":"two"}]}}"#, Some("two")),
        (r#"{"m.topic":7}"#, None),
        (r#"{"topic":7}"#, None),
        ("{}", None),
    ];
    for (content, expected) in rows {
        assert_eq!(topic(content).as_deref(), expected, "{content}");
    }
}
