//! Form parameters the way PHP reads them: query and body together, body wins, `name[]` makes a list.

use url::form_urlencoded;

/// All parameters of a request in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the query string and, when it is a form, the body.
    #[must_use]
    pub fn read(query: Option<&str>, body: &[u8]) -> Self {
        let mut all: Vec<(String, String)> = Vec::new();
        for part in [query.unwrap_or_default().as_bytes(), body] {
            all.extend(form_urlencoded::parse(part).into_owned());
        }
        Self(all)
    }

    /// The last value given for `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The last value, when it is not empty.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Whether `name` was sent at all, as a value or as a list.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || self.0.iter().any(|(key, _)| is_item(key, name))
    }

    /// PHP's `intval`: leading digits or zero.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name).map(intval)
    }

    /// PHP's truth: anything but absent, empty and `"0"`.
    #[must_use]
    pub fn truthy(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_empty() && value != "0")
    }

    /// The items of `name[]` or `name[0]`, `name[1]` …
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| is_item(key, name)).map(|(_, value)| value.clone()).collect()
    }

    /// The items of `name[key]`, with their keys, in order.
    pub fn map<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(key, value)| {
            let inner = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            Some((inner, value.as_str()))
        })
    }

    /// Every parameter except credentials and the action, as the panel echoes them beside a refusal.
    #[must_use]
    pub fn echo(&self) -> serde_json::Value {
        let mut map = serde_json::Map::new();
        for (key, value) in &self.0 {
            if key == "api_key" || key == "action" {
                continue;
            }
            match key.split_once('[') {
                Some((name, _)) => {
                    let list = map.entry(name.to_owned()).or_insert_with(|| serde_json::Value::Array(Vec::new()));
                    if let Some(items) = list.as_array_mut() {
                        items.push(value.clone().into());
                    }
                }
                None => {
                    map.insert(key.clone(), value.clone().into());
                }
            }
        }
        // An empty PHP array is always `[]`, never `{}`.
        if map.is_empty() { serde_json::Value::Array(Vec::new()) } else { serde_json::Value::Object(map) }
    }
}

fn is_item(key: &str, name: &str) -> bool {
    key.strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('[') && rest.ends_with(']') && rest.matches('[').count() == 1)
}

/// PHP's `intval` of a text.
#[must_use]
pub fn intval(text: &str) -> i64 {
    let text = text.trim_start();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let magnitude: i64 = digits[..end].parse().unwrap_or(0);
    if text.starts_with('-') { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_wins_over_query_and_brackets_make_lists() {
        let form = Form::read(Some("id=1&tag[]=x"), b"id=2&tag%5B%5D=y&flag=0");
        assert_eq!(form.get("id"), Some("2"));
        assert_eq!(form.list("tag"), ["x", "y"]);
        assert!(form.has("tag") && form.has("flag") && !form.truthy("flag"));
    }

    #[test]
    fn numbers_are_read_as_php_reads_them() {
        assert_eq!(intval("12abc"), 12);
        assert_eq!(intval("-3.9"), -3);
        assert_eq!(intval("none"), 0);
    }
}
