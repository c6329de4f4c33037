//! JSON in the three shapes that people have: an array of objects, objects one after the other, an object of objects.

use std::io::{Cursor, Read};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Problem, ReadError, Record, input::Input, record::id_of};

/// How much is looked at to tell one object from an object of objects.
const HEAD_BYTES: usize = 1 << 20;

pub(crate) struct Objects {
    input: Input,
    shape: Shape,
    count: u64,
}

enum Shape {
    Array { started: bool },
    Sequence,
    Keyed { started: bool },
    Done,
}

impl Objects {
    pub(crate) fn open(mut input: Input) -> Result<Self, ReadError> {
        input.skip_bom()?;
        let shape = match input.peek_past_blanks()? {
            Some(b'[') => Shape::Array { started: false },
            Some(b'{') => {
                let (rebuilt, keyed) = tell_objects_apart(input)?;
                input = rebuilt;
                match keyed {
                    true => Shape::Keyed { started: false },
                    false => Shape::Sequence,
                }
            }
            Some(_) => {
                let problem = "the file must start with [ or {".to_owned();
                return Err(input.error(Problem::Syntax(problem)).at_line(input.line()));
            }
            None => Shape::Done,
        };
        Ok(Self {
            input,
            shape,
            count: 0,
        })
    }

    fn advance(&mut self) -> Result<Option<Record>, ReadError> {
        let closing = match self.shape {
            Shape::Done => return Ok(None),
            Shape::Sequence => None,
            Shape::Array { .. } => Some(b']'),
            Shape::Keyed { .. } => Some(b'}'),
        };
        let mut next = self.input.peek_past_blanks()?;
        match (&mut self.shape, closing) {
            (Shape::Array { started } | Shape::Keyed { started }, Some(closing)) => {
                let first = !std::mem::replace(started, true);
                if first {
                    self.input.advance(1);
                    next = self.input.peek_past_blanks()?;
                }
                if next == Some(closing) {
                    self.input.advance(1);
                    self.shape = Shape::Done;
                    return match self.input.peek_past_blanks()? {
                        None => Ok(None),
                        Some(_) => Err(self.syntax("there is more after the end of the JSON")),
                    };
                }
                if !first {
                    if next != Some(b',') {
                        return Err(self.syntax("a comma or the end is missing after a record"));
                    }
                    self.input.advance(1);
                    next = self.input.peek_past_blanks()?;
                }
            }
            _ if next.is_none() => return Ok(None),
            _ => {}
        }
        if next.is_none() {
            return Err(self.syntax("the file ends in the middle"));
        }
        self.count += 1;
        let mut key = None;
        if matches!(self.shape, Shape::Keyed { .. }) {
            key = Some(self.parse::<String>()?);
            if self.input.peek_past_blanks()? != Some(b':') {
                return Err(self.syntax("a colon is missing after a name"));
            }
            self.input.advance(1);
            self.input.peek_past_blanks()?;
        }
        let fields = match self.parse::<Value>()? {
            Value::Object(fields) => fields,
            other => {
                let found = kind_of(&other);
                return Err(self.refuse(Problem::NotAnObject { found }));
            }
        };
        Ok(Some(match key {
            None => Record::from_object(fields),
            Some(key) => with_key(key, fields),
        }))
    }

    /// Parses a text, list or object. Scalars would take a byte beyond their end, which what follows needs.
    fn parse<T: DeserializeOwned>(&mut self) -> Result<T, ReadError> {
        if !matches!(self.input.peek()?, Some(b'{' | b'[' | b'"')) {
            let found = "a bare value";
            return Err(self.stop(Problem::NotAnObject { found }));
        }
        let mut deserializer = serde_json::Deserializer::from_reader(&mut self.input);
        T::deserialize(&mut deserializer).map_err(|err| match err.is_io() {
            true => self.stop(Problem::Io(err.into())),
            false => self.syntax(&without_position(&err)),
        })
    }

    fn syntax(&mut self, message: &str) -> ReadError {
        self.stop(Problem::Syntax(message.to_owned()))
    }

    /// An error that nothing can follow.
    fn stop(&mut self, problem: Problem) -> ReadError {
        self.shape = Shape::Done;
        self.refuse(problem)
    }

    /// An error in one record; the next can be read.
    fn refuse(&self, problem: Problem) -> ReadError {
        self.input
            .error(problem)
            .at_line(self.input.line())
            .in_record(self.count.max(1))
    }
}

impl Iterator for Objects {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

fn with_key(key: String, fields: Map<String, Value>) -> Record {
    let mut record = Record::from_object(fields);
    if record.id.is_none() {
        let id = id_of(&key);
        if let (true, Value::Object(fields)) = (id != key, &mut record.value) {
            fields.entry("key").or_insert(Value::String(key));
        }
        record.id = Some(id);
    }
    record
}

/// Whether an opening brace starts one object that holds all records. Also gives the input back as it was.
fn tell_objects_apart(mut input: Input) -> Result<(Input, bool), ReadError> {
    let mut head = Vec::new();
    let (line, name) = (input.line(), input.name().to_owned());
    let read = input
        .by_ref()
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|err| ReadError::io(&name, err))?;
    let mut values = serde_json::Deserializer::from_slice(&head).into_iter::<Value>();
    let keyed = match values.next() {
        Some(Ok(Value::Object(first))) => {
            let rest = &head[values.byte_offset()..];
            let alone =
                rest.iter().all(u8::is_ascii_whitespace) && input.peek_past_blanks()?.is_none();
            alone && !first.is_empty() && first.values().all(Value::is_object)
        }
        // It is longer than the head: no single record is.
        Some(Err(err)) => err.is_eof() && head.len() == HEAD_BYTES,
        _ => false,
    };
    Ok((input.rewound(Cursor::new(head), read, line), keyed))
}

pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The message without serde_json's own line and column, which count from the record's start.
fn without_position(err: &serde_json::Error) -> String {
    let text = err.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
