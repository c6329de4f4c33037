//! The same history of memberships in `p2panda-auth` and `keyhive_core`: a founder lets readers in
//! one by one and puts one out. What the newest change costs, and what one decision costs.
//!
//! They are not the same thing: `p2panda-auth` resolves who is in, and leaves signatures and keys
//! to others; `keyhive_core` signs, and keeps a group key in a tree of members, which the founder
//! renews here after the removal. Both stay in memory; ours is stored.

use std::hint::black_box;
use std::time::Instant;

use keyhive_core::test_utils::make_simple_keyhive;
use keyline::power::Power;
use nonempty::nonempty;
use p2panda_auth::Access;
use p2panda_auth::group::resolver::StrongRemove;
use p2panda_auth::group::{GroupAction, GroupCrdt, GroupCrdtState, GroupMember};
use p2panda_auth::traits::{IdentityHandle, Operation, OperationId};

use crate::Failure;

/// What each step takes in a group of so many.
pub(crate) struct Costs {
    pub(crate) add_ms: f64,
    pub(crate) remove_ms: f64,
    pub(crate) decide_ns: f64,
}

type Measure = fn(usize) -> Result<Costs, Failure>;

pub(crate) const PEERS: [(&str, Measure); 2] = [
    ("p2panda-auth, resolves only", p2panda),
    ("keyhive_core, signs and keeps a group key", keyhive),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Who([u8; 32]);
impl IdentityHandle for Who {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Number([u8; 32]);
impl OperationId for Number {}

#[derive(Debug, Clone)]
struct Said {
    id: Number,
    after: Vec<Number>,
    action: GroupAction<Who>,
}

/// Decisions over which one is averaged.
const DECISIONS: usize = 10;

const FOUNDER: Who = Who([1; 32]);
const GROUP: Who = Who([2; 32]);

impl Operation<Who, Number> for Said {
    fn id(&self) -> Number {
        self.id
    }

    fn author(&self) -> Who {
        FOUNDER
    }

    fn dependencies(&self) -> Vec<Number> {
        self.after.clone()
    }

    fn group_id(&self) -> Who {
        GROUP
    }

    fn action(&self) -> GroupAction<Who> {
        self.action.clone()
    }
}

type State = GroupCrdtState<Who, Number, Said, ()>;
type Group = GroupCrdt<Who, Number, Said, (), StrongRemove<Who, Number, Said, ()>>;

fn numbered(kind: u8, n: usize) -> [u8; 32] {
    let mut bytes = [kind; 32];
    bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
    bytes
}

/// `p2panda-auth` with so many members.
fn p2panda(members: usize) -> Result<Costs, Failure> {
    let reader = |n| GroupMember::Individual(Who(numbered(3, n)));
    let create = GroupAction::Create {
        initial_members: vec![(GroupMember::Individual(FOUNDER), Access::manage())],
    };
    let mut said = 0;
    let mut say = |state: State, action| -> Result<State, Failure> {
        let after = match said {
            0 => Vec::new(),
            n => vec![Number(numbered(4, n - 1))],
        };
        let id = Number(numbered(4, said));
        said += 1;
        Group::process(state, &Said { id, after, action })
            .map_err(|error| format!("p2panda-auth: {error:?}").into())
    };
    let mut state = say(Group::init(), create)?;
    for n in 1..members {
        let (member, access) = (reader(n), Access::read());
        state = say(state, GroupAction::Add { member, access })?;
    }
    let start = Instant::now();
    let (member, access) = (reader(members), Access::read());
    state = say(state, GroupAction::Add { member, access })?;
    let add_ms = start.elapsed().as_secs_f64() * 1e3;
    let asked = reader(members / 2);
    let start = Instant::now();
    for _ in 0..DECISIONS {
        let current = state.root_members(black_box(GROUP));
        if !current.iter().any(|(member, _)| *member == asked) {
            return Err("p2panda-auth forgot a member".into());
        }
    }
    let decide_ns = start.elapsed().as_nanos() as f64 / DECISIONS as f64;
    let start = Instant::now();
    let member = reader(members);
    let state = say(state, GroupAction::Remove { member })?;
    let remove_ms = start.elapsed().as_secs_f64() * 1e3;
    drop(state);
    Ok(Costs {
        add_ms,
        remove_ms,
        decide_ns,
    })
}

/// `keyhive_core` with so many members of one document.
fn keyhive(members: usize) -> Result<Costs, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let founder = make_simple_keyhive().await?;
        let mut readers = Vec::with_capacity(members);
        for _ in 0..members {
            let reader = make_simple_keyhive().await?;
            let card = reader.get_existing_contact_card().await;
            readers.push(founder.receive_contact_card(&card).await?);
        }
        let doc = founder.generate_doc(vec![], nonempty![[1; 32]]).await?;
        let (last, others) = readers.split_last().ok_or("no members")?;
        for reader in others {
            founder.add_member(*reader, doc, Power::Read).await?;
        }
        let start = Instant::now();
        founder.add_member(*last, doc, Power::Read).await?;
        let add_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        for _ in 0..DECISIONS {
            let may = founder.access_for_doc(*black_box(last), doc).await?;
            if may.is_none() {
                return Err("keyhive_core forgot a member".into());
            }
        }
        let decide_ns = start.elapsed().as_nanos() as f64 / DECISIONS as f64;
        let start = Instant::now();
        founder.revoke_member(*last, true, doc).await?;
        founder.force_pcs_update(doc).await?;
        let remove_ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(Costs {
            add_ms,
            remove_ms,
            decide_ns,
        })
    })
}
