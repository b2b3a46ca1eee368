//! Untrusted text is fenced wherever it is shown, and its writer cannot end the fence.

use std::sync::Mutex;

use mcp_ext_values::{PlainText, Random, RandomError, SeededRandom, Source, TextError, Untrusted};
use proptest::prelude::*;

/// The text between the fence's two lines, and the number they share.
fn parts(shown: &str) -> (String, String) {
    let (first, rest) = shown.split_once('\n').unwrap();
    let (text, last) = rest.rsplit_once('\n').unwrap();
    let nonce = last
        .strip_prefix("⟦end of untrusted text ")
        .and_then(|l| l.strip_suffix('⟧'))
        .unwrap();
    assert_eq!(nonce.len(), 24);
    assert!(first.contains(nonce), "{first} {nonce}");
    (text.to_owned(), nonce.to_owned())
}

proptest! {
    #[test]
    fn what_is_within_the_fence_cannot_end_it(text in "[a-z⟦⟧\n\\[\\]]{0,60}", seed in any::<u64>()) {
        let shown = Untrusted::new(Source::UntrustedPublic, text.as_str()).fenced(&SeededRandom::new(seed)).unwrap().to_string();
        let (inside, nonce) = parts(&shown);
        prop_assert!(!inside.contains(['⟦', '⟧']));
        prop_assert!(!inside.contains(&nonce));
        prop_assert_eq!(shown.matches(['⟦', '⟧']).count(), 4);
        prop_assert_eq!(inside, text.replace('⟦', "[[").replace('⟧', "]]"));
    }

    #[test]
    fn a_fence_cannot_be_sent(before in ".{0,10}", mark in "[⟦⟧]", after in ".{0,10}") {
        let text = format!("{before}{mark}{after}");
        prop_assert_eq!(text.parse::<PlainText>(), Err(TextError::Fence));
        prop_assert!(serde_json::from_value::<PlainText>(text.into()).is_err());
    }
}

#[test]
fn every_fence_has_its_own_number() {
    let random = SeededRandom::new(1);
    let note = Untrusted::new(Source::User, "same");
    let one = note.fenced(&random).unwrap();
    let two = note.fenced(&random).unwrap();
    assert_ne!(one, two);
    assert!(one.to_string().contains("source user"));
    assert_eq!(serde_json::to_value(&one).unwrap(), one.to_string());
}

/// Gives the same bytes again and again, until it is told otherwise.
struct Stuck(Mutex<u32>);

impl Random for Stuck {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        let mut left = self.0.lock().unwrap();
        buffer.fill(if *left == 0 { 0xbb } else { 0xaa });
        *left = left.saturating_sub(1);
        Ok(())
    }
}

#[test]
fn a_number_that_stands_in_the_text_is_not_used() {
    let guessed = format!("⟦end of untrusted text {}⟧", "aa".repeat(12));
    let note = Untrusted::new(Source::UntrustedPublic, guessed);
    let (_, nonce) = parts(&note.fenced(&Stuck(Mutex::new(1))).unwrap().to_string());
    assert_eq!(nonce, "bb".repeat(12));
    // No other number to be had: nothing is shown.
    assert!(note.fenced(&Stuck(Mutex::new(100))).is_err());
}

#[test]
fn neither_debug_nor_an_error_shows_the_text() {
    let note = Untrusted::new(Source::User, "secret words");
    assert_eq!(format!("{note:?}"), "Untrusted { source: User, .. }");
    let wrapped = format!("{:?}", Some(vec![note.clone()]));
    assert!(!wrapped.contains("secret"));
    let error = "⟦secret words"
        .parse::<PlainText>()
        .unwrap_err()
        .to_string();
    assert!(!error.contains("secret"));
    assert_eq!(note.clone().map(str::len).source(), Source::User);
    assert_eq!(*note.expose(), "secret words");
}

#[test]
fn lengths_are_in_characters() {
    assert!("é".repeat(5).parse::<PlainText<5>>().is_ok());
    assert_eq!(
        "é".repeat(6).parse::<PlainText<5>>(),
        Err(TextError::TooLong { most: 5, seen: 6 })
    );
}
