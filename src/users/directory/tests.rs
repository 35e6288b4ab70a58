use super::{fold, words};

#[test]
fn names_fall_into_words() {
    let rows: [(&str, &[&str]); 5] = [
        ("", &[]),
        ("Anna", &["anna"]),
        (
            "Anna-Lena  Müller (she)",
            &["anna", "lena", "müller", "she"],
        ),
        ("anna.b_2", &["anna", "b", "2"]),
        ("☃ ÉCOLE", &["école"]),
    ];
    for (name, expected) in rows {
        let found: Vec<Box<str>> = words(&fold(name)).collect();
        let found: Vec<&str> = found.iter().map(|word| &**word).collect();
        assert_eq!(found, expected, "{name}");
    }
}
