//! Every call that is answered once, with what answers it.

use stead_api::{
    API_VERSION, ApiError, Call, DeviceList, Devices, DocDelete, DocPut, DocRestore, Done, Edit,
    ErrorKind, Hello, LinkAsking, Op, RequestId, Response, Welcome,
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
            Call::LinkCreate(create) => {
                let purpose = self.purpose(create.help).await;
                response(id, purpose.map(|it| self.links.create(create.valid_ms, it)))
            }
            Call::LinkSpeak(speak) => {
                let purpose = self.purpose(speak.help).await;
                response(id, purpose.map(|it| self.links.speak(speak.valid_ms, it)))
            }
            Call::LinkWait(wait) => {
                let wait_ms = wait.wait_ms.min(LINK_WAIT_MS_MAX);
                let waited = self.links.wait(&wait.link_id, wait_ms, wait.beyond_asking);
                response(id, waited.await)
            }
            Call::LinkPending(_) => {
                let newcomer = self.links.pending();
                response(id, Ok(LinkAsking { newcomer }))
            }
            Call::LinkApprove(approve) => {
                response(id, self.links.approve(approve.code.as_deref()).await)
            }
            Call::LinkRefuse(_) => {
                response(id, done(self.links.refuse(), "The device was sent away."))
            }
            Call::LinkCancel(cancel) => {
                let cancelled = self.links.cancel(&cancel.link_id);
                response(id, done(cancelled, "The link is worthless now."))
            }
            Call::LinkAccept(accept) => response(id, self.accept_link(accept).await),
            Call::LinkHear(hear) => response(id, self.hear_link(hear).await),
            Call::LinkArrive(arrive) => {
                let wait_ms = arrive.wait_ms.min(LINK_WAIT_MS_MAX);
                response(id, self.acceptor.arrive(&arrive.attempt, wait_ms).await)
            }
            Call::LinkGiveUp(give_up) => {
                let given_up = self.acceptor.give_up(&give_up.attempt);
                response(id, done(given_up, "The attempt is over."))
            }
            Call::RecoverBegin(begin) => response(id, self.begin_recovery(begin).await),
            Call::RecoverShare(share) => response(id, self.collector.take(share).await),
            Call::RecoverShares(look) => response(id, self.collector.look(look.wait_ms).await),
            Call::GuardianShow(_) => response(id, self.show_guardians().await),
            Call::GuardianSet(set) => response(id, self.set_guardians(set).await),
            Call::GuardianHeld(_) => response(id, self.shares_held().await),
            Call::GuardianPlanHelp(plan) => response(id, self.plan_help(plan).await),
            Call::RecoverLook(look) => response(id, self.recoverer.look(look.wait_ms).await),
            Call::RecoverAnew(_) => response(id, self.recoverer.begin_anew().await),
            Call::RecoverFinish(finish) => response(id, self.finish_recovery(finish).await),
            Call::RecoverGiveUp(_) => {
                let given_up = self.recoverer.give_up();
                response(
                    id,
                    done(given_up, "This device has forgotten the recovery words."),
                )
            }
            Call::DeviceList(DeviceList {}) => {
                response(id, self.devices().await.map(|devices| Devices { devices }))
            }
            Call::IdentityShow(_) => response(id, self.show_identity().await),
            Call::IdentityPhrase(_) => response(id, self.show_phrase().await),
            Call::IdentityWritten(written) => response(id, self.words_written(written).await),
            Call::DeviceRename(rename) => response(id, self.rename_device(rename).await),
            Call::DevicePlanRemoval(plan) => response(id, self.plan_device_removal(plan).await),
            Call::DeviceRemove(remove) => response(id, self.remove_device(remove).await),
            Call::ContactAdd(add) => response(id, self.add_contact(add).await),
            Call::ContactList(_) => response(id, self.list_contacts().await),
            Call::ContactVerify(verify) => response(id, self.verify_contact(verify).await),
            Call::SignInLook(look) => response(id, self.look_at_challenge(look).await),
            Call::SignInAnswer(answer) => response(id, self.answer_challenge(answer).await),
            Call::SpaceCreate(create) => response(id, self.create_space(create).await),
            Call::SpaceList(list) => response(id, self.list_spaces(list).await),
            Call::SpacePlanShare(plan) => response(id, self.plan_share(plan).await),
            Call::SpaceShare(share) => response(id, self.invites.create(share).await),
            Call::SpaceJoin(join) => {
                response(id, self.joiner.join(&join.invite, join.keep.as_ref()).await)
            }
            Call::MemberList(list) => response(id, self.list_members(list).await),
            Call::SpacePlanRevoke(plan) => response(id, self.plan_revoke(plan).await),
            Call::SpaceRevoke(revoke) => response(id, self.revoke(revoke).await),
            Call::SpaceCan(can) => response(id, self.can(can).await),
            Call::SpaceGrant(grant) => response(id, self.grant(grant).await),
            Call::GroupCreate(create) => response(id, self.create_group(create).await),
            Call::GroupList(_) => response(id, self.list_groups().await),
            Call::GroupShow(show) => response(id, self.show_group(show).await),
            Call::GroupAdd(add) => response(id, self.add_to_group(add).await),
            Call::GroupTake(take) => response(id, self.take_from_group(take).await),
            Call::GroupRename(rename) => response(id, self.rename_group(rename).await),
            Call::GroupDelete(delete) => response(id, self.delete_group(delete).await),
            Call::KvPut(put) => response(id, self.kv_put(put).await),
            Call::KvGet(get) => response(id, self.kv_get(get).await),
            Call::KvRange(range) => response(id, self.kv_range(range).await),
            Call::KvHistory(history) => response(id, self.kv_history(history).await),
            Call::KvDiff(diff) => response(id, self.kv_diff(diff).await),
            Call::FeedAppend(append) => response(id, self.feed_append(append).await),
            Call::FeedGet(get) => response(id, self.feed_get(get).await),
            Call::FeedRead(read) => response(id, self.feed_read(read).await),
            Call::FeedParts(parts) => response(id, self.feed_parts(parts).await),
            Call::FeedVerify(verify) => response(id, self.feed_verify(verify).await),
            Call::RightsLog(log) => response(id, self.rights_log(log).await),
            Call::SpaceHistory(ask) => response(id, self.space_history(ask).await),
            Call::SpaceCheckpoint(make) => response(id, self.make_checkpoint(make).await),
            Call::SpaceCheckpoints(list) => response(id, self.list_checkpoints(list).await),
            Call::SpaceKeep(keep) => response(id, self.keep_space(keep).await),
            Call::SpaceCompact(compact) => response(id, self.compact_space(compact).await),
            Call::SpaceLeave(leave) => response(id, self.leave_space(leave).await),
            Call::DocGet(get) => response(id, self.get(get).await),
            Call::RichShow(show) => response(id, self.show_rich(show).await),
            Call::PresenceList(list) => response(id, self.list_presence(list).await),
            Call::DocUndo(undo) => response(id, self.undo(undo).await),
            Call::DocRedo(redo) => response(id, self.redo(redo).await),
            Call::DocQuery(query) => response(id, self.query(query).await),
            Call::SchemaPut(put) => response(id, self.put_schema(put).await),
            Call::SchemaShow(show) => response(id, self.show_schemas(show).await),
            Call::SchemaCheck(check) => response(id, self.check_schemas(check).await),
            Call::DocHistory(ask) => response(id, self.history(ask).await),
            Call::DocAt(ask) => response(id, self.doc_at(ask).await),
            Call::DocDiff(ask) => response(id, self.doc_diff(ask).await),
            Call::DocBack(ask) => response(id, self.doc_back(ask).await),
            Call::DocRedact(ask) => response(id, self.redact(ask).await),
            Call::IndexAdd(add) => response(id, self.add_index(add).await),
            Call::IndexRemove(remove) => response(id, self.remove_index(remove).await),
            Call::IndexList(list) => response(id, self.list_indexes(list).await),
            Call::SqlRun(run) => response(id, self.run_sql(run).await),
            Call::LogList(list) => response(id, self.log(list).await),
            Call::DocPut(_)
            | Call::DocDelete(_)
            | Call::DocRestore(_)
            | Call::DocWatch(_)
            | Call::DocUnwatch(_)
            | Call::RichWatch(_)
            | Call::PresenceSet(_)
            | Call::PresenceClear(_)
            | Call::PresenceWatch(_) => {
                let error = ApiError::new(ErrorKind::Internal, "The call was not understood here.");
                Response::failure(id, error)
            }
        }
    }

    pub(super) async fn delete(&self, delete: DocDelete) -> Result<Outcome, ApiError> {
        let op = match delete.purge {
            true => Op::Purge,
            false => Op::Delete,
        };
        self.edit_one(delete.space, delete.collection, delete.id, op)
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
            ..DocPut::default()
        })
        .await
    }
}

fn done(outcome: Result<(), ApiError>, message: &str) -> Result<Done, ApiError> {
    outcome.map(|()| Done {
        message: message.to_owned(),
    })
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
