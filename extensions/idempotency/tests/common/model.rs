//! What calls with one key may be answered: a sequential model, and a search for an order of the calls that it admits.
//!
//! A call that runs has two moments, when it reserves the key and when its outcome is committed; every other answer has
//! one. Each moment lies between the call's beginning and its end. A call that was dropped or killed may have had any of
//! its moments, at any time after it began.

use std::collections::HashSet;

/// What a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    /// It ran and gave this number.
    Ran(i64),
    /// The answer was given before.
    Replayed(i64),
    Conflict,
    InProgress,
    Unknown,
    /// It ran, was taken for lost, and another call with the key was run instead.
    Superseded,
    /// The future was dropped: the key is given back, or marked as unknown, some time later.
    Dropped,
    /// The process was killed.
    Killed,
}

/// One call of the history of one key.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Which arguments.
    pub args: usize,
    pub began: u64,
    /// Of a call that was dropped or killed: anything.
    pub ended: u64,
    pub response: Response,
}

impl Op {
    fn lost(&self) -> bool {
        matches!(self.response, Response::Dropped | Response::Killed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Free,
    Held {
        by: usize,
        args: usize,
    },
    /// The number is not known while every answer with it was lost.
    Done {
        args: usize,
        number: Option<i64>,
    },
    Unknown {
        args: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Progress {
    Waiting,
    Reserved,
    Over,
}

/// The rules for one item.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What was lost is free again, not unknown.
    pub rerun: bool,
    /// A call may be taken for lost at any time: the clock was moved.
    pub leases_end: bool,
}

/// Whether some order of the calls is one the model admits, where no lease ends.
pub fn admits(history: &[Op], rerun: bool) -> bool {
    let rules = Rules {
        rerun,
        leases_end: false,
    };
    admits_by(history, rules)
}

/// Whether some order of the calls is one the model admits.
pub fn admits_by(history: &[Op], rules: Rules) -> bool {
    let start = vec![Progress::Waiting; history.len()];
    search(history, rules, Key::Free, start, &mut HashSet::new())
}

fn search(
    history: &[Op],
    rules: Rules,
    key: Key,
    progress: Vec<Progress>,
    seen: &mut HashSet<(Key, Vec<Progress>)>,
) -> bool {
    let open = |i: &usize| progress[*i] != Progress::Over;
    let must = |i: &usize| open(i) && !history[*i].lost();
    if !(0..history.len()).any(|i| must(&i)) {
        return true;
    }
    if !seen.insert((key, progress.clone())) {
        return false;
    }
    // Whoever began after another ended comes after it.
    let first_end = (0..history.len())
        .filter(must)
        .map(|i| history[i].ended)
        .min()
        .unwrap_or(u64::MAX);
    for i in (0..history.len()).filter(open) {
        let op = history[i];
        if op.began > first_end {
            continue;
        }
        for (next, now) in moments(i, op, progress[i], key, rules) {
            let mut progress = progress.clone();
            progress[i] = now;
            if search(history, rules, next, progress, seen) {
                return true;
            }
        }
    }
    false
}

/// What may happen next with one call.
fn moments(i: usize, op: Op, progress: Progress, key: Key, rules: Rules) -> Vec<(Key, Progress)> {
    let Rules { rerun, leases_end } = rules;
    let args = op.args;
    let held = key == Key::Held { by: i, args };
    let done = |number| (Key::Done { args, number }, Progress::Over);
    match (op.response, progress) {
        (
            Response::Ran(_) | Response::Superseded | Response::Dropped | Response::Killed,
            Progress::Waiting,
        ) => match key {
            Key::Free => vec![(Key::Held { by: i, args }, Progress::Reserved)],
            // Taken over from a call that was taken for lost.
            Key::Held { args: a, .. } if a == args && rerun && leases_end => {
                vec![(Key::Held { by: i, args }, Progress::Reserved)]
            }
            _ => vec![],
        },
        (Response::Superseded, Progress::Reserved) if !held => vec![(key, Progress::Over)],
        (Response::Ran(number), Progress::Reserved) if held => vec![done(Some(number))],
        (Response::Killed, Progress::Reserved) if held => vec![done(None)],
        (Response::Dropped, Progress::Reserved) if held => {
            let given_up = if rerun {
                Key::Free
            } else {
                Key::Unknown { args }
            };
            vec![
                done(None),
                (given_up, Progress::Over),
                (Key::Free, Progress::Over),
            ]
        }
        (Response::Replayed(number), _) => match key {
            Key::Done { args: a, number: n } if a == args && n.is_none_or(|n| n == number) => {
                vec![done(Some(number))]
            }
            _ => vec![],
        },
        (Response::Conflict, _) => match key {
            Key::Held { args: a, .. } | Key::Done { args: a, .. } | Key::Unknown { args: a }
                if a != args =>
            {
                vec![(key, Progress::Over)]
            }
            _ => vec![],
        },
        (Response::InProgress, _) => match key {
            Key::Held { args: a, .. } if a == args => vec![(key, Progress::Over)],
            _ => vec![],
        },
        (Response::Unknown, _) => match key {
            Key::Unknown { args: a } if a == args => vec![(key, Progress::Over)],
            Key::Held { args: a, .. } if a == args && !rerun && leases_end => {
                vec![(key, Progress::Over)]
            }
            _ => vec![],
        },
        _ => vec![],
    }
}
