//! Reading loosely typed JSON: numbers as strings, lists as text, booleans as 0 and 1.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;

/// Text, or a number as text.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number in any of its disguises; a fraction is not one.
#[must_use]
pub fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse::<f64>().ok()?))
        }
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[allow(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
}

/// A switch: 1, "1", true.
#[must_use]
pub fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") || text.is_empty() => Some(false),
        other => int(other).map(|number| number != 0),
    }
}

/// An amount with decimals, exactly.
#[must_use]
pub fn decimal(value: &Value) -> Option<Decimal> {
    let text = text(value)?;
    let text = text.trim();
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok()).map(|amount| amount.normalize())
}

/// Unix seconds as an instant; `None` inside = never (null, empty, 0). `None` outside = unreadable.
#[must_use]
pub fn expiry(value: &Value) -> Option<Option<DateTime<Utc>>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) if text.trim().is_empty() => Some(None),
        other => match int(other)? {
            0 => Some(None),
            seconds => DateTime::from_timestamp(seconds, 0).map(Some),
        },
    }
}

/// Ids as a list, as text of a list, or nothing.
#[must_use]
pub fn ids(value: &Value) -> Option<Vec<i64>> {
    let mut ids: Vec<i64> = list(value)?.iter().map(int).collect::<Option<_>>()?;
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

/// Ids as the text that panels of this family store, in order.
#[must_use]
pub fn ids_text(ids: &[i64]) -> String {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    Value::from(ids).to_string()
}

/// Texts as a list, as text of a list, or nothing.
#[must_use]
pub fn texts(value: &Value) -> Option<Vec<String>> {
    list(value)?.iter().map(text).collect()
}

fn list(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        // PHP writes a list with gaps as an object.
        Value::Object(map) => Some(map.values().cloned().collect()),
        Value::String(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Array(items)) => Some(items),
            Ok(Value::Object(map)) => Some(map.values().cloned().collect()),
            Ok(Value::Null) => Some(Vec::new()),
            Ok(Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => None,
        },
        Value::Null => Some(Vec::new()),
        Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_in_every_disguise() {
        assert_eq!(int(&json!(3)), Some(3));
        assert_eq!(int(&json!("3")), Some(3));
        assert_eq!(int(&json!(3.0)), Some(3));
        assert_eq!(int(&json!("3.5")), None);
        assert_eq!(int(&json!(null)), None);
        assert_eq!(flag(&json!("0")), Some(false));
        assert_eq!(flag(&json!("true")), Some(true));
        assert_eq!(decimal(&json!("194.4400")), Some("194.44".parse().unwrap()));
        assert_eq!(decimal(&json!(0.25)), Some("0.25".parse().unwrap()));
    }

    #[test]
    fn lists_are_read_as_lists_as_text_and_as_maps() {
        for form in
            [json!([2, 1]), json!("[2,1]"), json!(["2", "1"]), json!({"0": 2, "3": "1"}), json!("[\"1\",\"2\"]")]
        {
            assert_eq!(ids(&form), Some(vec![1, 2]), "{form}");
        }
        assert_eq!(ids(&json!(null)), Some(vec![]));
        assert_eq!(ids(&json!("1,2")), None);
    }

    #[test]
    fn case_101_an_expiry_reads_back_as_the_instant_that_was_written() {
        let instant = DateTime::from_timestamp(1_798_761_600, 0).unwrap();
        assert_eq!(expiry(&json!(1_798_761_600)), Some(Some(instant)));
        assert_eq!(expiry(&json!("1798761600")), Some(Some(instant)));
        assert_eq!(expiry(&json!(null)), Some(None));
        assert_eq!(expiry(&json!("soon")), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_readers(text in any::<String>()) {
            let value = json!(text);
            let _ = (int(&value), flag(&value), decimal(&value), expiry(&value), ids(&value), texts(&value));
        }
    }
}
