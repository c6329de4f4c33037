//! What sharing a space, or a part of it, would do, in words.

use stead_access::{Path, Role};
use stead_api::{ApiError, ErrorKind, SharePlan, SpacePlanShare};
use stead_base::SpaceId;
use stead_replica::{CollectionNo, Query, Replica, ReplicaError};

use super::Node;
use super::rights::read_path;
use crate::faults;

impl Node {
    pub(super) async fn plan_share(&self, plan: SpacePlanShare) -> Result<SharePlan, ApiError> {
        let space = self.find_space(&plan.space)?;
        let role = read_role(&plan.role)?;
        let on = read_on(plan.path.as_deref())?;
        let planned = self
            .store
            .look(move |desk| plan_of(&desk.replica, &space, role, &on, plan.everyone));
        planned.await?.map_err(|error| faults::replica(&error))
    }
}

fn plan_of(
    replica: &Replica,
    space: &SpaceId,
    role: Role,
    on: &Path,
    everyone: bool,
) -> Result<SharePlan, ReplicaError> {
    let name = replica.outline(space)?.name;
    let parts: Vec<String> = on.parts().collect();
    let documents = match &parts[..] {
        [] => replica.space_info(space)?.documents,
        [collection] => replica.count(space, collection, Query::all(CollectionNo(0)))?,
        _ => 1,
    };
    let makes_keys = replica.makes_scope(space, on)?;
    let may = match role {
        Role::Reader => "read",
        Role::Writer => "read and write",
        Role::Manager => "read and write, and let readers and writers into,",
        Role::Owner => "do everything with",
    };
    let sentence = if everyone {
        let what = match on.is_whole_space() {
            true => format!("all of {name}, its past included,"),
            false => format!("{on} in {name}"),
        };
        format!(
            "Everyone who has the link, and whoever they hand it to, can read {what} and who is in the space; what was read cannot be taken back."
        )
    } else if on.is_whole_space() {
        format!("Whoever is let in can {may} all of {name}, its past included.")
    } else {
        let keys = match (makes_keys, documents) {
            (false, _) => format!("{on} has keys of its own already"),
            (true, 1) => format!(
                "{on} gets keys of its own, and what is there now is written once more for its readers: the present of one document, not its past"
            ),
            (true, many) => format!(
                "{on} gets keys of its own, and what is there now is written once more for its readers: the present of {many} documents, not their past"
            ),
        };
        format!("Whoever is let in can {may} {on} in {name}, and sees nothing else of it. {keys}.")
    };
    Ok(SharePlan {
        on: on.to_string(),
        makes_keys,
        documents,
        sentence,
    })
}

/// A role by its name.
pub(crate) fn read_role(text: &str) -> Result<Role, ApiError> {
    let mut roles = Role::ALL.into_iter();
    roles.find(|role| role.to_string() == text).ok_or_else(|| {
        ApiError::new(
            ErrorKind::InvalidParams,
            format!("There is no role {text:?}."),
        )
        .hint("The roles are reader, writer, manager and owner.")
    })
}

/// Where something is shared; the whole space if nobody says.
pub(crate) fn read_on(text: Option<&str>) -> Result<Path, ApiError> {
    text.map_or_else(|| Ok(Path::whole_space()), read_path)
}
