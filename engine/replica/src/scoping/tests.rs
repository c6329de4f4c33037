//! Members gone bad around parts of a space: forged starts, broken parcels, parcels left out.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;
use stead_access::{
    Grant, Lengths, MemberSubject, Party, Path, RemovalTarget, Role, RosterOp, ScopeStart, Subject,
    encode_ops, scope_at, sign_claim,
};
use stead_base::{DocId, Encoder, Entropy, Hash, Hlc, ScopeId, SpaceId, Stamp, WriterId};
use stead_checkpoint::{Assembler, BlockKind, DocumentsWriter, pieces};
use stead_crypt::{DeviceKeys, EpochKey, SigningKey};
use stead_doc::{Document, Numbers, Put, Transaction};
use stead_log::{BatchBuilder, EntryRef, Envelope, Tip};
use stead_store::{Read, Store};

use crate::opening::open_segment;
use crate::sealing::Sealing;
use crate::starts::{hash_of, is_piece};
use crate::{Change, Edit, ReceiveError, Replica};

const NOW: u64 = 1_700_000_000_000;

struct Seeded(ChaCha12Rng);

impl Entropy for Seeded {
    fn fill(&mut self, buf: &mut [u8]) {
        self.0.fill_bytes(buf);
    }
}

fn person(seed: u8) -> Replica {
    let entropy = Box::new(Seeded(ChaCha12Rng::seed_from_u64(u64::from(seed))));
    let keys = DeviceKeys::from_seed(&[seed; 32]);
    let store = Store::in_memory().unwrap();
    let mut replica = Replica::open(store, keys, "device", entropy, NOW).unwrap();
    replica.create_home(NOW).unwrap();
    replica
}

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

fn put(replica: &mut Replica, space: &SpaceId, at: (&str, &str), value: serde_json::Value) {
    let edit = Edit {
        collection: at.0.to_owned(),
        id: Some(DocId::parse(at.1).unwrap()),
        change: Change::Put {
            value,
            replace: false,
        },
    };
    replica.transact(space, &[edit], NOW + 10).unwrap();
}

fn share(from: &mut Replica, to: &mut Replica, space: &SpaceId, role: Role, on: &str) {
    let invite = from
        .invite(space, role, path(on), Some(1), NOW + 60_000, NOW + 20)
        .unwrap();
    let join = invite.join(to.card().unwrap());
    let ticket = from.admit(space, join, NOW + 20).unwrap();
    to.join_space(&ticket, false, NOW + 20).unwrap();
    hand_on(from, to, space);
}

/// Gives `to` all that `from` holds of a space.
fn hand_on(from: &Replica, to: &mut Replica, space: &SpaceId) {
    for item in from.frontier(space).unwrap() {
        let held = to.frontier(space).unwrap();
        let held = held.iter().find(|it| it.writer == item.writer);
        let mut at = held.map_or(0, |it| it.len);
        while let Some(batch) = from
            .read_batch(space, &item.writer, at, item.len, usize::MAX)
            .unwrap()
        {
            at = to.receive(space, &batch, NOW + 30).unwrap().len;
        }
    }
}

fn sync(a: &mut Replica, b: &mut Replica, space: &SpaceId) {
    for _ in 0..3 {
        hand_on(a, b, space);
        hand_on(b, a, space);
        a.reconcile(NOW + 30).unwrap();
        b.reconcile(NOW + 30).unwrap();
    }
}

fn title(replica: &Replica, space: &SpaceId, at: (&str, &str)) -> Option<String> {
    let found = replica
        .get(space, at.0, &DocId::parse(at.1).unwrap())
        .unwrap()?;
    let doc: serde_json::Value = serde_json::from_str(&found.json).unwrap();
    doc["title"].as_str().map(str::to_owned)
}

/// A piece that holds one document, written at that time by that writer.
fn piece(collection: &str, id: &str, value: serde_json::Value, ms: u64) -> Vec<u8> {
    let (mut document, mut numbers) = (Document::default(), Numbers::default());
    let id = DocId::parse(id).unwrap();
    let stamp = Stamp {
        hlc: Hlc::new(ms, 0),
        writer: WriterId::from_bytes([9; 32]),
    };
    let mut transaction = Transaction::new(stamp);
    transaction
        .edit(collection, &id, &mut document, &mut numbers)
        .unwrap()
        .put(&value, Put::Merge)
        .unwrap();
    let mut writer = DocumentsWriter::default();
    writer
        .push(collection, &id, document, &[], &numbers)
        .unwrap();
    let body = writer.finish().unwrap();
    pieces(BlockKind::Documents, &body).unwrap().remove(0)
}

/// Has a manager write a start of its own making.
fn forge(replica: &mut Replica, space: &SpaceId, scope: ScopeId, cut: &[Vec<u8>], hash: Hash) {
    replica
        .write(NOW + 40, |writing| {
            let writer = writing.own_writer(space)?;
            let first = writing.writer_len(space, &writer)?;
            for piece in cut {
                let hlc = writing.clock.tick(writing.now_ms);
                writing.append_own(space, hlc, &[], &[(scope, piece.clone())], &[])?;
            }
            let turn = writing.space(space)?.roster.next_turn(scope);
            let start = ScopeStart {
                scope,
                turn,
                covers: Lengths::none(),
                first,
                hash,
            };
            writing.say(space, RosterOp::Start(start)).map(drop)
        })
        .unwrap();
}

/// An owner with notes and a diary, and a second person who reads the notes.
fn notes_shared() -> (Replica, Replica, SpaceId) {
    let (mut a, mut b) = (person(1), person(2));
    let space = a.create_space("plans", NOW).unwrap();
    put(&mut a, &space, ("notes", "x"), json!({"title": "true"}));
    put(&mut a, &space, ("diary", "monday"), json!({"title": "own"}));
    share(&mut a, &mut b, &space, Role::Reader, "/notes");
    assert_eq!(title(&b, &space, ("notes", "x")).unwrap(), "true");
    (a, b, space)
}

#[test]
fn a_start_with_documents_from_elsewhere_or_from_the_future_is_refused() {
    let (mut a, mut b, space) = notes_shared();
    let notes = scope_at(&space, &path("/notes"));
    for bad in [
        piece("diary", "monday", json!({"title": "planted"}), NOW),
        piece("notes", "x", json!({"title": "planted"}), NOW + 3_600_000),
        vec![2, 0, 9],
    ] {
        let cut = vec![bad];
        let hash = hash_of(&space, notes, &cut);
        forge(&mut a, &space, notes, &cut, hash);
        hand_on(&a, &mut b, &space);
        assert_eq!(title(&b, &space, ("diary", "monday")), None);
        assert_ne!(
            title(&b, &space, ("notes", "x")).as_deref(),
            Some("planted")
        );
    }
    // One that keeps the rules is taken: whoever manages the scope is believed.
    let cut = vec![piece("notes", "x", json!({"title": "again"}), NOW)];
    let hash = hash_of(&space, notes, &cut);
    forge(&mut a, &space, notes, &cut, hash);
    hand_on(&a, &mut b, &space);
    assert_eq!(title(&b, &space, ("notes", "x")).unwrap(), "again");
}

#[test]
fn a_start_is_good_for_its_scope_and_space_only() {
    let (mut a, mut b, space) = notes_shared();
    let mut c = person(3);
    share(&mut a, &mut c, &space, Role::Manager, "/diary");
    let (notes, diary) = (
        scope_at(&space, &path("/notes")),
        scope_at(&space, &path("/diary")),
    );
    let cut = vec![piece("diary", "monday", json!({"title": "planted"}), NOW)];
    // What another scope, or the same in another space, named by its hash.
    let other = SpaceId::from_bytes([7; 32]);
    for hash in [hash_of(&space, notes, &cut), hash_of(&other, diary, &cut)] {
        forge(&mut a, &space, diary, &cut, hash);
        hand_on(&a, &mut c, &space);
        assert_ne!(
            title(&c, &space, ("diary", "monday")).as_deref(),
            Some("planted")
        );
    }
    // C manages the diary, not the notes: what it says of those counts for nothing.
    let said = c.write(NOW + 40, |writing| {
        let start = ScopeStart {
            scope: notes,
            turn: 1,
            covers: Lengths::none(),
            first: 0,
            hash: Hash::from_bytes([1; 32]),
        };
        let hlc = writing.clock.tick(writing.now_ms);
        writing.own_writer(&space)?;
        writing.append_own(&space, hlc, &[RosterOp::Start(start)], &[], &[])
    });
    said.unwrap();
    let before = a.spaces[&space].roster.start_of(notes).cloned();
    sync(&mut a, &mut c, &space);
    sync(&mut a, &mut b, &space);
    assert_eq!(a.spaces[&space].roster.start_of(notes), before.as_ref());
    assert_eq!(title(&b, &space, ("notes", "x")).unwrap(), "true");
}

/// A log of a member's device, by a writer key it made by hand.
struct Forged {
    key: SigningKey,
    tip: Tip,
    entries: Encoder,
    count: usize,
}

impl Forged {
    fn new(replica: &Replica, space: &SpaceId, seed: u8) -> Self {
        let mut log = Self {
            key: SigningKey::from_seed(&[seed; 32]),
            tip: Tip::default(),
            entries: Encoder::new(),
            count: 0,
        };
        let claim = RosterOp::Claim {
            device: replica.device(),
            signature: sign_claim(replica.keys().signing(), space, &log.writer()),
        };
        log.say(replica, space, &[claim], None);
        log
    }

    fn writer(&self) -> WriterId {
        WriterId::from_bytes(self.key.public())
    }

    /// Appends an entry; its document parcel is sealed under a key of nobody's.
    fn say(
        &mut self,
        replica: &Replica,
        space: &SpaceId,
        ops: &[RosterOp],
        broken: Option<ScopeId>,
    ) {
        let state = &replica.spaces[space];
        let nobodys = EpochKey::from_bytes(&[66; 32]);
        let sealing = Sealing {
            roster_key: state.newest_key(ScopeId::ROSTER).unwrap(),
            doc_keys: broken
                .map(|scope| (scope, (0, &nobodys)))
                .into_iter()
                .collect(),
            space: *space,
            writer: self.writer(),
            seq: self.count as u64,
            salt: [5; 4],
        };
        let envelope = Envelope {
            hlc: Hlc::new(NOW + 50 + self.count as u64, 0),
            seen: Vec::new(),
            rosters: None,
            by_itself: false,
        };
        let documents: Vec<(ScopeId, Vec<u8>)> = broken
            .map(|scope| (scope, b"anything".to_vec()))
            .into_iter()
            .collect();
        let entry = sealing
            .entry(&envelope, &encode_ops(ops), &documents, &[])
            .unwrap();
        self.push(&entry);
    }

    fn push(&mut self, entry: &[u8]) {
        self.tip.append(EntryRef::parse(entry).unwrap().leaf_hash());
        self.entries.bytes(entry);
        self.count += 1;
    }

    fn batch(&mut self, space: &SpaceId) -> Vec<u8> {
        let head = self.tip.sign(space, &self.key);
        BatchBuilder::encode(
            &self.writer(),
            0,
            self.count,
            head.len,
            &head.signature,
            &[],
            self.entries.as_slice(),
        )
    }
}

#[test]
fn a_broken_parcel_of_a_part_spoils_neither_rights_nor_the_rest() {
    let (mut a, mut b, space) = notes_shared();
    let mut m = person(4);
    share(&mut a, &mut m, &space, Role::Manager, "/");
    let everyone = RosterOp::Grant(Grant {
        subject: Subject::Everyone,
        role: Role::Reader,
        path: path("/notes"),
        since: Lengths::none(),
    });
    // A right given in an entry of which those who read all find a parcel broken, and others cannot.
    let mut log = Forged::new(&m, &space, 90);
    log.say(&m, &space, &[everyone], Some(ScopeId::ROOT));
    let batch = log.batch(&space);
    for replica in [&mut a, &mut b] {
        replica.receive(&space, &batch, NOW + 60).unwrap();
    }
    sync(&mut a, &mut b, &space);
    let public = |replica: &Replica| {
        let members = replica.members(&space).unwrap();
        members
            .iter()
            .filter(|it| it.subject == MemberSubject::Everyone)
            .count()
    };
    assert_eq!((public(&a), public(&b)), (1, 1));
    assert_eq!(
        a.members(&space).unwrap().len(),
        b.members(&space).unwrap().len()
    );
    // What the same log says afterwards counts on both.
    put(&mut a, &space, ("notes", "x"), json!({"title": "later"}));
    sync(&mut a, &mut b, &space);
    assert_eq!(title(&b, &space, ("notes", "x")).unwrap(), "later");
}

#[test]
fn an_entry_without_a_parcel_that_nobody_redacted_waits_and_is_fetched_again() {
    let (mut a, _, space) = notes_shared();
    let mut c = person(5);
    let card = Party::Identity(c.card().unwrap());
    a.grant(&space, card, Role::Writer, path("/"), NOW + 40)
        .unwrap();
    let ticket = a.ticket(&space).unwrap();
    c.join_space(&ticket, false, NOW + 40).unwrap();
    let item = a.frontier(&space).unwrap().remove(0);
    let whole = a
        .read_batch(&space, &item.writer, 0, item.len, usize::MAX)
        .unwrap()
        .unwrap();
    // The same entries with the same hashes under the same signature, but for one parcel.
    let batch = stead_log::Batch::decode(&whole).unwrap();
    let verified = Tip::default().verify(&space, &batch).unwrap();
    let head = verified.tip.head().unwrap();
    let without = |left_out: ScopeId| {
        let mut entries = Encoder::new();
        for entry in &verified.entries {
            let entry = EntryRef::parse(entry).unwrap();
            entries.bytes(&entry.withhold(|scope| scope != left_out));
        }
        BatchBuilder::encode(
            &item.writer,
            0,
            verified.entries.len(),
            head.len,
            &head.signature,
            verified.tip.extension(),
            entries.as_slice(),
        )
    };
    let refused = c.receive(&space, &without(ScopeId::ROSTER), NOW + 50);
    assert!(
        matches!(refused, Err(ReceiveError::Misbehaved { .. })),
        "{refused:?}"
    );
    c.receive(&space, &without(ScopeId::ROOT), NOW + 50)
        .unwrap();
    assert_eq!(title(&c, &space, ("diary", "monday")), None);
    c.tick(NOW + 60).unwrap();
    c.tick(NOW + 60 + crate::redaction::WITHHELD_WAIT_MS)
        .unwrap();
    c.receive(&space, &whole, NOW + 50).unwrap();
    assert_eq!(title(&c, &space, ("diary", "monday")).unwrap(), "own");
}

#[test]
fn a_writer_who_speaks_of_another_part_in_its_own_is_not_heard() {
    let (mut a, mut b, space) = notes_shared();
    let mut m = person(6);
    share(&mut a, &mut m, &space, Role::Writer, "/");
    let notes = scope_at(&space, &path("/notes"));
    let planted = m.write(NOW + 40, |writing| {
        let writer = writing.own_writer(&space)?;
        let hlc = writing.clock.tick(writing.now_ms);
        let (mut document, mut numbers) = (Document::default(), Numbers::default());
        let mut transaction = Transaction::new(Stamp { hlc, writer });
        let id = DocId::parse("monday").unwrap();
        transaction
            .edit("diary", &id, &mut document, &mut numbers)
            .unwrap()
            .put(&json!({"title": "planted"}), Put::Merge)
            .unwrap();
        let mut parcel = Vec::new();
        transaction.encode(&mut parcel).unwrap();
        writing.append_own(&space, hlc, &[], &[(notes, parcel)], &[])
    });
    planted.unwrap();
    sync(&mut a, &mut m, &space);
    sync(&mut a, &mut b, &space);
    assert_eq!(title(&b, &space, ("diary", "monday")), None);
    assert_eq!(title(&a, &space, ("diary", "monday")).unwrap(), "own");
}

#[test]
fn keys_that_nobody_declared_keep_no_declared_key_out() {
    let (mut a, mut b, mut c) = (person(1), person(2), person(3));
    let space = a.create_space("work", NOW).unwrap();
    share(&mut a, &mut b, &space, Role::Reader, "/");
    share(&mut a, &mut c, &space, Role::Writer, "/");
    sync(&mut a, &mut b, &space);
    for n in 0..200 {
        let junk = EpochKey::from_bytes(&[n; 32]);
        let state = b.spaces.get_mut(&space).unwrap();
        let scope = ScopeId::ROOT;
        let kept = state.add_key(scope, 9, &junk, &b.keys, &mut *b.entropy);
        assert!(!kept.unwrap());
    }
    assert!(b.spaces[&space].has_enough_undeclared_keys());
    let target = RemovalTarget::Identity(c.identity().unwrap());
    a.revoke(&space, target, None, NOW + 40).unwrap();
    put(&mut a, &space, ("notes", "n"), json!({"title": "after"}));
    sync(&mut a, &mut b, &space);
    assert_eq!(title(&b, &space, ("notes", "n")).as_deref(), Some("after"));
}

#[test]
fn a_purge_said_in_the_scope_of_a_field_purges_nothing() {
    let (mut a, mut b, mut m) = (person(1), person(2), person(6));
    let space = a.create_space("plans", NOW).unwrap();
    let value = json!({"title": "true", "body": {"title": "in"}});
    put(&mut a, &space, ("notes", "x"), value);
    share(&mut a, &mut b, &space, Role::Reader, "/notes/x/body");
    share(&mut a, &mut m, &space, Role::Writer, "/");
    let body = scope_at(&space, &path("/notes/x/body"));
    let before = |replica: &Replica| {
        let id = DocId::parse("x").unwrap();
        let found = replica.get(&space, "notes", &id).unwrap();
        found.map(|found| found.json)
    };
    let seen = [before(&a), before(&b)];
    let planted = m.write(NOW + 40, |writing| {
        let writer = writing.own_writer(&space)?;
        let hlc = writing.clock.tick(writing.now_ms);
        let (mut document, mut numbers) = (Document::default(), Numbers::default());
        let mut transaction = Transaction::new(Stamp { hlc, writer });
        let id = DocId::parse("x").unwrap();
        let mut edit = transaction
            .edit("notes", &id, &mut document, &mut numbers)
            .unwrap();
        edit.put(&json!({}), Put::Merge).unwrap();
        edit.purge().unwrap();
        let mut parcel = Vec::new();
        transaction.encode(&mut parcel).unwrap();
        writing.append_own(&space, hlc, &[], &[(body, parcel)], &[])
    });
    planted.unwrap();
    sync(&mut a, &mut m, &space);
    sync(&mut a, &mut b, &space);
    assert!(seen.iter().all(Option::is_some));
    assert_eq!([before(&a), before(&b)], seen);
}

/// Whether a text can be opened from what a device holds of the logs of a space.
fn opens(replica: &Replica, id: &SpaceId, text: &str) -> bool {
    let space = replica.space(id).unwrap();
    space.writers.iter().any(|(writer, state)| {
        let (mut at, mut found) = (state.record.base, false);
        while at < state.accepted() {
            for segment in replica.store.segments(state.no, at, 0).unwrap() {
                let opened = open_segment(&space.ring, id, writer, &segment, at).unwrap();
                at = segment.end();
                for entry in &opened.entries {
                    for (_, part) in opened.open_docs(entry) {
                        let mut assembler = Assembler::default();
                        let block = match is_piece(part) {
                            true => assembler.push(part).unwrap(),
                            false => None,
                        };
                        let block = block.map_or_else(|| part.to_vec(), |(_, block)| block);
                        found |= block.windows(text.len()).any(|it| it == text.as_bytes());
                    }
                }
            }
        }
        found
    })
}

#[test]
fn what_was_redacted_while_a_start_was_written_goes_from_the_start() {
    const SECRET: &str = "PLAINTEXT-SECRET";
    let (mut a, mut m, mut w) = (person(1), person(2), person(3));
    let space = a.create_space("s", NOW).unwrap();
    share(&mut a, &mut m, &space, Role::Manager, "/");
    put(
        &mut a,
        &space,
        ("notes", "x"),
        json!({"secret": SECRET, "kept": 1}),
    );
    hand_on(&a, &mut m, &space);
    // One shares the notes, the other redacts what is in them, and neither knows of the other.
    share(&mut a, &mut w, &space, Role::Reader, "/notes");
    assert!(opens(&a, &space, SECRET) && opens(&w, &space, SECRET));
    let (id, field) = (DocId::parse("x").unwrap(), ["secret".to_owned()]);
    m.redact(&space, "notes", &id, &field, NOW + 40).unwrap();
    assert!(!opens(&m, &space, SECRET));
    for round in 0..3 {
        let now = NOW + 50 + round;
        hand_on(&m, &mut a, &space);
        a.reconcile(now).unwrap();
        hand_on(&a, &mut m, &space);
        m.reconcile(now).unwrap();
        hand_on(&a, &mut w, &space);
    }
    for replica in [&a, &m, &w] {
        assert!(!opens(replica, &space, SECRET));
        let found = replica.get(&space, "notes", &id).unwrap().unwrap();
        assert_eq!(found.json, r#"{"kept":1}"#);
    }
    // It comes to rest: neither takes what the other said in answer.
    let before = a.frontier(&space).unwrap();
    a.reconcile(NOW + 60).unwrap();
    hand_on(&m, &mut a, &space);
    assert_eq!(a.frontier(&space).unwrap(), before);
}
