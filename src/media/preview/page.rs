//! What a page says about itself: [OpenGraph](https://ogp.me/) first, then what is like it.

use std::collections::BTreeMap;

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use outbound::Url;

/// Properties kept, and the characters of each.
const PROPERTIES: usize = 40;
const NAME_CHARACTERS: usize = 64;
const VALUE_CHARACTERS: usize = 1_000;
/// Where nothing describes the page, its first paragraphs do, up to so many characters.
const TEXT_CHARACTERS: usize = 300;

/// What is told of a page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) image: Option<Url>,
}

/// What was found on the way.
#[derive(Default)]
struct Found {
    open_graph: BTreeMap<String, String>,
    title: String,
    description: Option<String>,
    image: Option<String>,
    paragraphs: String,
}

/// Reads `html`, or the beginning of it, found at `url`.
pub(crate) fn read(html: &[u8], url: &Url) -> Page {
    let mut found = Found::default();
    let mut emitter = DefaultEmitter::default();
    // Without it a script's text would be read as tags.
    emitter.naively_switch_states(true);
    // What the text that comes next belongs to.
    let mut within: Option<Within> = None;
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::StartTag(tag) => match &tag.name[..] {
                b"meta" => found.meta(&tag),
                b"title" if found.title.is_empty() => within = Some(Within::Title),
                b"p" => within = Some(Within::Paragraph),
                b"script" | b"style" | b"noscript" => within = None,
                _ => {}
            },
            Token::EndTag(tag) if matches!(&tag.name[..], b"title" | b"p") => within = None,
            Token::String(text) => match within {
                Some(Within::Title) => add(&mut found.title, &text, VALUE_CHARACTERS),
                Some(Within::Paragraph) => add(&mut found.paragraphs, &text, TEXT_CHARACTERS),
                None => {}
            },
            _ => {}
        }
    }
    found.page(url)
}

#[derive(Clone, Copy)]
enum Within {
    Title,
    Paragraph,
}

impl Found {
    fn meta(&mut self, tag: &StartTag<()>) {
        let attribute = |name: &[u8]| {
            let value = tag.attributes.get(name)?;
            Some(String::from_utf8_lossy(value).trim().to_owned())
        };
        let Some(name) = attribute(b"property").or_else(|| attribute(b"name")) else {
            return;
        };
        let name = name.to_ascii_lowercase();
        let content = attribute(b"content").unwrap_or_default();
        if content.is_empty() || name.chars().count() > NAME_CHARACTERS {
            return;
        }
        let content = shorten(&content, VALUE_CHARACTERS);
        match name.as_str() {
            "description" | "twitter:description" => {
                self.description.get_or_insert(content);
            }
            "twitter:image" | "twitter:image:src" => {
                self.image.get_or_insert(content);
            }
            "twitter:title" if self.title.is_empty() => self.title = content,
            _ if name.starts_with("og:") && self.open_graph.len() < PROPERTIES => {
                // The first of several: the main one.
                self.open_graph.entry(name).or_insert(content);
            }
            _ => {}
        }
    }

    fn page(self, url: &Url) -> Page {
        let mut properties = self.open_graph;
        let image = properties
            .remove("og:image:secure_url")
            .or_else(|| properties.get("og:image").cloned())
            .or_else(|| properties.get("og:image:url").cloned())
            .or(self.image);
        // Said of the image as it is kept, if it is.
        properties.retain(|name, _| {
            !matches!(
                name.as_str(),
                "og:image"
                    | "og:image:url"
                    | "og:image:secure_url"
                    | "og:image:type"
                    | "og:image:width"
                    | "og:image:height"
            )
        });
        let description = self
            .description
            .unwrap_or_else(|| shorten(self.paragraphs.trim(), TEXT_CHARACTERS));
        for (name, value) in [
            ("og:title", self.title.trim()),
            ("og:description", description.as_str()),
        ] {
            if !value.is_empty() {
                let entry = properties.entry(name.to_owned());
                entry.or_insert_with(|| value.to_owned());
            }
        }
        Page {
            properties,
            image: image.and_then(|image| url.join(&image).ok()),
        }
    }
}

/// Adds `text` with its white space made single, up to about `most` characters.
fn add(to: &mut String, text: &[u8], most: usize) {
    for word in String::from_utf8_lossy(text).split_whitespace() {
        if to.chars().count() >= most {
            return;
        }
        if !to.is_empty() {
            to.push(' ');
        }
        to.push_str(&shorten(word, most));
    }
}

fn shorten(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use outbound::Url;

    use super::{Page, read};

    fn page(html: &str) -> Page {
        let url = Url::parse("https://example.org/blog/post").unwrap();
        read(html.as_bytes(), &url)
    }

    #[test]
    fn open_graph_is_read() {
        let page = page(
            r#"<!doctype html><html><head>
            <meta property="og:title" content="A &amp; B">
            <META PROPERTY='OG:Description' CONTENT='second'/>
            <meta property="og:title" content="another title">
            <meta property="og:image" content="../cover.png">
            <meta property="og:image:width" content="nonsense">
            <meta name="og:site_name" content="Example"><title>not this</title>
            <meta name="description" content="nor this">"#,
        );
        assert_eq!(page.properties["og:title"], "A & B");
        assert_eq!(page.properties["og:description"], "second");
        assert_eq!(page.properties["og:site_name"], "Example");
        assert_eq!(page.properties.len(), 3);
        assert_eq!(
            page.image.unwrap().as_str(),
            "https://example.org/cover.png"
        );
    }

    #[test]
    fn a_page_without_open_graph_is_described_by_what_it_has() {
        let plain = page(
            "<title> The\n title </title><script>'<p>no</p><title>no</title>'</script>\
             <style>p{}</style><p>First <b>words</b>,</p><div>not this</div><p>then\n more.",
        );
        assert_eq!(plain.properties["og:title"], "The title");
        assert_eq!(
            plain.properties["og:description"],
            "First words , then more."
        );
        assert!(plain.image.is_none());
        let described = page(
            "<meta name=description content='About'><meta name='twitter:image' content='//cdn.example/x.jpg'>",
        );
        assert_eq!(described.properties["og:description"], "About");
        assert_eq!(
            described.image.unwrap().as_str(),
            "https://cdn.example/x.jpg"
        );
    }

    #[test]
    fn whatever_comes_ends_small() {
        let content = "y".repeat(5_000);
        let many: Vec<String> = (0..1_000)
            .map(|n| format!("<meta property='og:x{n}' content='{content}'>"))
            .collect();
        let large = page(&many.concat());
        assert_eq!(large.properties.len(), 40);
        assert!(large.properties.values().all(|value| value.len() == 1_000));
        for html in [
            "",
            "<",
            "<meta",
            "<meta property",
            "\u{0}<title>",
            "<p",
            "<!--",
        ] {
            assert!(page(html).properties.is_empty(), "{html:?}");
        }
        let url = Url::parse("https://example.org/").unwrap();
        let latin = read(b"<title>caf\xe9</title>", &url);
        assert_eq!(latin.properties["og:title"], "caf\u{fffd}");
    }
}
