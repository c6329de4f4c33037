//! `stead sql`.

use std::path::Path;

use stead_api::SqlRun;

use crate::{args::Sql, client::connect, exit::Failure, look, output::Output, table::Table};

pub(crate) fn sql(home: &Path, sql: &Sql, out: &Output) -> Result<(), Failure> {
    let answer = connect(home)?.call(&SqlRun {
        space: sql.space.clone(),
        sql: sql.statement.clone(),
        limit: Some(sql.limit),
    })?;
    if answer.partial {
        out.remark(look::faint(&format!(
            "This device keeps only a part of what this reads of {}: there may be more on others.",
            sql.space
        )));
    }
    out.json(&answer);
    let headings = answer.columns.iter().enumerate().map(|(at, column)| {
        let numbers = answer.rows.iter().all(|row| {
            row.get(at)
                .is_none_or(|cell| cell.is_number() || cell.is_null())
        });
        match numbers {
            true => format!(">{column}"),
            false => column.clone(),
        }
    });
    let mut table = Table::new(headings);
    for row in &answer.rows {
        let cells = row.iter().map(|cell| match cell.is_null() {
            true => String::new(),
            false => look::value(cell),
        });
        table.row(cells.collect());
    }
    for line in table.lines(0, out.width()) {
        out.say(line);
    }
    let rows = look::counted(answer.rows.len() as u64, "row");
    let more = match answer.more {
        true => format!(
            ", and there are more: --limit {}",
            u64::from(sql.limit) * 10
        ),
        false => String::new(),
    };
    out.remark(look::faint(&format!("\n{rows}{more}.")));
    Ok(())
}
