//! Edits of trees, and what a tree shows.

use loro::{LoroDoc, LoroTree, LoroValue, TreeID, TreeParentId};
use serde_json::{Map, Value};
use stead_doc::{NodeName, RichError};

use crate::ROOT;
use crate::guard::{broken, refused};
use crate::json::{from_loro, to_loro};

/// Deepest level that a tree shows and that a node can be put at.
pub(crate) const TREE_DEPTH_MAX: usize = 64;
/// Most nodes that a tree shows.
const NODES_MAX: usize = 1 << 18;

pub(crate) fn of(doc: &LoroDoc) -> LoroTree {
    doc.get_tree(ROOT)
}

fn find(tree: &LoroTree, name: &NodeName) -> Result<TreeID, RichError> {
    let none = || refused(format!("there is no node {:?}", name.0));
    let id = TreeID::try_from(name.0.as_str()).map_err(|_| none())?;
    match tree.is_node_deleted(&id) {
        Ok(false) => Ok(id),
        _ => Err(none()),
    }
}

fn parent_of(tree: &LoroTree, parent: Option<&NodeName>) -> Result<TreeParentId, RichError> {
    let Some(name) = parent else {
        return Ok(TreeParentId::Root);
    };
    let id = find(tree, name)?;
    let mut depth = 1;
    let mut at = tree.parent(id);
    while let Some(TreeParentId::Node(above)) = at {
        depth += 1;
        if depth > TREE_DEPTH_MAX {
            return Err(refused(format!(
                "a tree is at most {TREE_DEPTH_MAX} levels deep"
            )));
        }
        at = tree.parent(above);
    }
    Ok(TreeParentId::Node(id))
}

pub(crate) fn create(
    doc: &LoroDoc,
    parent: Option<&NodeName>,
    at: Option<usize>,
    fields: &Map<String, Value>,
) -> Result<NodeName, RichError> {
    let tree = of(doc);
    let parent = parent_of(&tree, parent)?;
    let count = tree.children_num(parent).unwrap_or_default();
    let node = match at {
        Some(at) if at > count => {
            return Err(refused(format!("there are {count} nodes, none at {at}")));
        }
        Some(at) => tree.create_at(parent, at),
        None => tree.create(parent),
    }
    .map_err(broken)?;
    let meta = tree.get_meta(node).map_err(broken)?;
    for (name, value) in fields {
        meta.insert(name, to_loro(value)?).map_err(broken)?;
    }
    Ok(NodeName(node.to_string()))
}

/// Makes nodes as a tree showed them.
pub(crate) fn grow(doc: &LoroDoc, nodes: &Value) -> Result<(), RichError> {
    let mut left: Vec<(Option<NodeName>, &Value)> = vec![(None, nodes)];
    while let Some((parent, nodes)) = left.pop() {
        for node in nodes.as_array().into_iter().flatten() {
            let fields = node["fields"].as_object().cloned().unwrap_or_default();
            let made = create(doc, parent.as_ref(), None, &fields)?;
            left.push((Some(made), &node["children"]));
        }
    }
    Ok(())
}

pub(crate) fn shift(
    doc: &LoroDoc,
    node: &NodeName,
    parent: Option<&NodeName>,
    at: Option<usize>,
) -> Result<(), RichError> {
    let tree = of(doc);
    let node = find(&tree, node)?;
    let parent = parent_of(&tree, parent)?;
    let misfit = |error: loro::LoroError| refused(error.to_string());
    match at {
        Some(at) => {
            let siblings = tree.children(parent).unwrap_or_default();
            let others = siblings.iter().filter(|id| **id != node).count();
            if at > others {
                return Err(refused(format!(
                    "there are {others} other nodes, none at {at}"
                )));
            }
            tree.mov_to(node, parent, at)
        }
        None => tree.mov(node, parent),
    }
    .map_err(misfit)
}

pub(crate) fn delete(doc: &LoroDoc, node: &NodeName) -> Result<(), RichError> {
    let tree = of(doc);
    let node = find(&tree, node)?;
    tree.delete(node).map_err(broken)
}

pub(crate) fn set(
    doc: &LoroDoc,
    node: &NodeName,
    field: &str,
    value: &Value,
) -> Result<(), RichError> {
    let tree = of(doc);
    let meta = tree.get_meta(find(&tree, node)?).map_err(broken)?;
    match value {
        Value::Null => meta.delete(field),
        value => meta.insert(field, to_loro(value)?),
    }
    .map_err(broken)
}

/// The roots, each with `id`, `fields` and `children`.
pub(crate) fn value(doc: &LoroDoc) -> Value {
    let tree = of(doc);
    let mut left = NODES_MAX;
    below(&tree, TreeParentId::Root, 1, &mut left)
}

fn below(tree: &LoroTree, parent: TreeParentId, depth: usize, left: &mut usize) -> Value {
    let mut shown = Vec::new();
    if depth <= TREE_DEPTH_MAX {
        for id in tree.children(parent).unwrap_or_default() {
            if *left == 0 {
                break;
            }
            *left -= 1;
            let mut node = Map::new();
            node.insert("id".to_owned(), id.to_string().into());
            let fields = tree.get_meta(id).map(|meta| meta.get_value());
            let fields = fields.unwrap_or_else(|_| LoroValue::from(Vec::<LoroValue>::new()));
            let fields = match from_loro(&fields) {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            node.insert("fields".to_owned(), Value::Object(fields));
            let children = below(tree, TreeParentId::Node(id), depth + 1, left);
            node.insert("children".to_owned(), children);
            shown.push(Value::Object(node));
        }
    }
    shown.into()
}
