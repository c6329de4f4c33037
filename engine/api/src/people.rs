//! The person behind the devices: identity, recovery words, own devices, contacts.
//!
//! Owns the shapes of these calls; nothing is executed here.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DeviceInfo;

/// `identity.show`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentityShow {}

/// The answer to [`IdentityShow`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentityShown {
    /// The root public key that names the person, 64 hexadecimal digits.
    pub id: String,
    /// This device.
    pub device: DeviceInfo,
    /// All devices, past ones included; by rank and name.
    pub devices: Vec<OwnDevice>,
    /// Whether this node still keeps the recovery words because nobody said that they are written down.
    pub words_waiting: bool,
    /// Where this device is reached just now, as `stead recover --at` takes it: `<id>@<address>` or `<id>@<relay URL>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
}

/// A device of the person's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnDevice {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it is the device that answers.
    pub this: bool,
    /// Steps from the root key; a device removes those with a greater number.
    pub rank: u32,
    /// Whether it still acts for the person.
    pub current: bool,
    /// Whether the device that answers may remove it without the recovery words.
    pub junior: bool,
    /// When this device last exchanged anything with it, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<u64>,
}

/// `identity.phrase`: the recovery words, as long as the node keeps them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentityPhrase {}

/// Recovery words, as they were typed or to be written down. Never shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Words(pub String);

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(..)")
    }
}

/// The answer to [`IdentityPhrase`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Phrase {
    /// 24 words with a blank between each, in their order.
    pub words: Words,
}

/// `identity.written`: the words are written down; the node forgets them for good.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct IdentityWritten {
    /// Words that were typed back, to be compared before anything is forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<WordCheck>,
}

/// One word that was typed back.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordCheck {
    /// Which word, counted from 1.
    pub position: u32,
    /// The word.
    pub word: String,
}

impl fmt::Debug for WordCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WordCheck({})", self.position)
    }
}

/// `device.rename`: what this person calls one of their devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceRename {
    /// Name, id, or the first digits of the id.
    pub device: String,
    /// The new name.
    pub name: String,
}

/// `device.plan_removal`: what [`DeviceRemove`] would do. Changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DevicePlanRemoval {
    /// Name, id, or the first digits of the id.
    pub device: String,
}

/// The answer to [`DevicePlanRemoval`] and [`DeviceRemove`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceRemoval {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The spaces that it loses, by name.
    pub spaces: Vec<String>,
    /// Keys that are made anew.
    pub keys: u32,
    /// Whether the recovery words are needed: it is not junior to the device that answers.
    pub needs_words: bool,
    /// The same in one plain sentence.
    pub sentence: String,
}

/// `device.remove`: takes a device from the person, in every space, and renews the keys that it had.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceRemove {
    /// Name, id, or the first digits of the id.
    pub device: String,
    /// The recovery words; needed for a device that is not junior to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Words>,
}

/// `contact.add`: gives a name to an identity, or another name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContactAdd {
    /// The name.
    pub name: String,
    /// The identity, 64 hexadecimal digits.
    pub identity: String,
}

/// `contact.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContactList {}

/// The answer to [`ContactList`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contacts {
    /// By name.
    pub contacts: Vec<Contact>,
}

/// A name that the person gave to an identity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The name.
    pub name: String,
    /// The identity, 64 hexadecimal digits.
    pub identity: String,
    /// When the safety words were found the same, in Unix milliseconds; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_ms: Option<u64>,
}

/// `contact.verify`: the safety words to compare with a contact; or the word that they are the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContactVerify {
    /// The contact's name, or the identity.
    pub name: String,
    /// The words were compared and are the same: the contact is verified from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same: bool,
}

/// The answer to [`ContactVerify`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SafetyWords {
    /// The contact as it is now.
    pub contact: Contact,
    /// Twelve words that both people see if each has the other's true identity.
    pub words: Vec<String>,
}
