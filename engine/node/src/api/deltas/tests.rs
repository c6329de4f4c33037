//! Applying a difference to the old content gives the new one, whatever the two are.

use super::*;
use proptest::prelude::*;

fn apply_list(old: &[Value], delta: &[Value]) -> Vec<Value> {
    let (mut out, mut at) = (Vec::new(), 0);
    for part in delta {
        if let Some(n) = part["retain"].as_u64() {
            out.extend_from_slice(&old[at..at + n as usize]);
            at += n as usize;
        } else if let Some(n) = part["delete"].as_u64() {
            at += n as usize;
        } else {
            out.extend(part["insert"].as_array().unwrap().iter().cloned());
        }
    }
    out.extend_from_slice(&old[at..]);
    out
}

/// Children of the node with an id, or the roots.
fn below<'v>(roots: &'v mut Vec<Value>, id: &Value) -> Option<&'v mut Vec<Value>> {
    if id.is_null() {
        return Some(roots);
    }
    for node in roots {
        if node["id"] == *id {
            return node["children"].as_array_mut();
        }
        let Value::Array(children) = &mut node["children"] else {
            continue;
        };
        if let Some(found) = below(children, id) {
            return Some(found);
        }
    }
    None
}

fn take(roots: &mut Vec<Value>, id: &Value) -> Option<Value> {
    if let Some(at) = roots.iter().position(|node| node["id"] == *id) {
        return Some(roots.remove(at));
    }
    roots
        .iter_mut()
        .filter_map(|node| node["children"].as_array_mut())
        .find_map(|children| take(children, id))
}

fn apply_tree(roots: &mut Vec<Value>, steps: &[Value]) {
    for step in steps {
        let (name, what) = step.as_object().unwrap().iter().next().unwrap();
        let id = &what["id"];
        let node = match name.as_str() {
            "create" => json!({ "id": id, "fields": what["fields"], "children": [] }),
            "move" | "delete" => take(roots, id).expect("a node that is there"),
            _ => {
                let mut node = take_fields(roots, id).expect("a node that is there");
                for (field, value) in what["fields"].as_object().unwrap() {
                    node.insert(field.clone(), value.clone());
                }
                for field in what["unset"].as_array().unwrap() {
                    node.remove(field.as_str().unwrap());
                }
                put_fields(roots, id, node);
                continue;
            }
        };
        if name != "delete" {
            let at = what["at"].as_u64().unwrap() as usize;
            below(roots, &what["parent"])
                .expect("a parent that is there")
                .insert(at, node);
        }
    }
}

fn find<'v>(roots: &'v mut [Value], id: &Value) -> Option<&'v mut Value> {
    for node in roots {
        if node["id"] == *id {
            return Some(node);
        }
        let Value::Array(children) = &mut node["children"] else {
            continue;
        };
        if let Some(found) = find(children, id) {
            return Some(found);
        }
    }
    None
}

fn take_fields(roots: &mut [Value], id: &Value) -> Option<Map<String, Value>> {
    find(roots, id)?["fields"].as_object().cloned()
}

fn put_fields(roots: &mut [Value], id: &Value, fields: Map<String, Value>) {
    find(roots, id).unwrap()["fields"] = fields.into();
}

/// A forest of some of the nodes 0 to 11, from a parent for each: an earlier one, none, or absent.
fn forest() -> impl Strategy<Value = Vec<Value>> {
    let node = (0..14usize, any::<bool>(), 0..3u8);
    let order = Just((0..12usize).collect::<Vec<_>>()).prop_shuffle();
    (proptest::collection::vec(node, 12), order).prop_map(|(nodes, order)| {
        let mut roots = Vec::new();
        for (at, id) in order.iter().enumerate() {
            let (parent, front, value) = nodes[at];
            if parent == 13 {
                continue;
            }
            let parent = order.get(parent).filter(|_| parent < at);
            let made = json!({ "id": format!("n{id}"), "fields": { "v": value }, "children": [] });
            let parent = parent.map_or(Value::Null, |id| format!("n{id}").into());
            let siblings = match below(&mut roots, &parent) {
                Some(siblings) => siblings,
                None => &mut roots,
            };
            let at = if front { 0 } else { siblings.len() };
            siblings.insert(at, made);
        }
        roots
    })
}

proptest! {
    #[test]
    fn the_difference_of_two_lists_leads_from_one_to_the_other(
        old in proptest::collection::vec(0..4u8, 0..12),
        new in proptest::collection::vec(0..4u8, 0..12),
    ) {
        let values = |bytes: &[u8]| bytes.iter().map(|it| Value::from(*it)).collect::<Vec<_>>();
        let (old, new) = (values(&old), values(&new));
        prop_assert_eq!(apply_list(&old, &list(&old, &new)), new);
    }

    #[test]
    fn the_difference_of_two_trees_leads_from_one_to_the_other(
        old in forest(), new in forest()
    ) {
        let steps = tree(&old, &new).unwrap();
        let mut applied = old.clone();
        apply_tree(&mut applied, &steps);
        prop_assert_eq!(applied, new);
        prop_assert_eq!(tree(&old, &old).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn positions_in_another_unit_mean_the_same_place(
        old in "[a😀é]{0,12}", cut in 0..12usize, gone in 0..5usize, insert in "[b😀]{1,4}"
    ) {
        let chars: Vec<char> = old.chars().collect();
        let cut = cut.min(chars.len());
        let gone = gone.min(chars.len() - cut);
        let mut delta = vec![
            json!({ "retain": cut }), json!({ "delete": gone }), json!({ "insert": insert }),
        ];
        let new = to_utf16(&old, &mut delta);
        let expected: String = chars[..cut].iter().copied()
            .chain(insert.chars()).chain(chars[cut + gone..].iter().copied()).collect();
        prop_assert_eq!(&new, &expected);
        let units: Vec<u16> = old.encode_utf16().collect();
        let at = delta[0]["retain"].as_u64().unwrap() as usize;
        let end = at + delta[1]["delete"].as_u64().unwrap() as usize;
        let applied: Vec<u16> = units[..at].iter().copied()
            .chain(insert.encode_utf16()).chain(units[end..].iter().copied()).collect();
        prop_assert_eq!(String::from_utf16(&applied).unwrap(), expected);
    }
}
