//! Points in time as people write them: a date, a date and a time, how long ago, or Unix milliseconds.

use std::str::FromStr;

use chrono::{Local, NaiveDate, NaiveDateTime, TimeZone as _};

use crate::look;

/// A point in time, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeArg(pub(crate) u64);

const HELP: &str = "write a time as '2026-11-01', '2026-11-01 08:00', '90m ago', '3d ago' or '@' and Unix milliseconds";

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        read(text, look::now_ms())
            .map(Self)
            .ok_or_else(|| HELP.to_owned())
    }
}

fn read(text: &str, now_ms: u64) -> Option<u64> {
    if text == "now" {
        return Some(now_ms);
    }
    if let Some(ms) = text.strip_prefix('@') {
        return ms.parse().ok();
    }
    if let Some(ago) = text.strip_suffix("ago") {
        return now_ms.checked_sub(duration(ago.trim())?);
    }
    let local = |time: NaiveDateTime| {
        let time = Local.from_local_datetime(&time).earliest()?;
        u64::try_from(time.timestamp_millis()).ok()
    };
    for format in [
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return local(time);
        }
    }
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return u64::try_from(time.timestamp_millis()).ok();
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    local(day.and_hms_opt(0, 0, 0)?)
}

fn duration(text: &str) -> Option<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().ok()?;
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" | "second" | "seconds" => 1_000,
        "m" | "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "w" | "week" | "weeks" => 7 * 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        let now = 1_700_000_000_000;
        assert_eq!(read("now", now), Some(now));
        assert_eq!(read("@17", now), Some(17));
        assert_eq!(read("90m ago", now), Some(now - 90 * 60_000));
        assert_eq!(read("3 days ago", now), Some(now - 3 * 86_400_000));
        assert_eq!(read("2026-11-01T08:00:00Z", now), Some(1_793_520_000_000));
        let day = read("2026-11-01", now).unwrap();
        assert_eq!(
            read("2026-11-01 08:30", now),
            Some(day + 8 * 3_600_000 + 30 * 60_000)
        );
        for wrong in [
            "",
            "yesterday",
            "3x ago",
            "ago",
            "99999999999999999999d ago",
            "2026-13-01",
        ] {
            assert_eq!(read(wrong, now), None, "{wrong}");
        }
    }
}
