//! How many more keys a caller may use, without counting them with each call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Callers that are remembered at once; with more all are counted anew.
const CALLERS: usize = 4096;

/// For how long a caller who had no room left is not counted again, in milliseconds.
const FULL: i64 = 60_000;

/// What is known of each caller's keys. It is what was counted once, less what was used since by this process: other
/// processes may use some too, so a caller may have a few more than the most.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) most: u64,
    callers: Mutex<HashMap<String, Caller>>,
}

#[derive(Debug)]
struct Caller {
    left: u64,
    /// Until when a count that left no room is taken for known; a time long past after any other.
    full_until: i64,
}

impl Room {
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            callers: Mutex::default(),
        }
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<String, Caller>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for another key; `None`: count them.
    pub(crate) fn known(&self, scope: &str, now: i64) -> Option<bool> {
        let callers = self.callers();
        let caller = callers.get(scope)?;
        match caller.left {
            0 if now < caller.full_until => Some(false),
            0 => None,
            _ => Some(true),
        }
    }

    /// Takes note of a count. Whether there is room for another key.
    pub(crate) fn counted(&self, scope: String, keys: u64, now: i64) -> bool {
        let left = self.most.saturating_sub(keys);
        let mut callers = self.callers();
        if callers.len() >= CALLERS {
            callers.clear();
        }
        let full_until = match left {
            0 => now.saturating_add(FULL),
            _ => i64::MIN,
        };
        callers.insert(scope, Caller { left, full_until });
        left > 0
    }

    /// A key was reserved.
    pub(crate) fn used(&self, scope: &str) {
        if let Some(caller) = self.callers().get_mut(scope) {
            caller.left = caller.left.saturating_sub(1);
        }
    }

    /// Keys were forgotten: they are counted anew.
    pub(crate) fn forgotten(&self) {
        self.callers().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLERS, FULL, Room};

    #[test]
    fn a_caller_is_counted_when_nothing_is_known_of_them() {
        let room = Room::new(3);
        assert_eq!(room.known("a", 0), None);
        assert!(room.counted("a".into(), 1, 0));
        room.used("a");
        assert_eq!(room.known("a", 0), Some(true));
        room.used("a");
        // Some may have been given back meanwhile.
        assert_eq!(room.known("a", 0), None);
        assert!(!room.counted("a".into(), 3, 10));
        assert_eq!(room.known("a", FULL + 9), Some(false));
        assert_eq!(room.known("a", FULL + 10), None);
        assert_eq!(room.known("b", 0), None);
        room.forgotten();
        assert_eq!(room.known("a", 10), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let room = Room::new(3);
        for i in 0..3 * CALLERS {
            room.counted(i.to_string(), 0, 0);
            assert!(room.callers().len() <= CALLERS);
        }
    }
}
