//! Tests of the expansion itself, where its own functions can be called.

mod agreement;
mod coverage;
mod expansion;
mod suggestions;
