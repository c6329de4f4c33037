//! Rights under every order of arrival and any batching, held against the model.

mod histories;

use histories::*;
use proptest::prelude::*;
use stead_access::*;
use stead_base::{DeviceId, ScopeId, WriterId};
use stead_model::access::AccessModel;

fn put(roster: &mut Roster, (of, seq, ops): Entry) -> Change {
    if (of, seq) == (writer(0), 0) {
        roster.insert_genesis(of, ops).unwrap()
    } else {
        roster.insert(of, seq, ops)
    }
}

fn one_by_one(entries: &[Entry]) -> Roster {
    let mut roster = Roster::new(SPACE);
    for entry in entries {
        put(&mut roster, entry.clone());
    }
    roster
}

fn asked() -> Vec<(WriterId, u64, Path, Action)> {
    let actions = [
        Action::Read,
        Action::Write,
        Action::Manage,
        Action::Grant(Role::Owner),
    ];
    let mut asked = Vec::new();
    for i in 0..DEVICES {
        for seq in 0..12 {
            for text in PATHS {
                for action in actions {
                    asked.push((writer(i), seq, Path::new(text).unwrap(), action));
                }
            }
        }
    }
    asked
}

fn verdicts(roster: &Roster) -> Vec<bool> {
    asked()
        .iter()
        .map(|(w, seq, path, action)| roster.verdict(w, *seq, path, *action))
        .collect()
}

/// All that a roster says, in a form that can be compared.
fn everything(roster: &Roster) -> String {
    let readers: Vec<Vec<DeviceId>> = [ScopeId::ROSTER, ScopeId::ROOT]
        .iter()
        .map(|scope| roster.readers(*scope).keys().copied().collect())
        .collect();
    let members: Vec<_> = roster
        .members()
        .values()
        .map(|m| {
            (
                m.id,
                m.subject,
                m.role,
                m.rank,
                m.given_by,
                m.joined_by,
                &m.ended,
            )
        })
        .collect();
    let spans: Vec<_> = (0..DEVICES).map(|i| roster.spans(&writer(i))).collect();
    let epochs = roster.epochs(ScopeId::ROOT);
    format!(
        "{members:#?} {spans:#?} {epochs:#?} {readers:#?} {:#?}",
        roster.stale_scopes()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("ACCESS_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(96)
    ))]

    #[test]
    fn rights_are_those_of_the_model(entries in entries()) {
        let mut model = AccessModel::new(SPACE, entries[0].clone());
        for entry in &entries[1..] {
            model.receive(entry.clone());
        }
        let roster = one_by_one(&entries);
        let found: Vec<_> = roster
            .members()
            .values()
            .map(|m| (m.id, m.rank, m.ended.is_some()))
            .collect();
        prop_assert_eq!(model.memberships(), found);
        prop_assert_eq!(model.verdicts(&asked()), verdicts(&roster));
    }

    #[test]
    fn rights_are_the_same_for_every_order_and_batching(
        (one, other) in entries().prop_flat_map(|e| (Just(e.clone()), Just(e).prop_shuffle())),
        cuts in prop::collection::vec(1usize..6, 1..8),
    ) {
        let expected = everything(&one_by_one(&one));
        prop_assert_eq!(&expected, &everything(&one_by_one(&other)));
        // In the order of the logs, as they travel, and all of them twice.
        let mut batched = Roster::new(SPACE);
        put(&mut batched, one[0].clone());
        let mut rest = &other[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            let now = now.iter().filter(|e| (e.0, e.1) != (writer(0), 0)).cloned();
            batched.insert_all(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        batched.insert_all(one[1..].iter().cloned());
        prop_assert_eq!(&expected, &everything(&batched));
    }

    #[test]
    fn a_change_names_every_entry_whose_verdict_changed(
        other in entries().prop_flat_map(|e| Just(e).prop_shuffle())
    ) {
        let mut roster = Roster::new(SPACE);
        for entry in other {
            let before = verdicts(&roster);
            let change = put(&mut roster, entry);
            for ((asked, before), after) in asked().iter().zip(before).zip(verdicts(&roster)) {
                let (of, seq, _, action) = asked;
                if before == after || *action == Action::Read {
                    continue;
                }
                let shift = change.shifts.get(of);
                prop_assert!(shift.is_some_and(|s| s.from <= *seq && *seq < s.to));
                prop_assert!(after || change.needs_rebuild());
            }
        }
    }
}

/// The property tests above prove nothing about what their histories never do.
#[test]
fn random_histories_try_every_rule() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for _ in 0..400 {
        let roster = one_by_one(&entries().new_tree(&mut runner).unwrap().current());
        for member in roster.members().values() {
            let mut note = |what| *seen.entry(what).or_default() += 1;
            note(match &member.ended {
                None => "current",
                Some(ended) => match ended.how {
                    EndedBy::Senior => "ended by seniors",
                    EndedBy::Equals => "ended by equals",
                    EndedBy::Itself => "left",
                },
            });
            if member.rank > 1 {
                note("deep");
            }
            if member.joined_by.is_some() {
                note("joined");
            }
            if member.given_by == GivenBy::Root {
                note("given by the root");
            }
            let parts = roster.parts_of(&member.id);
            if parts.iter().any(|part| part.ended.is_some()) {
                note("a part ended");
            }
            if parts.iter().any(|part| part.stay > 0) {
                note("a part came back");
            }
            if member.subject == MemberSubject::Group(GROUP) && parts.len() > 2 {
                note("a group that grew");
            }
        }
    }
    assert!(
        seen.len() == 10 && seen.values().all(|count| *count >= 5),
        "{seen:#?}"
    );
}
