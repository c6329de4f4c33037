//! Real `stead` processes that are killed, frozen, copied, or live in another year.

use std::error::Error;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use stead_lab::{Acknowledged, Place, Stead, eventually, shifted_clock};

/// How long devices that can reach each other may take to agree.
const SOON: Duration = Duration::from_secs(30);
/// How long they may take after trouble.
const AFTER_TROUBLE: Duration = Duration::from_secs(90);
/// Kills in a row.
const KILLS: u64 = 8;
/// Longer than a connection lives without a sign of life.
const SLEEP: Duration = Duration::from_secs(35);

type Outcome = Result<(), Box<dyn Error>>;

/// Flags of a node that stays on loopback, at an address it can come back to.
fn flags() -> Result<Vec<String>, Box<dyn Error>> {
    let free = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    Ok(vec![
        "--no-mdns".to_owned(),
        "--bind".to_owned(),
        free.to_string(),
    ])
}

fn up(node: &mut Stead, flags: &[String]) -> Outcome {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    node.up(&flags)?;
    Ok(())
}

fn node(name: &str, dir: &Path) -> Result<Stead, Box<dyn Error>> {
    let mut node = Stead::new(name, Place::Here, dir);
    up(&mut node, &flags()?)?;
    Ok(node)
}

fn shows(node: &Stead, document: &str, field: &str, text: &str) {
    let what = format!("{text:?} in {document}.{field} on {:?}", node.home());
    eventually(&what, AFTER_TROUBLE, || {
        node.field(document, field) == Some(json!(text))
    });
}

#[test]
fn everything_acknowledged_outlives_a_kill_at_any_moment() -> Outcome {
    let dir = tempfile::tempdir()?;
    let mut ann = Stead::new("ann", Place::Here, dir.path());
    let flags = flags()?;
    let mut moment = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos() as u64;
    eprintln!("moments from {moment}");
    let mut acknowledged = Acknowledged::default();
    for kill in 0..KILLS {
        up(&mut ann, &flags)?;
        assert_eq!(acknowledged.missing(&ann)?, [""; 0], "before kill {kill}");
        moment = moment
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let wait = Duration::from_micros((moment >> 33) % 400_000);
        let mut client = ann.client()?;
        let before = acknowledged.count();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                // One at a time every other round, else many under way at the moment of the kill.
                let ahead = if kill % 2 == 0 { 1 } else { 64 };
                acknowledged.write(&mut client, &kill.to_string(), 1 << 20, 200, ahead)
            });
            std::thread::sleep(wait);
            ann.kill();
            let failed = writing.join().expect("the writer");
            assert!(failed.is_some(), "it was killed while it wrote");
        });
        eprintln!(
            "killed after {wait:?} and {} puts",
            acknowledged.count() - before
        );
    }
    up(&mut ann, &flags)?;
    assert_eq!(acknowledged.missing(&ann)?, [""; 0]);
    assert!(acknowledged.count() > 100, "{}", acknowledged.count());
    ann.run(&["doctor", "--thorough"])?;
    Ok(())
}

#[test]
fn a_copied_home_that_lives_twice_loses_nothing_of_either_life() -> Outcome {
    let dir = tempfile::tempdir()?;
    let ben = node("ben", dir.path())?;
    let ann_flags = flags()?;
    let mut ann = Stead::new("ann", Place::Here, dir.path());
    up(&mut ann, &ann_flags)?;
    ben.link(&ann)?;
    ben.run(&["space", "create", "family"])?;
    shows_space(&ann, "family");
    ann.run(&["put", "family/people/ada", "name=Ada"])?;
    shows(&ben, "family/people/ada", "name", "Ada");
    ann.down();

    let mut twin = Stead::new("twin", Place::Here, dir.path());
    copy(ann.home(), twin.home())?;
    // Both write before either meets anyone: one place in one log holds two different entries.
    for (life, work) in [(&mut ann, "first"), (&mut twin, "second")] {
        up(
            life,
            &["--no-mdns".into(), "--bind".into(), "127.0.0.1:0".into()],
        )?;
        for n in 0..20 {
            life.run(&["put", &format!("family/{work}/{n}"), &format!("n={n}")])?;
        }
        life.run(&["put", "family/people/ada", &format!("{work}=yes")])?;
        eprintln!("{work} life wrote");
    }
    for node in [&ben, &ann, &twin] {
        for life in ["first", "second"] {
            shows(node, "family/people/ada", life, "yes");
            for n in 0..20 {
                let document = format!("family/{life}/{n}");
                eventually(&document, AFTER_TROUBLE, || {
                    node.field(&document, "n") == Some(json!(n))
                });
            }
        }
    }
    Ok(())
}

fn shows_space(node: &Stead, space: &str) {
    eventually(&format!("{space} on {:?}", node.home()), SOON, || {
        let spaces = node.json(&["space", "list"]).unwrap_or_default();
        spaces.to_string().contains(&format!("\"{space}\""))
    });
}

/// Copies a home without its socket, as a backup program does.
fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[test]
fn a_clock_years_off_is_told_and_moves_nobody_elses() -> Outcome {
    let test = "a_clock_years_off_is_told_and_moves_nobody_elses";
    const YEARS: i64 = 3 * 365 * 86_400;
    let dir = tempfile::tempdir()?;
    let Some(library) = shifted_clock(dir.path(), test) else {
        return Ok(());
    };
    let ann = node("ann", dir.path())?;
    let mut ben = Stead::new("ben", Place::Here, dir.path());
    let ben_flags = flags()?;
    up(&mut ben, &ben_flags)?;
    ann.link(&ben)?;
    ann.run(&["space", "create", "family"])?;
    shows_space(&ben, "family");

    for (years, document) in [(-YEARS, "family/early/one"), (YEARS, "family/late/one")] {
        ben.down();
        ben.shift_clock(&library, years);
        up(&mut ben, &ben_flags)?;
        let ahead = if years > 0 { "ahead of" } else { "behind" };
        let word = format!("The clock of ben is 1095 days {ahead} this one.");
        eventually(&word, SOON, || {
            let status = ann.json(&["status"]).unwrap_or_default();
            status["warnings"].to_string().contains(&word)
        });
        ben.run(&["put", document, "from=ben"])?;
        ann.run(&["put", "family/people/ada", &format!("year={years}")])?;
        if years > 0 {
            eventually("ben has what ann wrote", SOON, || {
                ben.field("family/people/ada", "year") == Some(json!(years))
            });
        }
    }
    // The past is no harm; the future waits, and its writer keeps it.
    shows(&ann, "family/early/one", "from", "ben");
    shows(&ben, "family/late/one", "from", "ben");
    assert_eq!(ann.field("family/late/one", "from"), None);
    let log = ann.json(&["log", "family"])?.to_string();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    ann.run(&["put", "family/people/ada", "last=word"])?;
    let newest = ann.json(&["log", "family/people/ada"])?;
    let time = newest["entries"][0]["time"]["ms"].as_u64();
    assert!(
        time.is_some_and(|ms| ms.abs_diff(now_ms) < 60_000),
        "{newest}\n{log}"
    );

    // Once its clock is right it sees all, and has all that it wrote. For the others its log goes on behind
    // what is held back, and they say so.
    ben.down();
    ben.shift_clock(&library, 0);
    up(&mut ben, &ben_flags)?;
    ben.run(&["put", "family/people/ada", "right=again"])?;
    shows(&ben, "family/people/ada", "last", "word");
    shows(&ben, "family/people/ada", "right", "again");
    shows(&ben, "family/late/one", "from", "ben");
    eventually("ann says that changes wait", SOON, || {
        let status = ann.json(&["status"]).unwrap_or_default();
        status["warnings"]
            .to_string()
            .contains("wait for their time")
    });
    Ok(())
}

#[test]
fn a_device_that_slept_is_offline_meanwhile_and_comes_back_by_itself() -> Outcome {
    let dir = tempfile::tempdir()?;
    let (ann, ben) = (node("ann", dir.path())?, node("ben", dir.path())?);
    ann.link(&ben)?;
    ann.run(&["space", "create", "family"])?;
    shows_space(&ben, "family");
    let path = || ann.path_to("ben").unwrap_or_default();
    eventually("ann reaches ben", SOON, || path().0 == "direct");

    ben.freeze(true)?;
    // Asked at once, nothing but the missing answer can have told it.
    let (kind, why) = path();
    assert_eq!(kind, "offline", "{why}");
    assert!(why.starts_with("no answer just now"), "{why}");
    ann.run(&["put", "family/people/ada", "name=Ada"])?;
    std::thread::sleep(SLEEP);
    assert_eq!(path().0, "offline");

    ben.freeze(false)?;
    shows(&ben, "family/people/ada", "name", "Ada");
    eventually("ann reaches ben again", SOON, || path().0 == "direct");
    ben.run(&["put", "family/people/ada", "awake=yes"])?;
    shows(&ann, "family/people/ada", "awake", "yes");
    Ok(())
}
