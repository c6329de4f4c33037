//! A node that answers from a script: only the protocol, none of the rest.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use stead_api::{
    ApiError, Call, DeviceInfo, Identity, KeyStorage, KeyStorageKind, Link, LinkSecret,
    Notification, PathKind, PeerInfo, Response, SOCKET_FILE, SpaceInfo, Status, StoreInfo,
    SyncPhase, SyncState, Warning, parse_request,
};

type Script = dyn Fn(Call) -> Result<Value, ApiError> + Send + Sync;

pub(crate) struct ScriptedNode {
    home: tempfile::TempDir,
    calls: Arc<Mutex<Vec<Call>>>,
    notifications: Arc<Mutex<Vec<Notification>>>,
}

impl ScriptedNode {
    pub(crate) fn start(
        script: impl Fn(Call) -> Result<Value, ApiError> + Send + Sync + 'static,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(home.path().join(SOCKET_FILE)).unwrap();
        let script: Arc<Script> = Arc::new(script);
        let node = Self {
            home,
            calls: Arc::default(),
            notifications: Arc::default(),
        };
        let (calls, notifications) = (node.calls.clone(), node.notifications.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, script) = (stream.unwrap(), script.clone());
                let (calls, notifications) = (calls.clone(), notifications.clone());
                thread::spawn(move || {
                    for line in BufReader::new(&stream).lines() {
                        let Ok(line) = line else { return };
                        let request = parse_request(line.as_bytes()).unwrap();
                        let watches = matches!(request.call, Call::DocWatch(_));
                        calls.lock().unwrap().push(request.call.clone());
                        let response = Response {
                            id: Some(request.id),
                            outcome: script(request.call),
                        };
                        if writeln!(&stream, "{}", response.encode()).is_err() {
                            return;
                        }
                        if watches {
                            for notification in notifications.lock().unwrap().iter() {
                                let _ = writeln!(&stream, "{}", notification.encode());
                            }
                            return;
                        }
                    }
                });
            }
        });
        node
    }

    /// What a watch is told, after which the node is gone.
    pub(crate) fn with_notifications(self, notifications: Vec<Notification>) -> Self {
        *self.notifications.lock().unwrap() = notifications;
        self
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What was asked so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

pub(crate) fn device(name: &str) -> DeviceInfo {
    DeviceInfo {
        id: "3f2a".repeat(16),
        name: name.into(),
        ..DeviceInfo::default()
    }
}

pub(crate) fn link(expires_ms: u64) -> String {
    Link {
        device: [1; 32],
        key_hash: [3; 32],
        secret: LinkSecret([2; 32]),
        expires_ms,
        addresses: Vec::new(),
        relay: None,
    }
    .to_string()
}

pub(crate) fn status() -> Status {
    let space = |name: &str, documents, phase, detail: &str| SpaceInfo {
        name: name.into(),
        documents,
        sync: SyncState {
            phase,
            detail: detail.into(),
            ..SyncState::default()
        },
        ..SpaceInfo::default()
    };
    Status {
        api: 1,
        version: "0.1.0".into(),
        pid: 1,
        uptime_ms: 200_000,
        home: "/home/ada/.local/share/stead".into(),
        device: device("laptop"),
        identity: Identity {
            id: "ab".repeat(32),
            devices: 3,
        },
        keys: KeyStorage {
            kind: KeyStorageKind::OwnerFile,
            explanation: "in a file that only you can read, with no passphrase".into(),
        },
        spaces: vec![
            space("home", 4, SyncPhase::InStep, "in step with phone"),
            space(
                "world",
                150_123,
                SyncPhase::Syncing,
                "12,000 entries to come from phone",
            ),
            space("drafts", 1, SyncPhase::Alone, "only on this device"),
        ],
        peers: vec![
            PeerInfo {
                name: "phone".into(),
                path: PathKind::Direct,
                why: "same network".into(),
                address: Some("192.168.1.5:4711".into()),
                rtt_ms: Some(2.25),
                clock_difference_ms: Some(-90_000),
                ..PeerInfo::default()
            },
            PeerInfo {
                name: "tablet".into(),
                path: PathKind::Relayed,
                why: "no direct path was found".into(),
                address: Some("http://192.0.2.7:3340".into()),
                rtt_ms: Some(48.0),
                ..PeerInfo::default()
            },
            PeerInfo {
                name: "attic".into(),
                why: "it does not answer".into(),
                ..PeerInfo::default()
            },
        ],
        addresses: vec!["192.168.1.4:5000".into()],
        lan_discovery: true,
        relay: None,
        store: StoreInfo {
            bytes: 12_345_678,
            free_bytes: Some(50_000_000_000),
            encrypted: true,
            protection:
                "The database is encrypted; its key is in a file that your passphrase opens.".into(),
        },
        indexing: Vec::new(),
        warnings: vec![Warning {
            message: "The disk is nearly full.".into(),
            hint: "Make room.".into(),
        }],
    }
}
