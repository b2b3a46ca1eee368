//! Nearest names.

use crate::diag::{hint, list, nearest};

#[test]
fn the_nearest_name_is_found_when_it_is_near() {
    let known = ["title", "stability", "settings", "id"];
    assert_eq!(nearest("tilte", known), Some("title"));
    assert_eq!(nearest("Setings", known), Some("settings"));
    assert_eq!(nearest("di", known), Some("id"));
    assert_eq!(nearest("zebra", known), None);
    assert_eq!(nearest("", known), None);
}

#[test]
fn a_hint_is_a_suggestion_or_the_list() {
    assert_eq!(hint("bta", &["beta", "stable"]), "; did you mean `beta`?");
    assert_eq!(
        hint("finished", &["beta", "stable"]),
        "; expected `beta` or `stable`"
    );
    assert_eq!(list(&["a", "b", "c"]), "`a`, `b` or `c`");
}
