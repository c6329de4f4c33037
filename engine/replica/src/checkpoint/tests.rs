//! What a checkpoint's author could leave out, and how that is seen.

use stead_base::Entropy;
use stead_crypt::DeviceKeys;
use stead_log::Skeleton;
use stead_store::Store;

use super::begin::is_complete;
use crate::logs::StoredTree;
use crate::{Edit, Replica};

struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (self.0 >> 33) as u8;
        }
    }
}

#[test]
fn a_checkpoint_that_hides_something_about_rights_is_seen_through() {
    const NOW: u64 = 1_800_000_000_000;
    let keys = DeviceKeys::from_seed(&[1; 32]);
    let store = Store::in_memory().unwrap();
    let mut replica = Replica::open(store, keys, "one", Box::new(Counter(7)), NOW).unwrap();
    let home = replica.create_home(NOW).unwrap();
    for n in 0..5 {
        // Each is let in by an entry of its own.
        let other = DeviceKeys::from_seed(&[n + 2; 32]);
        let name = stead_access::Name::from_any("other");
        let record = stead_access::DeviceRecord::of(&other, name);
        replica.grant_device(&record, NOW + u64::from(n)).unwrap();
        let edit = Edit {
            collection: "d".to_owned(),
            id: None,
            change: crate::Change::Put {
                value: serde_json::json!({"n": n}),
                replace: false,
            },
        };
        replica.transact(&home, &[edit], NOW + 100).unwrap();
    }
    let space = replica.space(&home).unwrap();
    let (writer, state) = space.writers.iter().next().unwrap();
    let start = replica.log_start(space, writer, state).unwrap();
    assert!(is_complete(&space.ring, &home, &start.skeleton).unwrap());

    let skeleton = Skeleton::decode(&start.skeleton).unwrap();
    let kept: Vec<(u64, Vec<u8>)> = skeleton
        .entries()
        .unwrap()
        .iter()
        .map(|it| (it.seq, it.entry.bytes().to_vec()))
        .collect();
    assert!(kept.len() as u64 <= skeleton.len && kept.len() > 3);
    let len = skeleton.len;
    let (head, extension) = replica
        .head_over(space, writer, state, len)
        .unwrap()
        .unwrap();
    for hidden in 0..kept.len() - 1 {
        let entry = stead_log::EntryRef::parse(&kept[hidden].1).unwrap();
        if !entry.parcels().any(super::make::is_roster) {
            continue;
        }
        let mut fewer = kept.clone();
        fewer.remove(hidden);
        let mut tree = StoredTree::new(&replica.store, state).unwrap();
        let forged = Skeleton::build(writer, len, &head, &extension, &fewer, &mut tree).unwrap();
        // The log's writer signed this root, and yet it is not believed.
        assert!(Skeleton::decode(&forged).unwrap().verify(&home).is_ok());
        assert!(!is_complete(&space.ring, &home, &forged).unwrap());
    }
}
