//! The committed corpus through every target, as it is and with a few bytes changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use stead_fuzz::seeds::{CORPUS_FILE_BYTES_MAX, CORPUS_FILES_MAX, Dice, corpus, damaged};
use stead_fuzz::{TARGETS, Target};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn committed(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let directory = root().join(target.name);
    let files = std::fs::read_dir(&directory)
        .unwrap_or_else(|err| panic!("{}: {err}", directory.display()));
    files
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect()
}

#[test]
fn every_target_takes_its_corpus_and_accepts_what_is_valid() {
    for target in TARGETS {
        let files = committed(target);
        assert!(!files.is_empty(), "{} has no corpus", target.name);
        for (name, content) in files {
            let accepted = (target.run)(&content);
            if name.starts_with("valid-") {
                assert!(accepted, "{}/{name} was refused", target.name);
            }
        }
    }
}

#[test]
fn every_target_takes_damaged_copies_of_its_corpus() {
    for target in TARGETS {
        for (nth, content) in committed(target).values().enumerate() {
            let mut dice = Dice::new(nth as u64);
            for _ in 0..150 {
                (target.run)(&damaged(content, &mut dice));
            }
        }
    }
}

/// Minutes of the same, for machines without cargo-fuzz: `cargo test -p stead-fuzz -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn every_target_takes_a_long_walk_from_its_corpus() {
    for target in TARGETS {
        let corpus: Vec<Vec<u8>> = committed(target).into_values().collect();
        let mut dice = Dice::new(0x5eed);
        let mut accepted = 0;
        for _ in 0..100_000 {
            let mut input = corpus[dice.below(corpus.len())].clone();
            for _ in 0..1 + dice.below(6) {
                input = damaged(&input, &mut dice);
            }
            accepted += usize::from((target.run)(&input));
        }
        println!("{}: {accepted} of 100000 accepted", target.name);
    }
}

#[test]
fn the_corpus_stays_small_and_belongs_to_targets() {
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
    for directory in std::fs::read_dir(root()).unwrap() {
        let name = directory.unwrap().file_name().into_string().unwrap();
        assert!(
            names.contains(&name[..]),
            "corpus/{name} belongs to no target"
        );
    }
    for target in TARGETS {
        let files = committed(target);
        assert!(files.len() <= CORPUS_FILES_MAX, "{}", target.name);
        for (name, content) in files {
            assert!(content.len() <= CORPUS_FILE_BYTES_MAX, "{name}");
        }
    }
}

#[test]
fn valid_seeds_are_the_ones_that_this_code_writes() {
    for target in TARGETS {
        let files = committed(target);
        let seeds = corpus(target);
        let valid = seeds.iter().filter(|(name, _)| name.starts_with("valid-"));
        for (name, content) in valid {
            assert_eq!(
                files.get(name),
                Some(content),
                "{}/{name}: the format changed; run stead-fuzz-seeds and look at the difference",
                target.name
            );
        }
    }
}

#[test]
fn every_target_has_its_cargo_fuzz_binary() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let text = std::fs::read_to_string(manifest.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        let name = target.name;
        assert!(text.contains(&format!("name = \"{name}\"")), "{name}");
        let source = manifest.join(format!("fuzz_targets/{name}.rs"));
        let source = std::fs::read_to_string(source).unwrap();
        assert!(source.contains("fuzz_target!"), "{name}");
    }
}
