//! Conditions and orders as they stand on the command line.

use std::str::FromStr;

use serde_json::Value;
use stead_api::{Aggregate, Filter, Join, Measure, Path, Predicate, SortKey, Where};

use crate::expression::goes_on;

/// `population>1000000`, `name~bern`, `!capital` ...
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WhereArg(pub(crate) Filter);

/// `name` or `-population`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortArg(pub(crate) SortKey);

/// `author=people`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JoinArg(pub(crate) Join);

/// `sum:population`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MeasureArg(pub(crate) Measure);

/// `address.city`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldArg(pub(crate) Path);

impl FromStr for FieldArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = path_of(text).ok_or("name a field, such as address.city")?;
        Ok(Self(path))
    }
}

impl FromStr for JoinArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = "write it as FIELD=COLLECTION, such as author=people";
        let (field, collection) = text.split_once('=').ok_or(help)?;
        let path = path_of(field).ok_or(help)?;
        let collection = collection.to_owned();
        Ok(Self(Join { path, collection }))
    }
}

impl FromStr for MeasureArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = "write it as HOW:FIELD, where HOW is count, sum, avg, min or max";
        let (how, field) = text.split_once(':').ok_or(help)?;
        let of = match how {
            "count" => Aggregate::Count,
            "sum" => Aggregate::Sum,
            "avg" => Aggregate::Avg,
            "min" => Aggregate::Min,
            "max" => Aggregate::Max,
            _ => return Err(help.to_owned()),
        };
        let path = path_of(field).ok_or(help)?;
        Ok(Self(Measure { of, path }))
    }
}

impl WhereArg {
    pub(crate) fn condition(&self) -> Where {
        Where::Is(self.0.clone())
    }
}

/// The conditions of flags, all of which must hold.
pub(crate) fn conditions(
    conditions: &[WhereArg],
    filter: Option<&crate::expression::FilterArg>,
) -> Vec<Where> {
    let single = conditions.iter().map(WhereArg::condition);
    single
        .chain(filter.map(|filter| filter.0.clone()))
        .collect()
}

/// Longer signs stand before the ones they start with.
const SIGNS: &[(&str, Predicate)] = &[
    ("!=", Predicate::Ne),
    ("<=", Predicate::Le),
    (">=", Predicate::Ge),
    ("^=", Predicate::Prefix),
    ("=", Predicate::Eq),
    ("<", Predicate::Lt),
    (">", Predicate::Gt),
    ("~", Predicate::Contains),
];

impl FromStr for WhereArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = "write a condition as FIELD=VALUE, such as 'population>1000000'";
        let first = text
            .char_indices()
            .filter(|&(_, c)| "!=<>~^".contains(c))
            .find_map(|(at, _)| {
                let sign = SIGNS
                    .iter()
                    .find(|(sign, _)| text[at..].starts_with(sign))?;
                Some((at, sign))
            });
        if let Some(filter) = listed(text)? {
            return Ok(Self(filter));
        }
        let (field, is, value) = match (first, text.strip_prefix('!')) {
            (Some((at, (sign, is))), _) => (&text[..at], *is, single(&text[at + sign.len()..])?),
            (None, Some(field)) => (field, Predicate::Missing, Value::Null),
            (None, None) => (text, Predicate::Exists, Value::Null),
        };
        let path = path_of(field.trim()).ok_or(help)?;
        Ok(Self(Filter { path, is, value }))
    }
}

/// `FIELD in A,B,C` and `FIELD between A and B`.
fn listed(text: &str) -> Result<Option<Filter>, String> {
    let Some((field, word, rest)) = words_of(text) else {
        return Ok(None);
    };
    let Some(path) = path_of(field) else {
        return Ok(None);
    };
    let (is, values): (_, Result<_, String>) = match (word, rest.split_once(" and ")) {
        ("in", _) => (Predicate::In, rest.split(',').map(single).collect()),
        ("between", Some((least, greatest))) => {
            let both = [least, greatest].into_iter();
            (Predicate::Between, both.map(single).collect())
        }
        _ => return Ok(None),
    };
    let value = Value::Array(values?);
    Ok(Some(Filter { path, is, value }))
}

/// The first two words, and what follows.
fn words_of(text: &str) -> Option<(&str, &str, &str)> {
    let (field, rest) = text.trim().split_once(' ')?;
    let (word, rest) = rest.trim_start().split_once(' ')?;
    Some((field, word, rest))
}

/// The one value of a condition. Refused if it goes on as if more conditions could stand there.
fn single(text: &str) -> Result<Value, String> {
    let text = text.trim();
    match goes_on(text) {
        None => Ok(value_of(text)),
        Some(rest) => Err(format!(
            "one --where takes one condition, and {rest:?} looks like more of them: write the whole as --filter, or give each a --where of its own. If it belongs to the value, put the value in double quotes"
        )),
    }
}

impl FromStr for SortArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, descending) = match text.strip_prefix('-') {
            Some(field) => (field, true),
            None => (text, false),
        };
        let path = path_of(field).ok_or("name a field to sort by, such as name or -population")?;
        Ok(Self(SortKey { path, descending }))
    }
}

/// The names in `address.city`; `\.` is a dot within a name.
pub(crate) fn path_of(field: &str) -> Option<Path> {
    let mut path = vec![String::new()];
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => path.last_mut()?.push(chars.next()?),
            '.' => path.push(String::new()),
            c => path.last_mut()?.push(c),
        }
    }
    path.iter().all(|name| !name.is_empty()).then_some(path)
}

/// The reverse of [`path_of`].
pub(crate) fn path_text(path: &[String]) -> String {
    let escaped = path
        .iter()
        .map(|name| name.replace('\\', "\\\\").replace('.', "\\."));
    escaped.collect::<Vec<_>>().join(".")
}

/// JSON if it is JSON, otherwise the text itself.
pub(crate) fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(text: &str) -> (Vec<String>, Predicate, Value) {
        let WhereArg(filter) = text.parse().unwrap();
        (filter.path, filter.is, filter.value)
    }

    #[test]
    fn conditions_read_as_people_write_them() {
        let field = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            parsed("population>1000000"),
            (field(&["population"]), Predicate::Gt, json!(1_000_000))
        );
        assert_eq!(
            parsed("name.common >= B"),
            (field(&["name", "common"]), Predicate::Ge, json!("B"))
        );
        assert_eq!(
            parsed("name=a=b"),
            (field(&["name"]), Predicate::Eq, json!("a=b"))
        );
        assert_eq!(
            parsed("name!=null"),
            (field(&["name"]), Predicate::Ne, json!(null))
        );
        assert_eq!(
            parsed("zip=01234"),
            (field(&["zip"]), Predicate::Eq, json!("01234"))
        );
        assert_eq!(
            parsed("zip=\"1\""),
            (field(&["zip"]), Predicate::Eq, json!("1"))
        );
        assert_eq!(
            parsed("tags~x"),
            (field(&["tags"]), Predicate::Contains, json!("x"))
        );
        assert_eq!(
            parsed("!capital"),
            (field(&["capital"]), Predicate::Missing, json!(null))
        );
        assert_eq!(
            parsed("capital"),
            (field(&["capital"]), Predicate::Exists, json!(null))
        );
        assert_eq!(
            parsed("region in Europe,Asia"),
            (field(&["region"]), Predicate::In, json!(["Europe", "Asia"]))
        );
        assert_eq!(
            parsed("area between 1 and 5"),
            (field(&["area"]), Predicate::Between, json!([1, 5]))
        );
        assert_eq!(
            parsed("name^=Sw"),
            (field(&["name"]), Predicate::Prefix, json!("Sw"))
        );
        assert_eq!(parsed("a\\.b=1").0, field(&["a.b"]));
        assert!("=1".parse::<WhereArg>().is_err());
        assert!("a..b=1".parse::<WhereArg>().is_err());
        assert!("".parse::<WhereArg>().is_err());
    }

    #[test]
    fn a_condition_that_goes_on_as_an_expression_is_refused_and_a_value_with_and_in_it_is_not() {
        for wrong in [
            r#"a ~ "x" and b = 1"#,
            "a=1 and b=2",
            "a=x AND not b>2",
            "a=x or (b = 1 and c = 2)",
            "a=Trinidad and Tobago and b=1",
            "a in x,y and b = 1",
            "a between 1 and 5 and b = 1",
        ] {
            let error = wrong.parse::<WhereArg>().expect_err(wrong);
            assert!(error.contains("--filter"), "{error}");
        }
        for (text, value) in [
            ("name=Trinidad and Tobago", json!("Trinidad and Tobago")),
            ("name~and", json!("and")),
            ("name=now or never", json!("now or never")),
            ("name=salt and (pepper)", json!("salt and (pepper)")),
            ("name=one and two = ", json!("one and two =")),
            ("name=x and and = 1 = 2", json!("x and and = 1 = 2")),
            (r#"name="a and b=1""#, json!("a and b=1")),
            (r#"name={"a": " and b=1"}"#, json!({"a": " and b=1"})),
            (
                "x in Trinidad and Tobago,Chad",
                json!(["Trinidad and Tobago", "Chad"]),
            ),
        ] {
            assert_eq!(parsed(text).2, value, "{text}");
        }
    }

    #[test]
    fn a_minus_sorts_downwards() {
        assert!("-area".parse::<SortArg>().unwrap().0.descending);
        assert!(!"area".parse::<SortArg>().unwrap().0.descending);
        assert!("-".parse::<SortArg>().is_err());
    }

    #[test]
    fn paths_read_back() {
        let path = vec!["a.b".to_owned(), "c\\d".to_owned()];
        assert_eq!(path_of(&path_text(&path)), Some(path));
    }
}
