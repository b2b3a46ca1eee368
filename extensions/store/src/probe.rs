//! Points at which a test may end the process.

use std::fmt;

/// Is told of every point around every write of every transaction; for crash tests, which end the process there.
///
/// A store without a probe asks nobody. Rows of tables `WITHOUT ROWID` are not reported: SQLite does not tell of them.
pub trait Probe: Send + Sync {
    /// The point was reached, on the thread that does the work.
    fn at(&self, point: Point<'_>);
}

/// A point in a transaction. Its text names it.
///
/// ```
/// use mcp_ext_store::Point;
///
/// assert_eq!(Point::Inserted { table: "orders" }.to_string(), "inserted into orders");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point<'a> {
    /// The transaction has begun.
    Begun,
    /// A row was inserted.
    Inserted {
        /// The table.
        table: &'a str,
    },
    /// A row was changed.
    Updated {
        /// The table.
        table: &'a str,
    },
    /// A row was deleted.
    Deleted {
        /// The table.
        table: &'a str,
    },
    /// All is written, nothing is committed.
    Committing,
    /// It is committed, and nobody knows it yet.
    Committed,
}

impl fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun => f.write_str("begun"),
            Self::Inserted { table } => write!(f, "inserted into {table}"),
            Self::Updated { table } => write!(f, "updated {table}"),
            Self::Deleted { table } => write!(f, "deleted from {table}"),
            Self::Committing => f.write_str("before commit"),
            Self::Committed => f.write_str("committed"),
        }
    }
}
