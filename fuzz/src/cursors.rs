//! Cursors: pages put together are the whole, and a cursor that was changed, or is asked with for another search, by
//! another caller, in another scope or at another server, is refused.
//!
//! An input has a line of numbers: the size of a page, what is done to the cursor, and two numbers for that; a line
//! that is taken as a cursor as it is; and then a search as `clinic` reads it.

use mcp_ext_healthcare::CursorKey;
use mcp_ext_healthcare::cursor::CursorError;
use mcp_ext_healthcare::scope::AccessScope;
use mcp_ext_healthcare::search::SearchError;
use mcp_ext_healthcare::store::FhirStore;
use mcp_ext_healthcare::types::{PageSize, SearchParams, SearchResult};
use std::sync::LazyLock;

use crate::clinic::{CLINIC, query, references, scope};

/// An empty store with another key.
static OTHER: LazyLock<FhirStore> = LazyLock::new(|| {
    FhirStore::in_memory()
        .expect("a store")
        .with_cursor_key(CursorKey::from_bytes([7; 32]))
});

const CALLER: Option<&str> = Some("a caller");

fn search(scope: &AccessScope, query: &SearchParams) -> Result<SearchResult, SearchError> {
    CLINIC.store.search(scope, CALLER, query)
}

fn assert_refused(result: Result<SearchResult, SearchError>, what: &str) {
    match result {
        Err(SearchError::Cursor(CursorError::Malformed | CursorError::Rejected)) => {}
        other => panic!("{what}: {other:?}"),
    }
}

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let mut numbers = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(|n| n.parse::<usize>().unwrap_or(0));
    let mut number = || numbers.next().unwrap_or(0);
    let (count, what, a, b) = (number().clamp(1, 8), number(), number(), number());
    let forged = lines.next().unwrap_or_default().to_owned();
    let (asked, patients) = query(&mut lines);
    let scope = scope(&patients);
    let whole = SearchParams {
        count: Some(PageSize::MAX),
        ..asked.clone()
    };
    let Ok(all) = search(&scope, &whole) else {
        return;
    };
    let all = references(&all);

    let with = |cursor: String| SearchParams {
        cursor: Some(cursor),
        ..asked.clone()
    };
    assert_refused(search(&scope, &with(forged)), "a text");
    let mut page = SearchParams {
        count: PageSize::new(count as u32),
        ..asked.clone()
    };
    let mut found = Vec::new();
    let mut cursors = Vec::new();
    loop {
        let result = search(&scope, &page).expect("a page of a good search");
        assert_eq!(result.total.value, all.len() as u64);
        assert!(result.matches.len() <= count);
        found.extend(references(&result));
        let Some(cursor) = result.next_cursor else {
            break;
        };
        assert_eq!(result.matches.len(), count, "only the last page is short");
        page = with(cursor.clone());
        cursors.push(cursor);
        assert!(cursors.len() <= all.len(), "pages without end");
    }
    assert_eq!(found, all, "the pages together");
    let Some(cursor) = cursors.get(a % cursors.len().max(1)) else {
        return;
    };
    let at = b % cursor.len();
    // How many matches are on the pages before.
    let skipped = (a % cursors.len() + 1) * count;
    let next = search(&scope, &with(cursor.clone())).expect("a cursor, used again");
    assert!(
        all[skipped..].starts_with(&references(&next)),
        "from there on"
    );
    match what % 11 {
        0 => {
            let mut changed = cursor.clone().into_bytes();
            changed[at] ^= 1 << (a % 7);
            let Ok(changed) = String::from_utf8(changed) else {
                return;
            };
            assert_refused(search(&scope, &with(changed)), "a bit changed");
        }
        1 => assert_refused(search(&scope, &with(cursor[..at].to_owned())), "cut"),
        2 => assert_refused(
            search(
                &scope,
                &with(format!("{cursor}{}", char::from(b'0' + (b % 75) as u8))),
            ),
            "longer",
        ),
        3 => {
            // The first character that can be taken for the last two bits of another.
            for c in ('A'..='Z')
                .chain('a'..='z')
                .chain('0'..='9')
                .chain(['-', '_', '='])
            {
                let changed = format!("{}{c}", &cursor[..cursor.len() - 1]);
                if changed != *cursor {
                    assert_refused(search(&scope, &with(changed)), "another spelling");
                }
            }
        }
        4 => {
            let other = cursors[b % cursors.len()].clone();
            if other != *cursor {
                let half = cursor.len() / 2;
                let mixed = format!(
                    "{}{}",
                    &cursor[..half],
                    other.get(half..).unwrap_or_default()
                );
                assert_refused(search(&scope, &with(mixed)), "of two");
            }
        }
        5 => assert_refused(
            CLINIC
                .store
                .search(&scope, Some("another"), &with(cursor.clone())),
            "of another caller",
        ),
        6 => assert_refused(
            OTHER.search(&scope, CALLER, &with(cursor.clone())),
            "of another server",
        ),
        7 => {
            let other = AccessScope::patients(["p0", "nobody"]).expect("ids");
            assert_refused(search(&other, &with(cursor.clone())), "in another scope");
        }
        8 => {
            let mut changed = with(cursor.clone());
            changed.sort.push("_id".to_owned());
            if changed.sort.len() <= 3 {
                assert_refused(search(&scope, &changed), "in another order");
            }
        }
        9 => {
            let mut changed = with(cursor.clone());
            changed.params.reverse();
            let same = search(&scope, &changed).expect("the order of conditions does not matter");
            assert_eq!(references(&same), references(&next));
            if changed.params.pop().is_some() {
                assert_refused(search(&scope, &changed), "of another search");
            }
        }
        _ => {
            let mut counted = with(cursor.clone());
            counted.count = PageSize::new((b % 101) as u32);
            match search(&scope, &counted) {
                Ok(same) => assert_eq!((b % 101, references(&same)), (count, references(&next))),
                Err(SearchError::Cursor(CursorError::Count { expected })) => {
                    assert_eq!(expected.get() as usize, count);
                    assert_ne!(b % 101, count);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
