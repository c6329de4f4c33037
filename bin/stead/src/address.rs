//! What stands on the command line for spaces, collections and documents.

use std::{fmt, str::FromStr};

/// `SPACE/COLLECTION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CollectionAddress {
    pub(crate) space: String,
    pub(crate) collection: String,
}

/// `SPACE/COLLECTION/ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DocAddress {
    pub(crate) space: String,
    pub(crate) collection: String,
    pub(crate) id: String,
}

/// `SPACE/COLLECTION` or `SPACE/COLLECTION/ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PutAddress {
    pub(crate) space: String,
    pub(crate) collection: String,
    pub(crate) id: Option<String>,
}

/// `SPACE`, `SPACE/COLLECTION` or `SPACE/COLLECTION/ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogAddress {
    pub(crate) space: String,
    pub(crate) collection: Option<String>,
    pub(crate) id: Option<String>,
}

/// The parts between slashes; at most three, none of them empty.
fn parts(text: &str) -> Option<Vec<String>> {
    let parts: Vec<_> = text.split('/').map(str::to_owned).collect();
    (parts.len() <= 3 && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

impl FromStr for CollectionAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parts(text).as_deref() {
            Some([space, collection]) => Ok(Self {
                space: space.clone(),
                collection: collection.clone(),
            }),
            _ => Err("write it as SPACE/COLLECTION, such as family/people".into()),
        }
    }
}

impl FromStr for DocAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parts(text).as_deref() {
            Some([space, collection, id]) => Ok(Self {
                space: space.clone(),
                collection: collection.clone(),
                id: id.clone(),
            }),
            _ => Err("write it as SPACE/COLLECTION/ID, such as family/people/ada".into()),
        }
    }
}

impl FromStr for PutAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parts(text).as_deref() {
            Some([space, collection, rest @ ..]) => Ok(Self {
                space: space.clone(),
                collection: collection.clone(),
                id: rest.first().cloned(),
            }),
            _ => Err(
                "write it as SPACE/COLLECTION or SPACE/COLLECTION/ID, such as family/people/ada"
                    .into(),
            ),
        }
    }
}

impl FromStr for LogAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match parts(text).as_deref() {
            Some([space, rest @ ..]) => Ok(Self {
                space: space.clone(),
                collection: rest.first().cloned(),
                id: rest.get(1).cloned(),
            }),
            _ => Err("write it as SPACE, SPACE/COLLECTION or SPACE/COLLECTION/ID".into()),
        }
    }
}

impl fmt::Display for CollectionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space, self.collection)
    }
}

impl fmt::Display for DocAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.space, self.collection, self.id)
    }
}

impl fmt::Display for PutAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space, self.collection)?;
        self.id.iter().try_for_each(|id| write!(f, "/{id}"))
    }
}

impl LogAddress {
    /// As a path inside of the space.
    pub(crate) fn path(&self) -> String {
        let parts = self.collection.iter().chain(&self.id);
        let parts: Vec<String> = parts.map(|part| format!("/{part}")).collect();
        match parts.is_empty() {
            true => "/".to_owned(),
            false => parts.concat(),
        }
    }
}

impl fmt::Display for LogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.space)?;
        let mut parts = self.collection.iter().chain(&self.id);
        parts.try_for_each(|part| write!(f, "/{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_parts_they_need() {
        assert!("family/people".parse::<CollectionAddress>().is_ok());
        assert!("family".parse::<CollectionAddress>().is_err());
        assert!("family/people/ada".parse::<CollectionAddress>().is_err());
        assert!("family/people/ada".parse::<DocAddress>().is_ok());
        assert!("family/people/".parse::<DocAddress>().is_err());
        assert!("family/people/a/b".parse::<DocAddress>().is_err());
        assert_eq!("family/people".parse::<PutAddress>().unwrap().id, None);
        assert_eq!("family".parse::<LogAddress>().unwrap().collection, None);
        assert!("/people".parse::<LogAddress>().is_err());
    }
}
