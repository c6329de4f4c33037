//! Calls about guardians: setting them, what is held for others, releasing a share, and going on from shares.
//!
//! Owns the sentences that people see; who is believed and what is kept is the replica's to say.

use stead_access::IdentityId;
use stead_api::{
    ApiError, ErrorKind, GuardianPlanHelp, GuardianSet, GuardianShown, GuardiansShown, HeldShares,
    HelpPlan, RecoverBegin, RecoverDone, RecoverFinish, RecoverState, Warning,
};
use stead_crypt::RecoveryPhrase;
use stead_replica::{Contact, HeldShare, Replica, ReplicaError};

use super::Node;
use crate::clock::wall_ms;
use crate::faults;
use crate::link::made::Purpose;

/// How long a released share is spoken of, in milliseconds.
const NEWS_MS: u64 = 30 * 86_400_000;

impl Node {
    pub(super) async fn show_guardians(&self) -> Result<GuardiansShown, ApiError> {
        let shown = self.store.look(|desk| shown(&desk.replica));
        shown.await?.map_err(|error| faults::replica(&error))
    }

    /// Shares that guardians have released to somebody, while this person still has a device: this one.
    pub(crate) async fn released_shares(&self) -> Vec<Warning> {
        let Ok(shown) = self.show_guardians().await else {
            return Vec::new();
        };
        let now_ms = wall_ms();
        let guardians = shown.guardians.into_iter();
        let lately = guardians.filter(|guardian| {
            let released = guardian.released_ms;
            released.is_some_and(|at_ms| now_ms.saturating_sub(at_ms) < NEWS_MS)
        });
        lately
            .map(|guardian| Warning {
                message: format!(
                    "{} gave their share of your recovery words to a device.",
                    guardian.name
                ),
                hint: "If that was not for you, somebody pretends to be you: warn your guardians, and set them anew with `stead guardians set`.".to_owned(),
            })
            .collect()
    }

    pub(super) async fn set_guardians(&self, set: GuardianSet) -> Result<GuardiansShown, ApiError> {
        let typed = match &set.words {
            None => None,
            Some(words) => Some(
                RecoveryPhrase::parse(&words.0)
                    .map_err(|error| faults::sentence(ErrorKind::InvalidParams, &error))?,
            ),
        };
        let done = self.store.change(move |desk| {
            let kept = desk.replica.recovery_phrase();
            let kept = kept.map_err(|error| faults::replica(&error))?;
            let phrase = typed.or(kept).ok_or_else(|| {
                ApiError::new(
                    ErrorKind::NotAllowed,
                    "This device does not have your recovery words, and it is they that are shared out.",
                )
                .hint("Type them: stead guardians set asks for them.")
            })?;
            let mut contacts = Vec::new();
            for name in &set.names {
                let found = desk.replica.find_contact(name);
                let found = found.map_err(|error| faults::replica(&error))?;
                let found = found.ok_or_else(|| {
                    ApiError::new(ErrorKind::NotFound, format!("You call nobody {name:?}."))
                        .hint("`stead contact add NAME IDENTITY` gives someone a name.")
                })?;
                contacts.push(found.identity);
            }
            let threshold = set.threshold as usize;
            let done = desk
                .replica
                .set_guardians(&phrase, threshold, &contacts, wall_ms());
            desk.note_outcome(&done);
            done.map_err(|error| faults::replica(&error))
        });
        done.await??;
        self.show_guardians().await
    }

    pub(super) async fn shares_held(&self) -> Result<HeldShares, ApiError> {
        let shares = self.store.look(|desk| {
            let contacts = desk.replica.contacts()?;
            let held = desk.replica.held_shares()?;
            let mut shares: Vec<_> = held.iter().map(|it| share(it, &contacts)).collect();
            shares.sort_by(|a, b| (&a.name, &a.identity).cmp(&(&b.name, &b.identity)));
            Ok::<_, ReplicaError>(shares)
        });
        let shares = shares.await?.map_err(|error| faults::replica(&error))?;
        Ok(HeldShares { shares })
    }

    pub(super) async fn plan_help(&self, plan: GuardianPlanHelp) -> Result<HelpPlan, ApiError> {
        let share = self.find_share(plan.person).await?;
        let sentence = format!(
            "You give the device that comes next your share of {}'s recovery words; with {} such shares of {} whoever has it is {} and can read and change everything of theirs. Do it only while you speak with {} and know the voice.",
            share.name, share.threshold, share.count, share.name, share.name
        );
        Ok(HelpPlan { share, sentence })
    }

    /// What a link is made for: linking, or releasing the share held for somebody.
    pub(super) async fn purpose(&self, help: Option<String>) -> Result<Purpose, ApiError> {
        let Some(person) = help else {
            return Ok(Purpose::Link);
        };
        let share = self.find_share(person).await?;
        let owner = share.identity.parse::<IdentityId>();
        let owner = owner.map_err(|error| faults::sentence(ErrorKind::Internal, &error))?;
        Ok(Purpose::Help {
            owner,
            name: share.name,
        })
    }

    async fn find_share(&self, person: String) -> Result<stead_api::HeldShare, ApiError> {
        let shares = self.shares_held().await?.shares;
        let wanted = person.to_ascii_lowercase();
        let exact = shares.iter().filter(|share| share.name == person);
        let mut found: Vec<_> = exact.cloned().collect();
        if found.is_empty() && wanted.len() >= 4 {
            let starting = shares
                .iter()
                .filter(|share| share.identity.starts_with(&wanted));
            found = starting.cloned().collect();
        }
        match (found.pop(), found.is_empty()) {
            (Some(share), true) => Ok(share),
            (Some(_), false) => Err(ApiError::new(
                ErrorKind::Ambiguous,
                format!("You hold shares for several people called {person:?}."),
            )
            .hint("Name one by the start of the identity: stead guardians held")),
            (None, _) => Err(ApiError::new(
                ErrorKind::NotFound,
                format!("You hold no share for {person:?}."),
            )
            .hint("`stead guardians held` shows for whom you do.")),
        }
    }

    pub(super) async fn begin_recovery(
        &self,
        begin: RecoverBegin,
    ) -> Result<RecoverState, ApiError> {
        if begin.words.is_some() {
            return self.recoverer.begin(begin).await;
        }
        let (phrase, devices) = self.collector.phrase().ok_or_else(|| {
            ApiError::new(
                ErrorKind::NotAllowed,
                "There are no words, and not enough shares to bring them back.",
            )
            .hint("Type your words, or ask guardians: stead recover --guardians")
        })?;
        self.recoverer
            .begin_with(&phrase, &begin.at, begin.anew, &devices)
            .await
    }

    /// Ends coming back. Words that guardians brought back are kept here until they are written down.
    pub(super) async fn finish_recovery(
        &self,
        finish: RecoverFinish,
    ) -> Result<RecoverDone, ApiError> {
        let done = self.recoverer.finish(finish).await?;
        if let Some((phrase, _)) = self.collector.phrase() {
            self.alter(move |desk| desk.replica.keep_phrase(&phrase, wall_ms()))
                .await?;
            self.collector.forget();
        }
        Ok(done)
    }
}

fn shown(replica: &Replica) -> Result<GuardiansShown, ReplicaError> {
    let contacts = replica.contacts()?;
    let guardians = replica.guardians()?;
    let has_any = !guardians.guardians.is_empty();
    let named = |identity: &IdentityId| contacts.iter().find(|it| it.identity == *identity);
    Ok(GuardiansShown {
        threshold: guardians.threshold.into(),
        made_ms: has_any.then_some(guardians.made_ms),
        words_here: replica.recovery_phrase()?.is_some(),
        guardians: guardians
            .guardians
            .iter()
            .map(|guardian| {
                let contact = named(&guardian.identity);
                GuardianShown {
                    name: contact.map_or_else(|| guardian.identity.short(), |it| it.name.clone()),
                    identity: guardian.identity.to_string(),
                    verified: contact.is_some_and(|it| it.verified_ms.is_some()),
                    held_ms: guardian.held_ms,
                    released_ms: guardian.released.as_ref().map(|(at_ms, _)| *at_ms),
                }
            })
            .collect(),
    })
}

fn share(held: &HeldShare, contacts: &[Contact]) -> stead_api::HeldShare {
    let contact = contacts.iter().find(|it| it.identity == held.owner);
    stead_api::HeldShare {
        name: contact.map_or_else(|| held.owner.short(), |it| it.name.clone()),
        identity: held.owner.to_string(),
        threshold: held.share.threshold().into(),
        count: u32::try_from(held.share.count()).unwrap_or(u32::MAX),
        since_ms: held.made_ms,
    }
}
