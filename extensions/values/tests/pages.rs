//! Page walks: each item is seen once, whatever is inserted and removed meanwhile; against a model and against SQLite.

use std::collections::{BTreeMap, BTreeSet};

use mcp_ext_values::{
    Binding, CursorError, CursorKey, Limit, MaxBytes, Page, PageParams, SeededRandom,
    TruncationReason, Walk,
};
use proptest::prelude::*;
use rusqlite::{Connection, params};
use serde::Serialize;

/// The sort key is not unique; the id is.
type Position = (u8, u32);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Item {
    key: u8,
    id: u32,
    text: String,
}

/// Something with a listing in the order of (key, id).
trait Listing {
    fn insert(&mut self, item: &Item);
    fn remove(&mut self, id: u32);
    fn after(&self, after: Option<&Position>, rows: usize) -> Vec<Item>;
    fn total(&self) -> u64;
}

#[derive(Default)]
struct Model(BTreeMap<Position, Item>);

impl Listing for Model {
    fn insert(&mut self, item: &Item) {
        self.0.insert((item.key, item.id), item.clone());
    }
    fn remove(&mut self, id: u32) {
        self.0.retain(|position, _| position.1 != id);
    }
    fn after(&self, after: Option<&Position>, rows: usize) -> Vec<Item> {
        let items = self
            .0
            .iter()
            .filter(|(position, _)| after.is_none_or(|after| *position > after));
        items.map(|(_, item)| item.clone()).take(rows).collect()
    }
    fn total(&self) -> u64 {
        self.0.len() as u64
    }
}

struct Sqlite(Connection);

impl Default for Sqlite {
    fn default() -> Self {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE item (key INTEGER, id INTEGER UNIQUE, text TEXT)")
            .unwrap();
        Self(db)
    }
}

impl Listing for Sqlite {
    fn insert(&mut self, item: &Item) {
        let row = params![item.key, item.id, item.text];
        self.0
            .execute("INSERT INTO item VALUES (?, ?, ?)", row)
            .unwrap();
    }
    fn remove(&mut self, id: u32) {
        self.0
            .execute("DELETE FROM item WHERE id = ?", [id])
            .unwrap();
    }
    fn after(&self, after: Option<&Position>, rows: usize) -> Vec<Item> {
        // Below every row: keys are not negative.
        let (key, id) = after.map_or((-1, -1), |(key, id)| (i64::from(*key), i64::from(*id)));
        let mut statement = self
            .0
            .prepare(
                "SELECT key, id, text FROM item WHERE (key, id) > (?, ?) ORDER BY key, id LIMIT ?",
            )
            .unwrap();
        let found = statement.query_map(params![key, id, rows as i64], |row| {
            Ok(Item {
                key: row.get(0)?,
                id: row.get(1)?,
                text: row.get(2)?,
            })
        });
        found.unwrap().collect::<Result<_, _>>().unwrap()
    }
    fn total(&self) -> u64 {
        let total: i64 = self
            .0
            .query_row("SELECT count(*) FROM item", [], |row| row.get(0))
            .unwrap();
        total as u64
    }
}

fn page(
    listing: &impl Listing,
    key: &CursorKey,
    params: &PageParams,
) -> Result<Page<Item>, CursorError> {
    let binding = Binding::new("test/items", "1")
        .caller(None, Some("me"))
        .query(b"all");
    let walk: Walk<Position> = Walk::open(key, binding, params)?;
    let rows = listing.after(walk.after(), walk.rows());
    walk.page(
        key,
        &SeededRandom::new(1),
        rows,
        |item| (item.key, item.id),
        Some(listing.total()),
    )
}

#[derive(Debug, Clone)]
enum Change {
    Insert(u8, usize),
    Remove(usize),
}

fn changes() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let change = prop_oneof![
        3 => (0..6_u8, 0..600_usize).prop_map(|(key, size)| Change::Insert(key, size)),
        1 => (0..60_usize).prop_map(Change::Remove),
    ];
    prop::collection::vec(prop::collection::vec(change, 0..4), 0..30)
}

/// Walks to the end while items come and go, and checks the law.
fn walk<L: Listing + Default>(
    first: &[(u8, usize)],
    between: &[Vec<Change>],
    limit: u32,
    max_bytes: u32,
) {
    let mut listing = L::default();
    let mut all = Vec::new();
    let insert = |listing: &mut L, all: &mut Vec<Item>, key, size| {
        let item = Item {
            key,
            id: all.len() as u32,
            text: "x".repeat(size),
        };
        listing.insert(&item);
        all.push(item);
    };
    for (key, size) in first {
        insert(&mut listing, &mut all, *key, *size);
    }
    let there_at_first: BTreeSet<u32> = all.iter().map(|item| item.id).collect();
    let mut removed = BTreeSet::new();
    let key = CursorKey::from_bytes([3; 32]);
    let mut asked = PageParams {
        limit: Limit::new(limit),
        max_bytes: MaxBytes::new(max_bytes),
        cursor: None,
    };
    let mut seen = Vec::new();
    for step in 0.. {
        let page = page(&listing, &key, &asked).unwrap();
        assert!(page.items.len() <= limit as usize);
        let bytes: usize = page
            .items
            .iter()
            .map(|item| serde_json::to_vec(item).unwrap().len() + 1)
            .sum();
        assert!(bytes <= max_bytes as usize || page.items.len() == 1);
        seen.extend(page.items.iter().cloned());
        assert_eq!(page.truncated.is_some(), page.next_cursor.is_some());
        if let Some(truncated) = page.truncated {
            assert_eq!(truncated.returned.get() as usize, page.items.len());
            assert_eq!(
                truncated.total.map(|n| u64::from(n.get())),
                Some(listing.total())
            );
            let full = page.items.len() == limit as usize;
            assert_eq!(truncated.reason == TruncationReason::Limit, full);
            assert!(!page.items.is_empty(), "the walk goes on");
        }
        let Some(cursor) = page.next_cursor else {
            break;
        };
        // The page size may be repeated or left out.
        asked.limit = if step % 2 == 0 {
            None
        } else {
            Limit::new(limit)
        };
        asked.cursor = Some(cursor);
        for change in between.get(step).into_iter().flatten() {
            match change {
                Change::Insert(key, size) => insert(&mut listing, &mut all, *key, *size),
                Change::Remove(at) => {
                    let id = (*at % all.len().max(1)) as u32;
                    listing.remove(id);
                    removed.insert(id);
                }
            }
        }
    }
    let ids: Vec<u32> = seen.iter().map(|item| item.id).collect();
    let unique: BTreeSet<u32> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "seen twice");
    assert!(
        seen.windows(2)
            .all(|pair| (pair[0].key, pair[0].id) < (pair[1].key, pair[1].id)),
        "out of order"
    );
    for id in there_at_first.difference(&removed) {
        assert!(
            unique.contains(id),
            "item {id} was there all the time and not seen"
        );
    }
    for item in &seen {
        assert_eq!(Some(item), all.get(item.id as usize));
    }
}

proptest! {
    #[test]
    fn each_item_is_seen_once(
        first in prop::collection::vec((0..6_u8, 0..600_usize), 0..60),
        between in changes(),
        limit in 1..12_u32,
        max_bytes in 1024..4096_u32,
    ) {
        walk::<Model>(&first, &between, limit, max_bytes);
        walk::<Sqlite>(&first, &between, limit, max_bytes);
    }
}

#[test]
fn a_cursor_of_another_query_caller_or_size_is_refused_with_what_to_do() {
    let mut listing = Model::default();
    for id in 0..10 {
        listing.insert(&Item {
            key: 0,
            id,
            text: String::new(),
        });
    }
    let key = CursorKey::from_bytes([3; 32]);
    let first = PageParams {
        limit: Limit::new(3),
        ..PageParams::default()
    };
    let next = PageParams {
        cursor: page(&listing, &key, &first).unwrap().next_cursor,
        ..PageParams::default()
    };
    let open = |binding, params: &PageParams| {
        Walk::<Position>::open(&key, binding, params).map(|walk| walk.after().copied())
    };
    let mine = || {
        Binding::new("test/items", "1")
            .caller(None, Some("me"))
            .query(b"all")
    };
    assert_eq!(open(mine(), &next), Ok(Some((0, 2))));
    for binding in [
        Binding::new("test/items", "1")
            .caller(None, Some("you"))
            .query(b"all"),
        Binding::new("test/items", "1")
            .caller(Some("me"), None)
            .query(b"all"),
        Binding::new("test/items", "1")
            .caller(None, Some("me"))
            .query(b"some"),
        Binding::new("test/items", "2")
            .caller(None, Some("me"))
            .query(b"all"),
        Binding::new("test/others", "1")
            .caller(None, Some("me"))
            .query(b"all"),
    ] {
        let error = open(binding, &next).unwrap_err();
        assert_eq!(error, CursorError::Rejected);
        assert!(error.to_string().contains("leave it out to start again"));
    }
    for other in [0, 2, 4] {
        let resized = PageParams {
            limit: Limit::new(other),
            ..next.clone()
        };
        let expected = Limit::new(3).unwrap();
        assert_eq!(open(mine(), &resized), Err(CursorError::Count { expected }));
    }
    let error = CursorError::Count {
        expected: Limit::new(3).unwrap(),
    };
    assert!(error.to_string().contains("page size of 3"));
    let url =
        serde_json::from_str::<PageParams>(r#"{"cursor": "https://example.org/items?page=2"}"#);
    assert!(url.unwrap_err().to_string().contains("a URL never is"));
}

#[test]
fn a_limit_of_none_gives_the_total_alone() {
    let mut listing = Model::default();
    let key = CursorKey::from_bytes([3; 32]);
    let none = PageParams {
        limit: Limit::new(0),
        ..PageParams::default()
    };
    assert_eq!(page(&listing, &key, &none).unwrap().truncated, None);
    listing.insert(&Item {
        key: 0,
        id: 1,
        text: String::new(),
    });
    let counted = page(&listing, &key, &none).unwrap();
    assert_eq!((counted.items.len(), counted.next_cursor), (0, None));
    assert_eq!(counted.truncated.unwrap().total.unwrap().get(), 1);
}
