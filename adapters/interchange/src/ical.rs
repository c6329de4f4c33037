//! iCalendar: one record for every event, to-do, journal entry and time zone, and one for a calendar that says more of
//! itself than that it is one.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::{
    Problem, ReadError, Record,
    component::{Component, Dialect, component_of, component_text},
    content_line::{ContentLine, ContentLines, escape, write_folded},
    input::Input,
    shape::{Property, Shape},
};

const PRODUCT: &str = "-//Stead//Stead//EN";
const CALENDAR: &str = "calendar";
/// A second calendar in one file has no place of its own in the format.
const FURTHER_CALENDAR: &str = "X-STEAD-CALENDAR";
/// What calendars say of themselves and nobody needs to keep.
const USUAL: &[&str] = &["VERSION", "PRODID", "CALSCALE", "METHOD"];
const KINDS: &[(&str, &str)] = &[
    ("VEVENT", "event"),
    ("VTODO", "todo"),
    ("VJOURNAL", "journal"),
    ("VTIMEZONE", "timezone"),
    ("VFREEBUSY", "freebusy"),
    ("VAVAILABILITY", "availability"),
];

const fn property(name: &'static str, field: &'static str, shape: Shape) -> Property {
    Property { name, field, shape }
}

const DIALECT: Dialect = Dialect {
    baggage: "ical",
    table: &[
        property("X-WR-CALNAME", "calendar_name", Shape::Text),
        property("TZID", "zone", Shape::Raw),
        property("UID", "uid", Shape::Text),
        property("RECURRENCE-ID", "recurrence", Shape::Time),
        property("SUMMARY", "title", Shape::Text),
        property("DESCRIPTION", "description", Shape::Text),
        property("LOCATION", "location", Shape::Text),
        property("DTSTART", "start", Shape::Time),
        property("DTEND", "end", Shape::Time),
        property("DURATION", "duration", Shape::Raw),
        property("DUE", "due", Shape::Time),
        property("COMPLETED", "completed", Shape::Time),
        property("STATUS", "status", Shape::Text),
        property("PRIORITY", "priority", Shape::Int),
        property("PERCENT-COMPLETE", "percent", Shape::Int),
        property("SEQUENCE", "sequence", Shape::Int),
        property("RRULE", "repeat", Shape::Raw),
        property("CATEGORIES", "categories", Shape::List),
        property("CLASS", "class", Shape::Text),
        property("URL", "url", Shape::Raw),
        property("ORGANIZER", "organizer", Shape::Raw),
        property("ATTENDEE", "attendees", Shape::RawItems),
        property("CREATED", "created", Shape::Time),
        property("LAST-MODIFIED", "modified", Shape::Time),
        property("DTSTAMP", "stamp", Shape::Time),
    ],
    id: |fields| {
        let text = |field: &str| fields.get(field).and_then(Value::as_str);
        match (text("kind"), text("uid"), text("recurrence")) {
            (Some("timezone"), _, _) => Some(format!("zone:{}", text("zone")?.replace('/', "-"))),
            (Some(CALENDAR), _, _) => Some(CALENDAR.to_owned()),
            (_, Some(uid), Some(recurrence)) => Some(format!("{uid}@{recurrence}")),
            (_, uid, _) => uid.map(str::to_owned),
        }
    },
};

/// The components of a file with one or more calendars.
pub(crate) struct Calendar {
    lines: ContentLines,
    count: u64,
    inside: bool,
    done: bool,
    properties: Vec<ContentLine>,
    ready: VecDeque<Record>,
}

impl Calendar {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            lines: ContentLines::new(input),
            count: 0,
            inside: false,
            done: false,
            properties: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Ok(Some(record));
            }
            let Some((number, text)) = self.lines.next_line()? else {
                self.done = true;
                let component = "VCALENDAR".to_owned();
                return match self.inside {
                    true => Err(self.lines.error(Problem::Unclosed { component })),
                    false => Ok(None),
                };
            };
            let line = ContentLine::parse(&text);
            let named = line
                .as_ref()
                .map(|line| (line.name.as_str(), line.value.trim().to_ascii_uppercase()));
            match (named, self.inside) {
                (Some(("BEGIN", value)), false) if value == "VCALENDAR" => self.inside = true,
                (Some(("END", value)), true) if value == "VCALENDAR" => {
                    self.inside = false;
                    let lines = std::mem::take(&mut self.properties);
                    self.ready.extend(calendar_record(lines));
                }
                (Some(("BEGIN", value)), true) => {
                    self.count += 1;
                    return Component::read(&mut self.lines, &value, number)
                        .map(|part| Some(record_of(part)));
                }
                (Some((name, _)), true) if name != "END" => self.properties.extend(line),
                _ => {
                    self.done = true;
                    let expected = if self.inside {
                        "a property or END:VCALENDAR"
                    } else {
                        "BEGIN:VCALENDAR"
                    };
                    let problem = Problem::Syntax(format!("{expected} must stand here"));
                    return Err(self.lines.error(problem).at_line(number));
                }
            }
        }
    }
}

impl Iterator for Calendar {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.advance()
            .map_err(|err| err.in_record(self.count.max(1)))
            .transpose()
    }
}

fn calendar_record(lines: Vec<ContentLine>) -> Option<Record> {
    let lines: Vec<_> = lines
        .into_iter()
        .filter(|line| !USUAL.contains(&line.name.as_str()))
        .collect();
    let component = Component {
        name: "VCALENDAR".into(),
        lines,
        inner: Vec::new(),
    };
    (!component.lines.is_empty()).then(|| record_of(component))
}

fn record_of(component: Component) -> Record {
    let known = KINDS.iter().find(|(name, _)| *name == component.name);
    let kind = match known {
        Some((_, kind)) => (*kind).to_owned(),
        None if component.name == "VCALENDAR" => CALENDAR.to_owned(),
        None => component.name.to_ascii_lowercase(),
    };
    let extra = Map::from_iter([("kind".to_owned(), Value::from(kind))]);
    DIALECT.record(component, extra, Map::new())
}

/// Gathers components, so that calendars and time zones can stand before what refers to them.
#[derive(Default)]
pub(crate) struct CalendarWriter {
    calendar: Option<Vec<String>>,
    zones: String,
    others: String,
}

impl CalendarWriter {
    pub(crate) fn push(&mut self, record: &Record) {
        let none = Map::new();
        let fields = record.value.as_object().unwrap_or(&none);
        let mut name = self.component_name(fields);
        let mut lines = DIALECT.lines(fields);
        let whole = component_of(&name, &lines);
        let taken = |line: &ContentLine| USUAL.contains(&line.name.as_str());
        if name == "VCALENDAR" && (!whole.inner.is_empty() || whole.lines.iter().any(taken)) {
            name = FURTHER_CALENDAR.into();
        }
        let has = |lines: &[String], name: &str| {
            let component = component_of("", lines);
            component.lines.iter().any(|line| line.name == name)
        };
        if matches!(name.as_str(), "VEVENT" | "VTODO" | "VJOURNAL") {
            // Every such component needs these; reading takes them away again.
            if let (false, Some(id)) = (has(&lines, "UID"), &record.id) {
                lines.push(format!("UID:{}", escape(id)));
            }
            if !has(&lines, "DTSTAMP") {
                let stamps = ["LAST-MODIFIED:", "CREATED:"];
                let known = stamps
                    .iter()
                    .find_map(|name| lines.iter().find_map(|line| line.strip_prefix(name)));
                let stamp = format!("DTSTAMP:{}", known.unwrap_or("19700101T000000Z"));
                lines.push(stamp);
            }
        }
        let reread = record_of(component_of(&name, &lines));
        lines.extend(Dialect::corrections(record, &reread));
        if name == "VCALENDAR" && lines.is_empty() {
            // A calendar with no property at all would not be seen.
            lines.push(format!("X-STEAD-ID:{CALENDAR}"));
        }
        match name.as_str() {
            "VCALENDAR" => self.calendar = Some(lines),
            "VTIMEZONE" => self.zones.push_str(&component_text(&name, &lines)),
            _ => self.others.push_str(&component_text(&name, &lines)),
        }
    }

    fn component_name(&self, fields: &Map<String, Value>) -> String {
        let kind = fields.get("kind").and_then(Value::as_str);
        if let Some((name, _)) = KINDS.iter().find(|(_, known)| Some(*known) == kind) {
            return (*name).to_owned();
        }
        match kind {
            Some(CALENDAR) if self.calendar.is_none() => "VCALENDAR".into(),
            Some(CALENDAR) => FURTHER_CALENDAR.into(),
            Some(kind)
                if kind.starts_with("x-")
                    && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
            {
                kind.to_ascii_uppercase()
            }
            _ if fields.contains_key("due") || fields.contains_key("completed") => "VTODO".into(),
            _ => "VEVENT".into(),
        }
    }

    pub(crate) fn finish(self) -> String {
        let mut out = String::new();
        for line in [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            &format!("PRODID:{PRODUCT}"),
        ] {
            write_folded(&mut out, line);
        }
        for line in self.calendar.into_iter().flatten() {
            write_folded(&mut out, &line);
        }
        out.push_str(&self.zones);
        out.push_str(&self.others);
        write_folded(&mut out, "END:VCALENDAR");
        out
    }
}
