//! The one-time link that a device shows and a new device reads: its bytes, its text, its limits.
//!
//! The text is `stead-link:` and lower-case Crockford base32 of the bytes below; it is read in either case, and `o`,
//! `i` and `l` are read as the digits they look like. Whether the link has expired is the reader's to check.
//!
//! ```text
//! version 1 | device 32 | key hash 32 | secret 32 | expires_ms 8, big-endian
//! | count of addresses 1 | (4, address 4, port 2 | 6, address 16, port 2)*
//! | length of relay 1 | relay, UTF-8 | CRC-32 of all before 4, big-endian
//! ```

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// What every link starts with.
const PREFIX: &str = "stead-link:";
const VERSION: u8 = 2;
/// Most addresses in a link.
pub(crate) const ADDRESSES_MAX: usize = 16;
/// Longest relay address, in bytes.
pub(crate) const RELAY_BYTES_MAX: usize = 200;
/// Longest text of a link, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A one-time link. [`fmt::Display`] prints its text, [`FromStr`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The public key of the device that made it.
    pub device: [u8; 32],
    /// BLAKE3 of the X-Wing public key that the device made for this link alone and sends on the connection.
    pub key_hash: [u8; 32],
    /// Proves that its holder was shown the link.
    pub secret: LinkSecret,
    /// When it becomes worthless, in Unix milliseconds.
    pub expires_ms: u64,
    /// Where that device may be reached directly; at most 16, more are left out of the text.
    pub addresses: Vec<SocketAddr>,
    /// The relay through which it may be reached; one longer than 200 bytes is left out of the text.
    pub relay: Option<String>,
}

/// The secret part of a link. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkSecret(pub [u8; 32]);

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret(..)")
    }
}

/// What a text is meant to be: all kinds are written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Lets in a device.
    Device,
    /// Lets in a person.
    Invite,
    /// Opens what is public.
    Public,
    /// What a site asks.
    Challenge,
    /// What a device answers a site.
    Answer,
}

impl LinkKind {
    /// What every text of the kind starts with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Device => PREFIX,
            Self::Invite => "stead-invite:",
            Self::Public => "stead-public:",
            Self::Challenge => "stead-challenge:",
            Self::Answer => "stead-answer:",
        }
    }

    const fn indefinite(self) -> &'static str {
        match self {
            Self::Device => "a link",
            Self::Invite => "an invite",
            Self::Public => "a public link",
            Self::Challenge => "a challenge",
            Self::Answer => "an answer",
        }
    }

    const fn definite(self) -> &'static str {
        match self {
            Self::Device => "the link",
            Self::Invite => "the invite",
            Self::Public => "the public link",
            Self::Challenge => "the challenge",
            Self::Answer => "the answer",
        }
    }
}

/// Why a text is not what it is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkError {
    /// What it is meant to be.
    pub kind: LinkKind,
    /// What is wrong with it.
    pub fault: LinkFault,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFault {
    /// It does not start like one.
    Prefix,
    /// It is longer than any.
    TooLong,
    /// It has a character none has.
    Character {
        /// The first one found.
        character: char,
    },
    /// Something is missing or changed.
    Damaged,
    /// Made by a newer Stead.
    Version {
        /// Its version.
        version: u8,
    },
}

impl LinkFault {
    pub(crate) const fn of(self, kind: LinkKind) -> LinkError {
        LinkError { kind, fault: self }
    }
}

impl std::error::Error for LinkError {}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, this) = (self.kind.indefinite(), self.kind.definite());
        match self.fault {
            LinkFault::Prefix => write!(f, "{one} starts with {:?}", self.kind.prefix()),
            LinkFault::TooLong => write!(f, "the text is too long to be {one}"),
            LinkFault::Character { character } => write!(f, "{one} has no {character:?} in it"),
            LinkFault::Damaged => write!(f, "a part of {this} is missing or was mistyped"),
            LinkFault::Version { .. } => {
                write!(f, "{this} was made by a newer version of Stead")
            }
        }
    }
}

impl Link {
    /// Whether its time is over.
    pub fn has_expired(&self, now_ms: u64) -> bool {
        now_ms >= self.expires_ms
    }

    /// The text in capitals, which makes a QR code smaller; it reads back like the other.
    pub fn to_qr_text(&self) -> String {
        self.to_string().to_ascii_uppercase()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(VERSION);
        out.extend_from_slice(&self.device);
        out.extend_from_slice(&self.key_hash);
        out.extend_from_slice(&self.secret.0);
        out.extend_from_slice(&self.expires_ms.to_be_bytes());
        put_place(&mut out, &self.addresses, self.relay.as_deref());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, LinkFault> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let device = reader.take()?;
        let key_hash = reader.take()?;
        let secret = LinkSecret(reader.take()?);
        let expires_ms = u64::from_be_bytes(reader.take()?);
        let (addresses, relay) = reader.place()?;
        Ok(Self {
            device,
            key_hash,
            secret,
            expires_ms,
            addresses,
            relay,
        })
    }
}

/// Appends where a device may be reached, and the checksum over all before it.
pub(crate) fn put_place(out: &mut Vec<u8>, addresses: &[SocketAddr], relay: Option<&str>) {
    let addresses = &addresses[..addresses.len().min(ADDRESSES_MAX)];
    out.push(addresses.len() as u8);
    for address in addresses {
        match address.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&address.port().to_be_bytes());
    }
    let relay = relay
        .filter(|relay| relay.len() <= RELAY_BYTES_MAX)
        .unwrap_or_default();
    out.push(relay.len() as u8);
    out.extend_from_slice(relay.as_bytes());
    let sum = crc32(out);
    out.extend_from_slice(&sum.to_be_bytes());
}

/// The bytes behind a prefix in a text; blanks and line ends inside it, as chat programs and terminals
/// add them, do not matter.
pub(crate) fn read_text(text: &str, prefix: &str, max: usize) -> Result<Vec<u8>, LinkFault> {
    if text.len() > max * 2 {
        return Err(LinkFault::TooLong);
    }
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if text.len() > max {
        return Err(LinkFault::TooLong);
    }
    let body = text
        .get(..prefix.len())
        .filter(|start| start.eq_ignore_ascii_case(prefix))
        .and_then(|_| text.get(prefix.len()..))
        .ok_or(LinkFault::Prefix)?;
    unbase32(body)
}

pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// What follows the version, if the checksum is right.
    pub(crate) fn new(bytes: &'a [u8], expected: u8) -> Result<Self, LinkFault> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(LinkFault::Damaged)?;
        if crc32(body) != u32::from_be_bytes(*sum) {
            return Err(LinkFault::Damaged);
        }
        let mut reader = Self(body);
        let [version] = reader.take()?;
        match version == expected {
            true => Ok(reader),
            false => Err(LinkFault::Version { version }),
        }
    }

    /// Where a device may be reached: its addresses and its relay, with which the text ends.
    pub(crate) fn place(&mut self) -> Result<(Vec<SocketAddr>, Option<String>), LinkFault> {
        let [count] = self.take()?;
        if usize::from(count) > ADDRESSES_MAX {
            return Err(LinkFault::Damaged);
        }
        let mut addresses = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let ip = match self.take()? {
                [4] => IpAddr::from(self.take::<4>()?),
                [6] => IpAddr::from(self.take::<16>()?),
                _ => return Err(LinkFault::Damaged),
            };
            addresses.push(SocketAddr::new(ip, u16::from_be_bytes(self.take()?)));
        }
        let [len] = self.take()?;
        let relay = self.rest(usize::from(len))?;
        let relay = std::str::from_utf8(relay).map_err(|_| LinkFault::Damaged)?;
        if relay.len() > RELAY_BYTES_MAX || relay.chars().any(char::is_control) {
            return Err(LinkFault::Damaged);
        }
        Ok((addresses, (!relay.is_empty()).then(|| relay.to_owned())))
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], LinkFault> {
        let (head, rest) = self.0.split_first_chunk().ok_or(LinkFault::Damaged)?;
        self.0 = rest;
        Ok(*head)
    }

    /// The last `len` bytes, which must be all that is left.
    fn rest(&self, len: usize) -> Result<&'a [u8], LinkFault> {
        (self.0.len() == len)
            .then_some(self.0)
            .ok_or(LinkFault::Damaged)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        f.write_str(&base32(&self.to_bytes()))
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let read = read_text(text, PREFIX, TEXT_BYTES_MAX);
        let link = read.and_then(|bytes| Self::from_bytes(&bytes));
        link.map_err(|fault| fault.of(LinkKind::Device))
    }
}

pub(crate) fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for &byte in bytes {
        buffer = buffer << 8 | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    out
}

pub(crate) fn unbase32(text: &str) -> Result<Vec<u8>, LinkFault> {
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for character in text.chars() {
        let lower = match character.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        let digit = ALPHABET
            .iter()
            .position(|&c| char::from(c) == lower)
            .ok_or(LinkFault::Character { character })?;
        buffer = buffer << 5 | digit as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((buffer >> bits) as u8);
        }
        buffer &= (1 << bits) - 1;
    }
    // One text for one link: no digit too many, and no stray bits in the last one.
    if bits >= 5 || buffer != 0 {
        return Err(LinkFault::Damaged);
    }
    Ok(out)
}

/// CRC-32 as in ISO 3309: guards against typing mistakes, not against people.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests;
