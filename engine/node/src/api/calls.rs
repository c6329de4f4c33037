//! Every call that is answered once, with what answers it.

use stead_api::{
    API_VERSION, ApiError, Call, DeviceList, Devices, DocDelete, DocPut, DocRestore, Done, Edit,
    ErrorKind, Hello, LinkOutcome, Op, RequestId, Response, Welcome,
};

use super::Node;
use super::client::response;
use super::documents::Outcome;

/// Longest wait in one call of `link.wait`.
const LINK_WAIT_MS_MAX: u64 = 10 * 60_000;

impl Node {
    /// Answers a call. Calls that belong to a connection never come here.
    pub(super) async fn answer(&self, id: RequestId, call: Call) -> Response {
        match call {
            Call::Hello(hello) => response(id, welcome(&hello)),
            Call::NodeStatus(_) => response(id, self.status().await),
            Call::NodeStop(_) => {
                self.stop.send_replace(true);
                response(
                    id,
                    Ok(Done {
                        message: "The node is stopping.".to_owned(),
                    }),
                )
            }
            Call::DoctorRun(run) => response(id, self.examine(run.thorough, run.rebuild).await),
            Call::LinkCreate(create) => response(id, self.links.create(create.valid_ms)),
            Call::LinkWait(wait) => {
                let wait_ms = wait.wait_ms.min(LINK_WAIT_MS_MAX);
                let outcome: Result<LinkOutcome, ApiError> =
                    self.links.wait(&wait.link_id, wait_ms).await;
                response(id, outcome)
            }
            Call::LinkCancel(cancel) => {
                let cancelled = self.links.cancel(&cancel.link_id);
                response(
                    id,
                    cancelled.map(|()| Done {
                        message: "The link is worthless now.".to_owned(),
                    }),
                )
            }
            Call::LinkAccept(accept) => response(id, self.acceptor.accept(&accept.link).await),
            Call::DeviceList(DeviceList {}) => {
                response(id, self.devices().await.map(|devices| Devices { devices }))
            }
            Call::SpaceCreate(create) => response(id, self.create_space(create).await),
            Call::SpaceList(list) => response(id, self.list_spaces(list).await),
            Call::SpaceLeave(leave) => response(id, self.leave_space(leave).await),
            Call::DocGet(get) => response(id, self.get(get).await),
            Call::DocQuery(query) => response(id, self.query(query).await),
            Call::LogList(list) => response(id, self.log(list).await),
            Call::DocPut(_)
            | Call::DocDelete(_)
            | Call::DocRestore(_)
            | Call::DocWatch(_)
            | Call::DocUnwatch(_) => {
                let error = ApiError::new(ErrorKind::Internal, "The call was not understood here.");
                Response::failure(id, error)
            }
        }
    }

    pub(super) async fn delete(&self, delete: DocDelete) -> Result<Outcome, ApiError> {
        self.edit_one(delete.space, delete.collection, delete.id, Op::Delete)
            .await
    }

    pub(super) async fn restore(&self, restore: DocRestore) -> Result<Outcome, ApiError> {
        self.edit_one(restore.space, restore.collection, restore.id, Op::Restore)
            .await
    }

    async fn edit_one(
        &self,
        space: String,
        collection: String,
        id: String,
        op: Op,
    ) -> Result<Outcome, ApiError> {
        // An id that is not there is a mistake, not a new deleted document. The store thread looks,
        // so that it sees what this client handed in before.
        let number = self.find_space(&space)?;
        let (wanted, within) = (super::convert::doc_id(&id)?, collection.clone());
        let found = self
            .store
            .look(move |desk| desk.replica.get(&number, &within, &wanted));
        if found
            .await?
            .map_err(|error| crate::faults::replica(&error))?
            .is_none()
        {
            return Err(ApiError::new(
                ErrorKind::NotFound,
                format!("There is no document {id:?} in {collection:?}."),
            )
            .hint("`stead query` shows what is there."));
        }
        let edits = vec![Edit {
            collection,
            id: Some(id),
            op,
        }];
        self.put(DocPut {
            space,
            edits,
            idempotency_key: None,
        })
        .await
    }
}

fn welcome(hello: &Hello) -> Result<Welcome, ApiError> {
    if hello.api > API_VERSION {
        return Err(ApiError::new(
            ErrorKind::InvalidParams,
            format!(
                "This node speaks version {API_VERSION} of the API, the program asks for {}.",
                hello.api
            ),
        )
        .hint("Update the node."));
    }
    Ok(Welcome {
        api: API_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
