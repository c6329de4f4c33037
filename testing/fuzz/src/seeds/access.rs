//! Rosters and key boxes of two devices.

use crate::seeds::Dice;
use crate::targets::log::SPACE;
use stead_access::{
    DeviceRecord, KeyPlace, Name, Role, RosterOp, ScopedKey, WHOLE_SPACE, encode_boxes, encode_ops,
    seal_keys, sign_claim,
};
use stead_base::{Entropy, ScopeId, WriterId};
use stead_crypt::{DeviceKeys, EpochKey};

impl Entropy for Dice {
    fn fill(&mut self, buf: &mut [u8]) {
        buf.fill_with(|| self.below(256) as u8);
    }
}

/// The device that boxes are sealed to.
pub fn device() -> DeviceKeys {
    DeviceKeys::from_seed(&[8; 32])
}

fn record() -> DeviceRecord {
    DeviceRecord::of(&device(), Name::from_any("kitchen laptop"))
}

/// `@roster` parcels, one for each kind of operation.
pub fn roster_ops() -> Vec<Vec<u8>> {
    let signature = sign_claim(device().signing(), &SPACE, &WriterId::from_bytes([1; 32]));
    let epoch = |generation| RosterOp::Epoch {
        scope: ScopeId::ROOT,
        generation,
        key: EpochKey::from_bytes(&[3; 32]).id(),
    };
    let genesis = RosterOp::Genesis {
        name: Name::from_any("home"),
        nonce: [2; 32],
        device: record(),
        signature,
    };
    let claim = RosterOp::Claim {
        device: device().id(),
        signature,
    };
    let grant = RosterOp::Grant {
        device: record(),
        role: Role::Owner,
        path: WHOLE_SPACE.to_owned(),
    };
    vec![
        encode_ops(&[]),
        encode_ops(&[genesis, epoch(0)]),
        encode_ops(&[claim]),
        encode_ops(&[grant]),
        encode_ops(&[epoch(1), epoch(300)]),
    ]
}

/// Key boxes, one of which opens.
pub fn key_boxes() -> Vec<Vec<u8>> {
    let mut dice = Dice::new(1);
    let place = KeyPlace {
        space: SPACE,
        granted_at: (WriterId::from_bytes([1; 32]), 0),
    };
    let keys = [ScopeId::ROSTER, ScopeId::ROOT].map(|scope| ScopedKey {
        scope,
        generation: 0,
        key: EpochKey::generate(&mut dice),
    });
    let sealed = seal_keys(&record(), &place, &keys, &mut dice);
    let sealed = sealed.expect("two keys fit a box");
    vec![encode_boxes(&[]), encode_boxes(&[sealed])]
}
