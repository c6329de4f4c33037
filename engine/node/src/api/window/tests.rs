//! A live query against the query run again after every transaction.

use proptest::prelude::*;
use serde_json::json;
use stead_store::{Condition, Direction, Scalar, Test};

use super::*;

/// All documents, and the query said plainly.
#[derive(Default)]
struct Model(BTreeMap<DocId, Arc<Value>>);

impl Model {
    fn run(&self, asked: &Asked, most: usize) -> Vec<(DocId, Arc<Value>)> {
        let mut found: Vec<_> = self
            .0
            .iter()
            .filter(|(id, value)| fits(&asked.filter, &id.to_string(), value, &NoLookup))
            .map(|(id, value)| {
                (
                    Cursor::of(&asked.sort, id, value),
                    id.clone(),
                    Arc::clone(value),
                )
            })
            .collect();
        found.sort_by(|a, b| a.0.order(&b.0, &asked.sort));
        found.truncate(most);
        found
            .into_iter()
            .map(|(_, id, value)| (id, value))
            .collect()
    }
}

/// What a client makes of the events, as the protocol tells it to.
#[derive(Default)]
struct Client(Vec<(String, Value)>);

impl Client {
    fn hear(&mut self, changes: &[Change]) {
        let gone = |id: &String| {
            changes
                .iter()
                .any(|change| change.id == *id && change.kind != ChangeKind::Added)
        };
        self.0.retain(|(id, _)| !gone(id));
        for change in changes {
            if let Some(value) = &change.value {
                let at = change.at.map_or(self.0.len(), |at| at as usize);
                self.0
                    .insert(at.min(self.0.len()), (change.id.clone(), value.clone()));
            }
        }
    }
}

fn id(i: u8) -> DocId {
    DocId::parse(&format!("d{i:02}")).expect("a name")
}

fn any_transaction() -> impl Strategy<Value = Vec<(u8, Option<(i64, i64)>)>> {
    let edit = (0u8..40, prop::option::weighted(0.8, (0i64..6, 0i64..20)));
    prop::collection::vec(edit, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_every_transaction_a_live_query_shows_what_the_query_finds(
        transactions in prop::collection::vec(any_transaction(), 1..60),
        limit in prop::option::of(1usize..6),
        desc: bool,
        least in 0i64..4,
    ) {
        let condition = Condition { path: vec!["k".into()], test: Test::Ge(Scalar::Int(least)) };
        let direction = if desc { Direction::Desc } else { Direction::Asc };
        let sort = limit.map(|_| SortKey::new(vec!["n".into()], direction));
        let asked = Asked { filter: vec![condition.into()], sort: sort.into_iter().collect(), limit };
        let (mut model, mut client) = (Model::default(), Client::default());
        let mut window = Window::new(asked.clone());
        if let Some(reads) = window.reads() {
            let before = window.before();
            let changes = window.refill(model.run(&asked, reads), Vec::new(), &before);
            client.hear(&changes.expect("an empty window is not short"));
        }
        for transaction in transactions {
            let mut now = BTreeMap::new();
            for (i, fields) in transaction {
                let value = fields.map(|(k, n)| Arc::new(json!({"k": k, "n": n})));
                match &value {
                    Some(value) => { model.0.insert(id(i), Arc::clone(value)); }
                    None => { model.0.remove(&id(i)); }
                }
                now.insert(id(i), value);
            }
            let changes = match window.take(now.clone().into_iter().collect()) {
                Ok(changes) => changes,
                // Half of what changed is heard of again, as when it changed while reading.
                Err(before) => {
                    let again = now.into_iter().step_by(2).collect();
                    let found = model.run(&asked, window.reads().expect("a window"));
                    window.refill(found, again, &before).expect("filled")
                }
            };
            let ids: BTreeSet<&String> = changes.iter().map(|change| &change.id).collect();
            prop_assert_eq!(ids.len(), changes.len(), "each document once");
            client.hear(&changes);
            let expected: Vec<_> = model
                .run(&asked, limit.unwrap_or(usize::MAX))
                .into_iter()
                .map(|(id, value)| (id.to_string(), (*value).clone()))
                .collect();
            let mut shown = client.0.clone();
            if limit.is_none() {
                shown.sort_by(|a, b| a.0.cmp(&b.0));
            }
            prop_assert_eq!(shown, expected);
        }
    }
}

#[test]
fn one_change_among_150_thousand_documents_takes_less_than_a_millisecond() {
    for limit in [None, Some(100)] {
        let sort = vec![SortKey::new(vec!["n".into()], Direction::Asc)];
        let condition = Condition {
            path: vec!["k".into()],
            test: Test::Ge(Scalar::Int(0)),
        };
        let asked = Asked {
            filter: vec![condition.into()],
            sort,
            limit,
        };
        let doc = |n: i64| Arc::new(json!({"k": n % 7, "n": n, "name": format!("document {n}")}));
        let name = |n: i64| DocId::parse(&format!("d{n:06}")).expect("a name");
        let mut window = Window::new(asked);
        let all = || (0..150_000).map(|n| (name(n), doc(n)));
        match window.reads() {
            None => drop(window.take(all().map(|(id, value)| (id, Some(value))).collect())),
            Some(reads) => {
                let before = window.before();
                window
                    .refill(all().take(reads).collect(), Vec::new(), &before)
                    .expect("filled");
            }
        }
        let began = std::time::Instant::now();
        const ROUNDS: i64 = 100;
        for round in 0..ROUNDS {
            let changes = window.take(vec![(
                name(round % 50),
                Some(doc(round % 50 + 1_000_000 * (round % 2))),
            )]);
            assert!(changes.is_ok() || limit.is_some());
        }
        let each = began.elapsed() / ROUNDS as u32;
        assert!(
            each < std::time::Duration::from_millis(1),
            "{limit:?}: {each:?}"
        );
    }
}
