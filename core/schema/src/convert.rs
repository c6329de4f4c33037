//! Conversions of single values between two revisions: a table, or a line with rounding. Owns the
//! promise that what is written through a conversion reads back as it was written, or is refused.

use serde_json::{Number, Value};

use crate::scalar::{Scalar, found};

/// Most decimal places that a conversion rounds to.
pub const DECIMALS_MAX: u8 = 12;

/// How an older form of a value becomes the newer one, and back.
#[derive(Debug, Clone, PartialEq)]
pub enum Conversion {
    /// Pairs of an older and a newer value.
    Table {
        /// Older, newer. Of several rows with one newer value the first is the way back.
        rows: Vec<(Value, Value)>,
        /// What an older value that no row names becomes; without it, it has no newer form.
        otherwise: Option<Value>,
    },
    /// newer = older × `mul` ÷ `div` + `add`, rounded: to `decimals` places, or to an integer.
    Linear {
        /// Not 0.
        mul: i64,
        /// Not 0.
        div: i64,
        /// In the newer unit.
        add: f64,
        /// Places of the newer value, at most [`DECIMALS_MAX`]; of no account if it is an integer.
        decimals: u8,
    },
}

/// A conversion between two types.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Converting {
    pub(crate) from: Scalar,
    pub(crate) to: Scalar,
    pub(crate) by: Conversion,
}

impl Conversion {
    /// What is wrong with it between two types, in words.
    pub(crate) fn fault(&self, from: &Scalar, to: &Scalar) -> Option<String> {
        match self {
            Self::Table { rows, otherwise } => {
                if rows.len() > crate::limits::VALUES_MAX {
                    return Some(format!(
                        "a table has at most {} rows",
                        crate::limits::VALUES_MAX
                    ));
                }
                let newer = || rows.iter().map(|(_, new)| new).chain(otherwise);
                if let Some((old, _)) = rows.iter().find(|(old, _)| !from.holds(old)) {
                    return Some(format!(
                        "{} on the table's older side is not {}",
                        found(old),
                        from.expected()
                    ));
                }
                if let Some(new) = newer().find(|new| !to.holds(new)) {
                    return Some(format!(
                        "{} on the table's newer side is not {}",
                        found(new),
                        to.expected()
                    ));
                }
                if let Some((i, (old, _))) = rows
                    .iter()
                    .enumerate()
                    .find(|(i, (old, _))| rows[..*i].iter().any(|(other, _)| other == old))
                {
                    return Some(format!("row {} of the table repeats {}", i + 1, found(old)));
                }
                if otherwise.is_none()
                    && let Some(left) = all_of(from)
                        .iter()
                        .find(|value| !rows.iter().any(|(old, _)| old == *value))
                {
                    return Some(format!(
                        "the table has no row for {}, and no value for all others",
                        found(left)
                    ));
                }
                let left = all_of(to)
                    .into_iter()
                    .find(|value| !rows.iter().any(|(_, new)| new == value))?;
                Some(format!(
                    "no older value stands for {}: it could never be written",
                    found(&left)
                ))
            }
            Self::Linear {
                mul,
                div,
                add,
                decimals,
            } => {
                let numeric = |scalar: &Scalar| matches!(scalar, Scalar::Int(_) | Scalar::Float(_));
                if !numeric(from) || !numeric(to) {
                    return Some("only numbers are multiplied".to_owned());
                }
                if *mul == 0 || *div == 0 || !add.is_finite() || *decimals > DECIMALS_MAX {
                    return Some(format!(
                        "a factor is not 0, and there are at most {DECIMALS_MAX} decimals"
                    ));
                }
                None
            }
        }
    }

    /// Whether greater older values are greater newer ones.
    pub(crate) const fn keeps_order(&self) -> bool {
        match self {
            Self::Table { .. } => false,
            Self::Linear { mul, div, .. } => (*mul > 0) == (*div > 0),
        }
    }
}

impl Converting {
    /// The newer form; `None` if there is none.
    pub(crate) fn forth(&self, old: &Value) -> Option<Value> {
        match &self.by {
            Conversion::Table { rows, otherwise } => rows
                .iter()
                .find(|(from, _)| same(from, old))
                .map(|(_, to)| to)
                .or(otherwise.as_ref().filter(|_| self.from.holds(old)))
                .cloned(),
            Conversion::Linear {
                mul,
                div,
                add,
                decimals,
            } => {
                let old = old.as_f64()?;
                let new = old * (*mul as f64) / (*div as f64) + add;
                number(new, &self.to, *decimals)
            }
        }
    }

    /// The older form of a newer value, if it reads back as that very value.
    pub(crate) fn back(&self, new: &Value) -> Option<Value> {
        let old = match &self.by {
            Conversion::Table { rows, .. } => rows
                .iter()
                .find(|(_, to)| same(to, new))
                .map(|(from, _)| from.clone())?,
            Conversion::Linear { mul, div, add, .. } => {
                let old = (new.as_f64()? - add) * (*div as f64) / (*mul as f64);
                number(old, &self.from, DECIMALS_MAX)?
            }
        };
        self.forth(&old)
            .is_some_and(|again| same(&again, new))
            .then_some(old)
    }
}

/// All values of a type that has few.
fn all_of(scalar: &Scalar) -> Vec<Value> {
    match scalar {
        Scalar::Bool => vec![false.into(), true.into()],
        Scalar::Enum(values) => values.iter().map(|value| value.as_str().into()).collect(),
        _ => Vec::new(),
    }
}

/// Equal, with `1` and `1.0` one number.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        },
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        (a, b) => a == b,
    }
}

/// A number of a type, rounded.
fn number(value: f64, scalar: &Scalar, decimals: u8) -> Option<Value> {
    /// Integers beyond this are not exact as floats.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() {
        return None;
    }
    if matches!(scalar, Scalar::Int(_)) {
        let rounded = value.round();
        return (rounded.abs() <= EXACT_MAX).then(|| Value::from(rounded as i64));
    }
    // By way of its digits: the nearest float to the rounded decimal, whatever the magnitude.
    let rounded: f64 = format!("{value:.*}", usize::from(decimals)).parse().ok()?;
    let rounded = if rounded == 0.0 { 0.0 } else { rounded };
    Number::from_f64(rounded).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Bounds;
    use proptest::prelude::*;
    use serde_json::json;

    fn line(from: Scalar, to: Scalar, mul: i64, div: i64, add: f64, decimals: u8) -> Converting {
        let by = Conversion::Linear {
            mul,
            div,
            add,
            decimals,
        };
        assert_eq!(by.fault(&from, &to), None);
        Converting { from, to, by }
    }

    fn float() -> Scalar {
        Scalar::Float(Bounds::default())
    }

    fn int() -> Scalar {
        Scalar::Int(Bounds::default())
    }

    proptest! {
        #[test]
        fn what_is_written_through_a_line_reads_back_exactly(
            tenths in -10_000_000i64..10_000_000, mul in 1i64..1000, div in 1i64..1000, add in -100i32..100,
        ) {
            let line = line(float(), float(), mul, div, add.into(), 6);
            let new = json!(tenths as f64 / 10.0);
            if let Some(old) = line.back(&new) {
                prop_assert!(same(&line.forth(&old).unwrap(), &new));
            }
        }

        #[test]
        fn degrees_of_one_decimal_can_always_be_written(tenths in -5_000i64..50_000) {
            let fahrenheit = line(float(), float(), 9, 5, 32.0, 6);
            let celsius = line(float(), float(), 5, 9, -160.0 / 9.0, 6);
            let new = json!(tenths as f64 / 10.0);
            prop_assert!(fahrenheit.back(&new).is_some());
            prop_assert!(celsius.back(&new).is_some());
        }

        #[test]
        fn cents_and_euros_are_one_amount(cents in -1_000_000_000i64..1_000_000_000) {
            let euros = line(int(), float(), 1, 100, 0.0, 2);
            let new = euros.forth(&json!(cents)).unwrap();
            prop_assert_eq!(euros.back(&new), Some(json!(cents)));
        }
    }

    #[test]
    fn what_would_read_back_differently_is_refused() {
        let euros = line(int(), float(), 1, 100, 0.0, 2);
        assert_eq!(euros.back(&json!(1.25)), Some(json!(125)));
        assert_eq!(euros.back(&json!(1.255)), None);
        assert_eq!(euros.back(&json!("x")), None);
    }

    #[test]
    fn a_table_with_gaps_is_refused() {
        let levels = Scalar::Enum(vec!["low".into(), "high".into()]);
        let table = |rows: &[(Value, Value)], otherwise: Option<Value>| Conversion::Table {
            rows: rows.to_vec(),
            otherwise,
        };
        let (low, high) = ((json!(1), json!("low")), (json!(2), json!("high")));
        assert!(
            table(std::slice::from_ref(&low), None)
                .fault(&int(), &levels)
                .is_some()
        );
        assert!(
            table(&[low.clone(), high.clone()], None)
                .fault(&int(), &levels)
                .is_none()
        );
        assert!(
            table(&[low.clone(), (json!(3), json!("none"))], None)
                .fault(&int(), &levels)
                .is_some()
        );
        assert!(
            table(&[low.clone(), low], None)
                .fault(&int(), &levels)
                .is_some()
        );
        let back = |new, old| (json!(new), json!(old));
        assert!(
            table(&[back("low", 1)], None)
                .fault(&levels, &int())
                .is_some()
        );
        assert!(
            table(&[back("low", 1)], Some(json!(2)))
                .fault(&levels, &int())
                .is_none()
        );
    }
}
