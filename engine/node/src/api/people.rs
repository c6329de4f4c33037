//! Calls about the person: identity, recovery words, own devices, contacts, signing in elsewhere.
//!
//! Owns the sentences that people see; what is allowed is the replica's to say.

use stead_access::IdentityId;
use stead_api::{
    ApiError, Contact, ContactAdd, ContactVerify, Contacts, DeviceInfo, DevicePlanRemoval,
    DeviceRemoval, DeviceRemove, DeviceRename, Done, ErrorKind, IdentityShown, IdentityWritten,
    OwnDevice, Phrase, SafetyWords, SignInAnswer, SignInAnswered, SignInAsked, SignInLook, Words,
};
use stead_crypt::{RecoveryPhrase, safety_words};
use stead_replica::{Replica, ReplicaError};

use super::Node;
use crate::clock::wall_ms;
use crate::desk::Desk;
use crate::{faults, sign_in};

impl Node {
    pub(super) async fn show_identity(&self) -> Result<IdentityShown, ApiError> {
        let seen = self.facts.all();
        let own = self.device.id;
        let hints = self.net.local_hints();
        let relay = hints.relay.iter().map(|relay| format!("{own}@{relay}"));
        let addresses = hints.addrs.iter().map(|address| format!("{own}@{address}"));
        let places: Vec<String> = addresses.chain(relay).collect();
        let shown = self.store.look(move |desk| {
            let replica = &desk.replica;
            let id = replica.identity().ok_or(ReplicaError::NoHome)?;
            let names = replica.device_names()?;
            let devices = replica.own_devices()?;
            let rank = devices.iter().find(|it| it.id == own).map(|it| it.rank);
            let devices: Vec<OwnDevice> = devices
                .into_iter()
                .map(|device| OwnDevice {
                    name: names.get(&device.id).cloned().unwrap_or(device.name),
                    this: device.id == own,
                    rank: device.rank,
                    current: device.is_current,
                    junior: rank.is_some_and(|rank| rank < device.rank),
                    seen_ms: seen.get(&device.id).and_then(|facts| facts.seen_ms),
                    id: device.id.to_string(),
                })
                .collect();
            let this = devices.iter().find(|device| device.this);
            Ok::<_, ReplicaError>(IdentityShown {
                id: id.to_string(),
                device: DeviceInfo {
                    id: own.to_string(),
                    name: this.map(|device| device.name.clone()).unwrap_or_default(),
                    this: true,
                    ..DeviceInfo::default()
                },
                devices,
                words_waiting: own_phrase(replica)?.is_some(),
                places,
            })
        });
        shown.await?.map_err(|error| faults::replica(&error))
    }

    /// Whether the recovery words wait to be written down. Those of an identity that holds nothing can
    /// wait: it may be given up for another one.
    pub(crate) async fn words_wait(&self) -> bool {
        let found = self.store.look(|desk| {
            let blank = desk.replica.home_is_blank()?;
            Ok::<_, ReplicaError>(!blank && own_phrase(&desk.replica)?.is_some())
        });
        matches!(found.await, Ok(Ok(true)))
    }

    /// Whose device this is, or nothing while that has not arrived.
    pub(crate) async fn person(&self) -> Result<String, ApiError> {
        let identity = self.store.look(|desk| desk.replica.person());
        Ok(identity.await?.map(|id| id.to_string()).unwrap_or_default())
    }

    pub(super) async fn show_phrase(&self) -> Result<Phrase, ApiError> {
        let phrase = self.store.look(|desk| own_phrase(&desk.replica));
        let phrase = phrase.await?.map_err(|error| faults::replica(&error))?;
        let phrase = phrase.ok_or_else(no_words)?;
        Ok(Phrase {
            words: Words(phrase.text().as_str().to_owned()),
        })
    }

    pub(super) async fn words_written(&self, written: IdentityWritten) -> Result<Done, ApiError> {
        let forgotten = self.store.change(move |desk| {
            let phrase = own_phrase(&desk.replica);
            let phrase = phrase.map_err(|error| faults::replica(&error))?;
            let phrase = phrase.ok_or_else(no_words)?;
            for check in &written.check {
                let place = (check.position as usize).checked_sub(1);
                let word = place.and_then(|place| phrase.words().nth(place));
                if word != Some(check.word.trim().to_lowercase().as_str()) {
                    return Err(ApiError::new(
                        ErrorKind::InvalidParams,
                        format!(
                            "Word {} is another one: nothing was forgotten.",
                            check.position
                        ),
                    )
                    .hint("Compare your note with `stead identity phrase`."));
                }
            }
            let forgotten = desk.replica.forget_recovery_phrase(wall_ms());
            desk.note_outcome(&forgotten);
            forgotten.map_err(|error| faults::replica(&error))
        });
        forgotten.await??;
        Ok(Done {
            message: "This device has forgotten the recovery words. Only you have them now."
                .to_owned(),
        })
    }

    pub(super) async fn rename_device(&self, rename: DeviceRename) -> Result<Done, ApiError> {
        let name = rename.name.clone();
        self.alter(move |desk| {
            let device = desk.replica.find_own_device(&rename.device)?;
            desk.replica.rename_device(&device, &rename.name, wall_ms())
        })
        .await?;
        Ok(Done {
            message: format!("It is called {name:?} now, on all your devices."),
        })
    }

    pub(super) async fn plan_device_removal(
        &self,
        plan: DevicePlanRemoval,
    ) -> Result<DeviceRemoval, ApiError> {
        let planned = self
            .store
            .look(move |desk| plan_removal(&desk.replica, &plan.device));
        planned.await?
    }

    pub(super) async fn remove_device(
        &self,
        remove: DeviceRemove,
    ) -> Result<DeviceRemoval, ApiError> {
        let root = match &remove.words {
            None => None,
            Some(words) => Some(
                RecoveryPhrase::parse(&words.0)
                    .map_err(|error| faults::sentence(ErrorKind::InvalidParams, &error))?
                    .root(),
            ),
        };
        let removed = self.store.change(move |desk| {
            let removal = plan_removal(&desk.replica, &remove.device)?;
            if removal.needs_words && root.is_none() {
                return Err(ApiError::new(
                    ErrorKind::NotAllowed,
                    format!("{} is not junior to this device.", removal.name),
                )
                .hint(
                    "Remove it with your recovery words, or from a device that is senior to it.",
                ));
            }
            let device = desk
                .replica
                .find_own_device(&remove.device)
                .map_err(|error| faults::replica(&error))?;
            let removed = desk
                .replica
                .remove_device(&device, root.as_ref(), wall_ms());
            desk.note_outcome(&removed);
            removed.map_err(|error| faults::replica(&error))?;
            Ok(removal)
        });
        removed.await?
    }

    pub(super) async fn add_contact(&self, add: ContactAdd) -> Result<Done, ApiError> {
        let identity: IdentityId = add
            .identity
            .trim()
            .parse()
            .map_err(|error| faults::sentence(ErrorKind::BadName, &error))?;
        let name = add.name.clone();
        self.alter(move |desk| desk.replica.name_contact(identity, &add.name, wall_ms()))
            .await?;
        Ok(Done {
            message: format!("You call {} {name:?} now.", identity.short()),
        })
    }

    pub(super) async fn list_contacts(&self) -> Result<Contacts, ApiError> {
        let contacts = self.store.look(|desk| desk.replica.contacts());
        let contacts = contacts.await?.map_err(|error| faults::replica(&error))?;
        Ok(Contacts {
            contacts: contacts.iter().map(contact).collect(),
        })
    }

    pub(super) async fn verify_contact(
        &self,
        verify: ContactVerify,
    ) -> Result<SafetyWords, ApiError> {
        let wanted = verify.name.clone();
        let found = self.store.look(move |desk| {
            let own = desk.replica.identity().ok_or(ReplicaError::NoHome)?;
            Ok::<_, ReplicaError>((own, desk.replica.find_contact(&wanted)?))
        });
        let (own, found) = found.await?.map_err(|error| faults::replica(&error))?;
        let mut found = found.ok_or_else(|| {
            ApiError::new(
                ErrorKind::NotFound,
                format!("You call nobody {:?}.", verify.name),
            )
            .hint("`stead contact add NAME IDENTITY` gives someone a name.")
        })?;
        let theirs = found.identity;
        // Made slowly on purpose: not on the store's thread.
        let words =
            tokio::task::spawn_blocking(move || safety_words(own.as_bytes(), theirs.as_bytes()));
        let words = words
            .await
            .map_err(|_| ApiError::new(ErrorKind::Internal, "The words could not be made."))?
            .map_err(|error| faults::sentence(ErrorKind::Internal, &error))?;
        if verify.same {
            let now_ms = wall_ms();
            self.alter(move |desk| desk.replica.verify_contact(theirs, now_ms))
                .await?;
            found.verified_ms = Some(now_ms);
        }
        Ok(SafetyWords {
            contact: contact(&found),
            words: words.iter().map(ToString::to_string).collect(),
        })
    }

    pub(super) async fn look_at_challenge(
        &self,
        look: SignInLook,
    ) -> Result<SignInAsked, ApiError> {
        let challenge = sign_in::read_challenge(&look.challenge)?;
        let identity = self.store.look(|desk| desk.replica.identity());
        let identity = identity.await?;
        Ok(SignInAsked {
            audience: challenge.audience().to_string(),
            open: challenge.is_open(wall_ms(), sign_in::CLOCK_SKEW_MS),
            identity: identity.map(|id| id.to_string()).unwrap_or_default(),
        })
    }

    pub(super) async fn answer_challenge(
        &self,
        answer: SignInAnswer,
    ) -> Result<SignInAnswered, ApiError> {
        let challenge = sign_in::read_challenge(&answer.challenge)?;
        let audience = challenge.audience().to_string();
        if answer.audience != audience {
            return Err(ApiError::new(
                ErrorKind::NotAllowed,
                format!(
                    "The challenge is of {audience}, not of {}.",
                    answer.audience
                ),
            )
            .hint("Somebody may be passing on another site's challenge: do not sign in there."));
        }
        if !challenge.is_open(wall_ms(), sign_in::CLOCK_SKEW_MS) {
            return Err(sign_in::expired());
        }
        let answered = self.store.look(move |desk| {
            let card = desk.replica.card();
            let card = card.map_err(|error| faults::replica(&error))?;
            let (identity, card) = (card.identity, card.to_bytes());
            let key = desk.replica.keys().signing();
            stead_crypt::sign_in::answer(&challenge, identity.as_bytes(), &card, key)
                .map_err(|error| faults::sentence(ErrorKind::InvalidParams, &error))
        });
        Ok(SignInAnswered {
            audience,
            answer: stead_api::SignInText::Answer.write(&answered.await??),
        })
    }

    /// Changes something by the replica and waits until it is safe.
    pub(super) async fn alter<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Desk) -> Result<T, ReplicaError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let changed = self.store.change(move |desk| {
            let changed = change(desk);
            desk.note_outcome(&changed);
            changed.map_err(|error| faults::replica(&error))
        });
        changed.await?
    }
}

/// The recovery phrase, if it is that of this very person and not of one that was given up.
fn own_phrase(replica: &Replica) -> Result<Option<RecoveryPhrase>, ReplicaError> {
    let identity = replica.identity();
    let is_own = |phrase: &RecoveryPhrase| {
        identity.is_some_and(|identity| phrase.root().public() == *identity.as_bytes())
    };
    Ok(replica.recovery_phrase()?.filter(is_own))
}

fn no_words() -> ApiError {
    ApiError::new(
        ErrorKind::NotFound,
        "This device does not have your recovery words: only you do.",
    )
    .hint("The device that made your identity shows them until you say that they are written down.")
}

fn contact(contact: &stead_replica::Contact) -> Contact {
    Contact {
        name: contact.name.clone(),
        identity: contact.identity.to_string(),
        verified_ms: contact.verified_ms,
    }
}

fn plan_removal(replica: &Replica, wanted: &str) -> Result<DeviceRemoval, ApiError> {
    let fault = |error: ReplicaError| faults::replica(&error);
    let device = replica.find_own_device(wanted).map_err(fault)?;
    if device == replica.device() {
        return Err(ApiError::new(
            ErrorKind::NotAllowed,
            "This is the device that you are at: remove it from another of your devices.",
        ));
    }
    let devices = replica.own_devices().map_err(fault)?;
    let rank = |id| devices.iter().find(|it| it.id == id).map(|it| it.rank);
    let needs_words = rank(replica.device()) >= rank(device);
    let names = replica.device_names().map_err(fault)?;
    let name = devices.iter().find(|it| it.id == device);
    let name = names.get(&device).or(name.map(|it| &it.name));
    let name = name.cloned().unwrap_or_default();
    let (mut spaces, mut keys) = (Vec::new(), 0);
    for id in replica.space_ids() {
        let outline = replica.outline(&id).map_err(fault)?;
        if outline.devices.iter().any(|it| it.id == device) {
            let target = stead_access::RemovalTarget::Device(device);
            keys += replica
                .plan_removal(&id, target)
                .map_err(fault)?
                .scopes
                .len();
            spaces.push(outline.name);
        }
    }
    let sentence = format!(
        "{name} loses {}: what it has stays on it, nothing new reaches it, and {} {} made anew.",
        match &spaces[..] {
            [] => "nothing".to_owned(),
            [one] => format!("the space {one}"),
            many => format!("the {} spaces {}", many.len(), many.join(", ")),
        },
        keys,
        if keys == 1 { "key is" } else { "keys are" },
    );
    Ok(DeviceRemoval {
        id: device.to_string(),
        name,
        spaces,
        keys: u32::try_from(keys).unwrap_or(u32::MAX),
        needs_words,
        sentence,
    })
}
