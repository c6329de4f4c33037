//! The list of methods: one struct of parameters each, its name and its result. Nothing is executed here.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::faces::{
    FeedAppend, FeedAppended, FeedGet, FeedItem, FeedPage, FeedParts, FeedRead, FeedShown,
    FeedVerify, KvChanges, KvDiff, KvDifferences, KvGet, KvHistory, KvPage, KvPut, KvRange,
    KvWritten,
};
use crate::groups::{
    Group, GroupAdd, GroupCreate, GroupDelete, GroupList, GroupRename, GroupShow, GroupTake,
    Groups, SpaceGrant, SpaceGranted,
};
use crate::guardians::{
    GuardianHeld, GuardianPlanHelp, GuardianSet, GuardianShow, GuardiansShown, HeldShares,
    HelpPlan, RecoverShare, RecoverShares, SharesHere,
};
use crate::invite::{SharePlan, SpacePlanShare};
use crate::people::{
    ContactAdd, ContactList, ContactVerify, Contacts, DevicePlanRemoval, DeviceRemoval,
    DeviceRemove, DeviceRename, IdentityPhrase, IdentityShow, IdentityShown, IdentityWritten,
    Phrase, SafetyWords,
};
use crate::presence::{
    PresenceClear, PresenceHere, PresenceIs, PresenceList, PresenceSet, PresenceWatch,
};
use crate::recovery::{
    RecoverAnew, RecoverBegin, RecoverDone, RecoverFinish, RecoverGiveUp, RecoverLook, RecoverState,
};
use crate::rich::{DocRedo, DocUndo, RichShow, RichShown, RichWatch, Undone};
use crate::rights::{
    Decision, MemberList, Members, Removal, Rights, RightsLog, SpaceCan, SpacePlanRevoke,
    SpaceRevoke,
};
use crate::schema::{SchemaCheck, SchemaChecked, SchemaMade, SchemaPut, SchemaShow, Schemas};
use crate::sign_in::{SignInAnswer, SignInAnswered, SignInAsked, SignInLook};
use crate::spaces::{
    CheckpointInfo, Checkpoints, Compacted, HistoryKept, SpaceCheckpoint, SpaceCheckpoints,
    SpaceCompact, SpaceHistory, SpaceKeep, SpaceKept,
};
use crate::{
    ApiError, Commit, Devices, Diagnosis, DocAt, DocBack, DocDelete, DocDiff, DocDiffs, DocGet,
    DocGot, DocHistory, DocPut, DocQuery, DocRedact, DocRedacted, DocRestore, DocStory, DocUnwatch,
    DocWatch, DoctorRun, Done, ErrorKind, Hello, IndexAdd, IndexList, IndexRemove, Indexes,
    LinkAccept, LinkApprove, LinkArrival, LinkArrive, LinkAsking, LinkBegun, LinkCancel,
    LinkCreate, LinkCreated, LinkGiveUp, LinkHear, LinkOutcome, LinkPending, LinkRefuse, LinkSpeak,
    LinkSpoken, LinkWait, LogList, LogPage, NodeStatus, NodeStop, Page, SpaceCreate, SpaceInfo,
    SpaceJoin, SpaceJoined, SpaceLeave, SpaceList, SpaceShare, SpaceShared, Spaces, SqlRows,
    SqlRun, Status, Watching, Welcome, node::DeviceList,
};

/// Parameters that belong to one method.
pub trait Method: Serialize + DeserializeOwned {
    /// The method's name on the wire.
    const METHOD: &'static str;
    /// What a successful call answers.
    type Result: Serialize + DeserializeOwned;
}

macro_rules! methods {
    ($( $(#[$doc:meta])* $params:ident => $result:ty, $name:literal; )*) => {
        /// Every method with its parameters.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Call {
            $( $(#[$doc])* $params($params), )*
        }

        /// The names of all methods, in the order of [`Call`].
        pub const METHODS: &[&str] = &[$($name),*];

        $(impl Method for $params {
            const METHOD: &'static str = $name;
            type Result = $result;
        }
        impl From<$params> for Call {
            fn from(params: $params) -> Self {
                Self::$params(params)
            }
        })*

        impl Call {
            /// The method's name on the wire.
            pub fn method(&self) -> &'static str {
                match self { $(Self::$params(_) => $name,)* }
            }

            pub(crate) fn parse(method: &str, params: Option<&RawValue>) -> Result<Self, ApiError> {
                match method {
                    $($name => read_params::<$params>(method, params).map(Self::$params),)*
                    _ => Err(ApiError::new(
                        ErrorKind::UnknownMethod,
                        format!("This node has no method \"{}\".", shorten(method)),
                    )
                    .hint("Update Stead on the side that is older; hello names both versions.")),
                }
            }
        }
    };
}

methods! {
    /// Names the versions of both sides; optional, and the best first call.
    Hello => Welcome, "hello";
    /// Everything a person wants to see at a glance.
    NodeStatus => Status, "node.status";
    /// Stops the node once everything acknowledged is on disk.
    NodeStop => Done, "node.stop";
    /// Looks for trouble: store, keys, clock, network.
    DoctorRun => Diagnosis, "doctor.run";
    /// Makes a one-time link for a new device.
    LinkCreate => LinkCreated, "link.create";
    /// Makes three one-time words for a new device, for where a link cannot be shown.
    LinkSpeak => LinkSpoken, "link.speak";
    /// Answers once somebody asks to be let in, nobody can any more, or after the given time.
    LinkWait => LinkOutcome, "link.wait";
    /// Who asks to be let in.
    LinkPending => LinkAsking, "link.pending";
    /// Lets in who asks. A wrong code makes the link worthless.
    LinkApprove => LinkOutcome, "link.approve";
    /// Sends away who asks.
    LinkRefuse => Done, "link.refuse";
    /// Makes an open link or spoken words worthless, and sends away who came with them.
    LinkCancel => Done, "link.cancel";
    /// Uses a link that another device shows; answers with the code to type there.
    LinkAccept => LinkBegun, "link.accept";
    /// Uses words that another device shows; answers when that device asks its person.
    LinkHear => LinkBegun, "link.hear";
    /// Answers once this device was let in or refused, or after the given time.
    LinkArrive => LinkArrival, "link.arrive";
    /// Ends an attempt of this device that nobody has answered.
    LinkGiveUp => Done, "link.give_up";
    /// Looks for what belongs to the recovery words, on an empty device.
    RecoverBegin => RecoverState, "recover.begin";
    /// How coming back stands; waits a while for something new.
    RecoverLook => RecoverState, "recover.look";
    /// Begins a new home space with what was found.
    RecoverAnew => RecoverState, "recover.anew";
    /// Removes lost devices with the root key, and forgets it.
    RecoverFinish => RecoverDone, "recover.finish";
    /// Ends coming back; what has arrived stays.
    RecoverGiveUp => Done, "recover.give_up";
    /// On an empty device, takes a guardian's share.
    RecoverShare => LinkBegun, "recover.share";
    /// Which guardians' shares are here; waits a while for one that is asked.
    RecoverShares => SharesHere, "recover.shares";
    /// Who holds shares of the recovery words.
    GuardianShow => GuardiansShown, "guardians.show";
    /// Shares the recovery words out among contacts.
    GuardianSet => GuardiansShown, "guardians.set";
    /// For whom this person holds a share.
    GuardianHeld => HeldShares, "guardians.held";
    /// Says what releasing a share does; changes nothing.
    GuardianPlanHelp => HelpPlan, "guardians.plan_help";
    /// The person's devices.
    DeviceList => Devices, "devices.list";
    /// The person: identity, devices, whether the recovery words are written down.
    IdentityShow => IdentityShown, "identity.show";
    /// The recovery words, until they are said to be written down.
    IdentityPhrase => Phrase, "identity.phrase";
    /// The recovery words are written down: the node forgets them for good.
    IdentityWritten => Done, "identity.written";
    /// Gives one of the person's devices another name.
    DeviceRename => Done, "device.rename";
    /// Says what removing a device takes with it; changes nothing.
    DevicePlanRemoval => DeviceRemoval, "device.plan_removal";
    /// Takes a device from the person, in every space, and renews keys.
    DeviceRemove => DeviceRemoval, "device.remove";
    /// Gives a name to another person's identity.
    ContactAdd => Done, "contact.add";
    /// The names that the person gave to identities.
    ContactList => Contacts, "contact.list";
    /// The safety words to compare with a contact; or marks them as the same.
    ContactVerify => SafetyWords, "contact.verify";
    /// Who asks by a sign-in challenge; signs nothing.
    SignInLook => SignInAsked, "sign_in.look";
    /// Answers a sign-in challenge that the person agreed to.
    SignInAnswer => SignInAnswered, "sign_in.answer";
    /// Makes a space.
    SpaceCreate => SpaceInfo, "space.create";
    /// The spaces on this device.
    SpaceList => Spaces, "space.list";
    /// Makes an invite by which people join a space.
    SpaceShare => SpaceShared, "space.share";
    /// Says what making an invite would do; changes nothing.
    SpacePlanShare => SharePlan, "space.plan_share";
    /// Joins the space of an invite; answers once this device has been let in.
    SpaceJoin => SpaceJoined, "space.join";
    /// Who is let into a space.
    MemberList => Members, "space.members";
    /// Says what putting a member out takes with it; changes nothing.
    SpacePlanRevoke => Removal, "space.plan_revoke";
    /// Puts a member out of a space, or leaves it.
    SpaceRevoke => Removal, "space.revoke";
    /// Whether someone may do something somewhere, and why.
    SpaceCan => Decision, "space.can";
    /// Lets a group, a person known here, or everyone into a space, without an invite.
    SpaceGrant => SpaceGranted, "space.grant";
    /// Makes a group.
    GroupCreate => Group, "group.create";
    /// The groups that this person is in.
    GroupList => Groups, "group.list";
    /// Who is in a group, and where it has rights.
    GroupShow => Group, "group.show";
    /// Lets a person into a group.
    GroupAdd => Group, "group.add";
    /// Takes a person out of a group, and out of the spaces they were in through it.
    GroupTake => Removal, "group.remove";
    /// Gives a group another name.
    GroupRename => Done, "group.rename";
    /// Ends a group, and its rights everywhere.
    GroupDelete => Done, "group.delete";
    /// Asks or says for how long the history of a space is kept on this device.
    SpaceHistory => HistoryKept, "space.history";
    /// Makes a checkpoint of a space.
    SpaceCheckpoint => CheckpointInfo, "space.checkpoint";
    /// The checkpoints of a space on this device.
    SpaceCheckpoints => Checkpoints, "space.checkpoints";
    /// Drops the history below a checkpoint on this device.
    SpaceCompact => Compacted, "space.compact";
    /// What of a space is kept on this device.
    SpaceKeep => SpaceKept, "space.keep";
    /// Stops keeping a space on this device and erases its data here.
    SpaceLeave => Done, "space.leave";
    /// Applies edits to any number of documents of one space as one atomic transaction.
    DocPut => Commit, "doc.put";
    /// Reads one document.
    DocGet => DocGot, "doc.get";
    /// Deletes one document; `doc.restore` brings it back.
    DocDelete => Commit, "doc.delete";
    /// Brings a deleted document back with all its fields.
    DocRestore => Commit, "doc.restore";
    /// Takes back the person's latest transaction in a space.
    DocUndo => Undone, "doc.undo";
    /// Takes back the latest undo in a space.
    DocRedo => Undone, "doc.redo";
    /// A text, list or tree for somebody who edits it, and places in it.
    RichShow => RichShown, "rich.show";
    /// Starts a stream of `rich.event` notifications: what changes in a text, list or tree.
    RichWatch => Watching, "rich.watch";
    /// An app on this connection is somewhere, until it says otherwise or the connection ends.
    PresenceSet => PresenceIs, "presence.set";
    /// An app on this connection left.
    PresenceClear => Done, "presence.clear";
    /// Who is in a space right now.
    PresenceList => PresenceHere, "presence.list";
    /// Starts a stream of `presence.event` notifications on this connection.
    PresenceWatch => Watching, "presence.watch";
    /// Finds documents of a collection.
    DocQuery => Page, "doc.query";
    /// Who changed each field of a document, and when.
    DocHistory => DocStory, "doc.history";
    /// A document as it was at a time.
    DocAt => DocGot, "doc.at";
    /// How a document differs between two times.
    DocDiff => DocDiffs, "doc.diff";
    /// Makes a document what it was at a time, by a new transaction.
    DocBack => Commit, "doc.back";
    /// Takes the values of a field, or of a document, out of everything that is kept.
    DocRedact => DocRedacted, "doc.redact";
    /// Has a collection indexed on this device; the index is built in the background.
    IndexAdd => Done, "index.add";
    /// An index of this device is not wanted any more.
    IndexRemove => Done, "index.remove";
    /// The indexes of a space on this device.
    IndexList => Indexes, "index.list";
    /// One SELECT over the collections of a space.
    SqlRun => SqlRows, "sql.run";
    /// Starts a stream of `watch.event` notifications on this connection.
    DocWatch => Watching, "doc.watch";
    /// Ends such a stream.
    DocUnwatch => Done, "doc.unwatch";
    /// Makes the next revision of a collection's schema, or the first.
    SchemaPut => SchemaMade, "schema.put";
    /// The schemas of a space: revisions, lenses between them, and what is not followed.
    SchemaShow => Schemas, "schema.show";
    /// Looks for documents that break the rules of their schema.
    SchemaCheck => SchemaChecked, "schema.check";
    /// Who changed what, when; newest first.
    LogList => LogPage, "log.list";
    /// Sets and deletes keys of an ordered map, as one transaction.
    KvPut => KvWritten, "kv.put";
    /// The value under a key.
    KvGet => KvPage, "kv.get";
    /// Keys of a range with their values, in order.
    KvRange => KvPage, "kv.range";
    /// What happened to a map or a key, latest first.
    KvHistory => KvChanges, "kv.history";
    /// How a map differs between two times.
    KvDiff => KvDifferences, "kv.diff";
    /// Appends values to this device's part of a feed.
    FeedAppend => FeedAppended, "feed.append";
    /// One value of a feed, checked against the log.
    FeedGet => FeedItem, "feed.get";
    /// Values of a feed in their order.
    FeedRead => FeedPage, "feed.read";
    /// Whose values a feed has, and how many.
    FeedParts => FeedShown, "feed.parts";
    /// Checks every value of a feed against the logs that their writers signed.
    FeedVerify => FeedShown, "feed.verify";
    /// Who gave what to whom, with proof for strangers.
    RightsLog => Rights, "log.rights";
}

fn read_params<P: DeserializeOwned>(
    method: &str,
    params: Option<&RawValue>,
) -> Result<P, ApiError> {
    serde_json::from_str(params.map_or("{}", RawValue::get)).map_err(|err| {
        ApiError::new(
            ErrorKind::InvalidParams,
            format!("The parameters of {method} are not right: {err}."),
        )
    })
}

fn shorten(method: &str) -> String {
    method
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect()
}
