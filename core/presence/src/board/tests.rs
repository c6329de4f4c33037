//! Boards that talk to each other over links that a test makes and cuts.

use super::*;
use crate::limits::FRESH_MS_MAX;
use proptest::prelude::*;
use stead_crypt::{EpochKey, SigningKey};

use crate::{open, seal};

const SPACE: SpaceId = SpaceId::from_bytes([9; 32]);

/// What every device of these tests knows of rights and keys.
#[derive(Clone, Default)]
struct Rules {
    now_ms: u64,
    generation: u32,
    removed: BTreeSet<DeviceId>,
    /// Devices that hold no key.
    blind: BTreeSet<usize>,
}

struct Own<'a> {
    rules: &'a Rules,
    no: usize,
}

fn epoch(generation: u32) -> EpochKey {
    EpochKey::from_bytes(&[generation as u8; 32])
}

fn signing(no: usize) -> SigningKey {
    SigningKey::from_seed(&[no as u8 + 1; 32])
}

fn device(no: usize) -> DeviceId {
    DeviceId::from_bytes(signing(no).public())
}

impl Judge for Own<'_> {
    fn seal(
        &self,
        space: &SpaceId,
        run: &[u8; 32],
        app: u64,
        seq: u64,
        _on: &str,
        shown: Option<&Shown>,
    ) -> Option<Vec<u8>> {
        let head = Head {
            run: *run,
            app,
            seq,
            scope: ScopeId::ROOT,
            generation: self.rules.generation,
        };
        let said = Said {
            device: device(self.no),
            at_ms: self.rules.now_ms,
            shown: shown.cloned(),
        };
        let key = epoch(self.rules.generation);
        Some(seal(&key, space, &head, &said, &signing(self.no)).unwrap())
    }

    fn open(&self, space: &SpaceId, packet: &Packet<'_>) -> Verdict {
        if self.rules.blind.contains(&self.no) {
            return Verdict::Closed;
        }
        if packet.head.generation != self.rules.generation {
            return Verdict::Refused;
        }
        match open(&epoch(packet.head.generation), space, packet) {
            Ok(said) if self.rules.removed.contains(&said.device) => Verdict::Refused,
            Ok(said) if said.at_ms + FRESH_MS_MAX < self.rules.now_ms => Verdict::Refused,
            Ok(said) => Verdict::Says(said),
            Err(_) => Verdict::Refused,
        }
    }

    fn may_be_heard(&self, _: &SpaceId, device: &DeviceId, _: ScopeId) -> bool {
        !self.rules.removed.contains(device)
    }
}

struct Net {
    boards: Vec<Board>,
    rules: Rules,
    /// The two ends of each link, by its number.
    links: BTreeMap<u64, (usize, usize)>,
    passed: usize,
    packets: Vec<Bytes>,
    next: u64,
}

impl Net {
    fn new(devices: usize) -> Self {
        Self {
            boards: (0..devices)
                .map(|no| Board::new(device(no), [no as u8 + 50; 32]))
                .collect(),
            rules: Rules {
                now_ms: 1_000_000,
                ..Rules::default()
            },
            links: BTreeMap::new(),
            passed: 0,
            packets: Vec::new(),
            next: 1,
        }
    }

    fn link(&mut self, a: usize, b: usize) -> u64 {
        let no = self.next;
        self.next += 1;
        self.links.insert(no, (a, b));
        self.boards[a].join(no, device(b), SPACE);
        self.boards[b].join(no, device(a), SPACE);
        self.run();
        no
    }

    fn cut(&mut self, link: u64) {
        if let Some((a, b)) = self.links.remove(&link) {
            self.boards[a].end(link, self.rules.now_ms);
            self.boards[b].end(link, self.rules.now_ms);
        }
        self.run();
    }

    fn set(&mut self, no: usize, value: &str) {
        let shown = Shown {
            on: "/notes/plan".to_owned(),
            value: value.to_owned(),
            ..Shown::default()
        };
        let rules = self.rules.clone();
        let own = Own { rules: &rules, no };
        self.boards[no].set(SPACE, 1, shown, self.rules.now_ms, &own);
        self.run();
    }

    fn leave(&mut self, no: usize) {
        let rules = self.rules.clone();
        let own = Own { rules: &rules, no };
        self.boards[no].clear(SPACE, 1, self.rules.now_ms, &own);
        self.run();
    }

    fn members_changed(&mut self) {
        let rules = self.rules.clone();
        for no in 0..self.boards.len() {
            let own = Own { rules: &rules, no };
            self.boards[no].members_changed(SPACE, rules.now_ms, &own);
        }
        self.run();
    }

    fn wait(&mut self, ms: u64) {
        let end = self.rules.now_ms + ms;
        loop {
            let due = self.boards.iter().filter_map(Board::due).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            self.rules.now_ms = self.rules.now_ms.max(due);
            let rules = self.rules.clone();
            for no in 0..self.boards.len() {
                let own = Own { rules: &rules, no };
                self.boards[no].tick(rules.now_ms, &own);
            }
            self.run();
        }
        self.rules.now_ms = end;
    }

    /// Delivers until nothing is on its way.
    fn run(&mut self) {
        let rules = self.rules.clone();
        loop {
            let mut quiet = true;
            for no in 0..self.boards.len() {
                while let Some(output) = self.boards[no].poll() {
                    quiet = false;
                    let (session, packet) = match &output {
                        Output::Pass {
                            session, packet, ..
                        } => (*session, Some(packet.clone())),
                        Output::Lost { session, .. } => (*session, None),
                        Output::News { .. } => continue,
                    };
                    let Some((a, b)) = self.links.get(&session) else {
                        continue;
                    };
                    let to = if *a == no { *b } else { *a };
                    let own = Own {
                        rules: &rules,
                        no: to,
                    };
                    let board = &mut self.boards[to];
                    match (packet, output) {
                        (Some(packet), _) => {
                            self.passed += 1;
                            self.packets.push(packet.clone());
                            board.receive(session, SPACE, &packet, rules.now_ms, &own);
                        }
                        (None, Output::Lost { run, app, .. }) => {
                            board.lost(session, SPACE, run, app, rules.now_ms);
                        }
                        _ => {}
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// What a device sees: values by device.
    fn sees(&self, no: usize) -> Vec<(usize, String)> {
        let board = &self.boards[no];
        let mut seen: Vec<(usize, String)> = board
            .all(&SPACE)
            .iter()
            .filter_map(|key| {
                let heard = board.get(&SPACE, key)?;
                let who = (0..self.boards.len()).find(|no| device(*no) == key.device)?;
                Some((who, heard.shown.value.clone()))
            })
            .collect();
        seen.sort();
        seen
    }
}

fn at(no: usize, value: &str) -> Vec<(usize, String)> {
    vec![(no, value.to_owned())]
}

#[test]
fn whoever_is_two_hops_away_is_heard_and_told_anew() {
    let mut net = Net::new(3);
    net.set(0, "1");
    net.link(0, 1);
    net.link(1, 2);
    assert_eq!(net.sees(2), at(0, "1"));
    net.wait(100);
    net.set(0, "2");
    assert_eq!(net.sees(2), at(0, "2"));
    assert_eq!(net.sees(1), at(0, "2"));
}

#[test]
fn in_a_ring_each_packet_crosses_each_link_at_most_twice() {
    let mut net = Net::new(4);
    for no in 0..4 {
        net.link(no, (no + 1) % 4);
    }
    net.link(0, 2);
    net.passed = 0;
    net.set(0, "here");
    for no in 1..4 {
        assert_eq!(net.sees(no), at(0, "here"));
    }
    assert!(net.passed <= 2 * 5, "{}", net.passed);
}

#[test]
fn who_lost_the_connection_is_gone_at_once_and_several_hops_away() {
    let mut net = Net::new(4);
    let first = net.link(0, 1);
    net.link(1, 2);
    net.link(2, 3);
    net.set(0, "here");
    assert_eq!(net.sees(3), at(0, "here"));
    net.cut(first);
    for no in 1..4 {
        assert_eq!(net.sees(no), []);
    }
    net.link(0, 3);
    net.wait(crate::limits::REPEAT_MS);
    for no in 1..4 {
        assert_eq!(net.sees(no), at(0, "here"));
    }
}

#[test]
fn who_is_heard_another_way_too_stays_when_one_connection_ends() {
    let mut net = Net::new(3);
    net.link(0, 1);
    let direct = net.link(0, 2);
    net.link(1, 2);
    net.set(0, "here");
    net.cut(direct);
    assert_eq!(net.sees(2), at(0, "here"));
    net.wait(5 * TIMEOUT_MS);
    assert_eq!(net.sees(2), at(0, "here"));
}

#[test]
fn who_left_is_gone_everywhere_and_who_falls_silent_after_the_time_out() {
    let mut net = Net::new(3);
    net.link(0, 1);
    net.link(1, 2);
    net.set(0, "here");
    net.leave(0);
    assert_eq!(net.sees(2), []);
    net.wait(100);
    net.set(0, "again");
    assert_eq!(net.sees(2), at(0, "again"));
    // Its process stops, and the connection does not notice.
    net.boards[0] = Board::new(device(0), [99; 32]);
    net.wait(TIMEOUT_MS + 1);
    assert_eq!(net.sees(1), []);
    assert_eq!(net.sees(2), []);
}

#[test]
fn fast_changes_are_told_by_their_last_state_and_not_each_by_itself() {
    let mut net = Net::new(3);
    net.link(0, 1);
    net.link(1, 2);
    net.set(0, "first");
    net.passed = 0;
    for n in 0..1000 {
        net.set(0, &n.to_string());
        net.wait(1);
    }
    net.wait(2 * PUBLISH_MS_MIN);
    assert_eq!(net.sees(2), at(0, "999"));
    assert!(net.passed <= 2 * (1000 / PUBLISH_MS_MIN as usize + 3));
}

#[test]
fn a_removed_member_is_not_heard_whatever_it_sends_and_its_packets_are_not_passed_on() {
    let mut net = Net::new(3);
    net.link(0, 1);
    net.link(1, 2);
    net.set(0, "here");
    net.rules.removed.insert(device(0));
    net.rules.generation = 1;
    net.members_changed();
    assert_eq!(net.sees(1), []);
    net.wait(100);
    net.set(0, "still here");
    assert_eq!(net.sees(1), []);
    assert_eq!(net.sees(2), []);
    // Those who stay are heard under the new epoch.
    net.set(1, "me");
    assert_eq!(net.sees(2), at(1, "me"));
}

#[test]
fn what_was_heard_once_cannot_be_played_again() {
    let mut net = Net::new(2);
    let link = net.link(0, 1);
    net.set(0, "here");
    let old = net.packets.clone();
    net.leave(0);
    for later in [
        0,
        PUBLISH_MS_MIN,
        TIMEOUT_MS,
        FRESH_MS_MAX,
        2 * REMEMBERED_MS,
    ] {
        net.wait(later);
        let rules = net.rules.clone();
        let own = Own {
            rules: &rules,
            no: 1,
        };
        // The board forgets which packets it saw sooner than how far a device had counted.
        net.boards[1].seen.clear();
        net.boards[1].seen_order.clear();
        for packet in &old {
            net.boards[1].receive(link, SPACE, packet, rules.now_ms, &own);
        }
        assert_eq!(net.sees(1), []);
    }
}

#[test]
fn what_is_sealed_to_others_is_passed_on_by_who_cannot_read_it() {
    let mut net = Net::new(3);
    net.rules.blind.insert(1);
    net.link(0, 1);
    net.link(1, 2);
    net.set(0, "secret");
    assert_eq!(net.sees(1), []);
    assert_eq!(net.sees(2), at(0, "secret"));
}

#[test]
fn a_device_with_too_many_apps_shows_some_of_them_and_keeps_nobody_out() {
    let mut net = Net::new(3);
    net.link(0, 1);
    net.link(2, 1);
    let rules = net.rules.clone();
    let own = Own {
        rules: &rules,
        no: 0,
    };
    for app in 0..3 * APPS_PER_DEVICE_MAX as u64 {
        let shown = Shown {
            on: "/".to_owned(),
            ..Shown::default()
        };
        net.boards[0].set(SPACE, app, shown, rules.now_ms, &own);
        net.run();
    }
    assert_eq!(net.sees(1).len(), APPS_PER_DEVICE_MAX);
    net.set(2, "me");
    assert_eq!(net.sees(1).len(), APPS_PER_DEVICE_MAX + 1);
}

#[derive(Debug, Clone)]
enum Step {
    Link(usize, usize),
    Cut(usize),
    Set(usize, u8),
    Leave(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..5usize, 0..5usize).prop_map(|(a, b)| Step::Link(a, b)),
        2 => (0..8usize).prop_map(Step::Cut),
        4 => (0..5usize, any::<u8>()).prop_map(|(no, value)| Step::Set(no, value)),
        1 => (0..5usize).prop_map(Step::Leave),
        2 => (0..20_000u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happened before: once it is quiet for as long as the time-out, everybody sees
    /// exactly those that a way leads to.
    #[test]
    fn after_a_while_everybody_sees_exactly_whom_a_way_leads_to(
        steps in proptest::collection::vec(step(), 1..40)
    ) {
        let mut net = Net::new(5);
        let mut values: BTreeMap<usize, String> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Link(a, b) => {
                    let joined = net.links.values().any(|ends| *ends == (a, b) || *ends == (b, a));
                    if a != b && !joined {
                        net.link(a, b);
                    }
                }
                Step::Cut(n) => {
                    let link = net.links.keys().nth(n).copied();
                    if let Some(link) = link {
                        net.cut(link);
                    }
                }
                Step::Set(no, value) => {
                    net.set(no, &value.to_string());
                    values.insert(no, value.to_string());
                }
                Step::Leave(no) => {
                    net.leave(no);
                    values.remove(&no);
                }
                Step::Wait(ms) => net.wait(ms),
            }
        }
        net.wait(2 * TIMEOUT_MS);
        for no in 0..5 {
            let mut reached = BTreeSet::from([no]);
            loop {
                let more: BTreeSet<usize> = net.links.values()
                    .filter(|(a, b)| reached.contains(a) || reached.contains(b))
                    .flat_map(|(a, b)| [*a, *b])
                    .chain(reached.iter().copied())
                    .collect();
                if more == reached {
                    break;
                }
                reached = more;
            }
            let expected: Vec<(usize, String)> = values.iter()
                .filter(|(who, _)| reached.contains(who))
                .map(|(who, value)| (*who, value.clone()))
                .collect();
            prop_assert_eq!(net.sees(no), expected);
        }
    }
}
