//! Looks for damage: SQLite's own check, then what must hold between rows. It repairs nothing.

use rusqlite::Connection;

use crate::StoreError;
use crate::index;
use crate::open::PAGE_BYTES;
use crate::read::{read_tip, wrong_type};
use crate::rows::at_of_key;

/// Most findings in one report.
const FINDINGS_MAX: usize = 100;

/// Something that must not be so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// SQLite found its file damaged.
    #[error("the file is damaged: {detail}")]
    File {
        /// SQLite's words.
        detail: String,
    },
    /// Entries of a log are missing between two rows, or stored twice.
    #[error("writer {writer}: entries {expected} to {found} are missing or doubled")]
    LogGap {
        /// The writer's number.
        writer: u32,
        /// Where the next row had to start.
        expected: u64,
        /// Where it starts.
        found: u64,
    },
    /// A log's rows end elsewhere than the writer's row says.
    #[error("writer {writer}: {len} entries expected, {found} stored")]
    LogLength {
        /// The writer's number.
        writer: u32,
        /// What the writer's row says.
        len: u64,
        /// Where the rows end.
        found: u64,
    },
    /// Nothing says how far a log is stored and applied.
    #[error("writer {writer}: how far its log goes is missing")]
    NoTip {
        /// The writer's number.
        writer: u32,
    },
    /// More entries applied than stored.
    #[error("writer {writer}: {applied} entries applied, but only {len} stored")]
    AppliedBeyondLog {
        /// The writer's number.
        writer: u32,
        /// Entries applied.
        applied: u64,
        /// Entries stored.
        len: u64,
    },
    /// Rows that belong to nobody.
    #[error("{rows} rows of {table} belong to no known {owner}")]
    Orphans {
        /// The table.
        table: &'static str,
        /// What they should belong to.
        owner: &'static str,
        /// How many.
        rows: u64,
    },
    /// An index that does not hold what its documents say.
    #[error("an index holds {found} documents instead of {expected}; rebuild them from the log")]
    Index {
        /// Living documents of its collection.
        expected: u64,
        /// Documents in the index.
        found: u64,
    },
    /// A projection that is no JSON.
    #[error("{docs} documents have a projection that cannot be read; rebuild them from the log")]
    Projection {
        /// How many.
        docs: u64,
    },
}

/// Where the bytes are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SizeOf {
    /// Pages of the file in use or free, in bytes; the write-ahead log is not counted.
    pub file: u64,
    /// Pages that nothing uses.
    pub free: u64,
    /// Bytes of pages by table (its indexes included), largest first.
    pub tables: Vec<(String, u64)>,
}

pub(crate) fn run(conn: &Connection) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for step in [file, logs, owners, rich, projections, indexes] {
        match step(conn, &mut findings) {
            Ok(()) => {}
            Err(StoreError::Corrupt { detail }) => findings.push(Finding::File { detail }),
            Err(error) => return Err(error),
        }
        // Behind a damaged page, further findings only repeat it.
        if !findings.is_empty() {
            break;
        }
    }
    findings.truncate(FINDINGS_MAX);
    Ok(findings)
}

fn file(conn: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let detail: String = row.get(0)?;
        if detail != "ok" {
            findings.push(Finding::File { detail });
        }
    }
    Ok(())
}

fn logs(conn: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let mut statement = conn.prepare(
        "SELECT no, count, segment.bytes, coalesce(len, 0), length(skeleton.bytes)=0 FROM writer LEFT JOIN segment \
         ON key=(no << 40) + 0xffffffffff LEFT JOIN skeleton ON writer=no ORDER BY no",
    )?;
    let mut rows = statement.query([])?;
    let mut segments =
        conn.prepare("SELECT key, count FROM segment WHERE key BETWEEN ?1 AND ?2 ORDER BY key")?;
    while let Some(row) = rows.next()? {
        let no: crate::WriterNo = row.get(0)?;
        let writer = no.0;
        let len: Option<u64> = row.get(1)?;
        let tip = row.get_ref(2)?.as_blob_or_null().map_err(wrong_type)?;
        let (Some(len), Some((applied, _))) = (len, tip.and_then(read_tip)) else {
            findings.push(Finding::NoTip { writer });
            continue;
        };
        if applied > len {
            findings.push(Finding::AppliedBeyondLog {
                writer,
                applied,
                len,
            });
        }
        let mut end: u64 = row.get(3)?;
        // Of a thin log, and of a checkpoint that was replaced, no skeleton is kept: what is held below
        // its end is what was kept of it.
        let (is_thin, thin_len) = (row.get::<_, Option<bool>>(4)?.unwrap_or(false), end);
        let mut stored = segments.query(<[i64; 2]>::from(no.keys()?))?;
        while let Some(row) = stored.next()? {
            let (start, count) = (at_of_key(row.get(0)?), row.get::<_, u32>(1)?);
            if is_thin && start + u64::from(count) <= thin_len {
                continue;
            }
            if start != end {
                findings.push(Finding::LogGap {
                    writer,
                    expected: end,
                    found: start,
                });
            }
            end = start + u64::from(count);
        }
        if end != len {
            findings.push(Finding::LogLength {
                writer,
                len,
                found: end,
            });
        }
    }
    Ok(())
}

fn owners(conn: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    for (table, owner, sql) in [
        (
            "segment",
            "writer",
            "SELECT count(*) FROM segment WHERE (key >> 40) NOT IN (SELECT no FROM writer)",
        ),
        (
            "head",
            "writer",
            "SELECT count(*) FROM head WHERE (key >> 40) NOT IN (SELECT no FROM writer)",
        ),
        (
            "writer",
            "space",
            "SELECT count(*) FROM writer WHERE space NOT IN (SELECT no FROM space)",
        ),
        (
            "collection",
            "space",
            "SELECT count(*) FROM collection WHERE space NOT IN (SELECT no FROM space)",
        ),
        (
            "rich",
            "collection",
            "SELECT count(*) FROM rich WHERE collection NOT IN (SELECT no FROM collection)",
        ),
        (
            "doc",
            "collection",
            "SELECT count(*) FROM doc WHERE collection NOT IN (SELECT no FROM collection)",
        ),
        (
            "idx",
            "collection",
            "SELECT count(*) FROM idx WHERE collection NOT IN (SELECT no FROM collection)",
        ),
    ] {
        let rows: u64 = conn.query_row(sql, [], |row| row.get(0))?;
        if rows > 0 {
            findings.push(Finding::Orphans { table, owner, rows });
        }
    }
    Ok(())
}

fn rich(conn: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let rows = crate::rich::orphans(conn)?;
    if rows > 0 {
        findings.push(Finding::Orphans {
            table: "rich_update",
            owner: "rich field",
            rows,
        });
    }
    Ok(())
}

fn projections(conn: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    // 8: a JSONB blob, checked to its end.
    let sql = "SELECT count(*) FROM doc WHERE NOT json_valid(body, 8)";
    let docs: u64 = conn.query_row(sql, [], |row| row.get(0))?;
    if docs > 0 {
        findings.push(Finding::Projection { docs });
    }
    Ok(())
}

fn indexes(conn: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    for row in index::all(conn)?.iter().filter(|row| row.is_complete()) {
        let (expected, found) = index::rows_of(conn, row)?;
        if expected != found {
            findings.push(Finding::Index { expected, found });
        }
    }
    Ok(())
}

pub(crate) fn size_of(conn: &Connection) -> Result<SizeOf, StoreError> {
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    // An encrypted file does not answer `page_size` with a number.
    let page = u64::from(PAGE_BYTES);
    let mut tables = conn.prepare(
        "SELECT tbl_name, sum(pgsize) FROM dbstat('main', 1) JOIN sqlite_schema USING (name) \
         GROUP BY tbl_name ORDER BY 2 DESC, 1",
    )?;
    let tables = tables
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(SizeOf {
        file: number("page_count")? * page,
        free: number("freelist_count")? * page,
        tables,
    })
}
