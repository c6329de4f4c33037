//! What people are told: reasons and plans.

use stead_access::*;
use stead_base::ScopeId;

use crate::world::{self, *};
use Role::{Owner, Writer};

#[test]
fn a_decision_names_the_grants_it_rests_on_and_the_removal_that_ended_it() {
    let mut w = World::founded();
    let a = w.grant(0, 1, Owner, "/notes");
    let b = w.grant(1, 2, Writer, "/notes/7");
    let decision = w
        .roster
        .explain(Whom::Device(device(2)), Action::Write, &path("/notes/7/x"));
    assert!(decision.allowed);
    assert_eq!(decision.because[0].membership, b);
    assert_eq!(decision.because[0].chain, [a, founding()]);
    let removal = w.say(0, remove(&[b], &[(2, 1)]));
    let decision = w.roster.explain(
        Whom::Writer(world::writer(2)),
        Action::Write,
        &path("/notes/7"),
    );
    assert!(!decision.allowed);
    let Why::Ended(ended) = &decision.because[0].why else {
        panic!("{:?}", decision.because)
    };
    assert_eq!(ended.by, [removal]);
}

#[test]
fn a_plan_says_what_a_removal_takes() {
    let mut w = World::founded();
    let bob = card(1, &[(1, None), (2, Some(0))]);
    let membership = w.say(0, to(Subject::Party(Party::Identity(bob)), Owner, "/"));
    w.claim(1);
    w.claim(2);
    let gave = w.say(2, grant(3, Writer, "/"));
    let plan = w.roster.plan_removal(RemovalTarget::Identity(identity(1)));
    assert_eq!(plan.memberships, [membership]);
    assert_eq!(plan.writers.len(), 2);
    assert_eq!(plan.gave, [gave]);
    assert!(plan.scopes.contains(&ScopeId::ROOT) && plan.scopes.contains(&ScopeId::ROSTER));
    let plan = w.roster.plan_removal(RemovalTarget::Device(device(2)));
    let identities: Vec<_> = plan.identities.into_iter().collect();
    assert_eq!(identities, [(identity(1), 0)]);
    assert_eq!(plan.writers.len(), 1);
}
