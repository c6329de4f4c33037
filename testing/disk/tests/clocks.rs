//! A replica whose clock is behind and whose disk fails while documents are built again: what it writes
//! is later than all that it wrote before.

use stead_access::{Path, RemovalTarget, Role};
use stead_base::{DocId, Entropy, SpaceId};
use stead_crypt::DeviceKeys;
use stead_disk::{Fault, SimDisk};
use stead_replica::{Change, Edit, Receipt, Replica};
use stead_store::Store;

const NOW_MS: u64 = 1_700_000_000_000;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// The same bytes in every run.
struct Counting(u64);

impl Entropy for Counting {
    fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

fn person(store: Store, seed: u8) -> Replica {
    let keys = DeviceKeys::from_seed(&[seed; 32]);
    let entropy = Box::new(Counting(seed.into()));
    let mut replica = Replica::open(store, keys, "tower", entropy, NOW_MS).expect("a replica");
    replica.create_home(NOW_MS).expect("a home");
    replica
}

fn put(replica: &mut Replica, space: &SpaceId, id: &str, now_ms: u64) -> Option<Receipt> {
    let edit = Edit {
        collection: "notes".to_owned(),
        id: DocId::parse(id).ok(),
        change: Change::Put {
            value: serde_json::json!({"n": 1}),
            replace: false,
        },
    };
    replica.transact(space, &[edit], now_ms).ok()
}

fn has(replica: &Replica, space: &SpaceId, id: &str) -> bool {
    let id = DocId::parse(id).expect("a name");
    let found = replica.get(space, "notes", &id).expect("a read");
    found.is_some_and(|found| !found.deleted)
}

fn let_in(from: &mut Replica, to: &mut Replica, space: &SpaceId, role: Role) {
    let whole = Path::whole_space();
    let expires = NOW_MS + DAY_MS;
    let invite = from.invite(space, role, whole, Some(1), expires, NOW_MS);
    let join = invite.expect("an invite").join(to.card().expect("a card"));
    let ticket = from.admit(space, join, NOW_MS).expect("a ticket");
    to.join_space(&ticket, false, NOW_MS).expect("a space");
}

/// Hands on what the other lacks of a space; merged later, where that is wanted.
fn hand_on(from: &Replica, to: &mut Replica, space: &SpaceId, now_ms: u64) {
    for log in from.frontier(space).expect("logs") {
        let held = to.frontier(space).expect("logs");
        let held = held.iter().find(|it| it.writer == log.writer);
        let range = (held.map_or(0, |it| it.len), log.len);
        let batch = from.read_batch(space, &log.writer, range.0, range.1, usize::MAX);
        if let Some(batch) = batch.expect("a batch") {
            let prepared = to.preparer().prepare(*space, batch);
            for stored in to.store_batches(vec![prepared], now_ms) {
                stored.expect("a batch that fits");
            }
        }
    }
}

fn meet(a: &mut Replica, b: &mut Replica, space: &SpaceId) {
    for _ in 0..3 {
        hand_on(a, b, space, NOW_MS);
        b.reconcile(NOW_MS).expect("a look");
        hand_on(b, a, space, NOW_MS);
        a.reconcile(NOW_MS).expect("a look");
    }
}

#[test]
fn a_device_whose_disk_fails_during_a_rebuild_with_its_clock_behind_signs_no_time_twice() {
    let disk = SimDisk::new(1);
    let options = disk.options();
    let store = Store::open("stead.db", options).expect("a store");
    let mut two = person(store, 2);
    let mut one = person(Store::in_memory().expect("a store"), 1);
    let mut three = person(Store::in_memory().expect("a store"), 3);
    let space = one.create_space("s", NOW_MS).expect("a space");
    let_in(&mut one, &mut two, &space, Role::Writer);
    let_in(&mut one, &mut three, &space, Role::Writer);
    meet(&mut one, &mut two, &space);
    meet(&mut one, &mut three, &space);
    meet(&mut two, &mut three, &space);
    // The clock was ahead once.
    let ahead = put(&mut two, &space, "ahead", NOW_MS + 30 * DAY_MS).expect("an edit");
    put(&mut three, &space, "void", NOW_MS + 1).expect("an edit");
    hand_on(&three, &mut two, &space, NOW_MS + 30 * DAY_MS);
    two.merge_pending(NOW_MS + 30 * DAY_MS).expect("a merge");
    assert!(has(&two, &space, "void"));
    // A removal that names less than what is here: documents are built again.
    let target = RemovalTarget::Identity(three.identity().expect("an identity"));
    one.revoke(&space, target, None, NOW_MS + 2)
        .expect("a removal");
    hand_on(&one, &mut two, &space, NOW_MS + 3);
    assert!(two.has_pending());
    disk.fail_write(0, Fault::Io);
    assert!(put(&mut two, &space, "failed", NOW_MS + 4).is_none());
    disk.clear_faults();
    let behind = put(&mut two, &space, "behind", NOW_MS + 5).expect("an edit");
    assert!(behind.hlc > ahead.hlc, "{behind:?} after {ahead:?}");
    two.tick(NOW_MS + 6).expect("a tick");
    two.merge_pending(NOW_MS + 6).expect("a merge");
    hand_on(&two, &mut one, &space, NOW_MS + 31 * DAY_MS);
    one.merge_pending(NOW_MS + 31 * DAY_MS).expect("a merge");
    for (who, replica) in [("one", &one), ("two", &two)] {
        let found = ["ahead", "behind", "void"].map(|id| has(replica, &space, id));
        assert_eq!(found, [true, true, false], "{who}");
    }
}
