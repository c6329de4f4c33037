//! The tables and the ladder of formats (`docs/formats/store.md` describes each column).
//! A released rung never changes; a new format adds one.

use rusqlite::Connection;

use crate::StoreError;

/// "STED": tells our files from other programs' SQLite files.
pub(crate) const APPLICATION_ID: i32 = 0x5354_4544;

/// Rung `i` takes format `i` to format `i + 1`.
const LADDER: &[&str] = &[
    "
CREATE TABLE meta (
  key   TEXT PRIMARY KEY NOT NULL,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE secret (
  name   TEXT PRIMARY KEY NOT NULL,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE space (
  no     INTEGER PRIMARY KEY,
  id     BLOB NOT NULL UNIQUE,
  record BLOB NOT NULL
) STRICT;
CREATE TABLE writer (
  no     INTEGER PRIMARY KEY,
  space  INTEGER NOT NULL,
  id     BLOB NOT NULL,
  record BLOB NOT NULL,
  UNIQUE (space, id)
) STRICT;
CREATE TABLE segment (
  key   INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE head (
  key  INTEGER PRIMARY KEY,
  head BLOB NOT NULL
) STRICT;
CREATE TABLE node (
  key  INTEGER PRIMARY KEY,
  hash BLOB NOT NULL
) STRICT;
CREATE TABLE fork (
  writer INTEGER PRIMARY KEY,
  proof  BLOB NOT NULL
) STRICT;
CREATE TABLE collection (
  no    INTEGER PRIMARY KEY,
  space INTEGER NOT NULL,
  name  TEXT NOT NULL,
  UNIQUE (space, name)
) STRICT;
CREATE TABLE name (
  no   INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE doc (
  no         INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  id         BLOB NOT NULL,
  deleted    INTEGER NOT NULL,
  state      BLOB NOT NULL,
  body       BLOB NOT NULL,
  UNIQUE (collection, id)
) STRICT;
",
    "
CREATE TABLE rich (
  no         INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  doc        BLOB NOT NULL,
  field      BLOB NOT NULL,
  stale      INTEGER NOT NULL,
  state      BLOB NOT NULL,
  UNIQUE (collection, doc, field)
) STRICT;
CREATE INDEX rich_stale ON rich (collection, doc) WHERE stale=1;
CREATE TABLE rich_update (
  key   INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;
",
    "
CREATE TABLE skeleton (
  writer INTEGER PRIMARY KEY,
  len    INTEGER NOT NULL,
  bytes  BLOB NOT NULL
) STRICT;
",
    "
CREATE TABLE idx (
  no         INTEGER PRIMARY KEY,
  collection INTEGER NOT NULL,
  kind       INTEGER NOT NULL,
  paths      TEXT NOT NULL,
  origins    INTEGER NOT NULL,
  upto       BLOB,
  UNIQUE (collection, kind, paths)
) STRICT;
",
];

/// The format this program writes.
pub(crate) const FORMAT: u32 = LADDER.len() as u32;

/// Climbs from the file's format to ours, one SQLite transaction a rung.
pub(crate) fn climb(conn: &Connection, from: u32) -> Result<(), StoreError> {
    for (rung, sql) in LADDER.iter().enumerate().skip(from as usize) {
        let format = rung + 1;
        tracing::debug!(format, "preparing the database");
        let done = conn.execute_batch(&format!(
            "BEGIN IMMEDIATE;{sql}PRAGMA application_id={APPLICATION_ID};\
             PRAGMA user_version={format};COMMIT;"
        ));
        if let Err(error) = done {
            if !conn.is_autocommit() {
                let _ = conn.execute_batch("ROLLBACK");
            }
            return Err(error.into());
        }
    }
    Ok(())
}
