//! The lines that vCard and iCalendar are made of: folding, parameters, escaping. It knows no property's meaning.

use crate::{Problem, ReadError, input::Input};

const FOLD_BYTES: usize = 75;

/// One unfolded line: `group.NAME;PARAM=a,b:value`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContentLine {
    /// All before the colon, as it was, without encodings that were undone.
    pub(crate) left: String,
    /// The name, in capitals and without its group.
    pub(crate) name: String,
    /// Whether there was a group before the name.
    pub(crate) grouped: bool,
    /// Parameters with their names in capitals.
    pub(crate) params: Vec<(String, Vec<String>)>,
    /// All after the colon, still escaped.
    pub(crate) value: String,
}

impl ContentLine {
    /// Reads an unfolded line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let colon = end_of_left(line)?;
        let (left, value) = (&line[..colon], &line[colon + 1..]);
        let mut parts = split_outside_quotes(left, ';').into_iter();
        let full = parts.next()?;
        let (group, name) = match full.rsplit_once('.') {
            Some((group, name)) => (Some(group), name),
            None => (None, full),
        };
        let fits = |name: &str| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !fits(name) || !group.is_none_or(fits) {
            return None;
        }
        let params = parts
            .filter(|part| !part.is_empty())
            .map(|part| match part.split_once('=') {
                Some((name, values)) => {
                    let values = split_outside_quotes(values, ',');
                    let values = values.into_iter().map(|v| v.trim_matches('"').to_owned());
                    (name.trim().to_ascii_uppercase(), values.collect())
                }
                // vCard 2.1 leaves TYPE= out.
                None => ("TYPE".to_owned(), vec![part.to_owned()]),
            })
            .collect();
        Some(Self {
            left: left.to_owned(),
            name: name.to_ascii_uppercase(),
            grouped: group.is_some(),
            params,
            value: value.to_owned(),
        })
    }

    /// The unfolded line.
    pub(crate) fn to_text(&self) -> String {
        format!("{}:{}", self.left, self.value)
    }

    /// All values of a parameter.
    pub(crate) fn param(&self, name: &str) -> impl Iterator<Item = &str> {
        self.params
            .iter()
            .filter(move |(param, _)| param == name)
            .flat_map(|(_, values)| values.iter().map(String::as_str))
    }
}

fn end_of_left(line: &str) -> Option<usize> {
    let mut quoted = false;
    line.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == b':' && !quoted
    })
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .collect()
}

/// Splits an escaped value at a separator that is not escaped, without undoing any escapes.
pub(crate) fn split_escaped(value: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    value
        .split(|c| {
            let splits = c == separator && !escaped;
            escaped = c == '\\' && !escaped;
            splits
        })
        .collect()
}

/// Undoes the escapes of a text.
pub(crate) fn unescape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n' | 'N') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// Escapes a text.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\\' | ',' | ';' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

/// Whether a line can hold this unescaped: no control characters but tabs.
pub(crate) fn fits_line(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

/// Appends a line, folded where it is long.
pub(crate) fn write_folded(out: &mut String, line: &str) {
    let mut room = FOLD_BYTES;
    for c in line.chars() {
        if c.len_utf8() > room {
            out.push_str("\r\n ");
            room = FOLD_BYTES - 1;
        }
        room -= c.len_utf8();
        out.push(c);
    }
    out.push_str("\r\n");
}

/// Unfolds a file's lines.
pub(crate) struct ContentLines {
    input: Input,
    next: Option<(u64, Vec<u8>)>,
    started: bool,
}

impl ContentLines {
    pub(crate) fn new(input: Input) -> Self {
        Self {
            input,
            next: None,
            started: false,
        }
    }

    pub(crate) fn error(&self, problem: Problem) -> ReadError {
        self.input.error(problem)
    }

    /// The next line that is not blank, with its number. What is not UTF-8 is read as Latin-1.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, String)>, ReadError> {
        if !self.started {
            self.input.skip_bom()?;
            self.started = true;
        }
        let Some((number, mut line)) = self
            .next
            .take()
            .map_or_else(|| self.physical(), |line| Ok(Some(line)))?
        else {
            return Ok(None);
        };
        loop {
            let soft = ends_softly(&line);
            let Some((following, text)) = self.physical_or_blank()? else {
                break;
            };
            if soft {
                line.pop();
                line.extend_from_slice(&text);
            } else if let Some((b' ' | b'\t', rest)) = text.split_first() {
                line.extend_from_slice(rest);
            } else if text.is_empty() {
                self.next = self.physical()?;
                break;
            } else {
                self.next = Some((following, text));
                break;
            }
            if line.len() > crate::RECORD_BYTES_MAX {
                return Err(self.error(Problem::TooLarge).at_line(number));
            }
        }
        let text = match String::from_utf8(line) {
            Ok(text) => text,
            Err(err) => latin1(err.as_bytes()),
        };
        Ok(Some((number, without_quoted_printable(text))))
    }

    fn physical(&mut self) -> Result<Option<(u64, Vec<u8>)>, ReadError> {
        loop {
            match self.physical_or_blank()? {
                Some((_, text)) if text.trim_ascii().is_empty() => {}
                other => return Ok(other),
            }
        }
    }

    fn physical_or_blank(&mut self) -> Result<Option<(u64, Vec<u8>)>, ReadError> {
        let number = self.input.line();
        let mut text = Vec::new();
        let more = self.input.read_line(&mut text)?;
        Ok(more.then_some((number, text)))
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Whether a line is quoted-printable and goes on in the next.
fn ends_softly(line: &[u8]) -> bool {
    line.ends_with(b"=") && {
        let left = line.split(|&b| b == b':').next().unwrap_or_default();
        left.to_ascii_uppercase()
            .windows(16)
            .any(|window| window == b"QUOTED-PRINTABLE")
    }
}

/// Undoes the quoted-printable encoding of vCard 2.1 and iCalendar's predecessor.
fn without_quoted_printable(line: String) -> String {
    let Some(parsed) = ContentLine::parse(&line) else {
        return line;
    };
    let is_encoding = |part: &str| {
        let part = part.to_ascii_uppercase();
        part == "QUOTED-PRINTABLE" || part == "ENCODING=QUOTED-PRINTABLE"
    };
    let parts = split_outside_quotes(&parsed.left, ';');
    if !parts.iter().any(|part| is_encoding(part)) {
        return line;
    }
    let bytes = parsed.value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'=');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    let text = String::from_utf8(decoded).unwrap_or_else(|err| latin1(err.as_bytes()));
    let text = text.replace("\r\n", "\n").replace('\n', "\\n");
    let left: Vec<_> = parts
        .into_iter()
        .filter(|part| !is_encoding(part) && !part.to_ascii_uppercase().starts_with("CHARSET="))
        .collect();
    format!("{}:{text}", left.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_splits_into_its_parts() {
        let line = ContentLine::parse(r#"item1.tel;type=HOME,voice;X-A="b;c:d":+41 31;x"#).unwrap();
        assert_eq!(line.name, "TEL");
        assert!(line.grouped);
        assert_eq!(line.param("TYPE").collect::<Vec<_>>(), ["HOME", "voice"]);
        assert_eq!(line.param("X-A").collect::<Vec<_>>(), ["b;c:d"]);
        assert_eq!(line.value, "+41 31;x");
        assert_eq!(ContentLine::parse("no colon"), None);
        assert_eq!(ContentLine::parse(":no name"), None);
        assert_eq!(ContentLine::parse("a b:c"), None);
    }

    #[test]
    fn escapes_are_undone_and_done() {
        assert_eq!(unescape(r"a\, b\nc\\n\;"), "a, b\nc\\n;");
        assert_eq!(escape("a, b\nc\\n;"), r"a\, b\nc\\n\;");
        assert_eq!(split_escaped(r"a\;b;c\\;d", ';'), [r"a\;b", r"c\\", "d"]);
    }

    #[test]
    fn folded_lines_have_at_most_75_bytes_and_cut_no_character() {
        let mut out = String::new();
        write_folded(&mut out, &format!("NOTE:{}", "ä€😀".repeat(60)));
        assert!(out.lines().all(|line| line.len() <= FOLD_BYTES));
        assert_eq!(
            out.replace("\r\n ", ""),
            format!("NOTE:{}\r\n", "ä€😀".repeat(60))
        );
    }

    #[test]
    fn quoted_printable_is_undone() {
        assert_eq!(
            without_quoted_printable(
                "NOTE;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Z=C3=BCrich=0D=0A2".into()
            ),
            r"NOTE:Zürich\n2"
        );
        assert_eq!(
            without_quoted_printable("N;QUOTED-PRINTABLE:=E4=4".into()),
            "N:ä=4"
        );
    }
}
