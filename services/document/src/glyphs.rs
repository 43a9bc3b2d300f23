//! The check that every character of a page has a glyph, and what is printed where one has none.

use std::collections::BTreeSet;

use serde_json::Value;
use typst::layout::{Frame, FrameItem};
use typst_layout::PagedDocument;

use crate::fonts::Typefaces;

/// The glyph every font draws for a character it lacks: the empty box.
const MISSING: u16 = 0;

/// Characters that the pages show as empty boxes. It looks at what was set, so it holds whatever the fonts promised.
pub(crate) fn missing(pages: &PagedDocument, typefaces: &Typefaces) -> BTreeSet<char> {
    let mut found = BTreeSet::new();
    for page in pages.pages() {
        collect(&page.frame, typefaces, &mut found);
    }
    found
}

fn collect(frame: &Frame, typefaces: &Typefaces, found: &mut BTreeSet<char>) {
    for (_, item) in frame.items() {
        match item {
            FrameItem::Group(group) => collect(&group.frame, typefaces, found),
            FrameItem::Text(text) => {
                for glyph in text.glyphs.iter().filter(|glyph| glyph.id == MISSING) {
                    let cluster = text.text.get(glyph.range()).unwrap_or_default();
                    // Of letters drawn together only those are at fault that no font has; else it is the combination.
                    let at_fault: Vec<char> = cluster.chars().filter(|letter| !typefaces.can_draw(*letter)).collect();
                    found.extend(if at_fault.is_empty() { cluster.chars().collect() } else { at_fault });
                }
            }
            FrameItem::Shape(..) | FrameItem::Image(..) | FrameItem::Link(..) | FrameItem::Tag(..) => {}
        }
    }
}

/// Replaces those characters in every text of `data` by their numbers, a run of them in one bracket: `[U+0E2A U+0E27]`.
pub(crate) fn spell_out(data: &mut Value, missing: &BTreeSet<char>) {
    match data {
        Value::String(text) => {
            if text.contains(|letter| missing.contains(&letter)) {
                *text = numbers(text, missing);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| spell_out(value, missing)),
        Value::Object(values) => values.values_mut().for_each(|value| spell_out(value, missing)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn numbers(text: &str, missing: &BTreeSet<char>) -> String {
    let mut spelt = String::with_capacity(text.len() * 4);
    let mut is_open = false;
    for letter in text.chars() {
        match (missing.contains(&letter), is_open) {
            (true, false) => spelt.push_str(&format!("[U+{:04X}", u32::from(letter))),
            (true, true) => spelt.push_str(&format!(" U+{:04X}", u32::from(letter))),
            (false, true) => {
                spelt.push(']');
                spelt.push(letter);
            }
            (false, false) => spelt.push(letter),
        }
        is_open = missing.contains(&letter);
    }
    if is_open {
        spelt.push(']');
    }
    spelt
}

/// Every text of `data` in one string.
pub(crate) fn texts(data: &Value) -> String {
    match data {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(texts).collect(),
        Value::Object(values) => values.values().map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_without_a_font_are_spelt_out_and_the_rest_stays() {
        let missing = BTreeSet::from(['ש', 'ל', '😀']);
        assert_eq!(numbers("a שלx😀", &missing), "a [U+05E9 U+05DC]x[U+1F600]");
        let mut data = serde_json::json!({"name": "ש", "list": ["plain", 1]});
        spell_out(&mut data, &missing);
        assert_eq!(data, serde_json::json!({"name": "[U+05E9]", "list": ["plain", 1]}));
    }
}
