//! Inviting people into a space: the calls, and the text that an invite travels as. Nothing is
//! executed here.
//!
//! The text is `stead-invite:` and lower-case Crockford base32 of the bytes below, written and read as
//! that of a [`Link`](crate::Link) is.
//!
//! ```text
//! version 1 | device 32 | space 32 | log 32 | seq 8 | index 4 | seed 32 | expires_ms 8, all big-endian
//! | count of addresses 1 | (4, address 4, port 2 | 6, address 16, port 2)*
//! | length of relay 1 | relay, UTF-8 | CRC-32 of all before 4, big-endian
//! ```

use std::{fmt, net::SocketAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::link::{LinkSecret, Reader, base32, put_place, read_text};
use crate::{LinkError, LinkFault, LinkKind};

const PREFIX: &str = LinkKind::Invite.prefix();
const VERSION: u8 = 1;
const TEXT_BYTES_MAX: usize = 2048;

/// `space.share`: makes an invite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceShare {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// `reader`, `writer`, `manager` or `owner`.
    pub role: String,
    /// How many people may join by it; any number if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// How long it is good for, in milliseconds; a week if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_ms: Option<u64>,
    /// Where, such as `/notes` or `/notes/7/title`; the whole space if not said. What is there gets
    /// keys of its own, and whoever joins reads nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The answer to [`SpaceShare`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceShared {
    /// The invite's text: whoever holds it can join.
    pub invite: String,
    /// The membership it makes, for `space.revoke`.
    pub membership: String,
    /// When it becomes worthless, in Unix milliseconds.
    pub expires_ms: u64,
}

/// `space.plan_share`: what [`SpaceShare`] with the same fields would do. Changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpacePlanShare {
    /// Name, id, or the first digits of the id.
    pub space: String,
    /// `reader`, `writer`, `manager` or `owner`.
    pub role: String,
    /// Where; the whole space if not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it is for everyone, as in [`SpaceGrant`](crate::SpaceGrant).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everyone: bool,
}

/// The answer to [`SpacePlanShare`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SharePlan {
    /// Where, as a path.
    pub on: String,
    /// Whether what is there gets keys of its own by it.
    pub makes_keys: bool,
    /// Documents there, or of which something is there.
    pub documents: u64,
    /// The same in one plain sentence or two.
    pub sentence: String,
}

/// `space.join`: uses an invite, or the public link of a space.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceJoin {
    /// The invite's text, or that of a [`PublicLink`](crate::PublicLink).
    pub invite: String,
    /// Keep only this part of the space on this device, from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<crate::Keep>,
}

/// The answer to [`SpaceJoin`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceJoined {
    /// The space, 64 hexadecimal digits.
    pub space: String,
    /// Its name; the start of its id if nothing of it has come yet.
    pub name: String,
    /// Whether this device reads there what is public, and is no member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
}

/// What the text of an invite says. [`fmt::Display`] prints it, [`FromStr`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteText {
    /// The device that made it and lets people in by it.
    pub device: [u8; 32],
    /// The space.
    pub space: [u8; 32],
    /// The grant that made the invite: log, entry and place in it.
    pub membership: ([u8; 32], u64, u32),
    /// The seed of the invite's key.
    pub seed: LinkSecret,
    /// When it becomes worthless, in Unix milliseconds.
    pub expires_ms: u64,
    /// Where that device may be reached directly; at most 16.
    pub addresses: Vec<SocketAddr>,
    /// The relay through which it may be reached.
    pub relay: Option<String>,
}

impl InviteText {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        out.extend_from_slice(&self.device);
        out.extend_from_slice(&self.space);
        let (log, seq, index) = &self.membership;
        out.extend_from_slice(log);
        out.extend_from_slice(&seq.to_be_bytes());
        out.extend_from_slice(&index.to_be_bytes());
        out.extend_from_slice(&self.seed.0);
        out.extend_from_slice(&self.expires_ms.to_be_bytes());
        put_place(&mut out, &self.addresses, self.relay.as_deref());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, LinkFault> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let (device, space, log) = (reader.take()?, reader.take()?, reader.take()?);
        let seq = u64::from_be_bytes(reader.take()?);
        let index = u32::from_be_bytes(reader.take()?);
        let seed = LinkSecret(reader.take()?);
        let expires_ms = u64::from_be_bytes(reader.take()?);
        let (addresses, relay) = reader.place()?;
        Ok(Self {
            device,
            space,
            membership: (log, seq, index),
            seed,
            expires_ms,
            addresses,
            relay,
        })
    }
}

impl fmt::Display for InviteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&base32(&self.to_bytes()))
    }
}

impl FromStr for InviteText {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let read = read_text(text, PREFIX, TEXT_BYTES_MAX);
        let found = read.and_then(|bytes| Self::from_bytes(&bytes));
        found.map_err(|fault| fault.of(LinkKind::Invite))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> InviteText {
        InviteText {
            device: [1; 32],
            space: [2; 32],
            membership: ([3; 32], 4, 5),
            seed: LinkSecret([6; 32]),
            expires_ms: 7,
            addresses: vec![
                "192.0.2.1:4433".parse().unwrap(),
                "[2001:db8::1]:4433".parse().unwrap(),
            ],
            relay: Some("https://relay.example".to_owned()),
        }
    }

    #[test]
    fn an_invite_reads_back_also_in_capitals_and_with_line_ends() {
        let text = invite().to_string();
        assert_eq!(text.parse(), Ok(invite()));
        let (start, end) = text.split_at(60);
        assert_eq!(
            format!("{start}\n  {end}").to_uppercase().parse(),
            Ok(invite())
        );
    }

    #[test]
    fn a_mistyped_cut_or_other_text_is_no_invite() {
        let text = invite().to_string();
        for at in PREFIX.len()..text.len() {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
            let typed = String::from_utf8(typed).unwrap();
            assert!(typed == text || typed.parse::<InviteText>().is_err());
            assert!(text[..at].parse::<InviteText>().is_err());
        }
        let link = "stead-link:".to_owned() + &text[PREFIX.len()..];
        let refused = link.parse::<InviteText>().unwrap_err();
        assert_eq!(refused, LinkFault::Prefix.of(LinkKind::Invite));
        let told = "".parse::<InviteText>().unwrap_err().to_string();
        assert_eq!(told, "an invite starts with \"stead-invite:\"");
    }

    #[test]
    fn the_seed_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", invite()).contains("6, 6"));
    }
}
