//! What the home space keeps for the nodes themselves and no client is shown: the secrets by which
//! the devices of a space recognise each other.
//!
//! Everything that shows a document, a condition on one or its history asks here. The replica reads
//! past it.

use serde_json::Value;
use stead_api::{ApiError, ErrorKind, Filter, SortKey};
use stead_base::SpaceId;

use super::Node;

/// The home collection that lists the person's spaces.
pub(crate) const SPACES: &str = "spaces";
/// The collection of a group's space that lists the spaces it was let into.
pub(super) const GROUP_SPACES: &str = "@spaces";
/// The field of both that is not shown.
const SECRET: &str = "secret";

/// Whether a collection has a field that is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Veil(bool);

/// Whether a collection is Stead's own about groups and offers: nodes write it, clients do not.
pub(crate) fn is_kept(collection: &str) -> bool {
    matches!(collection, GROUP_SPACES | "@group" | "@cards" | "@offers")
}

impl Node {
    /// The veil over a collection.
    pub(super) fn veil(&self, space: &SpaceId, collection: &str) -> Veil {
        let listed = collection == SPACES && *self.board.home_space.borrow() == Some(*space);
        Veil(listed || collection == GROUP_SPACES)
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
}

impl Veil {
    /// Takes out of a document what is not shown.
    pub(super) fn over(self, document: &mut Value) {
        if let (true, Value::Object(fields)) = (self.0, document) {
            fields.remove(SECRET);
        }
    }

    /// Takes the value out of a change in words, as the log tells it.
    pub(super) fn over_words(self, words: &mut String) {
        if self.0
            && let Some((what, _)) = words.split_once(" = ")
            && what.contains(SECRET)
        {
            *words = what.to_owned();
        }
    }

    /// Refuses to find or order documents by what is not shown: the answer would tell it.
    pub(super) fn check(self, filters: &[Filter], sort: &[SortKey]) -> Result<(), ApiError> {
        let mut paths = filters
            .iter()
            .map(|filter| &filter.path)
            .chain(sort.iter().map(|key| &key.path));
        if self.0 && paths.any(|path| path.first().is_some_and(|name| name == SECRET)) {
            let message = format!("The field {SECRET:?} of this collection is not shown.");
            return Err(ApiError::new(ErrorKind::NotAllowed, message)
                .hint("Leave it out of the conditions and the order."));
        }
        Ok(())
    }

    /// Refuses a client's change to what the nodes keep for themselves.
    fn check_edit(self) -> Result<(), ApiError> {
        if self.0 {
            let message = "The list of your spaces is kept by Stead itself.";
            return Err(ApiError::new(ErrorKind::NotAllowed, message)
                .hint("`stead space` makes, lists and leaves spaces."));
        }
        Ok(())
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
        Veil(true).over(&mut document);
        assert_eq!(
            document,
            json!({"name": "family", "left": {"secret": true}})
        );
        let mut words = "set secret = \"ab\"".to_owned();
        Veil(true).over_words(&mut words);
        assert_eq!(words, "set secret");
        let mut document = all.clone();
        Veil(false).over(&mut document);
        assert_eq!(document, all);
    }
}
