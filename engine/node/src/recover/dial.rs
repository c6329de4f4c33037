//! What the device that comes back says to one that may hold something.

use std::time::Duration;

use stead_access::DeviceRecord;
use stead_base::{DeviceId, Entropy};
use stead_crypt::{KemSecret, RootKey};
use stead_keys::OsEntropy;
use stead_net::Net;
use stead_replica::RootWord;

use super::RECOVER_ALPN;
use super::codec::{
    Answer, HELD_ANSWER_BYTES_MAX, Held, Knock, LIST_ANSWER_BYTES_MAX, Words, decode_list,
};
use super::proofs::{self, Circumstances, Sealed};
use crate::link::{STEP_TIMEOUT, Talk};

/// How long the holder may take to write everything down.
const HELD_TIMEOUT: Duration = Duration::from_secs(45);

/// This device, as it comes back.
#[derive(Clone)]
pub(super) struct Newcomer {
    pub(super) record: DeviceRecord,
    pub(super) kem: KemSecret,
}

/// Asks one device. None if nothing of this person is there.
pub(super) async fn ask(
    net: &Net,
    holder: DeviceId,
    root: &RootKey,
    me: &Newcomer,
) -> Result<Option<Held>, String> {
    let connected = net.connect(holder, RECOVER_ALPN).await;
    let connection = connected.map_err(|error| error.to_string())?;
    let circumstances = Circumstances {
        holder,
        new: me.record.id,
        channel_binding: connection.channel_binding(),
    };
    let opened = connection.open_bi().await;
    let (out, input) = opened.map_err(|closed| closed.to_string())?;
    let mut talk = Talk { out, input };
    let identity = stead_access::IdentityId::from_bytes(root.public());
    let kem = me.kem.public();
    let knock = Knock {
        tag: proofs::tag(&identity, &circumstances),
        proof: proofs::sign(root, &circumstances, kem),
        kem: kem.clone(),
    }
    .encode();
    talk.send(&knock).await?;
    let Some(list) = receive(&mut talk, LIST_ANSWER_BYTES_MAX, STEP_TIMEOUT).await? else {
        connection.close(0, "recovery is over");
        return Ok(None);
    };
    let transcript = proofs::transcript(&circumstances, &[&knock]);
    let opened = Sealed::List.open(&me.kem, &transcript, &list);
    let spaces = decode_list(&opened.map_err(|error| error.to_string())?);
    let words = spaces
        .map_err(|error| error.to_string())?
        .iter()
        .map(|space| {
            let mut nonce = [0; 32];
            OsEntropy.fill(&mut nonce);
            RootWord::sign(root, space, &me.record, nonce)
        })
        .collect();
    let said = Words {
        record: me.record.clone(),
        words,
    }
    .encode();
    talk.send(&said).await?;
    let Some(held) = receive(&mut talk, HELD_ANSWER_BYTES_MAX, HELD_TIMEOUT).await? else {
        return Ok(None);
    };
    connection.close(0, "recovery is over");
    let transcript = proofs::transcript(&circumstances, &[&knock, &list, &said]);
    let opened = Sealed::Held.open(&me.kem, &transcript, &held);
    let held = Held::decode(&opened.map_err(|error| error.to_string())?);
    held.map(Some).map_err(|error| error.to_string())
}

async fn receive(talk: &mut Talk, max: usize, limit: Duration) -> Result<Option<Vec<u8>>, String> {
    let bytes = talk.receive(max, limit).await?;
    match Answer::decode(&bytes).map_err(|error| error.to_string())? {
        Answer::Go(rest) => Ok(Some(rest)),
        Answer::Nothing => Ok(None),
        Answer::Failed(text) => Err(format!("the other device failed: {text}")),
    }
}
