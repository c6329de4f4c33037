//! The bytes of a query that was chosen: what travels to a device that can answer it.
//!
//! ```text
//! question = filter sorts:uint (path way)* limit:uint                      the filters, all of them
//! way      = 00 up | 01 down | 02 up value | 03 down value                 what lacks the field is sorted as the value
//! filter   = filters:uint (00 path test | 01 filter all | 02 filter any | 03 filter not
//!                          | 04 path text filter)*
//! path     = names:uint text*
//! test     = 00 eq .. 05 ge value | 06 values:uint value* | 07 text | 08 value | 09 there | 0a not there
//! value    = 00 null | 01 no | 02 yes | 03 int | 04 float[8] | 05 text
//! ```

use stead_base::codec::{DecodeError, DecodeFault, Decoder, Encoder};
use stead_checkpoint::PART_QUERY_BYTES_MAX;
use stead_store::{
    Condition, Direction, Filter, QUERY_CONDITIONS_MAX, QUERY_DEPTH_MAX, QUERY_IN_MAX,
    QUERY_SORT_KEYS_MAX, Scalar, SortKey, Test,
};

const WHAT: &str = "query";
/// Longest path in a query.
const PATH_MAX: usize = 64;

/// A query about one collection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    /// All of these must hold.
    pub filter: Vec<Filter>,
    /// The order.
    pub sort: Vec<SortKey>,
    /// Most documents that it finds; 0 for all.
    pub limit: u64,
}

impl Question {
    /// Encodes it; none if it is longer than a chosen query may be.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Encoder::new();
        put_filters(&mut out, &self.filter);
        out.uint(self.sort.len() as u64);
        for key in &self.sort {
            put_path(&mut out, &key.path);
            let down = u8::from(key.direction == Direction::Desc);
            // A list or map is sorted as nothing.
            match key.or_else.clone().map(Scalar::try_from) {
                Some(Ok(value)) => put_value(out.byte(2 | down), &value),
                Some(Err(_)) | None => drop(out.byte(down)),
            }
        }
        out.uint(self.limit);
        Some(out.finish()).filter(|bytes| bytes.len() <= PART_QUERY_BYTES_MAX)
    }

    /// Decodes it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let mut left = QUERY_CONDITIONS_MAX;
        let filter = filters(&mut input, 0, &mut left)?;
        let sort = (0..input.count(QUERY_SORT_KEYS_MAX, 2, WHAT)?)
            .map(|_| {
                let path = path(&mut input)?;
                let way = input.byte(WHAT)?;
                if way > 3 {
                    return Err(input.error(WHAT, DecodeFault::Undefined));
                }
                let or_else = match way & 2 {
                    0 => None,
                    _ => Some(value(&mut input)?.into()),
                };
                let direction = match way & 1 {
                    0 => Direction::Asc,
                    _ => Direction::Desc,
                };
                Ok(SortKey {
                    path,
                    or_else,
                    direction,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        let limit = input.uint(WHAT)?;
        input.finish(WHAT)?;
        Ok(Self {
            filter,
            sort,
            limit,
        })
    }
}

fn put_path(out: &mut Encoder, path: &[String]) {
    out.uint(path.len() as u64);
    for name in path {
        out.text(name);
    }
}

fn put_filters(out: &mut Encoder, filters: &[Filter]) {
    out.uint(filters.len() as u64);
    for filter in filters {
        match filter {
            Filter::Is(condition) => {
                out.byte(0);
                put_path(out, &condition.path);
                put_test(out, &condition.test);
            }
            Filter::All(inner) => put_filters(out.byte(1), inner),
            Filter::Any(inner) => put_filters(out.byte(2), inner),
            Filter::Not(inner) => put_filters(out.byte(3), std::slice::from_ref(inner)),
            Filter::Refers {
                path,
                collection,
                filter,
            } => {
                put_path(out.byte(4), path);
                put_filters(out.text(collection), filter);
            }
        }
    }
}

fn put_test(out: &mut Encoder, test: &Test) {
    let (tag, value) = match test {
        Test::Eq(value) => (0, value),
        Test::Ne(value) => (1, value),
        Test::Lt(value) => (2, value),
        Test::Le(value) => (3, value),
        Test::Gt(value) => (4, value),
        Test::Ge(value) => (5, value),
        Test::In(values) => {
            out.byte(6).uint(values.len() as u64);
            for value in values {
                put_value(out, value);
            }
            return;
        }
        Test::Prefix(text) => {
            out.byte(7).text(text);
            return;
        }
        Test::Contains(value) => (8, value),
        Test::Exists => {
            out.byte(9);
            return;
        }
        Test::Missing => {
            out.byte(10);
            return;
        }
    };
    put_value(out.byte(tag), value);
}

fn put_value(out: &mut Encoder, value: &Scalar) {
    match value {
        Scalar::Null => drop(out.byte(0)),
        Scalar::Bool(yes) => drop(out.byte(if *yes { 2 } else { 1 })),
        Scalar::Int(int) => drop(out.byte(3).int(*int)),
        Scalar::Float(float) => drop(out.byte(4).raw(&float.to_bits().to_be_bytes())),
        Scalar::Text(text) => drop(out.byte(5).text(text)),
    }
}

fn path(input: &mut Decoder<'_>) -> Result<Vec<String>, DecodeError> {
    (0..input.count(PATH_MAX, 1, WHAT)?)
        .map(|_| Ok(input.text(PART_QUERY_BYTES_MAX, WHAT)?.to_owned()))
        .collect()
}

fn filters(
    input: &mut Decoder<'_>,
    depth: usize,
    left: &mut usize,
) -> Result<Vec<Filter>, DecodeError> {
    if depth > QUERY_DEPTH_MAX {
        return Err(input.error(WHAT, DecodeFault::Undefined));
    }
    (0..input.count(QUERY_CONDITIONS_MAX, 1, WHAT)?)
        .map(|_| {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| input.error(WHAT, DecodeFault::Undefined))?;
            Ok(match input.byte(WHAT)? {
                0 => Filter::Is(Condition {
                    path: path(input)?,
                    test: test(input)?,
                }),
                1 => Filter::All(filters(input, depth + 1, left)?),
                2 => Filter::Any(filters(input, depth + 1, left)?),
                3 => match <[Filter; 1]>::try_from(filters(input, depth + 1, left)?) {
                    Ok([inner]) => Filter::Not(Box::new(inner)),
                    Err(_) => return Err(input.error(WHAT, DecodeFault::Undefined)),
                },
                4 => Filter::Refers {
                    path: path(input)?,
                    collection: input.text(PART_QUERY_BYTES_MAX, WHAT)?.to_owned(),
                    filter: filters(input, depth + 1, left)?,
                },
                _ => return Err(input.error(WHAT, DecodeFault::Undefined)),
            })
        })
        .collect()
}

fn test(input: &mut Decoder<'_>) -> Result<Test, DecodeError> {
    Ok(match input.byte(WHAT)? {
        0 => Test::Eq(value(input)?),
        1 => Test::Ne(value(input)?),
        2 => Test::Lt(value(input)?),
        3 => Test::Le(value(input)?),
        4 => Test::Gt(value(input)?),
        5 => Test::Ge(value(input)?),
        6 => Test::In(
            (0..input.count(QUERY_IN_MAX, 1, WHAT)?)
                .map(|_| value(input))
                .collect::<Result<_, _>>()?,
        ),
        7 => Test::Prefix(input.text(PART_QUERY_BYTES_MAX, WHAT)?.to_owned()),
        8 => Test::Contains(value(input)?),
        9 => Test::Exists,
        10 => Test::Missing,
        _ => return Err(input.error(WHAT, DecodeFault::Undefined)),
    })
}

fn value(input: &mut Decoder<'_>) -> Result<Scalar, DecodeError> {
    Ok(match input.byte(WHAT)? {
        0 => Scalar::Null,
        1 => Scalar::Bool(false),
        2 => Scalar::Bool(true),
        3 => Scalar::Int(input.int(WHAT)?),
        4 => {
            let float = f64::from_bits(u64::from_be_bytes(input.array(WHAT)?));
            match float.is_finite() {
                true => Scalar::Float(float),
                false => return Err(input.error(WHAT, DecodeFault::Undefined)),
            }
        }
        5 => Scalar::Text(input.text(PART_QUERY_BYTES_MAX, WHAT)?.to_owned()),
        _ => return Err(input.error(WHAT, DecodeFault::Undefined)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_comes_back_as_it_was() {
        let is = |test| {
            Filter::Is(Condition {
                path: vec!["a".to_owned(), "b".to_owned()],
                test,
            })
        };
        let question = Question {
            filter: vec![
                is(Test::Eq(Scalar::Text("x".to_owned()))),
                Filter::Not(Box::new(Filter::Any(vec![
                    is(Test::In(vec![
                        Scalar::Int(-3),
                        Scalar::Float(0.5),
                        Scalar::Null,
                    ])),
                    is(Test::Exists),
                ]))),
                Filter::Refers {
                    path: vec!["to".to_owned()],
                    collection: "other".to_owned(),
                    filter: vec![is(Test::Prefix("p".to_owned()))],
                },
            ],
            sort: vec![
                SortKey::new(vec!["when".to_owned()], Direction::Desc),
                SortKey {
                    or_else: Some(3.into()),
                    ..SortKey::new(vec!["rank".to_owned()], Direction::Asc)
                },
            ],
            limit: 20,
        };
        let bytes = question.encode().unwrap();
        assert_eq!(Question::decode(&bytes), Ok(question));
        for cut in 0..bytes.len() {
            assert!(Question::decode(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn a_question_nested_beyond_the_limit_is_refused() {
        let mut filter = Filter::All(Vec::new());
        for _ in 0..=QUERY_DEPTH_MAX + 1 {
            filter = Filter::Not(Box::new(filter));
        }
        let question = Question {
            filter: vec![filter],
            ..Question::default()
        };
        assert!(Question::decode(&question.encode().unwrap()).is_err());
    }
}
