//! vCard: one record a card.

use serde_json::{Map, Value};

use crate::{
    Problem, ReadError, Record,
    component::{Component, Dialect, component_of, component_text},
    content_line::{ContentLine, ContentLines, escape},
    input::Input,
    shape::{Property, Shape},
};

const NAME_PARTS: &[&str] = &["family", "given", "additional", "prefix", "suffix"];
const ADDRESS_PARTS: &[&str] = &[
    "box", "extended", "street", "city", "region", "postcode", "country",
];

const fn property(name: &'static str, field: &'static str, shape: Shape) -> Property {
    Property { name, field, shape }
}

const DIALECT: Dialect = Dialect {
    baggage: "vcard",
    table: &[
        property("FN", "name", Shape::Text),
        property("N", "names", Shape::Parts(NAME_PARTS)),
        property("NICKNAME", "nicknames", Shape::List),
        property("KIND", "kind", Shape::Text),
        property("ORG", "organization", Shape::Levels),
        property("TITLE", "title", Shape::Text),
        property("ROLE", "role", Shape::Text),
        property("TEL", "phones", Shape::Items),
        property("EMAIL", "emails", Shape::Items),
        property("ADR", "addresses", Shape::PartsItems(ADDRESS_PARTS)),
        property("URL", "urls", Shape::RawItems),
        property("BDAY", "birthday", Shape::Day),
        property("ANNIVERSARY", "anniversary", Shape::Day),
        property("NOTE", "note", Shape::Text),
        property("CATEGORIES", "categories", Shape::List),
        property("REV", "revised", Shape::Day),
        property("UID", "uid", Shape::Text),
    ],
    id: |fields| fields.get("uid")?.as_str().map(str::to_owned),
};

/// The cards of a file.
pub(crate) struct Cards {
    lines: ContentLines,
    count: u64,
    done: bool,
}

impl Cards {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            lines: ContentLines::new(input),
            count: 0,
            done: false,
        }
    }

    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        let Some((number, text)) = self.lines.next_line()? else {
            self.done = true;
            return Ok(None);
        };
        self.count += 1;
        let begins = ContentLine::parse(&text).is_some_and(|line| {
            line.name == "BEGIN" && line.value.trim().eq_ignore_ascii_case("VCARD")
        });
        if !begins {
            self.done = true;
            let problem = Problem::Syntax("a card must start with BEGIN:VCARD here".into());
            return Err(self.lines.error(problem).at_line(number));
        }
        Component::read(&mut self.lines, "VCARD", number).map(|card| Some(record_of(card)))
    }
}

impl Iterator for Cards {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        self.advance()
            .map_err(|err| err.in_record(self.count))
            .transpose()
    }
}

fn record_of(mut card: Component) -> Record {
    let mut baggage = Map::new();
    card.lines.retain(|line| {
        let is_version = line.name == "VERSION";
        if is_version && line.value.trim() != "4.0" {
            baggage.insert("version".into(), "3.0".into());
        }
        !is_version
    });
    DIALECT.record(card, Map::new(), baggage)
}

/// The text of a card.
pub(crate) fn card_text(record: &Record) -> String {
    let none = Map::new();
    let fields = record.value.as_object().unwrap_or(&none);
    let old = fields
        .get("vcard")
        .and_then(|baggage| baggage.get("version"))
        .is_some();
    let mut lines = vec![format!("VERSION:{}", if old { "3.0" } else { "4.0" })];
    lines.extend(DIALECT.lines(fields));
    let has = |lines: &[String], name: &str| {
        let mut parsed = lines.iter().filter_map(|line| ContentLine::parse(line));
        parsed.any(|line| line.name == name)
    };
    // Every card needs these; reading takes them away again.
    if !has(&lines, "FN") {
        lines.push(format!("FN:{}", escape(&fallback_name(record, fields))));
    }
    if old && !has(&lines, "N") {
        lines.push("N:;;;;".into());
    }
    if let (false, Some(id)) = (has(&lines, "UID"), &record.id) {
        lines.push(format!("UID:{}", escape(id)));
    }
    let reread = record_of(component_of("VCARD", &lines));
    lines.extend(Dialect::corrections(record, &reread));
    component_text("VCARD", &lines)
}

fn fallback_name(record: &Record, fields: &Map<String, Value>) -> String {
    let shown = ["name", "title"]
        .iter()
        .find_map(|field| match fields.get(*field)? {
            Value::String(text) => Some(text.clone()),
            Value::Object(parts) => parts.values().find_map(Value::as_str).map(str::to_owned),
            _ => None,
        });
    let name = shown.or_else(|| record.id.clone()).unwrap_or_default();
    name.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
