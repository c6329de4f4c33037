//! Which crate may link which: the rings, the order inside core, and what core may take from outside.
//! It must judge only what `cargo metadata` and `cargo tree` say, never the text of a source file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Violation;
use crate::Failure;

/// The rings, from the inside out, named by the folder that holds them.
pub(crate) const RINGS: [&str; 6] = ["core", "adapters", "engine", "bin", "testing", "xtask"];

/// What each crate of core may link of the others.
const INSIDE_CORE: &[(&str, &[&str])] = &[
    ("core/base", &[]),
    ("core/crypt", &["core/base"]),
    ("core/log", &["core/base", "core/crypt"]),
    ("core/access", &["core/base", "core/crypt", "core/log"]),
    ("core/doc", &["core/base", "core/log"]),
    (
        "core/checkpoint",
        &["core/base", "core/crypt", "core/log", "core/doc"],
    ),
    ("core/schema", &["core/base", "core/doc"]),
    ("core/schema-derive", &["core/schema"]),
    ("core/sync", &["core/base", "core/crypt", "core/log"]),
    ("core/presence", &["core/base", "core/crypt"]),
];

/// What each crate of the engine may link of the workspace: a folder ends with `/`, a crate does not.
const INSIDE_ENGINE: &[(&str, &[&str])] = &[
    ("engine/api", &["core/base"]),
    (
        "engine/replica",
        &["core/", "adapters/store", "adapters/rich"],
    ),
    ("engine/node", &["core/", "adapters/", "engine/"]),
];

/// The crates from outside that core may name: pure computation, no clock, no randomness, no I/O.
const CORE_MAY_NAME: &[&str] = &[
    "aes-gcm-siv",
    "argon2",
    "aws-lc-rs",
    "blake3",
    "bytes",
    "curve25519-dalek",
    "ed25519-dalek",
    "hmac",
    "hpke",
    "lz4_flex",
    "proc-macro2",
    "quote",
    "rand_core",
    "regex-lite",
    "serde_json",
    "sha2",
    "subtle",
    "syn",
    "thiserror",
    "zeroize",
];

/// Packages that must not reach certain crates, not even through others.
pub(crate) struct Confined {
    /// The folder, or the one crate, whose packages are meant.
    pub(crate) folder: &'static str,
    /// The crates they must not reach.
    never: &'static [&'static str],
    /// The reason, as it is shown.
    because: &'static str,
}

/// Every confinement, checked against what cargo really links.
pub(crate) const CONFINED: &[Confined] = &[
    Confined {
        folder: "core/",
        never: &[
            "tokio",
            "mio",
            "socket2",
            "iroh",
            "rusqlite",
            "libsqlite3-sys",
            "getrandom",
            "rand",
            "chrono",
            "time",
        ],
        because: "core has no I/O, no clock and no randomness of its own",
    },
    Confined {
        folder: "engine/replica",
        never: &[
            "tokio",
            "mio",
            "socket2",
            "iroh",
            "stead-net",
            "stead-keys",
            "stead-api",
        ],
        because: "a replica is driven from outside: the simulator runs the very same one",
    },
    Confined {
        folder: "engine/api",
        never: &[
            "tokio",
            "mio",
            "iroh",
            "rusqlite",
            "stead-node",
            "stead-store",
            "stead-net",
        ],
        because: "the message protocol is types only",
    },
];

/// One package of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Where it lives, relative to the root: `core/base`.
    pub(crate) folder: String,
    /// What it gives, in the words of its manifest.
    pub(crate) description: String,
    /// Names of the packages it links when built, tests aside.
    pub(crate) links: Vec<String>,
    /// Names of the packages that only its tests link.
    pub(crate) test_links: Vec<String>,
}

impl Package {
    pub(crate) fn ring(&self) -> &str {
        self.folder.split('/').next().unwrap_or_default()
    }
}

/// The packages of the workspace and the edges between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
}

impl Workspace {
    /// Reads what `cargo metadata --no-deps` prints.
    pub(crate) fn from_metadata(json: &str) -> Result<Workspace, Failure> {
        let metadata: Value = serde_json::from_str(json)
            .map_err(|cause| format!("cargo metadata is not JSON: {cause}"))?;
        let root = metadata["workspace_root"]
            .as_str()
            .ok_or("cargo metadata names no workspace root")?;
        let mut packages = Vec::new();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            let manifest = package["manifest_path"].as_str().unwrap_or_default();
            let folder = manifest.strip_prefix(root).unwrap_or(manifest);
            let mut read = Package {
                name: package["name"].as_str().unwrap_or_default().to_owned(),
                folder: folder
                    .trim_end_matches("Cargo.toml")
                    .trim_matches(['/', '\\'])
                    .replace('\\', "/"),
                description: package["description"]
                    .as_str()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
                ..Package::default()
            };
            for link in package["dependencies"].as_array().into_iter().flatten() {
                let name = link["name"].as_str().unwrap_or_default().to_owned();
                if link["kind"].as_str() == Some("dev") {
                    read.test_links.push(name);
                } else {
                    read.links.push(name);
                }
            }
            packages.push(read);
        }
        packages.sort_by_key(|package: &Package| {
            let ring = RINGS
                .iter()
                .position(|ring| *ring == package.ring())
                .unwrap_or(RINGS.len());
            let room = INSIDE_CORE
                .iter()
                .position(|(room, _)| *room == package.folder)
                .unwrap_or(0);
            (ring, room, package.folder.clone())
        });
        Ok(Workspace { packages })
    }

    fn folders(&self) -> BTreeMap<&str, &str> {
        self.packages
            .iter()
            .map(|package| (package.name.as_str(), package.folder.as_str()))
            .collect()
    }
}

/// Every edge that points the wrong way, and every crate that no rule knows.
pub(crate) fn check(workspace: &Workspace) -> Vec<Violation> {
    let folders = workspace.folders();
    let mut violations = Vec::new();
    for package in &workspace.packages {
        let place = format!("{}/Cargo.toml", package.folder);
        if !RINGS.contains(&package.ring()) {
            violations.push(Violation::new(
                &place,
                format!("lives in no ring; the rings are {}", RINGS.join(", ")),
            ));
            continue;
        }
        if package.description.is_empty() {
            violations.push(Violation::new(
                &place,
                "has no `description`, which is its row in the capability table",
            ));
        }
        if package.ring() == "core" && !INSIDE_CORE.iter().any(|(room, _)| *room == package.folder)
        {
            violations.push(Violation::new(
                &place,
                "core has no rule for it: add it to INSIDE_CORE in xtask's graph.rs",
            ));
        }
        if package.ring() == "engine"
            && !INSIDE_ENGINE
                .iter()
                .any(|(room, _)| *room == package.folder)
        {
            violations.push(Violation::new(
                &place,
                "engine has no rule for it: add it to INSIDE_ENGINE in xtask's graph.rs",
            ));
        }
        for link in &package.links {
            match folders.get(link.as_str()) {
                Some(target) => {
                    if let Some(why) = refused(&package.folder, target) {
                        violations
                            .push(Violation::new(&place, format!("links {target}, but {why}")));
                    }
                }
                None if package.ring() == "core" && !CORE_MAY_NAME.contains(&link.as_str()) => {
                    violations.push(Violation::new(
                        &place,
                        format!("links {link}, which core may not: CORE_MAY_NAME in xtask's graph.rs lists what it may"),
                    ));
                }
                None => {}
            }
        }
        for link in &package.test_links {
            // Tests may also use the testing ring, which is built on everything else.
            if let Some(target) = folders.get(link.as_str())
                && !target.starts_with("testing/")
                && let Some(why) = refused(&package.folder, target)
            {
                violations.push(Violation::new(
                    &place,
                    format!("its tests link {target}, but {why}"),
                ));
            }
        }
    }
    violations
}

/// Every crate that a confined package reaches and must not.
pub(crate) fn check_reach(confined: &Confined, reached: &[String]) -> Vec<Violation> {
    reached
        .iter()
        .filter(|name| confined.never.contains(&name.as_str()))
        .map(|name| {
            Violation::new(
                confined.folder.trim_end_matches('/'),
                format!(
                    "reaches {name} (see `cargo tree -e normal -i {name}`), but {}",
                    confined.because
                ),
            )
        })
        .collect()
}

/// Why the crate in one folder may not link the crate in another; `None` when it may.
fn refused(from: &str, to: &str) -> Option<&'static str> {
    let ring = |folder: &str| {
        RINGS
            .iter()
            .position(|ring| folder.split('/').next() == Some(ring))
    };
    let (from_ring, to_ring) = (ring(from)?, ring(to)?);
    let named = |rules: &[(&str, &[&str])]| {
        rules
            .iter()
            .find(|(room, _)| *room == from)
            .is_some_and(|(_, may)| {
                may.iter()
                    .any(|may| to == *may || (may.ends_with('/') && to.starts_with(may)))
            })
    };
    match RINGS[from_ring] {
        "core" if to_ring > 0 => Some("core is the innermost ring"),
        "core" if !named(INSIDE_CORE) => {
            Some("inside core the order is base <- crypt <- {log, access}, log <- {sync, doc}")
        }
        "adapters" if to_ring == from_ring => Some("adapters never see each other"),
        "adapters" if to_ring > from_ring => Some("adapters link core only"),
        "engine" if to_ring > from_ring => Some("the engine links core and adapters only"),
        "engine" if !named(INSIDE_ENGINE) => {
            Some("INSIDE_ENGINE in xtask's graph.rs says what it may link")
        }
        "bin" if to_ring >= from_ring => {
            Some("nothing links a program, and no program links tests")
        }
        "testing" if RINGS[to_ring] == "xtask" => Some("nothing links xtask"),
        "xtask" => Some("xtask must build quickly and so links nothing of the workspace"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, links: &[&str]) -> Package {
        Package {
            name: format!(
                "stead-{}",
                folder.split('/').next_back().unwrap_or_default()
            ),
            folder: folder.to_owned(),
            description: "something".to_owned(),
            links: links.iter().map(|link| (*link).to_owned()).collect(),
            test_links: Vec::new(),
        }
    }

    fn complaints(packages: &[Package]) -> Vec<String> {
        check(&Workspace {
            packages: packages.to_vec(),
        })
        .iter()
        .map(Violation::to_string)
        .collect()
    }

    fn house() -> Vec<Package> {
        vec![
            package("core/base", &["thiserror"]),
            package("core/crypt", &["stead-base", "blake3"]),
            package("core/log", &["stead-base", "stead-crypt"]),
            package("core/doc", &["stead-base", "stead-log"]),
            package("core/schema", &["stead-base", "stead-doc"]),
            package("core/sync", &["stead-base", "stead-log"]),
            package("adapters/store", &["stead-base", "rusqlite"]),
            package("adapters/net", &["stead-base", "iroh"]),
            package("engine/api", &["serde_json"]),
            package("engine/replica", &["stead-sync", "stead-store"]),
            package("engine/node", &["stead-replica", "stead-net", "stead-api"]),
            package("bin/stead", &["stead-node", "stead-api"]),
            package("testing/sim", &["stead-replica"]),
        ]
    }

    fn with_link(folder: &str, link: &str) -> Vec<Package> {
        let mut house = house();
        for package in &mut house {
            if package.folder == folder {
                package.links.push(link.to_owned());
            }
        }
        house
    }

    #[test]
    fn the_house_as_designed_breaks_no_rule() {
        assert_eq!(complaints(&house()), Vec::<String>::new());
    }

    #[test]
    fn edges_that_point_outwards_or_sideways_are_refused() {
        for (folder, link) in [
            ("core/base", "stead-crypt"),
            ("core/log", "stead-doc"),
            ("core/doc", "stead-sync"),
            ("core/doc", "stead-crypt"),
            ("core/doc", "stead-schema"),
            ("core/sync", "stead-store"),
            ("adapters/store", "stead-net"),
            ("adapters/net", "stead-replica"),
            ("engine/replica", "stead-net"),
            ("engine/replica", "stead-node"),
            ("engine/api", "stead-node"),
            ("engine/node", "stead-sim"),
            ("bin/stead", "stead-sim"),
        ] {
            assert_eq!(
                complaints(&with_link(folder, link)).len(),
                1,
                "{folder} -> {link}"
            );
        }
    }

    #[test]
    fn core_may_not_take_in_a_crate_nobody_decided_on() {
        assert_eq!(complaints(&with_link("core/doc", "chrono")).len(), 1);
        assert_eq!(complaints(&with_link("adapters/store", "chrono")).len(), 0);
    }

    #[test]
    fn tests_may_link_the_testing_ring_and_nothing_else_beyond_their_own() {
        let mut house = house();
        house[3].test_links = vec!["stead-sim".to_owned()];
        assert_eq!(complaints(&house).len(), 0);
        house[3].test_links = vec!["stead-store".to_owned()];
        assert_eq!(complaints(&house).len(), 1);
    }

    #[test]
    fn a_crate_without_a_rule_or_a_description_is_refused() {
        let mut house = house();
        house.push(package("core/clockwork", &[]));
        house.push(package("engine/host", &[]));
        house.push(package("misc/tools", &[]));
        house.push(Package {
            description: String::new(),
            ..package("adapters/blobs", &[])
        });
        assert_eq!(complaints(&house).len(), 4);
    }

    #[test]
    fn a_crate_reached_through_others_is_refused() {
        let reached: Vec<String> = ["stead-sync", "blake3", "getrandom"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(check_reach(&CONFINED[0], &reached).len(), 1);
        assert_eq!(check_reach(&CONFINED[0], &reached[..2]).len(), 0);
    }

    #[test]
    fn metadata_is_read_with_folders_and_kinds_of_links() -> Result<(), Failure> {
        let workspace = Workspace::from_metadata(
            r#"{"workspace_root": "/x", "packages": [{"name": "stead-doc", "manifest_path": "/x/core/doc/Cargo.toml",
                "description": " Documents ", "dependencies": [
                {"name": "stead-log", "kind": null}, {"name": "cc", "kind": "build"}, {"name": "proptest", "kind": "dev"}]}]}"#,
        )?;
        let read = &workspace.packages[0];
        assert_eq!(
            (read.folder.as_str(), read.ring(), read.description.as_str()),
            ("core/doc", "core", "Documents")
        );
        assert_eq!(read.links, ["stead-log", "cc"]);
        assert_eq!(read.test_links, ["proptest"]);
        Ok(())
    }
}
