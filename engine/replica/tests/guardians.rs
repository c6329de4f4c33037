//! Guardians over real replicas: how shares travel, what brings the words back, and what does not.

mod people;
mod world;

use people::three_people;
use stead_access::{IdentityId, Role};
use stead_crypt::{RecoveryPhrase, shares};
use stead_replica::{Collected, HeldShare, Letter, ReleasedShare, ReplicaError, put_together};
use world::{Device, link, sync};

fn who(device: &Device) -> IdentityId {
    device.replica.identity().unwrap()
}

fn phrase(device: &Device) -> RecoveryPhrase {
    let phrase = device.replica.recovery_phrase().unwrap();
    phrase.expect("not written down yet")
}

fn set(owner: &mut Device, needed: usize, guardians: &[IdentityId]) -> Result<(), ReplicaError> {
    owner.now += 10;
    let (phrase, now) = (phrase(owner), owner.now);
    owner.replica.set_guardians(&phrase, needed, guardians, now)
}

fn held(guardian: &Device) -> Vec<HeldShare> {
    guardian.replica.held_shares().unwrap()
}

fn released(guardian: &Device, name: &str) -> ReleasedShare {
    let held = held(guardian).remove(0);
    let share = ReleasedShare {
        owner: held.owner,
        guardian: who(guardian),
        name: name.to_owned(),
        share: held.share,
    };
    ReleasedShare::decode(&share.encode()).unwrap()
}

#[test]
fn shares_travel_by_others_and_any_k_bring_the_words_back_while_fewer_bring_nothing() {
    let (mut ada, mut ben, mut cleo, _) = three_people(Role::Writer, Role::Reader);
    set(&mut ada, 2, &[who(&ben), who(&cleo)]).unwrap();
    // Cleo never meets Ada: Ben's device hands the letter on, and cannot open it.
    sync(&mut ada, &mut ben);
    sync(&mut ben, &mut cleo);
    assert_eq!((held(&ben).len(), held(&cleo).len()), (1, 1));
    sync(&mut ben, &mut ada);
    let guardians = ada.replica.guardians().unwrap();
    assert_eq!(guardians.threshold, 2);
    assert!(guardians.guardians.iter().all(|it| it.held_ms.is_some()));

    let (bens, cleos) = (released(&ben, "ben"), released(&cleo, "cleo"));
    let (one, strays, nothing) = put_together(std::slice::from_ref(&bens));
    assert_eq!(one, Collected::Need { have: 1, need: 2 });
    assert!(strays.is_empty() && nothing.is_none());
    // The same share twice is one share.
    let (twice, _, nothing) = put_together(&[bens.clone(), bens.clone()]);
    assert_eq!(twice, Collected::Need { have: 1, need: 2 });
    assert!(nothing.is_none());
    let (all, strays, back) = put_together(&[cleos, bens]);
    assert_eq!((all, strays.len()), (Collected::Back, 0));
    assert_eq!(*back.unwrap().text(), *phrase(&ada).text());
}

#[test]
fn every_device_of_a_guardian_has_the_share_and_the_owner_hears_of_its_release() {
    let (mut ada, mut ben, cleo, _) = three_people(Role::Writer, Role::Writer);
    let mut phone = Device::new(9);
    link(&mut ben, &mut phone);
    sync(&mut ben, &mut phone);
    set(&mut ada, 2, &[who(&ben), who(&cleo)]).unwrap();
    sync(&mut ada, &mut ben);
    sync(&mut ben, &mut phone);
    assert_eq!(held(&phone)[0].share.index(), held(&ben)[0].share.index());
    let (share, device, now) = (
        held(&phone).remove(0),
        cleo.replica.device(),
        phone.now + 50,
    );
    phone.replica.share_released(&share, &device, now).unwrap();
    sync(&mut phone, &mut ben);
    sync(&mut ben, &mut ada);
    let guardians = ada.replica.guardians().unwrap().guardians;
    let ben = guardians
        .iter()
        .find(|it| it.identity == who(&ben))
        .unwrap();
    assert_eq!(ben.released, Some((now, device.to_string())));
}

#[test]
fn an_older_share_is_named_and_left_out_and_guardians_left_out_erase_theirs() {
    let (mut ada, mut ben, mut cleo, _) = three_people(Role::Writer, Role::Writer);
    set(&mut ada, 2, &[who(&ben), who(&cleo)]).unwrap();
    sync(&mut ada, &mut ben);
    sync(&mut ada, &mut cleo);
    let old = released(&cleo, "cleo");
    set(&mut ada, 2, &[who(&cleo), who(&ben)]).unwrap();
    sync(&mut ada, &mut ben);
    sync(&mut ada, &mut cleo);
    let (bens, cleos) = (released(&ben, "ben"), released(&cleo, "cleo"));
    assert_ne!(old.share.set(), cleos.share.set());
    // One old and one new share are of no use together.
    let (collected, strays, back) = put_together(&[bens.clone(), old.clone()]);
    assert_eq!(collected, Collected::Need { have: 1, need: 2 });
    assert_eq!(strays, [1]);
    assert!(back.is_none());
    let (collected, strays, _) = put_together(&[old, bens, cleos]);
    assert_eq!((collected, strays), (Collected::Back, vec![0]));

    set(&mut ada, 0, &[]).unwrap();
    sync(&mut ada, &mut ben);
    sync(&mut ada, &mut cleo);
    assert!(held(&ben).is_empty() && held(&cleo).is_empty());
    assert!(ada.replica.guardians().unwrap().guardians.is_empty());
}

#[test]
fn shares_that_bring_back_another_secret_than_they_say_are_refused() {
    let (ada, ben, cleo, _) = three_people(Role::Writer, Role::Writer);
    let mut entropy = people_entropy();
    let made_up = shares::split(&[7; 32], 2, 2, &mut entropy).unwrap();
    let forged = |guardian: &Device, i: usize| ReleasedShare {
        owner: who(&ada),
        guardian: who(guardian),
        name: "forger".to_owned(),
        share: made_up[i].clone(),
    };
    let (collected, _, back) = put_together(&[forged(&ben, 0), forged(&cleo, 1)]);
    assert_eq!(collected, Collected::Forged);
    assert!(back.is_none());
}

fn people_entropy() -> impl stead_base::Entropy {
    struct Counting(u8);
    impl stead_base::Entropy for Counting {
        fn fill(&mut self, buf: &mut [u8]) {
            for byte in buf {
                self.0 = self.0.wrapping_mul(5).wrapping_add(3);
                *byte = self.0;
            }
        }
    }
    Counting(1)
}

#[test]
fn only_ones_own_words_are_shared_out_among_different_people_who_can_be_reached() {
    let (mut ada, ben, cleo, _) = three_people(Role::Writer, Role::Writer);
    let stranger = people::person(20);
    let refused =
        |result: Result<(), ReplicaError>| assert!(matches!(result, Err(ReplicaError::Refused(_))));
    let (ben, cleo, own) = (who(&ben), who(&cleo), who(&ada));
    refused(set(&mut ada, 1, &[ben, cleo]));
    refused(set(&mut ada, 3, &[ben, cleo]));
    refused(set(&mut ada, 2, &[ben, ben]));
    refused(set(&mut ada, 2, &[ben, own]));
    refused(set(&mut ada, 2, &[ben, who(&stranger)]));
    let theirs = phrase(&stranger);
    let now = ada.now;
    refused(ada.replica.set_guardians(&theirs, 2, &[ben, cleo], now));
    assert!(ada.replica.guardians().unwrap().guardians.is_empty());
}

#[test]
fn letters_read_back_and_damage_is_refused() {
    let (ada, _, _, _) = three_people(Role::Writer, Role::Writer);
    let share = shares::split(&[7; 32], 2, 3, &mut people_entropy())
        .unwrap()
        .remove(0);
    let (owner, set) = (who(&ada), share.set());
    let letters = [
        Letter::Keep {
            owner,
            made_ms: 5,
            share,
        },
        Letter::Kept { owner, set },
        Letter::Erase { owner, made_ms: 6 },
        Letter::Released {
            owner,
            set,
            at_ms: 7,
            device: ada.replica.device(),
        },
    ];
    for letter in letters {
        let bytes = letter.encode();
        assert_eq!(*Letter::decode(&bytes).unwrap().encode(), *bytes);
        for cut in 0..bytes.len() {
            assert!(Letter::decode(&bytes[..cut]).is_err());
        }
        assert!(Letter::decode(&[&bytes[..], b"x"].concat()).is_err());
    }
}
