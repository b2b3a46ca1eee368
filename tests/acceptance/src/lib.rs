//! What every adapter has to do, as one set of checks against a running server of any kind: a command that speaks over
//! standard input and output, or an address that speaks Streamable HTTP. The server has the extension of
//! [`extension`] in front of it. The checks speak frames of their own, and know no SDK.

pub mod checks;
pub mod client;
pub mod extension;
pub mod scene;

pub use checks::{CHECKS, Check};
pub use scene::{Era, Place, Scene, Server, Servers, Transport};
