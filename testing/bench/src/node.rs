//! A node to measure: started in a folder of its own and spoken to over its socket, as an app does.

use std::path::Path;
use std::time::Duration;

use stead_api::{Client, DocPut, Edit, IndexList, Op, SpaceCreate};
use stead_node::{Bind, Lan, Node, NodeConfig};

use crate::Failure;
use crate::data::Records;

/// The space of the node that is measured.
pub(crate) const SPACE: &str = "bench";
pub(crate) const COLLECTION: &str = "cities";

/// Documents in one request of [`fill`].
const DOCUMENTS: usize = 5_000;

/// Starts a node with one empty space, lets `measure` talk to it at its home, and stops it.
pub(crate) fn with_node<T>(
    measure: impl FnOnce(&Path, &mut Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;
    let config = NodeConfig {
        bind: Bind::Addr(([127, 0, 0, 1], 0).into()),
        lan: Lan::Off,
        websocket: false,
        ..NodeConfig::new(folder.path(), "bench")
    };
    let node = runtime.block_on(Node::start(config))?;
    let measured = in_space(folder.path(), measure);
    runtime.block_on(node.stop());
    measured
}

fn in_space<T>(
    home: &Path,
    measure: impl FnOnce(&Path, &mut Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut client = Client::connect(home)?;
    client.call(&SpaceCreate { name: SPACE.into() })?;
    measure(home, &mut client)
}

/// Writes all records.
pub(crate) fn fill(client: &mut Client, records: &Records) -> Result<(), Failure> {
    let all: Vec<_> = records.ids.iter().zip(&records.values).collect();
    for part in all.chunks(DOCUMENTS) {
        let edits = part.iter().map(|(id, value)| Edit {
            collection: COLLECTION.into(),
            id: Some(id.to_string()),
            op: Op::Put {
                value: (*value).clone(),
                replace: false,
            },
        });
        client.call(&DocPut {
            space: SPACE.into(),
            edits: edits.collect(),
            idempotency_key: None,
            revisions: Default::default(),
        })?;
    }
    Ok(())
}

/// Waits until all indexes are whole.
pub(crate) fn wait_for_indexes(client: &mut Client) -> Result<(), Failure> {
    let list = IndexList {
        space: SPACE.into(),
        collection: None,
    };
    while client.call(&list)?.indexes.iter().any(|it| !it.complete) {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
