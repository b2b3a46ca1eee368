//! Walking a listing page by page: the server's side of [`PageParams`] and [`Page`].

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cursor::{Binding, CursorError, CursorKey};
use crate::page::{Count, Limit, MaxBytes, Page, PageParams, Truncated, TruncationReason};
use crate::random::Random;

/// Where a page begins and how large it may be.
///
/// A listing is walked in the order of sort keys of which the last is unique (an id), and a page goes on *after* the keys
/// of the last item, whatever was inserted or removed since: so each item that stays is seen once.
///
/// ```
/// use mcp_ext_values::{Binding, CursorKey, Page, PageParams, SystemRandom, Walk};
///
/// let key = CursorKey::random()?;
/// let binding = Binding::new("com.example/numbers", "1");
/// let walk: Walk<u32> = Walk::open(&key, binding, &PageParams::default())?;
/// // SELECT n FROM numbers WHERE n > :after ORDER BY n LIMIT :rows
/// let after = walk.after().copied().unwrap_or(0);
/// let rows = (after + 1..=1000).take(walk.rows());
/// let page: Page<u32> = walk.page(&key, &SystemRandom, rows, |n| *n, Some(1000))?;
/// assert_eq!(page.items.len(), 20);
/// assert!(page.next_cursor.is_some() && page.truncated.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Walk<P> {
    binding: Binding,
    limit: Limit,
    max_bytes: MaxBytes,
    after: Option<P>,
}

impl<P: Serialize + DeserializeOwned> Walk<P> {
    /// Reads what was asked for: the beginning, or where a cursor goes on.
    ///
    /// # Errors
    /// [`CursorError`] when the cursor is not good for this, or the limit is not the one it carries.
    pub fn open(
        key: &CursorKey,
        binding: Binding,
        params: &PageParams,
    ) -> Result<Self, CursorError> {
        let (limit, after) = match &params.cursor {
            None => (params.limit.unwrap_or_default(), None),
            Some(cursor) => {
                let (expected, after) = key.open(cursor.as_str(), &binding)?;
                if params.limit.is_some_and(|limit| limit != expected) {
                    return Err(CursorError::Count { expected });
                }
                (expected, Some(after))
            }
        };
        Ok(Self {
            binding,
            limit,
            max_bytes: params.max_bytes.unwrap_or_default(),
            after,
        })
    }

    /// The sort keys of the last item seen; none at the beginning.
    #[must_use]
    pub fn after(&self) -> Option<&P> {
        self.after.as_ref()
    }

    /// Most items of this page.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// How many rows to read: one more than the page holds, to know whether more follow.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.limit.get() as usize + 1
    }

    /// The page of these rows, which stand in the listing's order after [`after`](Self::after). It ends at the limit or
    /// before the item that would make it too large; a single item is never too large, or the walk could not go on.
    ///
    /// # Errors
    /// [`CursorError::Seal`].
    pub fn page<T: Serialize>(
        self,
        key: &CursorKey,
        random: &dyn Random,
        rows: impl IntoIterator<Item = T>,
        position: impl Fn(&T) -> P,
        total: Option<u64>,
    ) -> Result<Page<T>, CursorError> {
        let mut rows = rows.into_iter();
        let mut items = Vec::new();
        let mut bytes = 0_u64;
        let mut ended_by = None;
        for item in rows.by_ref() {
            if items.len() >= self.limit.get() as usize {
                ended_by = Some(TruncationReason::Limit);
                break;
            }
            bytes = bytes.saturating_add(json_bytes(&item)).saturating_add(1);
            if bytes > u64::from(self.max_bytes.get()) && !items.is_empty() {
                ended_by = Some(TruncationReason::MaxBytes);
                break;
            }
            items.push(item);
        }
        let last = items.last().map(position);
        let next_cursor = match (ended_by, last) {
            (Some(_), Some(last)) => Some(key.seal(random, &self.binding, self.limit, &last)?),
            _ => None,
        };
        Ok(Page {
            truncated: ended_by.map(|reason| Truncated {
                reason,
                returned: count(items.len() as u64),
                total: total.map(count),
            }),
            items,
            next_cursor,
        })
    }
}

fn count(number: u64) -> Count {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    Count::new(number).unwrap_or_default()
}

/// The length of a value as JSON. One that does not serialise fills the page: it will not serialise in the answer either.
fn json_bytes(value: &impl Serialize) -> u64 {
    struct Length(u64);
    impl io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len() as u64);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    match serde_json::to_writer(&mut length, value) {
        Ok(()) => length.0,
        Err(_) => u64::MAX,
    }
}
