//! What is public: whoever has the link reads it, and does nothing else.

mod people;
mod world;

use people::{held, let_in, person, put, relay, revoke};
use serde_json::json;
use stead_access::{Action, Path, RemovalTarget, Role, Whom};
use stead_base::{DocId, Encoder, SpaceId, WriterId};
use stead_crypt::SigningKey;
use stead_log::{Batch, BatchBuilder, BatchEntries, EntryRef, Tip};
use stead_replica::{Change, Edit, ReceiveError, ReplicaError, SpaceTicket};
use world::Device;

const POSTS: &str = "posts";

fn post(id: &str, text: &str) -> Edit {
    Edit {
        collection: POSTS.to_owned(),
        id: Some(DocId::parse(id).unwrap()),
        change: Change::Put {
            value: json!({ "text": text }),
            replace: false,
        },
    }
}

fn path(text: &str) -> Path {
    Path::new(text).unwrap()
}

/// Both get what they take of the other's logs.
fn meet(a: &mut Device, b: &mut Device, space: &SpaceId) {
    loop {
        let mut moved = relay(a, b, space, &[]) | relay(b, a, space, &[]);
        moved |= a.replica.reconcile(a.now).unwrap();
        moved |= b.replica.reconcile(b.now).unwrap();
        if !moved {
            return;
        }
    }
}

/// Somebody with nothing but the public link.
fn stranger(seed: u8, of: &Device, space: &SpaceId) -> Device {
    let mut stranger = person(seed);
    let secret = of.replica.membership_secret(space).unwrap();
    let ticket = SpaceTicket::public(*space, secret);
    stranger.replica.join_shared(&ticket, stranger.now).unwrap();
    stranger
}

fn publish(by: &mut Device, space: &SpaceId, at: &str) {
    by.now += 10;
    by.replica.grant_everyone(space, path(at), by.now).unwrap();
}

fn end(by: &mut Device, space: &SpaceId) {
    by.now += 10;
    let ended = by
        .replica
        .revoke(space, RemovalTarget::Everyone, None, by.now);
    assert!(ended.unwrap().took_effect);
}

fn text(of: &Device, space: &SpaceId, id: &str) -> Option<String> {
    let found = of.get(space, POSTS, id)?;
    Some(found["text"].as_str().unwrap().to_owned())
}

/// A founded a space with posts and notes; the posts are public.
fn blog() -> (Device, SpaceId) {
    let mut a = person(1);
    let space = a.replica.create_space("blog", a.now).unwrap();
    a.write(&space, &[post("old", "first"), put("private", json!({}))]);
    publish(&mut a, &space, "/posts");
    (a, space)
}

#[test]
fn the_public_reads_what_is_public_now_and_later_and_nothing_else() {
    let (mut a, space) = blog();
    let mut s = stranger(5, &a, &space);
    meet(&mut a, &mut s, &space);
    assert_eq!(text(&s, &space, "old").unwrap(), "first");
    a.write(&space, &[post("new", "second"), put("later", json!({}))]);
    meet(&mut a, &mut s, &space);
    assert_eq!(text(&s, &space, "new").unwrap(), "second");
    assert_eq!(s.dump(&space).len(), 2, "{:?}", s.dump(&space));
    // Over the whole of the space, in a replica that was there before.
    publish(&mut a, &space, "/");
    meet(&mut a, &mut s, &space);
    assert_eq!(s.dump(&space), a.dump(&space));
    let outline = s.replica.outline(&space).unwrap();
    assert_eq!((&*outline.name, outline.role), ("blog", Some(Role::Reader)));
    // The same again, once more from the beginning.
    let mut t = stranger(6, &a, &space);
    meet(&mut a, &mut t, &space);
    assert_eq!(t.dump(&space), a.dump(&space));
}

#[test]
fn the_public_can_hand_it_on() {
    let (mut a, space) = blog();
    let (mut s, mut t) = (stranger(5, &a, &space), stranger(6, &a, &space));
    meet(&mut a, &mut s, &space);
    meet(&mut s, &mut t, &space);
    assert_eq!(text(&t, &space, "old").unwrap(), "first");
    assert_eq!(t.dump(&space), s.dump(&space));
    // Whoever reads may hand out the link, too; it is said once and by one who may.
    let said = s.replica.grant_everyone(&space, path("/posts/old"), s.now);
    let members = a.replica.members(&space).unwrap();
    assert!(
        members
            .iter()
            .any(|it| Some(it.id) == said.as_ref().ok().copied())
    );
    let wider = s.replica.grant_everyone(&space, path("/"), s.now);
    assert!(wider.is_err());
}

#[test]
fn the_public_writes_nothing_and_gives_nothing() {
    let (mut a, space) = blog();
    let mut s = stranger(5, &a, &space);
    meet(&mut a, &mut s, &space);
    let refused = s.replica.transact(&space, &[post("old", "mine")], s.now);
    assert!(matches!(
        refused,
        Err(ReplicaError::OnlyMembersWrite { .. })
    ));
    let whole = Path::whole_space();
    let expires = s.now + 1000;
    assert!(
        s.replica
            .invite(&space, Role::Reader, whole, None, expires, s.now)
            .is_err()
    );
    assert!(
        s.replica
            .revoke(&space, RemovalTarget::Everyone, None, s.now)
            .is_err()
    );
    let whom = Whom::Everyone;
    let may = |action, at| a.replica.explain(&space, whom, action, &path(at)).unwrap();
    assert!(may(Action::Read, "/posts/old").allowed);
    let denied = may(Action::Write, "/posts/old");
    assert!(!denied.allowed && denied.because.len() == 1);
    assert!(!may(Action::Read, "/notes").allowed);
}

/// Entries as the log of the writer with this seed.
fn log_of(seed: u8, space: &SpaceId, entries: &[Vec<u8>]) -> (WriterId, Vec<u8>) {
    let key = SigningKey::from_seed(&[seed; 32]);
    let (mut tip, mut encoded) = (Tip::default(), Encoder::new());
    for entry in entries {
        tip.append(EntryRef::parse(entry).unwrap().leaf_hash());
        encoded.bytes(entry);
    }
    let head = tip.sign(space, &key);
    let writer = WriterId::from_bytes(key.public());
    let (len, signature) = (head.len, &head.signature);
    let batch = BatchBuilder::encode(
        &writer,
        0,
        entries.len(),
        len,
        signature,
        &[],
        encoded.as_slice(),
    );
    (writer, batch)
}

#[test]
fn of_logs_of_the_public_nothing_is_kept() {
    let (mut a, space) = blog();
    let mut s = stranger(5, &a, &space);
    meet(&mut a, &mut s, &space);
    let own = &a.replica.frontier(&space).unwrap()[0];
    let batch = a
        .replica
        .read_batch(&space, &own.writer, 0, own.len, usize::MAX);
    let batch = batch.unwrap().unwrap();
    let mut entries = BatchEntries::new(Batch::decode(&batch).unwrap().entries);
    let entry = entries.next_bytes().unwrap().unwrap().to_vec();
    for holder in [&mut a, &mut s] {
        for seed in 90..95 {
            let (writer, batch) = log_of(seed, &space, std::slice::from_ref(&entry));
            let received = holder.replica.receive(&space, &batch, holder.now);
            assert!(matches!(received, Err(ReceiveError::NotAdmitted { .. })));
            assert_eq!(held(holder, &space, &writer), 0);
        }
    }
    // Members get in as ever, also where what they say comes before what lets them in.
    let mut b = person(2);
    let_in(&mut a, &mut b, &space, Role::Writer);
    meet(&mut a, &mut b, &space);
    b.write(&space, &[post("from b", "hello")]);
    meet(&mut b, &mut s, &space);
    assert_eq!(text(&s, &space, "from b").unwrap(), "hello");
    meet(&mut s, &mut a, &space);
    assert_eq!(text(&a, &space, "from b").unwrap(), "hello");
}

#[test]
fn the_public_reads_on_when_a_member_is_put_out() {
    let (mut a, space) = blog();
    let mut b = person(2);
    let_in(&mut a, &mut b, &space, Role::Writer);
    let mut s = stranger(5, &a, &space);
    meet(&mut a, &mut b, &space);
    meet(&mut a, &mut s, &space);
    revoke(&mut a, &b, &space);
    a.write(&space, &[post("after", "third")]);
    meet(&mut a, &mut s, &space);
    assert_eq!(text(&s, &space, "after").unwrap(), "third");
    let mut late = stranger(6, &a, &space);
    meet(&mut s, &mut late, &space);
    assert_eq!(text(&late, &space, "after").unwrap(), "third");
}

#[test]
fn the_public_reads_nothing_after_the_end_and_keeps_what_it_had() {
    let (mut a, space) = blog();
    let mut s = stranger(5, &a, &space);
    meet(&mut a, &mut s, &space);
    end(&mut a, &space);
    a.write(&space, &[post("old", "changed"), post("after", "secret")]);
    let mut late = stranger(6, &a, &space);
    meet(&mut a, &mut s, &space);
    meet(&mut a, &mut late, &space);
    assert_eq!(text(&s, &space, "after"), None);
    assert_eq!(text(&s, &space, "old").unwrap(), "first");
    assert_eq!(text(&late, &space, "after"), None);
    let refused = s.replica.transact(&space, &[post("old", "mine")], s.now);
    assert!(matches!(
        refused,
        Err(ReplicaError::OnlyMembersWrite { .. })
    ));
    // Public again: what was said in between comes, too.
    publish(&mut a, &space, "/posts");
    for reader in [&mut s, &mut late] {
        meet(&mut a, reader, &space);
        assert_eq!(text(reader, &space, "after").unwrap(), "secret");
        assert_eq!(text(reader, &space, "old").unwrap(), "changed");
    }
}

#[test]
fn who_reads_another_part_reads_what_is_public_as_well() {
    let (mut a, space) = blog();
    let mut b = person(2);
    let expires = a.now + 60_000;
    let invite = a
        .replica
        .invite(
            &space,
            Role::Writer,
            path("/notes"),
            Some(1),
            expires,
            a.now,
        )
        .unwrap();
    let join = invite.join(b.replica.card().unwrap());
    let ticket = a.replica.admit(&space, join, a.now).unwrap();
    b.replica.join_shared(&ticket, b.now).unwrap();
    a.write(&space, &[post("new", "second"), put("more", json!({}))]);
    meet(&mut a, &mut b, &space);
    assert_eq!(b.dump(&space), a.dump(&space));
    b.now = a.now;
    b.write(&space, &[put("from b", json!({}))]);
    meet(&mut a, &mut b, &space);
    assert_eq!(b.dump(&space), a.dump(&space));
}

#[test]
fn a_group_and_a_home_are_never_public() {
    let mut a = person(1);
    let group = a.replica.create_group("team", a.now).unwrap();
    let home = a.replica.home().unwrap();
    for space in [group, home] {
        let refused = a.replica.grant_everyone(&space, path("/"), a.now);
        assert!(matches!(refused, Err(ReplicaError::Refused(_))));
    }
}
