//! Tests that cross crates. What they share, and the examples of the README and of the book, which are run as tests.

pub mod equivalent;

macro_rules! examples {
    ($($(#[$doc:meta])* $name:ident)*) => { $(
        $(#[$doc])*
        #[cfg(doctest)]
        pub struct $name;
    )* };
}

examples! {
    #[doc = include_str!("../../README.md")]
    Readme
    #[doc = include_str!("../../docs/src/acceptance.md")]
    BookAcceptance
    #[doc = include_str!("../../docs/src/adapters.md")]
    BookAdapters
    #[doc = include_str!("../../docs/src/audit.md")]
    BookAudit
    #[doc = include_str!("../../docs/src/blocks.md")]
    BookBlocks
    #[doc = include_str!("../../docs/src/booking.md")]
    BookBooking
    #[doc = include_str!("../../docs/src/call.md")]
    BookCall
    #[doc = include_str!("../../docs/src/checks.md")]
    BookChecks
    #[doc = include_str!("../../docs/src/citations.md")]
    BookCitations
    #[doc = include_str!("../../docs/src/clients.md")]
    BookClients
    #[doc = include_str!("../../docs/src/command.md")]
    BookCommand
    #[doc = include_str!("../../docs/src/confirm.md")]
    BookConfirm
    #[doc = include_str!("../../docs/src/conformance.md")]
    BookConformance
    #[doc = include_str!("../../docs/src/consent.md")]
    BookConsent
    #[doc = include_str!("../../docs/src/errors.md")]
    BookErrors
    #[doc = include_str!("../../docs/src/fuzz.md")]
    BookFuzz
    #[doc = include_str!("../../docs/src/healthcare.md")]
    BookHealthcare
    #[doc = include_str!("../../docs/src/idempotency.md")]
    BookIdempotency
    #[doc = include_str!("../../docs/src/introduction.md")]
    BookIntroduction
    #[doc = include_str!("../../docs/src/keys.md")]
    BookKeys
    #[doc = include_str!("../../docs/src/labels.md")]
    BookLabels
    #[doc = include_str!("../../docs/src/listen.md")]
    BookListen
    #[doc = include_str!("../../docs/src/negotiation.md")]
    BookNegotiation
    #[doc = include_str!("../../docs/src/policy.md")]
    BookPolicy
    #[doc = include_str!("../../docs/src/provide.md")]
    BookProvide
    #[doc = include_str!("../../docs/src/public.md")]
    BookPublic
    #[doc = include_str!("../../docs/src/request.md")]
    BookRequest
    #[doc = include_str!("../../docs/src/results.md")]
    BookResults
    #[doc = include_str!("../../docs/src/rmcp.md")]
    BookRmcp
    #[doc = include_str!("../../docs/src/store.md")]
    BookStore
    #[doc = include_str!("../../docs/src/values.md")]
    BookValues
    #[doc = include_str!("../../docs/src/wrap.md")]
    BookWrap
    #[doc = include_str!("../../docs/src/write.md")]
    BookWrite
}
