//! The side that may hold something: answering a device that says it comes back.
//!
//! Whoever does not prove the root key of a person known here gets one and the same answer, whatever is or is not
//! here. No person is asked: the root key is above every device of its person.

use std::sync::Arc;
use std::time::Duration;

use stead_access::{IdentityId, Name};
use stead_base::SpaceId;
use stead_net::{Connection, Net};
use tokio::sync::Semaphore;

use super::codec::{Answer, Held, KNOCK_BYTES, Knock, WORDS_BYTES_MAX, Words, encode_list};
use super::proofs::{self, Circumstances, Sealed};
use crate::clock::wall_ms;
use crate::faults;
use crate::link::{STEP_TIMEOUT, Talk};
use crate::store_thread::StoreHandle;

/// Devices answered at the same time.
const ATTEMPTS_MAX: usize = 4;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// Close code of a connection that is turned away unheard.
const CODE_TOO_MANY: u32 = 3;

/// Answers devices that come back. Clones share the limit.
#[derive(Clone)]
pub(crate) struct Holder {
    net: Net,
    store: StoreHandle,
    device_name: String,
    attempts: Arc<Semaphore>,
}

impl Holder {
    pub(crate) fn new(net: Net, store: StoreHandle, device_name: String) -> Self {
        Self {
            net,
            store,
            device_name,
            attempts: Arc::new(Semaphore::new(ATTEMPTS_MAX)),
        }
    }

    /// Answers one device.
    pub(crate) async fn serve(self, connection: Connection) {
        let Ok(_permit) = self.attempts.clone().try_acquire_owned() else {
            connection.close(CODE_TOO_MANY, "too many devices are coming back");
            return;
        };
        let peer = connection.remote().short();
        match tokio::time::timeout(ATTEMPT_TIMEOUT, self.answer(&connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::info!(peer, why, "a device that comes back was not answered"),
            Err(_) => tracing::info!(peer, "a device that comes back took too long"),
        }
        connection.close(0, "recovery is over");
    }

    async fn answer(&self, connection: &Connection) -> Result<(), String> {
        let mut talk = Talk::accept(connection).await?;
        let knocked = talk.receive(KNOCK_BYTES, STEP_TIMEOUT).await?;
        let knock = Knock::decode(&knocked).map_err(|error| error.to_string())?;
        let circumstances = Circumstances {
            holder: self.net.device_id(),
            new: connection.remote(),
            channel_binding: connection.channel_binding(),
        };
        let Some((identity, spaces)) = self.find(&knock, &circumstances).await? else {
            return talk.send_last(&Answer::Nothing.encode()).await;
        };
        let transcript = proofs::transcript(&circumstances, &[&knocked]);
        let list = Sealed::List.seal(&knock.kem, &transcript, &encode_list(&spaces));
        let list = list.map_err(|error| error.to_string())?;
        talk.send(&Answer::Go(list.clone()).encode()).await?;
        let said = talk.receive(WORDS_BYTES_MAX, STEP_TIMEOUT).await?;
        let words = Words::decode(&said).map_err(|error| error.to_string())?;
        if words.record.id != circumstances.new || words.record.kem != knock.kem {
            return Err("a device tried to bring another one back".to_owned());
        }
        let transcript = proofs::transcript(&circumstances, &[&knocked, &list, &said]);
        let answer = match self.let_in(identity, &spaces, words).await {
            Ok(held) => {
                let sealed = Sealed::Held.seal(&knock.kem, &transcript, &held.encode());
                tracing::warn!(
                    peer = %circumstances.new.short(),
                    person = %identity.short(),
                    spaces = held.spaces.len(),
                    "a device came back with its person's root key"
                );
                Answer::Go(sealed.map_err(|error| error.to_string())?)
            }
            Err(text) => Answer::Failed(text),
        };
        talk.send_last(&answer.encode()).await
    }

    /// Who comes, if they are known here and have proven it.
    async fn find(
        &self,
        knock: &Knock,
        circumstances: &Circumstances,
    ) -> Result<Option<(IdentityId, Vec<SpaceId>)>, String> {
        let people = self.store.look(|desk| desk.replica.known_people());
        let people = people.await.map_err(|error| error.message)?;
        let found = people
            .iter()
            .find(|identity| proofs::tag(identity, circumstances) == knock.tag);
        // Somebody is always checked, so that the time it takes does not tell who is known.
        let nobody = IdentityId::from_bytes(*circumstances.holder.as_bytes());
        let checked = found.unwrap_or(&nobody);
        let proven = proofs::is_proven(checked, circumstances, &knock.kem, &knock.proof);
        let (Some(identity), true) = (found.copied(), proven) else {
            return Ok(None);
        };
        let spaces = self
            .store
            .look(move |desk| desk.replica.spaces_of(identity));
        let spaces = spaces.await.map_err(|error| error.message)?;
        Ok((!spaces.is_empty()).then_some((identity, spaces)))
    }

    async fn let_in(
        &self,
        identity: IdentityId,
        spaces: &[SpaceId],
        words: Words,
    ) -> Result<Held, String> {
        let said = spaces.iter().copied().zip(words.words).collect::<Vec<_>>();
        let record = words.record;
        let let_in = self.store.change(move |desk| {
            let let_in = desk
                .replica
                .let_in_by_root(identity, &record, &said, wall_ms());
            desk.note_outcome(&let_in);
            let_in.map_err(|error| faults::replica(&error).message)
        });
        let spaces = let_in.await.map_err(|error| error.message)??;
        Ok(Held {
            device_name: Name::from_any(&self.device_name),
            spaces,
        })
    }
}
