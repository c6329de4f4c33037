//! Questions read from arbitrary bytes: every input is one.

use stead_store::{Condition, Direction, Filter, QUERY_DEPTH_MAX, Scalar, SortKey, Test};

const NAMES: &[&str] = &[
    "a", "b", "c", "id", "0", "1", "00", "", "a.b", "$", "é\"", "#-1",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "x",
    "sea",
    "SEA",
    "wind",
    "z",
    "1",
    "ada",
    "people/ada",
    "n3",
    "\u{0}",
    "d\u{0}m",
    "é",
    "\"q\\",
    "%",
    "\u{10ffff}",
    "\u{d7ff}",
];
const WHOLE: &[i64] = &[0, 1, -1, 7, 1815, i64::MAX, i64::MIN, 9_007_199_254_740_993];
const FLOATS: &[f64] = &[
    0.0,
    -0.0,
    1.5,
    1.0,
    1e300,
    -1e300,
    9_223_372_036_854_775_808.0,
];
const COLLECTIONS: &[&str] = &["people", "notes", "nobody", ""];

/// Bytes that run out as zeros.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first
    }

    fn eight(&mut self) -> [u8; 8] {
        std::array::from_fn(|_| self.byte())
    }

    /// One of the known ones, or what stands in the input.
    fn text(&mut self, known: &[&str]) -> String {
        let choice = self.byte();
        match choice.checked_sub(240) {
            None => known[usize::from(choice) % known.len()].to_owned(),
            Some(len) => {
                let bytes: Vec<u8> = (0..len).map(|_| self.byte()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    fn path(&mut self) -> Vec<String> {
        let names = match self.byte() % 8 {
            0..=4 => 1,
            5 => 2,
            6 => 3,
            _ => self.byte() % 40,
        };
        (0..names).map(|_| self.text(NAMES)).collect()
    }

    fn scalar(&mut self) -> Scalar {
        match self.byte() % 8 {
            0 => Scalar::Null,
            1 => Scalar::Bool(self.byte().is_multiple_of(2)),
            2 => Scalar::Int(WHOLE[usize::from(self.byte()) % WHOLE.len()]),
            3 => Scalar::Int(i64::from_le_bytes(self.eight())),
            4 => Scalar::Float(FLOATS[usize::from(self.byte()) % FLOATS.len()]),
            5 => {
                // JSON has no others.
                let float = f64::from_le_bytes(self.eight());
                Scalar::Float(if float.is_finite() { float } else { 0.5 })
            }
            _ => Scalar::Text(self.text(TEXTS)),
        }
    }

    fn test(&mut self) -> Test {
        match self.byte() % 12 {
            0 => Test::Exists,
            1 => Test::Missing,
            2 => Test::Eq(self.scalar()),
            3 => Test::Ne(self.scalar()),
            4 => Test::Lt(self.scalar()),
            5 => Test::Le(self.scalar()),
            6 => Test::Gt(self.scalar()),
            7 => Test::Ge(self.scalar()),
            8 => Test::In((0..self.byte() % 5).map(|_| self.scalar()).collect()),
            9 => Test::Prefix(self.text(TEXTS)),
            _ => Test::Contains(self.scalar()),
        }
    }
}

/// Some filters.
pub(super) fn filters(reader: &mut Reader<'_>, depth: usize) -> Vec<Filter> {
    let count = reader.byte() % 4;
    (0..count).map(|_| filter(reader, depth)).collect()
}

fn filter(reader: &mut Reader<'_>, depth: usize) -> Filter {
    let choice = reader.byte() % 10;
    if depth > QUERY_DEPTH_MAX + 1 {
        return condition(reader);
    }
    match choice {
        0..=4 => condition(reader),
        5 => Filter::All(filters(reader, depth + 1)),
        6 => Filter::Any(filters(reader, depth + 1)),
        7 => Filter::Not(Box::new(filter(reader, depth + 1))),
        _ => Filter::Refers {
            path: reader.path(),
            collection: reader.text(COLLECTIONS),
            filter: filters(reader, depth + 1),
        },
    }
}

fn condition(reader: &mut Reader<'_>) -> Filter {
    Filter::Is(Condition {
        path: reader.path(),
        test: reader.test(),
    })
}

/// An order; no field stands for the id.
pub(super) fn order(reader: &mut Reader<'_>) -> Vec<SortKey> {
    let keys = reader.byte() % 4;
    let key = |reader: &mut Reader<'_>| {
        let choice = reader.byte();
        let name = NAMES.get(usize::from(choice / 2) % (NAMES.len() + 1));
        SortKey {
            path: name.map(|&name| name.to_owned()).into_iter().collect(),
            or_else: (choice > 128).then(|| (i64::from(choice) - 160).into()),
            direction: match choice % 2 {
                0 => Direction::Asc,
                _ => Direction::Desc,
            },
        }
    };
    (0..keys).map(|_| key(reader)).collect()
}
