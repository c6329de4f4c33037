//! SQL that a person writes, over views of one space's collections, on a connection that can do
//! nothing else.
//!
//! What may be read is decided by SQLite's authorizer, by the name of the view through which a
//! document is reached. A person can give any name to a common table expression, so that name is
//! random for each call: nobody can say it. Time, steps, rows, bytes and memory are bounded.

mod views;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use crate::StoreError;
use crate::open::Reader;
use views::{SEEN, columns};
pub use views::{SqlHeld, SqlSeen, SqlView};

/// Longest statement, in bytes.
pub const SQL_BYTES_MAX: usize = 64 << 10;
/// Longest that a statement runs.
pub const SQL_TIME_MAX: Duration = Duration::from_secs(5);
/// Most rows of an answer.
pub const SQL_ROWS_MAX: usize = 10_000;
/// Most bytes of an answer.
pub const SQL_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Most memory that the process may grow by while a statement runs.
pub const SQL_MEMORY_MAX: u64 = 256 << 20;
/// Largest single value, in bytes.
const VALUE_BYTES_MAX: i32 = 32 << 20;
/// Steps of SQLite's machine between two looks at the clock.
const STEPS_PER_LOOK: i32 = 2_000;
/// Deepest expression.
const NESTING_MAX: i32 = 200;
/// Deepest stack of SQLite's parser, which also bounds brackets and queries within queries. What is
/// nested takes a few places a level.
const PARSER_DEPTH_MAX: i32 = 1_000;

/// Functions that only compute from what they are given.
const FUNCTIONS: &[&str] = &[
    "abs",
    "acos",
    "asin",
    "atan",
    "atan2",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "json_error_position",
    "jsonb",
    "julianday",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "median",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "percent_rank",
    "percentile",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "random",
    "randomblob",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sqrt",
    "stead_id",
    SEEN,
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "tan",
    "time",
    "timediff",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unixepoch",
    "unlikely",
    "upper",
    "zeroblob",
    "->",
    "->>",
];

/// Tables that SQLite makes up.
const MODULES: &[&str] = &[
    "bytecode",
    "completion",
    "dbstat",
    "fts5vocab",
    "generate_series",
    "tables_used",
];

/// A cell of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlCell {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What a statement answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SqlAnswer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<SqlCell>>,
    /// Whether there were more rows than are answered.
    pub more: bool,
}

/// A statement that cannot be answered: the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// It writes, attaches, changes settings, or reads what is not shown.
    #[error("only reading the space's collections is possible here: {detail}")]
    NotAllowed {
        /// SQLite's words.
        detail: String,
    },
    /// SQLite does not understand it.
    #[error("this SQL cannot be run: {detail}")]
    Wrong {
        /// SQLite's words.
        detail: String,
    },
    /// Several statements.
    #[error("one statement at a time")]
    Several,
    /// Nothing that answers rows.
    #[error("only a SELECT answers anything here")]
    NoAnswer,
    /// It ran too long.
    #[error("the statement ran for more than {} seconds and was stopped", SQL_TIME_MAX.as_secs())]
    TooSlow,
    /// It took too much memory.
    #[error("the statement took too much memory and was stopped")]
    TooMuchMemory,
    /// A value beyond the limits.
    #[error("a value of this statement is too large")]
    TooLarge,
}

/// The connection for statements of people.
pub struct Sandbox {
    reader: Reader,
    /// Bytes of memory that the process holds, where that can be told.
    memory: fn() -> Option<u64>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sandbox")
    }
}

const RUNNING: u8 = 0;
const SLOW: u8 = 1;
const LARGE: u8 = 2;

impl Sandbox {
    /// Takes over a read-only connection.
    pub fn new(reader: Reader, memory: fn() -> Option<u64>) -> Result<Self, StoreError> {
        let conn = reader.connection_of();
        let limits = [
            (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX as i32 * 2),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, NESTING_MAX),
            (Limit::SQLITE_LIMIT_PARSER_DEPTH, PARSER_DEPTH_MAX),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ];
        for (limit, value) in limits {
            conn.set_limit(limit, value)?;
        }
        Ok(Self { reader, memory })
    }

    /// The connection, for reads that are not a person's.
    pub const fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Runs one statement over views of collections.
    pub fn run(
        &mut self,
        views: &[SqlView],
        sql: &str,
        rows_max: usize,
    ) -> Result<SqlAnswer, StoreError> {
        if sql.len() > SQL_BYTES_MAX {
            return Err(SqlError::TooLarge.into());
        }
        let names = self.make_views(views)?;
        let stopped = Arc::new(AtomicU8::new(RUNNING));
        self.close_in(&names, &stopped)?;
        let answer = answer(self.reader.connection_of(), sql, rows_max.min(SQL_ROWS_MAX));
        self.open_up()?;
        answer.map_err(|error| match stopped.load(Ordering::Relaxed) {
            SLOW => SqlError::TooSlow.into(),
            LARGE => SqlError::TooMuchMemory.into(),
            _ => error,
        })
    }

    /// Makes the views of a call, in place of those of the call before, and begins reading.
    fn make_views(&mut self, views: &[SqlView]) -> Result<Names, StoreError> {
        let conn = self.reader.connection_of();
        // The file stays read-only: the connection was opened so. Only temporary views are made.
        conn.pragma_update(None, "query_only", false)?;
        let old: Vec<String> = {
            let sql = "SELECT name FROM sqlite_temp_schema WHERE type='view'";
            let mut statement = conn.prepare(sql)?;
            let names = statement.query_map([], |row| row.get(0))?;
            names.collect::<rusqlite::Result<_>>()?
        };
        for name in old {
            conn.execute_batch(&format!("DROP VIEW temp.{}", quoted(&name)))?;
        }
        let secret: String =
            conn.query_row("SELECT lower(hex(randomblob(16)))", [], |r| r.get(0))?;
        let inner = format!("s_{secret}_");
        views::add_seen(conn, views)?;
        let mut outer = BTreeSet::new();
        conn.execute_batch("BEGIN")?;
        for view in views {
            let name = match view.name.to_ascii_lowercase().starts_with("sqlite_") {
                true => format!("_{}", view.name),
                false => view.name.clone(),
            };
            // SQLite's names are the same in either case; the first collection has the name.
            if !outer.insert(name.to_ascii_lowercase()) {
                continue;
            }
            let through = quoted(&format!("{inner}{}", view.collection.0));
            let sql = format!(
                "CREATE TEMP VIEW {through} AS SELECT {} FROM main.doc \
                 WHERE collection={} AND deleted=0; \
                 CREATE TEMP VIEW {} AS SELECT * FROM {through};",
                columns(conn, view)?,
                view.collection.0,
                quoted(&name)
            );
            conn.execute_batch(&sql)?;
        }
        conn.pragma_update(None, "query_only", true)?;
        let tables = {
            let mut statement = conn.prepare("SELECT lower(name) FROM main.sqlite_schema")?;
            let names = statement.query_map([], |row| row.get(0))?;
            names.collect::<rusqlite::Result<_>>()?
        };
        Ok(Names {
            inner,
            outer,
            tables,
        })
    }

    fn close_in(&mut self, names: &Names, stopped: &Arc<AtomicU8>) -> Result<(), StoreError> {
        let allowed = names.clone();
        let conn = self.reader.connection_mut();
        conn.authorizer(Some(move |context: AuthContext<'_>| {
            allowed.judge(&context)
        }))?;
        let (until, stopped, memory) = (
            Instant::now() + SQL_TIME_MAX,
            Arc::clone(stopped),
            self.memory,
        );
        let at_start = memory();
        let mut looks = 0_u32;
        let look = move || {
            looks = looks.wrapping_add(1);
            if Instant::now() >= until {
                stopped.store(SLOW, Ordering::Relaxed);
                return true;
            }
            if looks.is_multiple_of(16)
                && let (Some(start), Some(now)) = (at_start, memory())
                && now.saturating_sub(start) > SQL_MEMORY_MAX
            {
                stopped.store(LARGE, Ordering::Relaxed);
                return true;
            }
            false
        };
        conn.progress_handler(STEPS_PER_LOOK, Some(look))?;
        Ok(())
    }

    fn open_up(&mut self) -> Result<(), StoreError> {
        let conn = self.reader.connection_mut();
        conn.progress_handler(0, None::<fn() -> bool>)?;
        conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
        if !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK")?;
        }
        Ok(())
    }
}

/// The views of a call.
#[derive(Debug, Clone)]
struct Names {
    /// How the views that read documents start: random.
    inner: String,
    /// The views that people name, in small letters.
    outer: BTreeSet<String>,
    /// What the file holds, in small letters.
    tables: BTreeSet<String>,
}

impl Names {
    /// Whether a name without a database before it is a view's or one that the statement gave.
    fn is_own(&self, name: &str) -> bool {
        let of_sqlite =
            name.starts_with("sqlite_") || name.starts_with("pragma_") || MODULES.contains(&name);
        // A temporary view comes before a table of the same name.
        self.outer.contains(name) || !(self.tables.contains(name) || of_sqlite)
    }

    fn judge(&self, context: &AuthContext<'_>) -> Authorization {
        let allowed = match context.action {
            AuthAction::Select | AuthAction::Recursive => true,
            AuthAction::Function { function_name } => {
                let name = function_name.to_ascii_lowercase();
                FUNCTIONS.contains(&&name[..])
            }
            AuthAction::Read {
                table_name,
                column_name,
            } => match context.database_name {
                Some("temp") => {
                    table_name.starts_with(&self.inner)
                        || self.outer.contains(&table_name.to_ascii_lowercase())
                }
                _ if table_name == "doc"
                    && context
                        .accessor
                        .is_some_and(|accessor| accessor.starts_with(&self.inner)) =>
                {
                    true
                }
                // Nothing of it is read, as in `SELECT count(*)`: the name is what the person wrote,
                // and may be that of a common table expression.
                None if column_name.is_empty() => self.is_own(&table_name.to_ascii_lowercase()),
                _ => matches!(table_name, "json_each" | "json_tree"),
            },
            _ => false,
        };
        if allowed {
            Authorization::Allow
        } else {
            Authorization::Deny
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn answer(conn: &Connection, sql: &str, rows_max: usize) -> Result<SqlAnswer, StoreError> {
    let mut statement = conn.prepare(sql).map_err(fault)?;
    if statement.column_count() == 0 || !statement.readonly() {
        return Err(SqlError::NoAnswer.into());
    }
    let mut answer = SqlAnswer {
        columns: statement.column_names().map(str::to_owned).collect(),
        ..SqlAnswer::default()
    };
    let width = answer.columns.len();
    let mut bytes = 0;
    let mut rows = statement.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        if answer.rows.len() >= rows_max || bytes > SQL_ANSWER_BYTES_MAX {
            answer.more = true;
            break;
        }
        let mut cells = Vec::with_capacity(width);
        for at in 0..width {
            let cell = match row.get_ref(at).map_err(fault)? {
                ValueRef::Null => SqlCell::Null,
                ValueRef::Integer(whole) => SqlCell::Int(whole),
                ValueRef::Real(float) => SqlCell::Float(float),
                ValueRef::Text(text) => SqlCell::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(blob) => SqlCell::Bytes(blob.to_vec()),
            };
            bytes += 16
                + match &cell {
                    SqlCell::Text(text) => text.len(),
                    SqlCell::Bytes(blob) => blob.len() * 2,
                    _ => 0,
                };
            cells.push(cell);
        }
        answer.rows.push(cells);
    }
    Ok(answer)
}

/// What SQLite says of a person's statement.
fn fault(error: rusqlite::Error) -> StoreError {
    use rusqlite::Error;
    let detail = |message: &str| {
        // SQLite's words may name a view that only this file knows.
        let cut = message.split(" s_").next().unwrap_or_default();
        cut.to_owned()
    };
    match &error {
        Error::MultipleStatement => SqlError::Several.into(),
        Error::SqlInputError {
            error: inner, msg, ..
        } => match inner.code {
            ErrorCode::AuthorizationForStatementDenied => SqlError::NotAllowed {
                detail: detail(msg),
            }
            .into(),
            _ => wrong(msg, detail(msg)).into(),
        },
        Error::SqliteFailure(inner, message) => match inner.code {
            ErrorCode::AuthorizationForStatementDenied => SqlError::NotAllowed {
                detail: detail(message.as_deref().unwrap_or("not authorized")),
            }
            .into(),
            ErrorCode::TooBig => SqlError::TooLarge.into(),
            ErrorCode::OutOfMemory => SqlError::TooMuchMemory.into(),
            ErrorCode::ReadOnly => SqlError::NoAnswer.into(),
            ErrorCode::Unknown => {
                let message = message.as_deref().unwrap_or("unknown error");
                wrong(message, detail(message)).into()
            }
            _ => error.into(),
        },
        Error::InvalidColumnType(..) | Error::Utf8Error(..) => SqlError::TooLarge.into(),
        _ => error.into(),
    }
}

/// What is wrong with a statement that SQLite does not run.
fn wrong(message: &str, detail: String) -> SqlError {
    // SQLite tells that a view cannot be written before it asks whether writing is allowed. A person
    // knows the view as a table.
    let of_view =
        message.starts_with("cannot modify ") && message.ends_with(" because it is a view");
    if of_view {
        let words = detail.strip_suffix(" because it is a view");
        let detail = words.unwrap_or(&detail).to_owned();
        return SqlError::NotAllowed { detail };
    }
    let detail = match message {
        "Recursion limit" => "it is nested too deeply".to_owned(),
        _ => detail,
    };
    SqlError::Wrong { detail }
}

#[cfg(test)]
mod tests;
