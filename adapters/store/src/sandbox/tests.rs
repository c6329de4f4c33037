//! Attacks on the sandbox: every way out that is known, and every way to use up the machine.

use serde_json::json;
use stead_base::{DocId, SpaceId};

use super::*;
use crate::read::Source;
use crate::{Options, Read, Store};

struct World {
    _folder: tempfile::TempDir,
    sandbox: Sandbox,
    views: Vec<SqlView>,
    _store: Store,
}

fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(folder.path().join("store.db"), Options::default()).expect("open");
    let body = |store: &Store, doc: serde_json::Value| -> Vec<u8> {
        let conn = store.connection();
        conn.query_row("SELECT jsonb(?1)", [doc.to_string()], |row| row.get(0))
            .expect("jsonb")
    };
    let people = [
        json!({"name": "Ada", "born": 1815, "secret": "mine", "Name": "twin"}),
        json!({"name": "Bob", "born": 1900, "tags": ["x"]}),
    ];
    let people: Vec<_> = people.into_iter().map(|doc| body(&store, doc)).collect();
    let foreign = body(&store, json!({"name": "HIDDEN"}));
    let tx = store.begin().expect("begin");
    let space = tx
        .put_space(&SpaceId::from_bytes([1; 32]), b"RECORD")
        .expect("write");
    let other = tx
        .put_space(&SpaceId::from_bytes([2; 32]), b"RECORD")
        .expect("write");
    let mine = tx.intern_collection(space, "people").expect("write");
    let odd = tx.intern_collection(space, "odd \"name\"").expect("write");
    let theirs = tx.intern_collection(other, "people").expect("write");
    for (i, doc) in people.iter().enumerate() {
        let id = DocId::parse(&format!("p{i}")).expect("a name");
        tx.put_doc(mine, &id, b"STATE", doc, false).expect("write");
        tx.put_doc(odd, &id, b"STATE", doc, false).expect("write");
    }
    let id = DocId::parse("h").expect("a name");
    tx.put_doc(theirs, &id, b"STATE", &foreign, false)
        .expect("write");
    tx.put_secret("recovery phrase", b"SEALED").expect("write");
    tx.commit().expect("commit");
    let reader = store.reader().expect("a reader").expect("a file");
    let sandbox = Sandbox::new(reader, || None).expect("a sandbox");
    let view = |collection, name: &str| SqlView {
        collection,
        name: name.to_owned(),
        hidden: vec!["secret".to_owned()],
        seen: None,
    };
    World {
        _folder: folder,
        sandbox,
        views: vec![view(mine, "people"), view(odd, "odd \"name\"")],
        _store: store,
    }
}

impl World {
    fn run(&mut self, sql: &str) -> Result<SqlAnswer, StoreError> {
        self.sandbox.run(&self.views, sql, 1000)
    }

    fn cells(&mut self, sql: &str) -> Vec<Vec<SqlCell>> {
        self.run(sql)
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"))
            .rows
    }
}

fn text(text: &str) -> SqlCell {
    SqlCell::Text(text.to_owned())
}

#[test]
fn people_select_join_group_and_look_into_json() {
    let mut world = world();
    assert_eq!(
        world.cells("SELECT id, name FROM people WHERE born > 1850 ORDER BY name"),
        [[text("p1"), text("Bob")]]
    );
    assert_eq!(
        world.cells("WITH old AS (SELECT * FROM people WHERE born < 1850) SELECT count(*), max(o.name) FROM old JOIN \"odd \"\"name\"\"\" o USING (id)"),
        [[SqlCell::Int(1), text("Ada")]]
    );
    assert_eq!(
        world.cells("SELECT json ->> 'Name' FROM people WHERE id='p0'"),
        [[text("twin")]]
    );
    assert_eq!(
        world.cells("SELECT e.value FROM people, json_each(people.tags) e"),
        [[text("x")]]
    );
    assert_eq!(
        world.cells("SELECT count(*) FROM people"),
        [[SqlCell::Int(2)]]
    );
    assert_eq!(
        world.cells("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5) SELECT sum(i) FROM n"),
        [[SqlCell::Int(15)]]
    );
    let answer = world
        .sandbox
        .run(&world.views, "SELECT * FROM people", 1)
        .expect("rows");
    assert!(answer.more);
    assert_eq!(answer.columns.first().map(String::as_str), Some("id"));
    assert_eq!(answer.columns.last().map(String::as_str), Some("json"));
    assert!(!answer.columns.contains(&"secret".to_owned()));
}

#[test]
fn nothing_but_the_views_can_be_read() {
    let mut world = world();
    for sql in [
        "SELECT * FROM doc",
        "SELECT * FROM main.doc",
        "SELECT count(*) FROM doc",
        "SELECT count(*) FROM main.doc",
        "SELECT count(*) FROM SECRET",
        "SELECT count(*) FROM sqlite_schema",
        "SELECT count(*) FROM pragma_table_list",
        "SELECT count(*) FROM main.secret AS people",
        "SELECT 1 FROM doc",
        "SELECT rowid FROM main.doc",
        "SELECT * FROM secret",
        "SELECT * FROM meta",
        "SELECT * FROM space",
        "SELECT * FROM segment",
        "SELECT * FROM idx",
        "SELECT * FROM collection",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM sqlite_temp_schema",
        "SELECT * FROM sqlite_temp_master",
        "SELECT * FROM temp.sqlite_master",
        "SELECT * FROM dbstat",
        "SELECT * FROM pragma_table_list",
        "SELECT * FROM pragma_database_list()",
        "SELECT * FROM pragma_key('x')",
        // The name of a view, given to something else.
        "WITH people AS (SELECT * FROM main.doc) SELECT * FROM people",
        "WITH people AS (SELECT * FROM main.secret) SELECT * FROM people",
        "WITH s_ AS (SELECT * FROM main.doc) SELECT * FROM s_",
        "SELECT * FROM (SELECT * FROM main.doc) AS people",
        "SELECT (SELECT group_concat(sealed) FROM secret) FROM people",
        "SELECT * FROM people WHERE EXISTS (SELECT 1 FROM secret)",
        "SELECT * FROM people JOIN doc ON doc.deleted=0",
        "SELECT state FROM people",
        "SELECT body FROM people",
        "SELECT stead_key('a','b')",
        "SELECT load_extension('x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'y')",
        "SELECT edit('x')",
        "SELECT fts3_tokenizer('x')",
        "SELECT sqlcipher_export('main')",
        "SELECT sqlite_version()",
        "SELECT secret FROM people WHERE secret IS NOT NULL",
    ] {
        match world.run(sql) {
            Err(StoreError::Sql(_)) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
    let all = format!("{:?}", world.cells("SELECT * FROM people"));
    for hidden in ["HIDDEN", "STATE", "mine", "RECORD", "SEALED"] {
        assert!(!all.contains(hidden), "{hidden}");
    }
}

#[test]
fn nothing_can_be_written_or_changed() {
    let mut world = world();
    for sql in [
        "INSERT INTO people VALUES (1)",
        "INSERT INTO doc VALUES (1)",
        "UPDATE doc SET deleted=1",
        "UPDATE people SET name='x'",
        "DELETE FROM doc",
        "DELETE FROM people",
        "WITH x AS (SELECT 1) DELETE FROM doc",
        "DROP TABLE doc",
        "DROP VIEW people",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "CREATE TEMP VIEW v AS SELECT * FROM doc",
        "CREATE TEMP TRIGGER t INSTEAD OF INSERT ON people BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE temp.t USING fts5(x)",
        "CREATE INDEX i ON doc (no)",
        "ALTER TABLE doc RENAME TO x",
        "ATTACH 'x.db' AS x",
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "PRAGMA query_only=OFF",
        "PRAGMA writable_schema=ON",
        "PRAGMA user_version=9",
        "PRAGMA table_list",
        "PRAGMA key='x'",
        "PRAGMA rekey='x'",
        "VACUUM",
        "VACUUM INTO 'copy.db'",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT x",
        "SELECT 1; DELETE FROM doc",
        "",
        "-- nothing",
    ] {
        match world.run(sql) {
            Err(StoreError::Sql(_)) => {}
            other => panic!("{sql}: {other:?}"),
        }
        assert_eq!(
            world.cells("SELECT count(*) FROM people"),
            [[SqlCell::Int(2)]],
            "{sql}"
        );
    }
    assert_eq!(world._store.counts().expect("counts").docs, 5);
}

#[test]
fn runaways_are_stopped() {
    let mut world = world();
    let began = Instant::now();
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";
    let error = world.run(endless).expect_err("endless");
    assert!(
        matches!(error, StoreError::Sql(SqlError::TooSlow)),
        "{error:?}"
    );
    assert!(began.elapsed() < SQL_TIME_MAX * 3);
    for sql in [
        "SELECT zeroblob(2000000000)",
        "SELECT length(zeroblob(1000000000))",
        "SELECT randomblob(1000000000)",
        "SELECT printf('%2000000000d', 1)",
        "SELECT replace(hex(zeroblob(16000000)), '0', '0123456789')",
    ] {
        match world.run(sql) {
            Err(StoreError::Sql(_)) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
    // Whatever is nested without end is refused, and does not run out of stack.
    for (open, inmost, close) in [
        ("(", "1", ")"),
        ("1+(", "1", ")"),
        ("NOT ", "1", ""),
        ("- ", "1", ""),
        ("abs(", "1", ")"),
        ("(SELECT ", "1", ")"),
        ("(SELECT * FROM (SELECT ", "1", "))"),
        ("* FROM (SELECT ", "1", ")"),
        ("CASE WHEN 1 THEN 2 ELSE ", "1", " END"),
        ("EXISTS(SELECT 1 WHERE ", "1", ")"),
    ] {
        let levels = (SQL_BYTES_MAX - 100) / (open.len() + close.len());
        for levels in [1_000, levels] {
            let deep = format!(
                "SELECT {}{inmost}{}",
                open.repeat(levels),
                close.repeat(levels)
            );
            match world.run(&deep) {
                Err(StoreError::Sql(SqlError::Wrong { .. } | SqlError::TooLarge)) => {}
                other => panic!("{open}: {other:?}"),
            }
        }
        let few = format!("SELECT {}{inmost}{}", open.repeat(15), close.repeat(15));
        assert!(world.run(&few).is_ok(), "{few}");
    }
    let deep = format!("SELECT {}1{}", "(".repeat(2000), ")".repeat(2000));
    assert_eq!(
        world.run(&deep).expect_err("deep").to_string(),
        "this SQL cannot be run: it is nested too deeply"
    );
    // One query named after the other.
    let chain: String = (1..1_500)
        .map(|n| format!(",q{n} AS (SELECT * FROM q{})", n - 1))
        .collect();
    match world.run(&format!("WITH q0 AS (SELECT 1){chain} SELECT * FROM q1499")) {
        Ok(_) | Err(StoreError::Sql(_)) => {}
        other => panic!("a chain: {other:?}"),
    }
    let long = format!("SELECT '{}'", "x".repeat(SQL_BYTES_MAX));
    assert!(matches!(
        world.run(&long),
        Err(StoreError::Sql(SqlError::TooLarge))
    ));
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n";
    let answer = world
        .sandbox
        .run(&world.views, many, usize::MAX)
        .expect("rows");
    assert_eq!((answer.rows.len(), answer.more), (SQL_ROWS_MAX, true));
    let wide = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT zeroblob(1000000) FROM n";
    let answer = world
        .sandbox
        .run(&world.views, wide, usize::MAX)
        .expect("rows");
    assert!(answer.more && answer.rows.len() < 20);
    // Still in order afterwards.
    assert_eq!(
        world.cells("SELECT count(*) FROM people"),
        [[SqlCell::Int(2)]]
    );
}

#[test]
fn a_statement_that_takes_too_much_memory_is_stopped() {
    use std::sync::atomic::AtomicU64;
    static HELD: AtomicU64 = AtomicU64::new(0);
    let mut world = world();
    world.sandbox.memory = || Some(HELD.fetch_add(SQL_MEMORY_MAX / 4, Ordering::Relaxed));
    let greedy = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n ORDER BY random()";
    let error = world.run(greedy).expect_err("greedy");
    assert!(
        matches!(error, StoreError::Sql(SqlError::TooMuchMemory)),
        "{error:?}"
    );
}

#[test]
fn what_is_wrong_is_said_in_sqlites_words() {
    let mut world = world();
    let said = |world: &mut World, sql: &str| world.run(sql).expect_err("wrong").to_string();
    assert!(said(&mut world, "SELECT nam FROM people").contains("no such column: nam"));
    assert!(said(&mut world, "SELEC 1").contains("syntax error"));
    assert!(said(&mut world, "SELECT * FROM persons").contains("no such table: persons"));
}

#[test]
fn documents_are_seen_as_the_view_says_and_not_as_they_are_held() {
    let mut world = world();
    let people = world.views.first_mut().expect("a view");
    let held = |name: &str, default| {
        let path = vec![name.to_owned()];
        Some(SqlHeld { path, default })
    };
    people.seen = Some(SqlSeen {
        fields: vec![
            ("called".to_owned(), held("name", None)),
            ("tags".to_owned(), held("tags", Some(json!(["none"])))),
            ("century".to_owned(), None),
            ("secret".to_owned(), held("secret", None)),
        ],
        look: std::sync::Arc::new(|held| {
            let held: serde_json::Value = serde_json::from_str(held).ok()?;
            let century = held.get("born")?.as_i64()? / 100 + 1;
            Some(json!({"called": held["name"], "century": century, "secret": "mine"}).to_string())
        }),
    });
    let answer = world
        .run("SELECT * FROM people WHERE century = 19")
        .expect("rows");
    assert_eq!(answer.columns, ["id", "called", "tags", "century", "json"]);
    let text = |text: &str| SqlCell::Text(text.to_owned());
    let row = [
        text("p0"),
        text("Ada"),
        text("[\"none\"]"),
        SqlCell::Int(19),
        text("{\"called\":\"Ada\",\"century\":19}"),
    ];
    assert_eq!(answer.rows, [row]);
    // The function is no way to other collections, and takes whatever it is given.
    for (given, seen) in [
        ("99, '{\"born\":1}'", SqlCell::Null),
        ("NULL, NULL", SqlCell::Null),
    ] {
        let answer = world
            .run(&format!("SELECT stead_seen({given})"))
            .expect("a row");
        assert_eq!(answer.rows, [[seen]], "{given}");
    }
}
