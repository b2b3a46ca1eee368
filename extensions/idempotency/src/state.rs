//! What a call with a key may do, as a function of what is known of the key. Pure, so that it can be tested by itself.

/// The digest of a call's arguments.
pub(crate) type Digest = [u8; 32];

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Of the arguments of the first call.
    pub(crate) digest: Digest,
    /// When the first call began.
    pub(crate) first_at: i64,
    /// How it stands.
    pub(crate) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Running, or lost once the lease is over.
    InProgress { lease_until: i64 },
    /// Ended; `outcome` is what was stored of it, if anything is.
    Completed {
        outcome: Option<String>,
        expires_at: i64,
    },
    /// Nobody knows.
    Unknown,
}

/// What to do with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Reserve the key, then run.
    Run,
    /// Reserve the key in place of a call that was lost before it did anything, then run.
    TakeOver,
    /// Give the stored outcome again.
    Replay { first_at: i64, outcome: String },
    /// Other arguments.
    Conflict { first_at: i64 },
    /// Still running.
    InProgress { first_at: i64, lease_until: i64 },
    /// Began, and its end is not known.
    Unknown { first_at: i64 },
    /// Ended, and what came of it is no longer kept.
    Expired { first_at: i64 },
    /// Ended, and what came of it was never kept.
    NotKept { first_at: i64 },
}

/// Decides. `rerun` says that whatever the item does is committed together with the outcome, or not at all, so that a
/// call whose owner was lost has certainly done nothing.
pub(crate) fn decide(record: Option<&Record>, digest: &Digest, now: i64, rerun: bool) -> Decision {
    let Some(record) = record else {
        return Decision::Run;
    };
    let first_at = record.first_at;
    if record.digest != *digest {
        return Decision::Conflict { first_at };
    }
    match &record.state {
        State::InProgress { lease_until } if now < *lease_until => Decision::InProgress {
            first_at,
            lease_until: *lease_until,
        },
        State::InProgress { .. } if rerun => Decision::TakeOver,
        State::InProgress { .. } | State::Unknown => Decision::Unknown { first_at },
        // An expired key is refused for good: forgetting it would run the call again.
        State::Completed { expires_at, .. } if now >= *expires_at => Decision::Expired { first_at },
        State::Completed { outcome: None, .. } => Decision::NotKept { first_at },
        State::Completed {
            outcome: Some(outcome),
            ..
        } => Decision::Replay {
            first_at,
            outcome: outcome.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, Record, State, decide};

    fn record(state: State) -> Record {
        Record {
            digest: [1; 32],
            first_at: 10,
            state,
        }
    }

    fn running() -> State {
        State::InProgress { lease_until: 100 }
    }

    fn done() -> State {
        State::Completed {
            outcome: Some("x".into()),
            expires_at: 1000,
        }
    }

    #[test]
    fn a_new_key_runs() {
        assert_eq!(decide(None, &[1; 32], 0, false), Decision::Run);
    }

    #[test]
    fn other_arguments_conflict_in_every_state_at_any_time() {
        for state in [running(), done(), State::Unknown] {
            for now in [0, 100, 5000] {
                for rerun in [false, true] {
                    let seen = decide(Some(&record(state.clone())), &[2; 32], now, rerun);
                    assert_eq!(seen, Decision::Conflict { first_at: 10 });
                }
            }
        }
    }

    #[test]
    fn a_lease_runs_out_at_its_end() {
        let seen = |now, rerun| decide(Some(&record(running())), &[1; 32], now, rerun);
        for rerun in [false, true] {
            assert_eq!(
                seen(99, rerun),
                Decision::InProgress {
                    first_at: 10,
                    lease_until: 100
                }
            );
        }
        assert_eq!(seen(100, false), Decision::Unknown { first_at: 10 });
        assert_eq!(seen(100, true), Decision::TakeOver);
    }

    #[test]
    fn unknown_is_never_run_again() {
        for now in [0, 100, i64::MAX] {
            for rerun in [false, true] {
                let seen = decide(Some(&record(State::Unknown)), &[1; 32], now, rerun);
                assert_eq!(seen, Decision::Unknown { first_at: 10 });
            }
        }
    }

    #[test]
    fn an_answer_is_given_again_until_it_expires_and_never_run_again() {
        let seen = |now| decide(Some(&record(done())), &[1; 32], now, true);
        assert_eq!(
            seen(999),
            Decision::Replay {
                first_at: 10,
                outcome: "x".into()
            }
        );
        assert_eq!(seen(1000), Decision::Expired { first_at: 10 });
        let gone = State::Completed {
            outcome: None,
            expires_at: 1000,
        };
        assert_eq!(
            decide(Some(&record(gone)), &[1; 32], 0, true),
            Decision::NotKept { first_at: 10 }
        );
    }
}
