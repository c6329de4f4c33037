//! How numbers, times and values look to people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{Local, TimeZone as _};
use console::style;
use serde_json::Value;

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 document`, `2 documents`.
pub(crate) fn counted(number: u64, one: &str) -> String {
    let plural = match one.strip_suffix('y') {
        _ if number == 1 => one.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{one}s"),
    };
    format!("{} {plural}", count(number))
}

/// `1.5 MB`.
pub(crate) fn bytes(number: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut value = number as f64 / 1000.0;
    if value < 1.0 {
        return format!("{number} bytes");
    }
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    match value < 9.95 {
        true => format!("{value:.1} {}", units[unit]),
        false => format!("{value:.0} {}", units[unit]),
    }
}

/// `850 ms`, `3.2 s`, `2 minutes`, `5 hours`, `3 days`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() > 0 => format!("{} ms", duration.as_millis()),
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7_200 => counted(seconds / 60, "minute"),
        7_200..172_800 => counted(seconds / 3600, "hour"),
        _ => counted(seconds / 86_400, "day"),
    }
}

/// `just now`, `5 minutes ago`.
pub(crate) fn ago(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) {
        0..5_000 => "just now".into(),
        past => format!("{} ago", span(Duration::from_millis(past - past % 1000))),
    }
}

/// The time on this device's clock: `2026-11-20 19:30:05`.
pub(crate) fn moment(ms: u64) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| Local.timestamp_millis_opt(ms).single());
    time.map_or_else(
        || format!("{ms} ms"),
        |time| time.format("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// The time of day: `19:30`.
pub(crate) fn time_of_day(ms: u64) -> String {
    let time = i64::try_from(ms)
        .ok()
        .and_then(|ms| Local.timestamp_millis_opt(ms).single());
    time.map_or_else(|| "later".into(), |time| time.format("%H:%M").to_string())
}

/// The first digits of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// A value in one line: texts bare, lists with commas.
pub(crate) fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "null".into(),
        Value::String(text) => text.clone(),
        Value::Array(items)
            if items
                .iter()
                .all(|item| !item.is_object() && !item.is_array()) =>
        {
            items.iter().map(self::value).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The fields of an object by their paths: nested objects become dotted names.
pub(crate) fn fields(value: &Value) -> Vec<(String, Value)> {
    fn walk(path: &mut Vec<String>, value: &Value, out: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(fields) if !fields.is_empty() || path.is_empty() => {
                for (name, value) in fields {
                    path.push(name.clone());
                    walk(path, value, out);
                    path.pop();
                }
            }
            _ => out.push((crate::query::path_text(path), value.clone())),
        }
    }
    let mut out = Vec::new();
    walk(&mut Vec::new(), value, &mut out);
    out
}

/// The value of a field by its path.
pub(crate) fn field<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

pub(crate) fn heading(text: &str) -> String {
    style(text).bold().to_string()
}

pub(crate) fn faint(text: &str) -> String {
    style(text).dim().to_string()
}

pub(crate) fn good(text: &str) -> String {
    style(text).green().to_string()
}

pub(crate) fn warning(text: &str) -> String {
    style(text).yellow().to_string()
}

pub(crate) fn bad(text: &str) -> String {
    style(text).red().to_string()
}

/// Something to type.
pub(crate) fn code(text: &str) -> String {
    style(text).cyan().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_easily() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(2000, "entry"), "2,000 entries");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(999_600), "1.0 MB");
        assert_eq!(bytes(123_456_789), "123 MB");
    }

    #[test]
    fn times_read_easily() {
        assert_eq!(span(Duration::from_millis(850)), "850 ms");
        assert_eq!(span(Duration::from_millis(3_210)), "3.2 s");
        assert_eq!(span(Duration::from_secs(60)), "60 s");
        assert_eq!(span(Duration::from_secs(180)), "3 minutes");
        assert_eq!(span(Duration::from_secs(7_300)), "2 hours");
        assert_eq!(ago(1_000, 4_000), "just now");
        assert_eq!(ago(0, 12_345), "12 s ago");
        assert_eq!(ago(9_000, 0), "just now");
    }

    #[test]
    fn values_fit_in_a_line() {
        let json = serde_json::json!({"a": {"b": [1, "x"], "c": {}}, "d": "two\nlines"});
        let shown: Vec<_> = fields(&json)
            .into_iter()
            .map(|(name, v)| format!("{name}={}", value(&v)))
            .collect();
        assert_eq!(shown, ["a.b=1, x", "a.c={}", "d=two lines"]);
    }
}
