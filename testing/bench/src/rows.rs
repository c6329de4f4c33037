//! A row of the table: what was measured, ours and theirs, and the aim.

use std::path::PathBuf;

use serde_json::json;

use crate::{Failure, Scale, machine};

/// What decides whether an aim is met.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    /// Ours is at least this many times the first peer's.
    TimesPeer(f64),
    /// Ours is at least this.
    AtLeast(f64),
    /// Ours is at most this.
    AtMost(f64),
    /// Ours is the smallest of all.
    Smallest,
    /// Told for comparison.
    None,
}

/// The middle one of several figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) peers: Vec<(&'static str, f64)>,
    pub(crate) aim: Aim,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, ours: f64, aim: Aim) -> Self {
        Self {
            name: name.into(),
            unit,
            ours,
            peers: Vec::new(),
            aim,
        }
    }

    pub(crate) fn peer(mut self, name: &'static str, value: f64) -> Self {
        self.peers.push((name, value));
        self
    }

    /// Ours over the first peer's.
    fn ratio(&self) -> Option<f64> {
        self.peers
            .first()
            .filter(|(_, value)| *value > 0.0)
            .map(|(_, value)| self.ours / value)
    }

    fn met(&self) -> Option<bool> {
        match self.aim {
            Aim::TimesPeer(times) => self.ratio().map(|ratio| ratio >= times),
            Aim::AtLeast(least) => Some(self.ours >= least),
            Aim::AtMost(most) => Some(self.ours <= most),
            Aim::Smallest => Some(self.peers.iter().all(|(_, value)| self.ours <= *value)),
            Aim::None => None,
        }
    }

    fn aim_in_words(&self) -> String {
        let peer = self.peers.first().map_or("", |(name, _)| *name);
        match self.aim {
            Aim::TimesPeer(times) => format!("{} x {peer}", number(times)),
            Aim::AtLeast(least) => format!(">= {}", number(least)),
            Aim::AtMost(most) => format!("<= {}", number(most)),
            Aim::Smallest => "smallest".to_owned(),
            Aim::None => "-".to_owned(),
        }
    }
}

/// The rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out =
        String::from("\n| what | unit | Stead | peers | ratio to the first peer | aim | met |\n");
    out.push_str("| --- | --- | ---: | --- | ---: | --- | --- |\n");
    for row in rows {
        let peers: Vec<String> = row
            .peers
            .iter()
            .map(|(name, value)| format!("{name}: {}", number(*value)))
            .collect();
        let ratio = row
            .ratio()
            .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let met = row
            .met()
            .map_or("-", |met| if met { "yes" } else { "**no**" });
        out.push_str(&format!(
            "| {} | {} | {} | {} | {ratio} | {} | {met} |\n",
            row.name,
            row.unit,
            number(row.ours),
            peers.join("; "),
            row.aim_in_words()
        ));
    }
    out
}

/// The folder `target/bench`, made if it is not there.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from("target"), PathBuf::from)
        .join("bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Writes `target/bench/NAME.json`.
pub(crate) fn write_json(name: &str, rows: &[Row], scale: Scale) -> Result<(), Failure> {
    let folder = folder()?;
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let peers: Vec<_> = row
                .peers
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            json!({
                "name": row.name, "unit": row.unit, "ours": row.ours, "peers": peers,
                "ratio": row.ratio(), "aim": row.aim_in_words(), "met": row.met(),
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({
        "bench": name, "quick": scale.quick, "machine": machine::facts(), "rows": rows,
    }))?;
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, text)?;
    eprintln!("    {}", path.display());
    Ok(())
}

fn number(value: f64) -> String {
    if value >= 1000.0 {
        let digits = format!("{value:.0}");
        let mut out = String::new();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i) % 3 == 0 {
                out.push('\u{202f}');
            }
            out.push(digit);
        }
        out
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}
