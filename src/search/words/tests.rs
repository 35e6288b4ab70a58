//! What finds what.

use super::*;

#[test]
fn a_text_is_found_by_its_words() {
    let rows = [
        ("Hello, world!", "hello", true),
        ("Hello, world!", "WORLD hello", true),
        ("Hello, world!", "wor", false),
        ("Hello, world!", "hello moon", false),
        ("it's Zoë's naïve café", "it's café", true),
        ("ΑΘΗΝΑ", "αθηνα", true),
        ("Straße", "straße", true),
        ("see https://example.org/path", "example.org", true),
        ("version 1.2.3", "1.2.3", true),
        ("我们去北京吃烤鸭", "北京", true),
        ("我们去北京吃烤鸭", "京", true),
        ("我们去北京吃烤鸭", "北京烤鸭", false),
        ("我们去北京吃烤鸭", "北京 烤鸭", true),
        ("今日はいい天気ですね", "天気", true),
        ("カタカナとひらがな", "カナ", true),
        ("안녕하세요 여러분", "여러", true),
        ("mixed中文text", "中文", true),
        ("👍 fine", "fine", true),
    ];
    for (text, question, expected) in rows {
        let has = count_terms(text);
        let terms = terms_of_question(question);
        assert!(!terms.is_empty(), "{question}");
        let found = terms.iter().all(|term| has.contains_key(term));
        assert_eq!(found, expected, "{text} {question}");
    }
}

#[test]
fn a_question_without_words_has_no_terms() {
    for question in ["", "   ", "?!", "👍"] {
        assert!(terms_of_question(question).is_empty(), "{question}");
    }
}

#[test]
fn terms_are_counted() {
    let counts = count_terms("Ho ho ho");
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [3]);
}

#[test]
fn highlights_are_the_words_asked_for() {
    assert_eq!(
        highlights("Red, RED apples 北京"),
        ["red", "apples", "北京"]
    );
}

#[test]
fn long_texts_have_an_end() {
    let spaced = "word ".repeat(20_000);
    assert_eq!(count_terms(&spaced).into_values().max(), Some(4096));
    assert!(count_terms(&"文".repeat(21_000)).len() <= 2);
}
