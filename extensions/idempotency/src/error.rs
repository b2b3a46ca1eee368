//! What the block refuses, and what it tells the caller to do.

use mcp_ext_core::ExtensionError;

/// Why a call with an `idempotencyKey` was not run, or why its answer cannot be given again.
#[derive(Clone, Debug, PartialEq, Eq, ExtensionError)]
pub enum IdempotencyError {
    /// The first call with this key is still running.
    #[error(
        code = 47001,
        retryable,
        "a call with this idempotencyKey has been running since {first_at}, and this one was not run; wait {retry_after_ms} ms at most, then repeat it \
         unchanged to get the outcome of the first"
    )]
    InProgress {
        /// When the first call began.
        first_at: String,
        /// After this many milliseconds it has an outcome, or is taken for lost.
        retry_after_ms: i64,
    },
    /// The key was used for other arguments.
    #[error(
        code = 47002,
        "this idempotencyKey was used at {first_at} with other arguments, and nothing was done now; repeat the earlier call with its arguments unchanged, or \
         use a new key for a new call"
    )]
    Conflict {
        /// When the first call began.
        first_at: String,
    },
    /// The first call began and nobody knows whether it took effect.
    #[error(
        code = 47003,
        "a call with this idempotencyKey began at {first_at} and it is not known whether it took effect; it is not run again. Look with a reading call whether \
         the effect is there, and only if it is not, call again with a new key"
    )]
    UnknownOutcome {
        /// When the first call began.
        first_at: String,
    },
    /// The call ended long ago; its answer is no longer kept.
    #[error(
        code = 47004,
        "a call with this idempotencyKey, made at {first_at}, has ended, and its answer is no longer kept; it is not run again. Use a new key for a new call"
    )]
    KeyExpired {
        /// When the first call began.
        first_at: String,
    },
    /// The call ended; its answer was not kept, since it was too large or may not be recorded.
    #[error(
        code = 47005,
        "a call with this idempotencyKey, made at {first_at}, has ended, but its answer was not kept; it is not run again. Read what it did with a reading call"
    )]
    AnswerNotKept {
        /// When the first call began.
        first_at: String,
    },
    /// This call took longer than its lease and another one with its key was run instead.
    #[error(
        code = 47006,
        retryable,
        "another call with this idempotencyKey was run while this one was slow, and what this one did was undone; repeat it unchanged to get the outcome of the \
         other"
    )]
    Superseded,
    /// The keys cannot be read or written now. Nothing was done.
    #[error(
        code = 47007,
        retryable,
        "idempotency keys cannot be looked up now, and nothing was done; try again with the same key"
    )]
    StoreFailed,
    /// The call was run, but its outcome could not be written down.
    #[error(
        code = 47008,
        "the outcome of this call could not be written down, so it is not certain that it took effect; repeat it with the same key to learn what is known"
    )]
    NotRecorded,
    /// As many keys of this caller are kept as this server keeps of one. Nothing was done.
    #[error(
        code = 47009,
        "nothing was done: the server keeps {most} idempotency keys of this caller already, and no more; tell the user that whoever runs the server must \
         forget old calls"
    )]
    TooManyKeys {
        /// How many are kept of one caller.
        most: u64,
    },
}
