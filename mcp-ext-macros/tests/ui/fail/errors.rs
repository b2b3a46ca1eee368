//! Own errors.
use mcp_ext_core::ExtensionError;

#[derive(Debug, ExtensionError)]
pub enum Codes {
    #[error(code = -32021, "core")]
    Core,
    #[error(code = -32025, "events")]
    Events,
    #[error(code = -32042, "retired")]
    Retired,
    #[error(code = -32600, "json-rpc")]
    JsonRpc,
    #[error(code = 4100, "one")]
    One,
    #[error(code = 4100, "two")]
    Two,
    #[error(code = 4294967296, "large")]
    Large,
    #[error("no code")]
    NoCode,
    #[error(code = 4101)]
    NoMessage,
    #[error(code = 4102, "one", "two")]
    TwoMessages,
    #[error(code = 4103, kind = "Bad Kind", "kind")]
    BadKind,
    #[error(code = 4104, kind = "one", "kind")]
    SameKind,
}

#[derive(Debug, ExtensionError)]
pub enum Messages {
    #[error(code = 4100, "no {corse}")]
    Misspelt { course: String },
    #[error(code = 4101, "no {course}")]
    None,
    #[error(code = 4102, "no {} and no {0}")]
    Positional { course: String },
    #[error(code = 4103, "open {course")]
    Open { course: String },
    #[error(code = 4104, "close }")]
    Close { course: String },
    #[error(code = 4105, "{course.name}")]
    Path { course: String },
    #[error(code = 4106, "{secret}")]
    Private {
        #[error(private)]
        secret: String,
    },
    #[error(code = 4107, "{0}")]
    Tuple(String),
    #[error(code = 4108, "{course:>width$}")]
    Width { course: String },
}

#[derive(Debug, ExtensionError)]
pub enum Generic<T> {
    #[error(code = 4100, "a")]
    A(T),
}

fn main() {}
