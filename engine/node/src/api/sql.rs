//! Read-only SQL over a space's collections.

use serde_json::Value;
use stead_api::{ApiError, SqlRows, SqlRun};
use stead_store::SqlCell;

use super::Node;

/// Rows in an answer when no limit is given.
const ROWS_DEFAULT: u32 = 1_000;
/// Collections that start with this are Stead's own.
const OWN: char = '@';

impl Node {
    pub(super) async fn run_sql(&self, run: SqlRun) -> Result<SqlRows, ApiError> {
        let space = self.find_space(&run.space)?;
        let rows_max = run.limit.unwrap_or(ROWS_DEFAULT) as usize;
        let is_home = *self.board.home_space.borrow() == Some(space);
        let partial = self.is_sql_partial(space, &run.sql).await?;
        self.readers.fold().await?;
        let answer = self.sql.run(move |reader| {
            reader.run(&space, &run.sql, rows_max, |collection| {
                let own = collection.starts_with(OWN);
                (!own).then(|| super::veil::veil_of(is_home, collection).hidden())
            })
        });
        let answer = answer.await?;
        let rows = answer.rows.into_iter();
        Ok(SqlRows {
            columns: answer.columns,
            rows: rows
                .map(|row| row.into_iter().map(cell).collect())
                .collect(),
            more: answer.more,
            partial,
        })
    }
}

fn cell(cell: SqlCell) -> Value {
    match cell {
        SqlCell::Null => Value::Null,
        SqlCell::Int(whole) => whole.into(),
        SqlCell::Float(float) => float.into(),
        SqlCell::Text(text) => text.into(),
        SqlCell::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            digits.into()
        }
    }
}
