//! Real nodes in one process, on loopback, each in a folder of its own that the test may keep.

#![allow(dead_code, unreachable_pub)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stead_api::{
    ApiError, Client, ClientError, Commit, DocGet, DocPut, DocQuery, Edit, ErrorKind, Filter,
    LinkAccept, LinkAccepted, LinkApprove, LinkArrival, LinkArrive, LinkBegun, LinkCreate,
    LinkOutcome, Method, NodeStatus, Op, Predicate, SpaceCreate, SpaceInfo, SpaceList, Status,
    SyncPhase, Where,
};
use stead_node::{Bind, Lan, Node, NodeConfig};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Settings that never leave loopback.
pub fn config(home: &Path, name: &str) -> NodeConfig {
    let mut config = NodeConfig::new(home, name);
    config.bind = Bind::Addr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    config.lan = Lan::Off;
    config.websocket = false;
    config
}

/// Log lines of tests that fail; `RUST_LOG` chooses.
pub fn log() {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
}

pub struct Device {
    pub dir: tempfile::TempDir,
    pub name: String,
    /// The address of the first start: a device that moves needs somebody to tell the others.
    pub bind: SocketAddr,
    pub node: Option<Node>,
}

impl Device {
    pub async fn start(name: &str) -> Self {
        log();
        let dir = tempfile::tempdir().expect("a temporary folder");
        let node = Node::start(config(dir.path(), name)).await.expect("start");
        let bind = node.net().bound()[0];
        Self {
            dir,
            bind,
            name: name.to_owned(),
            node: Some(node),
        }
    }

    /// Ends the node in good order.
    pub async fn stop(&mut self) {
        self.node.take().expect("running").stop().await;
    }

    /// Ends the node the way a kill does: nothing is flushed or said.
    pub async fn kill(&mut self) {
        drop(self.node.take().expect("running"));
        // Threads and sockets of the dropped node end by themselves.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }

    pub async fn again(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut config = config(self.dir.path(), &self.name);
            config.bind = Bind::Addr(self.bind);
            match Node::start(config).await {
                Ok(node) => break self.node = Some(node),
                Err(error) if Instant::now() > deadline => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.dir.path()).expect("a running node")
    }

    pub fn try_call<P: Method>(&self, params: &P) -> Result<P::Result, ApiError> {
        tokio::task::block_in_place(|| match self.client().call(params) {
            Ok(result) => Ok(result),
            Err(ClientError::Api(error)) => Err(error),
            Err(error) => panic!("{}: {error:?}", P::METHOD),
        })
    }

    pub fn call<P: Method>(&self, params: &P) -> P::Result {
        self.try_call(params)
            .unwrap_or_else(|error| panic!("{}: {error} ({})", P::METHOD, error.hint))
    }

    pub fn status(&self) -> Status {
        self.call(&NodeStatus {})
    }

    pub fn space(&self, name: &str) -> SpaceInfo {
        self.call(&SpaceCreate {
            name: name.to_owned(),
        })
    }

    pub fn spaces(&self) -> Vec<SpaceInfo> {
        self.call(&SpaceList::default()).spaces
    }

    pub fn put(&self, space: &str, collection: &str, id: &str, value: Value) -> Commit {
        self.call(&put(space, collection, id, value))
    }

    pub fn get(&self, space: &str, collection: &str, id: &str) -> Option<Value> {
        let get = DocGet {
            space: space.to_owned(),
            collection: collection.to_owned(),
            id: id.to_owned(),
            deleted: false,
            ..DocGet::default()
        };
        match self.try_call(&get) {
            Ok(got) => Some(got.doc.value),
            Err(error) if error.kind == ErrorKind::NotFound => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub fn make_link(&self) -> String {
        self.call(&LinkCreate::default()).link
    }

    /// Goes to the device that shows a link, up to the code.
    pub fn use_link(&self, link: &str) -> Result<LinkBegun, ApiError> {
        self.try_call(&LinkAccept {
            link: link.to_owned(),
            ..LinkAccept::default()
        })
    }

    /// Types a code.
    pub fn approve(&self, code: Option<&str>) -> Result<LinkOutcome, ApiError> {
        self.try_call(&LinkApprove {
            code: code.map(str::to_owned),
        })
    }

    /// Waits to be let in or refused.
    pub fn arrive(&self, begun: &LinkBegun) -> Result<LinkAccepted, ApiError> {
        let arrive = LinkArrive {
            attempt: begun.attempt.clone(),
            wait_ms: 30_000,
        };
        match self.try_call(&arrive)? {
            LinkArrival::Linked(accepted) => Ok(accepted),
            LinkArrival::Waiting => panic!("nobody let the device in"),
        }
    }

    /// Becomes a device of the person of `old`, with a person at both who does everything right.
    pub fn enter(&self, old: &Self) -> LinkAccepted {
        let begun = self.use_link(&old.make_link()).expect("a link that works");
        until_asking(old);
        let outcome = old.approve(begun.code.as_deref()).expect("the right code");
        assert!(matches!(outcome, LinkOutcome::Linked { .. }), "{outcome:?}");
        self.arrive(&begun).expect("let in")
    }
}

/// Waits until somebody asks to be let in.
pub fn until_asking(old: &Device) -> stead_api::LinkNewcomer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(newcomer) = old.call(&stead_api::LinkPending {}).newcomer {
            return newcomer;
        }
        assert!(Instant::now() < deadline, "nobody asks");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A path of dotted names.
pub fn path(field: &str) -> Vec<String> {
    field.split('.').map(str::to_owned).collect()
}

/// A condition on a field.
pub fn is(field: &str, is: Predicate, value: Value) -> Where {
    let path = path(field);
    Where::Is(Filter { path, is, value })
}

/// All documents of a collection of the space "world".
pub fn query(collection: &str) -> DocQuery {
    DocQuery {
        space: "world".into(),
        collection: collection.into(),
        ..DocQuery::default()
    }
}

pub fn put(space: &str, collection: &str, id: &str, value: Value) -> DocPut {
    DocPut {
        space: space.to_owned(),
        edits: vec![Edit {
            collection: collection.to_owned(),
            id: Some(id.to_owned()),
            op: Op::Put {
                value,
                replace: false,
            },
        }],
        ..DocPut::default()
    }
}

pub fn add(space: &str, collection: &str, id: &str, field: &str, delta: i64) -> DocPut {
    let mut put = put(space, collection, id, json!({}));
    put.edits[0].op = Op::Add {
        path: vec![field.to_owned()],
        delta,
    };
    put
}

/// Waits until something is so.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "{what} took longer than {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Two linked devices.
pub async fn linked() -> (Device, Device) {
    let old = Device::start("tower").await;
    let new = Device::start("laptop").await;
    new.enter(&old);
    (old, new)
}

/// Waits until a space is in step on all these devices, with this many others.
pub async fn in_step(space: &str, devices: &[&Device]) {
    for device in devices {
        until("being in step", || {
            let spaces = device.spaces();
            let found = spaces.iter().find(|found| found.name == space)?;
            (found.sync.phase == SyncPhase::InStep).then_some(())
        })
        .await;
    }
}
