//! The text by which everyone finds a space of which something is public. Nothing is executed here.
//!
//! The text is `stead-public:` and lower-case Crockford base32 of the bytes below, written and read as
//! that of a [`Link`](crate::Link) is.
//!
//! ```text
//! version 1 | device 32 | space 32 | membership secret 32
//! | count of addresses 1 | (4, address 4, port 2 | 6, address 16, port 2)*
//! | length of relay 1 | relay, UTF-8 | CRC-32 of all before 4, big-endian
//! ```

use std::{fmt, net::SocketAddr, str::FromStr};

use crate::link::{LinkSecret, Reader, base32, put_place, read_text};
use crate::{LinkError, LinkFault, LinkKind};

const PREFIX: &str = LinkKind::Public.prefix();
const VERSION: u8 = 1;
const TEXT_BYTES_MAX: usize = 1024;

/// A public link. [`fmt::Display`] prints its text, [`FromStr`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicLink {
    /// A device that holds the space.
    pub device: [u8; 32],
    /// The space.
    pub space: [u8; 32],
    /// Its membership secret, of which the keys are made that what is public is sealed to.
    pub secret: LinkSecret,
    /// Where that device may be reached directly; at most 16.
    pub addresses: Vec<SocketAddr>,
    /// The relay through which it may be reached.
    pub relay: Option<String>,
}

impl PublicLink {
    /// Whether a text means to be one.
    pub fn is_meant(text: &str) -> bool {
        let start = text.trim_start().get(..PREFIX.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.push(VERSION);
        for part in [&self.device, &self.space, &self.secret.0] {
            out.extend_from_slice(part);
        }
        put_place(&mut out, &self.addresses, self.relay.as_deref());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, LinkFault> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let (device, space) = (reader.take()?, reader.take()?);
        let secret = LinkSecret(reader.take()?);
        let (addresses, relay) = reader.place()?;
        Ok(Self {
            device,
            space,
            secret,
            addresses,
            relay,
        })
    }
}

impl fmt::Display for PublicLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&base32(&self.to_bytes()))
    }
}

impl FromStr for PublicLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let read = read_text(text, PREFIX, TEXT_BYTES_MAX);
        let found = read.and_then(|bytes| Self::from_bytes(&bytes));
        found.map_err(|fault| fault.of(LinkKind::Public))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> PublicLink {
        PublicLink {
            device: [1; 32],
            space: [2; 32],
            secret: LinkSecret([3; 32]),
            addresses: vec!["192.0.2.1:4433".parse().unwrap()],
            relay: Some("https://relay.example".to_owned()),
        }
    }

    #[test]
    fn a_public_link_reads_back_also_in_capitals_and_with_line_ends() {
        let text = link().to_string();
        assert_eq!(text.parse(), Ok(link()));
        let (start, end) = text.split_at(60);
        let broken = format!(" {start}\n  {end}").to_uppercase();
        assert!(PublicLink::is_meant(&broken));
        assert_eq!(broken.parse(), Ok(link()));
    }

    #[test]
    fn a_mistyped_cut_or_other_text_is_no_public_link() {
        let text = link().to_string();
        for at in PREFIX.len()..text.len() {
            let mut typed = text.clone().into_bytes();
            typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
            let typed = String::from_utf8(typed).unwrap();
            assert!(typed == text || typed.parse::<PublicLink>().is_err());
            assert!(text[..at].parse::<PublicLink>().is_err());
        }
        let invite = "stead-invite:".to_owned() + &text[PREFIX.len()..];
        assert!(!PublicLink::is_meant(&invite));
        assert_eq!(
            invite.parse::<PublicLink>(),
            Err(LinkFault::Prefix.of(LinkKind::Public))
        );
    }
}
