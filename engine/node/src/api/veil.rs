//! What the home space keeps for the nodes themselves and no client is shown: the secrets by which
//! the devices of a space recognise each other, and the shares that are held for others.
//!
//! Everything that shows a document, a condition on one or its history asks here. The replica reads
//! past it.

use serde_json::Value;
use stead_api::{ApiError, DocQuery, ErrorKind, Path, Where};
use stead_base::SpaceId;
use stead_replica::{GUARDIANS, HELD};

use super::Node;

/// The home collection that lists the person's spaces.
pub(crate) const SPACES: &str = "spaces";
/// The collection of a group's space that lists the spaces it was let into.
pub(super) const GROUP_SPACES: &str = "@spaces";
/// The field of both that is not shown.
const SECRET: &str = "secret";
/// The field of the shares held for others that is not shown.
const SHARE: &str = "share";

/// The field of a collection that is not shown, if there is one; such a collection is no client's to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Veil(Option<&'static str>);

/// Whether a collection is Stead's own about groups and offers: nodes write it, clients do not.
pub(crate) fn is_kept(collection: &str) -> bool {
    stead_replica::is_reserved(collection)
}

/// The veil over a collection, of the home space or another.
pub(super) fn veil_of(is_home: bool, collection: &str) -> Veil {
    Veil(match collection {
        GROUP_SPACES => Some(SECRET),
        SPACES if is_home => Some(SECRET),
        HELD if is_home => Some(SHARE),
        // Nothing in it is secret; what it says of guardians is theirs and the node's to say.
        GUARDIANS if is_home => Some(SHARE),
        _ => None,
    })
}

impl Node {
    /// The veil over a collection.
    pub(super) fn veil(&self, space: &SpaceId, collection: &str) -> Veil {
        veil_of(*self.board.home_space.borrow() == Some(*space), collection)
    }

    /// Refuses a client's change to a collection that nodes keep for themselves.
    pub(super) fn check_edit(&self, space: &SpaceId, collection: &str) -> Result<(), ApiError> {
        if is_kept(collection) {
            let message = format!("The collection {collection:?} is kept by Stead itself.");
            return Err(ApiError::new(ErrorKind::NotAllowed, message)
                .hint("`stead group` and `stead share` change what is in it."));
        }
        self.veil(space, collection).check_edit()
    }

    /// Refuses a query that would tell what is not shown.
    pub(super) fn check_veil(&self, space: &SpaceId, ask: &DocQuery) -> Result<(), ApiError> {
        let veil = self.veil(space, &ask.collection);
        veil.check(ask.sort.iter().map(|key| &key.path))?;
        veil.check(ask.join.iter().map(|join| &join.path))?;
        if let Some(group) = &ask.group {
            veil.check(&group.by)?;
            veil.check(group.measures.iter().map(|measure| &measure.path))?;
        }
        ask.filters
            .iter()
            .try_for_each(|filter| self.check_veil_of(space, veil, filter))
    }

    fn check_veil_of(&self, space: &SpaceId, veil: Veil, filter: &Where) -> Result<(), ApiError> {
        match filter {
            Where::Is(filter) => veil.check([&filter.path]),
            Where::All { all: inner } | Where::Any { any: inner } => inner
                .iter()
                .try_for_each(|filter| self.check_veil_of(space, veil, filter)),
            Where::Not { not } => self.check_veil_of(space, veil, not),
            Where::Refers {
                refers,
                to,
                filters,
            } => {
                veil.check([refers])?;
                let other = self.veil(space, to);
                filters
                    .iter()
                    .try_for_each(|filter| self.check_veil_of(space, other, filter))
            }
        }
    }
}

impl Veil {
    /// Takes out of a document what is not shown.
    pub(super) fn over(self, document: &mut Value) {
        if let (Some(hidden), Value::Object(fields)) = (self.0, document) {
            fields.remove(hidden);
        }
    }

    /// Takes the value out of a change in words, as the log tells it.
    pub(super) fn over_words(self, words: &mut String) {
        if let Some(hidden) = self.0
            && let Some((what, _)) = words.split_once(" = ")
            && what.contains(hidden)
        {
            *words = what.to_owned();
        }
    }

    /// Whether a field is not shown.
    pub(super) fn hides(self, path: &[String]) -> bool {
        let first = path.first().map(String::as_str);
        self.0.is_some() && first == self.0
    }

    /// The fields of the root that are not shown.
    pub(super) fn hidden(self) -> Vec<String> {
        self.0.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Refuses to find, order or group documents by what is not shown: the answer would tell it.
    pub(super) fn check<'p>(
        self,
        paths: impl IntoIterator<Item = &'p Path>,
    ) -> Result<(), ApiError> {
        let hidden = paths.into_iter().find(|path| self.hides(path));
        if let Some(name) = hidden.and_then(|path| path.first()) {
            let message = format!("The field {name:?} of this collection is not shown.");
            return Err(ApiError::new(ErrorKind::NotAllowed, message)
                .hint("Leave it out of the conditions and the order."));
        }
        Ok(())
    }

    /// Refuses a client's change to what the nodes keep for themselves.
    pub(super) fn check_edit(self) -> Result<(), ApiError> {
        let (message, hint) = match self.0 {
            None => return Ok(()),
            Some(SHARE) => (
                "Guardians and shares are kept by Stead itself.",
                "`stead guardians` shows and sets them.",
            ),
            Some(_) => (
                "The list of your spaces is kept by Stead itself.",
                "`stead space` makes, lists and leaves spaces.",
            ),
        };
        Err(ApiError::new(ErrorKind::NotAllowed, message).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_veil_takes_the_secret_and_nothing_else() {
        let all = json!({"name": "family", "secret": "ab", "left": {"secret": true}});
        let mut document = all.clone();
        Veil(Some(SECRET)).over(&mut document);
        assert_eq!(
            document,
            json!({"name": "family", "left": {"secret": true}})
        );
        let mut words = "set secret = \"ab\"".to_owned();
        Veil(Some(SECRET)).over_words(&mut words);
        assert_eq!(words, "set secret");
        let mut document = all.clone();
        Veil(None).over(&mut document);
        assert_eq!(document, all);
    }
}
