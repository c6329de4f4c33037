//! The four roles and what each may do. Owns their order and encoding.

use std::fmt;

use stead_base::{DecodeError, DecodeFault, Decoder, Encoder};

/// What a member may do within a path. Each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Reader,
    /// Changes documents.
    Writer,
    /// Grants reading and writing.
    Manager,
    /// Grants anything.
    Owner,
}

/// What someone may want to do at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read documents.
    Read,
    /// Change documents.
    Write,
    /// Start epochs and make scopes.
    Manage,
    /// Let others in, or put them out, at that role.
    Grant(Role),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read => f.write_str("read"),
            Self::Write => f.write_str("write"),
            Self::Manage => f.write_str("manage"),
            Self::Grant(role) => write!(f, "grant the role {role}"),
        }
    }
}

impl Role {
    /// All roles, from the least to the greatest.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Writer, Self::Manager, Self::Owner];

    /// Whether a holder of this role may grant `role` to another.
    pub fn may_grant(self, role: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Manager => role <= Self::Writer,
            Self::Writer | Self::Reader => false,
        }
    }

    /// Whether a holder of this role may do `action`.
    pub fn may(self, action: Action) -> bool {
        let needed = match action {
            Action::Read => Self::Reader,
            Action::Write => Self::Writer,
            Action::Manage => Self::Manager,
            Action::Grant(role) => return self.may_grant(role),
        };
        self >= needed
    }

    /// Appends the role to an encoding.
    pub fn encode(self, out: &mut Encoder) {
        out.byte(self as u8);
    }

    /// Reads a role.
    pub fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let undefined = input.error("role", DecodeFault::Undefined);
        let number = usize::from(input.byte("role")?);
        Self::ALL.get(number).copied().ok_or(undefined)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Manager => "manager",
            Self::Owner => "owner",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_grants_above_their_own_role() {
        for giver in Role::ALL {
            for given in Role::ALL {
                assert!(!giver.may_grant(given) || given <= giver);
            }
        }
        assert!(!Role::Manager.may_grant(Role::Manager));
        assert!(Role::Owner.may_grant(Role::Owner));
    }

    #[test]
    fn a_role_reads_back_and_an_undefined_one_is_refused() {
        for role in Role::ALL {
            let mut out = Encoder::new();
            role.encode(&mut out);
            assert_eq!(Role::decode(&mut Decoder::new(out.as_slice())), Ok(role));
        }
        let err = Role::decode(&mut Decoder::new(&[4])).unwrap_err();
        assert_eq!(err.fault, DecodeFault::Undefined);
    }
}
