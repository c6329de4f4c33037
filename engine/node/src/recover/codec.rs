//! The messages of recovery and their bytes; `docs/protocol/recover.md` is their description. Owns no secrets: what is
//! signed and sealed is in [`super::proofs`].
//!
//! ```text
//! knock  = version:byte tag[32] proof[64] sealing-key[1216]
//! answer = 0:byte rest...                                   go on
//!        | 1:byte                                           nothing of yours is here
//!        | 2:byte text                                      it failed
//! list   = count:uint space-id[32]*                         (sealed)
//! words  = device-record count:uint ( nonce[32] signature[64] )*
//! held   = device-name:text count:uint ( ticket founder[32] genesis:bytes )*     (sealed)
//! ```

use stead_access::{DeviceRecord, Name};
use stead_base::limits::{NAME_BYTES_MAX, SPACES_MAX};
use stead_base::{DecodeError, DecodeFault, Decoder, Encoder, SpaceId};
use stead_crypt::{KemPublic, Zeroizing, seal_box};
use stead_replica::{HeldSpace, RootWord};

/// Version of the protocol.
pub const VERSION: u8 = 1;
/// Length of a knock, in bytes.
pub const KNOCK_BYTES: usize = 1 + 32 + 64 + seal_box::PUBLIC_BYTES;
/// Longest list of spaces before it is sealed, in bytes.
const LIST_BYTES_MAX: usize = 4 + 32 * SPACES_MAX;
/// Longest answer that holds a list, in bytes.
pub const LIST_ANSWER_BYTES_MAX: usize = 1 + seal_box::OVERHEAD + LIST_BYTES_MAX;
/// Longest message with the root's words, in bytes.
pub const WORDS_BYTES_MAX: usize = 2048 + 96 * SPACES_MAX;
/// Longest answer that holds spaces, in bytes.
pub const HELD_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Longest text of a failure, in bytes.
const FAILURE_BYTES_MAX: usize = 256;
/// Smallest encoding of a held space, in bytes.
const HELD_BYTES_MIN: usize = 99;

/// What the new device says first. It names nobody: only who knows the person already can tell who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// The person's name for this connection; see [`super::proofs::tag`].
    pub tag: [u8; 32],
    /// The root key's signature; see [`super::proofs::sign`].
    pub proof: [u8; 64],
    /// What answers are sealed to.
    pub kem: KemPublic,
}

impl Knock {
    /// The knock's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        out.byte(VERSION)
            .raw(&self.tag)
            .raw(&self.proof)
            .raw(self.kem.as_bytes());
        out.finish()
    }

    /// Reads a knock.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("version", DecodeFault::Undefined);
        if input.byte("version")? != VERSION {
            return Err(undefined);
        }
        let tag = input.array("tag")?;
        let proof = input.array("proof")?;
        let undefined = input.error("sealing key", DecodeFault::Undefined);
        let kem = input.raw(seal_box::PUBLIC_BYTES, "sealing key")?;
        let kem = KemPublic::from_bytes(kem).map_err(|_| undefined)?;
        input.finish("knock")?;
        Ok(Self { tag, proof, kem })
    }
}

/// What the holder answers, each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The next step, as the step defines it.
    Go(Vec<u8>),
    /// The same to a stranger, to a wrong signature and to a person who has nothing here.
    Nothing,
    /// The holder failed, and why, in words.
    Failed(String),
}

impl Answer {
    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        match self {
            Self::Go(rest) => out.byte(0).raw(rest),
            Self::Nothing => out.byte(1),
            Self::Failed(text) => {
                let mut end = text.len().min(FAILURE_BYTES_MAX);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                out.byte(2).text(&text[..end])
            }
        };
        out.finish()
    }

    /// Reads an answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let undefined = input.error("answer", DecodeFault::Undefined);
        match input.byte("answer")? {
            0 => Ok(Self::Go(input.rest().to_vec())),
            1 => {
                input.finish("answer")?;
                Ok(Self::Nothing)
            }
            2 => {
                let text = input.text(FAILURE_BYTES_MAX, "failure")?;
                let text = text.replace(char::is_control, " ");
                input.finish("answer")?;
                Ok(Self::Failed(text))
            }
            _ => Err(undefined),
        }
    }
}

/// The spaces that the person is in, before sealing.
pub fn encode_list(spaces: &[SpaceId]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.uint(spaces.len() as u64);
    for space in spaces {
        out.raw(space.as_bytes());
    }
    out.finish()
}

/// Reads an opened list.
pub fn decode_list(bytes: &[u8]) -> Result<Vec<SpaceId>, DecodeError> {
    let mut input = Decoder::new(bytes);
    let count = input.count(SPACES_MAX, 32, "spaces")?;
    let spaces = (0..count)
        .map(|_| Ok(SpaceId::from_bytes(input.array("space id")?)))
        .collect::<Result<_, DecodeError>>()?;
    input.finish("spaces")?;
    Ok(spaces)
}

/// Who comes back, and the root's word for it in each space of the list, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The new device.
    pub record: DeviceRecord,
    /// One for each space.
    pub words: Vec<RootWord>,
}

impl Words {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new();
        self.record.encode(&mut out);
        out.uint(self.words.len() as u64);
        for word in &self.words {
            out.raw(&word.nonce).raw(&word.signature);
        }
        out.finish()
    }

    /// Reads the message.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let record = DeviceRecord::decode(&mut input)?;
        let count = input.count(SPACES_MAX, 96, "words of the root")?;
        let words = (0..count)
            .map(|_| {
                Ok(RootWord {
                    nonce: input.array("nonce")?,
                    signature: input.array("signature")?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        input.finish("words of the root")?;
        Ok(Self { record, words })
    }
}

/// What the holder hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The holder's name.
    pub device_name: Name,
    /// What the person is in, as far as the holder has it.
    pub spaces: Vec<HeldSpace>,
}

impl Held {
    /// The bytes before sealing. They hold keys.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Encoder::new();
        out.text(&self.device_name).uint(self.spaces.len() as u64);
        for space in &self.spaces {
            space.encode(&mut out);
        }
        Zeroizing::new(out.finish())
    }

    /// Reads what was opened.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let device_name = Name::from_any(input.text(NAME_BYTES_MAX, "device name")?);
        let count = input.count(SPACES_MAX, HELD_BYTES_MIN, "spaces")?;
        let spaces = (0..count)
            .map(|_| HeldSpace::decode(&mut input))
            .collect::<Result<_, DecodeError>>()?;
        input.finish("spaces")?;
        Ok(Self {
            device_name,
            spaces,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stead_crypt::DeviceKeys;

    fn knock() -> Knock {
        Knock {
            tag: [1; 32],
            proof: [2; 64],
            kem: DeviceKeys::from_seed(&[3; 32]).kem().public().clone(),
        }
    }

    #[test]
    fn messages_come_back_as_they_were() {
        assert_eq!(knock().encode().len(), KNOCK_BYTES);
        assert_eq!(Knock::decode(&knock().encode()).unwrap(), knock());
        for answer in [
            Answer::Go(vec![7; 9]),
            Answer::Nothing,
            Answer::Failed("no".into()),
        ] {
            assert_eq!(Answer::decode(&answer.encode()).unwrap(), answer);
        }
        let spaces: Vec<SpaceId> = (0..40).map(|i| SpaceId::from_bytes([i; 32])).collect();
        assert_eq!(decode_list(&encode_list(&spaces)).unwrap(), spaces);
        let keys = DeviceKeys::from_seed(&[3; 32]);
        let words = Words {
            record: DeviceRecord::of(&keys, Name::from_any("new")),
            words: vec![
                RootWord {
                    nonce: [4; 32],
                    signature: [5; 64],
                };
                3
            ],
        };
        assert_eq!(Words::decode(&words.encode()).unwrap(), words);
    }

    #[test]
    fn what_is_cut_or_goes_on_is_refused() {
        let whole = knock().encode();
        for cut in 0..whole.len() {
            assert!(Knock::decode(&whole[..cut]).is_err());
        }
        assert!(Knock::decode(&[&whole[..], b"x"].concat()).is_err());
        // A count that no input could hold is refused before room is made.
        let endless = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(decode_list(&endless).is_err());
        assert!(Held::decode(&[&[1, b'x'][..], &endless].concat()).is_err());
        assert!(Answer::decode(&[3]).is_err() && Answer::decode(&[1, 0]).is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_or_read_as_they_are(
            noise in prop::collection::vec(any::<u8>(), 0..600),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let keys = DeviceKeys::from_seed(&[3; 32]);
            let word = RootWord { nonce: [4; 32], signature: [5; 64] };
            let record = DeviceRecord::of(&keys, Name::from_any("new"));
            let words = Words { record, words: vec![word; 2] }.encode();
            let list = encode_list(&[SpaceId::from_bytes([1; 32]); 3]);
            for mut bytes in [noise.clone(), knock().encode(), words, list] {
                if bytes != noise {
                    let at = at.index(bytes.len());
                    bytes[at] ^= flip;
                }
                if let Ok(knock) = Knock::decode(&bytes) {
                    prop_assert_eq!(knock.encode(), bytes.clone());
                }
                if let Ok(words) = Words::decode(&bytes) {
                    prop_assert_eq!(words.encode(), bytes.clone());
                }
                if let Ok(list) = decode_list(&bytes) {
                    prop_assert_eq!(encode_list(&list), bytes.clone());
                }
                let _ = (Held::decode(&bytes).is_ok(), Answer::decode(&bytes).is_ok());
            }
        }
    }
}
