//! How a text runs and whose letters it has: what the template cannot see from the page's own language.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use unicode_script::{Script, UnicodeScript};

/// Texts of `data` that run from right to left, and the language of those with Chinese, Japanese or Korean letters; the
/// template looks its texts up in both.
pub(crate) fn manners(data: &Value) -> (BTreeSet<&str>, BTreeMap<&str, &'static str>) {
    let mut texts = BTreeSet::new();
    collect(data, &mut texts);
    let han = texts.iter().filter_map(|text| own_language(text)).min().unwrap_or("zh");
    let languages = texts.iter().filter_map(|text| Some((*text, language(text, han)?))).collect();
    texts.retain(|text| runs_rtl(text));
    (texts, languages)
}

fn collect<'a>(data: &'a Value, texts: &mut BTreeSet<&'a str>) {
    match data {
        Value::String(text) => {
            texts.insert(text);
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(values) => values.values().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text has the direction of its first letter.
fn runs_rtl(text: &str) -> bool {
    text.chars().find(|letter| letter.is_alphabetic()).is_some_and(|letter| {
        matches!(
            letter.script(),
            Script::Arabic
                | Script::Hebrew
                | Script::Syriac
                | Script::Thaana
                | Script::Nko
                | Script::Adlam
                | Script::Mandaic
                | Script::Samaritan
                | Script::Hanifi_Rohingya
        )
    })
}

/// The language that letters of no other one give away.
fn own_language(text: &str) -> Option<&'static str> {
    let has = |wanted: &[Script]| text.chars().any(|letter| wanted.contains(&letter.script()));
    if has(&[Script::Hiragana, Script::Katakana]) {
        Some("ja")
    } else if has(&[Script::Hangul]) {
        Some("ko")
    } else {
        None
    }
}

/// Chinese, Japanese and Korean write the same characters in shapes of their own: a text without other letters follows the
/// rest of the document.
fn language(text: &str, han: &'static str) -> Option<&'static str> {
    own_language(text).or_else(|| text.chars().any(|letter| letter.script() == Script::Han).then_some(han))
}

/// Whether letters of the text join.
pub(crate) fn joins(text: &str) -> bool {
    text.chars().any(|letter| {
        matches!(
            letter.script(),
            Script::Arabic
                | Script::Syriac
                | Script::Nko
                | Script::Adlam
                | Script::Mandaic
                | Script::Mongolian
                | Script::Hanifi_Rohingya
                | Script::Devanagari
                | Script::Bengali
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_letter_decides_the_direction() {
        for text in ["שלום", "12 שלום Main", "\"مرحبا\""] {
            assert!(runs_rtl(text), "{text}");
        }
        for text in ["12", "", "Main שלום", "王小明"] {
            assert!(!runs_rtl(text), "{text}");
        }
        assert!(joins("Lumen قناة") && !joins("Lumen שידור"));
    }

    #[test]
    fn chinese_characters_follow_the_letters_around_them() {
        let data = json!({"a": "山田太郎", "b": ["ルーメン", "Ada"], "c": 1});
        let (_, languages) = manners(&data);
        assert_eq!(languages, [("山田太郎", "ja"), ("ルーメン", "ja")].into());
        let alone = json!("王小明");
        assert_eq!(manners(&alone).1, [("王小明", "zh")].into());
        let korean = json!(["金民俊", "서울"]);
        assert_eq!(manners(&korean).1, [("金民俊", "ko"), ("서울", "ko")].into());
    }
}
