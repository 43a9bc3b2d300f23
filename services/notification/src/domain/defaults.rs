//! The embedded wording. A small source form per language is turned into the text and the HTML template of each mail:
//! blocks are separated by empty lines; `- ` begins a list item, `[words](address)` alone is a button, a block tag of the
//! template language alone stays as it is, everything else is a paragraph.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::kind::Kind;

/// Languages everything exists in.
pub const LANGUAGES: [&str; 2] = ["en", "de"];
const SOURCES: [&str; 2] = [include_str!("../../templates/en.txt"), include_str!("../../templates/de.txt")];

/// The wording of a mail: sources of the template language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    /// One line.
    pub subject: String,
    /// For programs that show no HTML.
    pub body_text: String,
    /// Goes into the brand's frame.
    pub body_html: String,
}

static DEFAULTS: LazyLock<BTreeMap<(&'static str, &'static str), Wording>> = LazyLock::new(|| {
    LANGUAGES
        .into_iter()
        .zip(SOURCES)
        .flat_map(|(language, source)| read(source).map(move |(name, wording)| ((language, name), wording)))
        .collect()
});

/// The embedded wording of a mail in this language, when there is one.
#[must_use]
pub fn wording(kind: Kind, language: &str) -> Option<&'static Wording> {
    DEFAULTS.iter().find(|((its, name), _)| *its == language && *name == kind.as_str()).map(|(_, wording)| wording)
}

fn read(source: &'static str) -> impl Iterator<Item = (&'static str, Wording)> {
    let mut sections = source.split("=== ").skip(1).filter_map(|section| section.split_once('\n'));
    let greeting = sections.next().map(|(_, text)| text.trim()).unwrap_or_default();
    sections.map(move |(name, text)| {
        let (subject, body) = text.split_once('\n').unwrap_or((text, ""));
        let blocks =
            std::iter::once(greeting).chain(body.split("\n\n")).map(str::trim).filter(|block| !block.is_empty());
        let (mut body_text, mut body_html) = (String::new(), String::new());
        for block in blocks {
            let (text, html) = both(block);
            body_text.push_str(&text);
            body_html.push_str(&html);
        }
        (name.trim(), Wording { subject: subject.trim().to_owned(), body_text, body_html })
    })
}

fn both(block: &str) -> (String, String) {
    if block.starts_with("{%") && block.ends_with("%}") && block.matches("{%").count() == 1 {
        return (format!("{block}\n"), format!("{block}\n"));
    }
    if let Some((words, address)) =
        block.strip_prefix('[').and_then(|rest| rest.strip_suffix(')')).and_then(|rest| rest.split_once("]("))
    {
        let html = format!("<p class=\"button\"><a href=\"{address}\">{words}</a></p>\n");
        return (format!("{words}:\n{address}\n\n"), html);
    }
    if block.lines().all(|line| line.starts_with("- ")) {
        let items: String = block.lines().map(|line| format!("<li>{}</li>\n", &line[2..])).collect();
        return (format!("{block}\n\n"), format!("<ul>\n{items}</ul>\n"));
    }
    (format!("{block}\n\n"), format!("<p>{block}</p>\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mail_exists_in_every_language() {
        for kind in Kind::ALL {
            for language in LANGUAGES {
                assert!(wording(*kind, language).is_some(), "{} in {language}", kind.as_str());
            }
        }
        assert_eq!(DEFAULTS.len(), Kind::ALL.len() * LANGUAGES.len());
    }

    #[test]
    fn blocks_become_text_and_html() {
        assert_eq!(both("[Go]({{ link }})").1, "<p class=\"button\"><a href=\"{{ link }}\">Go</a></p>\n");
        assert_eq!(both("- a\n- b").1, "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n");
        assert_eq!(both("{% endif %}").0, "{% endif %}\n");
        assert_eq!(both("{% if a %}x{% endif %}").1, "<p>{% if a %}x{% endif %}</p>\n");
    }
}
