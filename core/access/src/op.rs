//! Roster operations and the parcel that holds them. Owns their encoding; what they bring about
//! is decided in `rights`.

use stead_base::{DecodeError, DecodeFault, Decoder, DeviceId, Encoder, ScopeId};
use stead_crypt::KeyId;

use crate::{DeviceRecord, Name, Role};

/// Most operations in one `@roster` parcel.
pub const OPS_PER_PARCEL_MAX: usize = 512;
/// Longest path of a grant, in bytes of UTF-8.
pub const PATH_BYTES_MAX: usize = 4096;
/// The path that stands for the whole space.
pub const WHOLE_SPACE: &str = "/";

const TAG_GENESIS: u8 = 0;
const TAG_CLAIM: u8 = 1;
const TAG_GRANT: u8 = 2;
const TAG_EPOCH: u8 = 3;

/// One operation on a space's roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RosterOp {
    /// Founds the space; counts only in the entry whose hash is the space's id. It also claims
    /// its writer for the founding device.
    Genesis {
        /// The space's first name.
        name: Name,
        /// Makes the id unlike any other.
        nonce: [u8; 32],
        /// The founding device, which owns the space.
        device: DeviceRecord,
        /// The device's signature; see [`sign_genesis`](crate::sign_genesis).
        signature: [u8; 64],
    },
    /// Binds the writer of this entry to a device.
    Claim {
        /// The device that says the writer is its own.
        device: DeviceId,
        /// Its signature; see [`sign_claim`](crate::sign_claim).
        signature: [u8; 64],
    },
    /// Lets a device in.
    Grant {
        /// Who is let in.
        device: DeviceRecord,
        /// As what.
        role: Role,
        /// Where: [`WHOLE_SPACE`], or a path below it.
        path: String,
    },
    /// Starts an epoch of a scope.
    Epoch {
        /// The scope.
        scope: ScopeId,
        /// Which generation of its key, counted from 0.
        generation: u32,
        /// Commits to the key.
        key: KeyId,
    },
}

impl RosterOp {
    /// Appends the operation: a tag byte, then its fields in the order they are declared.
    pub fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Genesis {
                name,
                nonce,
                device,
                signature,
            } => {
                out.byte(TAG_GENESIS);
                name.encode(out);
                out.raw(nonce);
                device.encode(out);
                out.raw(signature);
            }
            Self::Claim { device, signature } => {
                out.byte(TAG_CLAIM).raw(device.as_bytes()).raw(signature);
            }
            Self::Grant { device, role, path } => {
                out.byte(TAG_GRANT);
                device.encode(out);
                role.encode(out);
                out.text(path);
            }
            Self::Epoch {
                scope,
                generation,
                key,
            } => {
                out.byte(TAG_EPOCH)
                    .uint(scope.number())
                    .uint((*generation).into());
                key.encode(out);
            }
        }
    }

    /// Reads an operation.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let undefined = input.error("roster operation", DecodeFault::Undefined);
        match input.byte("roster operation")? {
            TAG_GENESIS => Ok(Self::Genesis {
                name: Name::decode(input, "space name")?,
                nonce: input.array("genesis nonce")?,
                device: DeviceRecord::decode(input)?,
                signature: input.array("genesis signature")?,
            }),
            TAG_CLAIM => Ok(Self::Claim {
                device: DeviceId::from_bytes(input.array("claiming device")?),
                signature: input.array("claim signature")?,
            }),
            TAG_GRANT => Ok(Self::Grant {
                device: DeviceRecord::decode(input)?,
                role: Role::decode(input)?,
                path: decode_path(input)?,
            }),
            TAG_EPOCH => Ok(Self::Epoch {
                scope: ScopeId::from_number(input.uint("epoch scope")?),
                generation: input.uint_max(u32::MAX.into(), "epoch generation")? as u32,
                key: KeyId::decode(input)?,
            }),
            _ => Err(undefined),
        }
    }
}

fn decode_path(input: &mut Decoder<'_>) -> Result<String, DecodeError> {
    let undefined = input.error("grant path", DecodeFault::Undefined);
    let path = input.text(PATH_BYTES_MAX, "grant path")?;
    if !path.starts_with('/') {
        return Err(undefined);
    }
    Ok(path.to_owned())
}

/// Encodes the plaintext of a `@roster` parcel: a count, then the operations.
///
/// A list above [`OPS_PER_PARCEL_MAX`] can be encoded but not decoded.
pub fn encode_ops(ops: &[RosterOp]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.uint(ops.len() as u64);
    for op in ops {
        op.encode(&mut out);
    }
    out.finish()
}

/// Decodes the plaintext of a `@roster` parcel.
pub fn decode_ops(parcel: &[u8]) -> Result<Vec<RosterOp>, DecodeError> {
    let mut input = Decoder::new(parcel);
    let count = input.count(OPS_PER_PARCEL_MAX, 1, "roster operations")?;
    let ops = (0..count)
        .map(|_| RosterOp::decode(&mut input))
        .collect::<Result<_, _>>()?;
    input.finish("roster parcel")?;
    Ok(ops)
}

#[cfg(test)]
mod tests;
