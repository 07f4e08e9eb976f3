//! A checker of linearizability, for the history of a register.
//!
//! Wing and Gong's search (1993) with Lowe's pruning ("Testing for linearizability", 2017). The search tries all orders in which no
//! operation comes before another that had ended when the operation began. A set of operations that has led to the same state before is
//! not searched again. The operations of one key are one history, since linearizability is a property of each object by itself.

use std::collections::HashSet;

/// The value of a register; `None` if the register is empty.
pub type Value = Option<u64>;

/// An operation of a client, with the result that the client heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The client read this value.
    Read(Value),
    /// The client wrote this value. No two calls may write the same value, except `None`.
    Write(Value),
    /// The client found the first value and wrote the second. If the client found another value, the operation is a read of that value.
    Swap(Value, Value),
}

/// An operation and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The operation.
    pub operation: Operation,
    /// The time at which the call began.
    pub from: u64,
    /// The time at which the call ended; `None` if its outcome is unknown. Such a call may take effect at any time after it began, or
    /// never.
    pub to: Option<u64>,
}

impl Operation {
    /// Returns the value after the operation; `None` if the operation is impossible with the value before.
    fn apply(self, value: Value) -> Option<Value> {
        match self {
            Self::Read(read) => (read == value).then_some(value),
            Self::Write(written) => Some(written),
            Self::Swap(expected, written) => (expected == value).then_some(written),
        }
    }

    fn reads(self) -> Value {
        match self {
            Self::Read(value) | Self::Swap(value, _) => value,
            Self::Write(_) => None,
        }
    }

    fn writes(self) -> Value {
        match self {
            Self::Write(value) | Self::Swap(_, value) => value,
            Self::Read(_) => None,
        }
    }
}

/// Leaves out calls whose outcome is unknown and whose value nobody has read. If such a call has taken effect, the next operation in the
/// order is a write, since no other operation fits to the value. So the rest fits without the call as well. Each such call can double the
/// time of the search.
fn relevant(calls: &[Call]) -> Vec<Call> {
    let mut calls = calls.to_vec();
    loop {
        let count = calls.len();
        let read: HashSet<u64> = calls.iter().filter_map(|call| call.operation.reads()).collect();
        calls.retain(|call| {
            call.to.is_some()
                || call.operation.writes().map_or_else(
                    || !matches!(call.operation, Operation::Read(_)),
                    |written| read.contains(&written),
                )
        });
        if calls.len() == count {
            return calls;
        }
    }
}

/// The beginning or the end of a call. The list is linked, so that a call can be taken out and put back.
struct Step {
    call: usize,
    /// The step of the call's end; `None` if this step is an end.
    end: Option<usize>,
    before: usize,
    after: usize,
}

/// Looks for an order of the calls on a register that is empty at first.
///
/// # Errors
/// The history is not linearizable. The error says how far the search came.
pub fn check(calls: &[Call]) -> Result<(), Wrong> {
    let calls = &relevant(calls)[..];
    let mut steps = steps(calls);
    let end = steps.len() - 1;
    let wanted = calls.iter().filter(|call| call.to.is_some()).count();
    let mut taken = vec![0_u64; calls.len().div_ceil(64)];
    let (mut value, mut done) = (None, 0);
    let mut seen = HashSet::new();
    let mut order: Vec<(usize, Value)> = Vec::new();
    let mut best: Option<Wrong> = None;
    let mut at = steps[0].after;
    while done < wanted {
        let step = &steps[at];
        let call = step.call;
        if at != end && step.end.is_some() {
            if let Some(next) = calls[call].operation.apply(value) {
                taken[call / 64] |= 1 << (call % 64);
                if seen.insert((taken.clone(), next)) {
                    order.push((at, value));
                    value = next;
                    done += usize::from(calls[call].to.is_some());
                    lift(&mut steps, at);
                    at = steps[0].after;
                    continue;
                }
                taken[call / 64] &= !(1 << (call % 64));
            }
            at = step.after;
            continue;
        }
        // The step is an end, before which its call must be taken, or nothing is left to try.
        if best.as_ref().is_none_or(|best| done > best.ordered) {
            let stuck = (at != end).then(|| calls[call]);
            let last = order.iter().rev().take(5).rev().map(|&(step, _)| calls[steps[step].call]).collect();
            best = Some(Wrong { ordered: done, value, last, stuck });
        }
        let Some((undone, before)) = order.pop() else {
            return Err(best.unwrap_or_default());
        };
        let call = steps[undone].call;
        taken[call / 64] &= !(1 << (call % 64));
        value = before;
        done -= usize::from(calls[call].to.is_some());
        unlift(&mut steps, undone);
        at = steps[undone].after;
    }
    Ok(())
}

/// The point at which the search for an order came farthest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrong {
    /// The number of ended calls that could be ordered.
    pub ordered: usize,
    /// The value of the register after these calls.
    pub value: Value,
    /// The last of these calls.
    pub last: Vec<Call>,
    /// A call that had ended and fits nowhere; `None` if the search came to the end of the history.
    pub stuck: Option<Call>,
}

fn steps(calls: &[Call]) -> Vec<Step> {
    // Beginnings come before ends of the same time, because this allows more orders.
    let mut times: Vec<(u64, bool, usize)> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        times.push((call.from, false, index));
        times.push((call.to.unwrap_or(u64::MAX), true, index));
    }
    times.sort_unstable();
    let last = times.len() + 1;
    let mut steps = vec![Step { call: 0, end: None, before: 0, after: 1 }];
    let mut ends = vec![0; calls.len()];
    for (index, &(_, is_end, call)) in times.iter().enumerate() {
        steps.push(Step { call, end: None, before: index, after: index + 2 });
        if is_end {
            ends[call] = index + 1;
        }
    }
    for (index, &(_, is_end, call)) in times.iter().enumerate() {
        if !is_end {
            steps[index + 1].end = Some(ends[call]);
        }
    }
    steps.push(Step { call: 0, end: None, before: last - 1, after: last });
    steps
}

fn lift(steps: &mut [Step], step: usize) {
    for step in [Some(step), steps[step].end].into_iter().flatten() {
        let Step { before, after, .. } = steps[step];
        steps[before].after = after;
        steps[after].before = before;
    }
}

fn unlift(steps: &mut [Step], step: usize) {
    for step in [steps[step].end, Some(step)].into_iter().flatten() {
        let Step { before, after, .. } = steps[step];
        steps[before].after = step;
        steps[after].before = step;
    }
}

#[cfg(test)]
mod tests {
    use super::Operation::{Read, Swap, Write};
    use super::*;

    fn history(calls: &[(Operation, u64, u64)]) -> Result<(), Wrong> {
        let call = |&(operation, from, to)| Call { operation, from, to: (to != 0).then_some(to) };
        check(&calls.iter().map(call).collect::<Vec<_>>())
    }

    #[test]
    fn histories_that_have_an_order_are_right() {
        for calls in [
            &[][..],
            &[(Read(None), 1, 2)],
            &[(Write(Some(1)), 1, 2), (Read(Some(1)), 3, 4), (Write(None), 5, 6), (Read(None), 7, 8)],
            // Two writes at once: each read may see one, in the order of either.
            &[(Write(Some(1)), 1, 9), (Write(Some(2)), 1, 9), (Read(Some(2)), 2, 3), (Read(Some(1)), 4, 5)],
            // A write with an unknown outcome that takes effect late, or never.
            &[(Write(Some(1)), 1, 0), (Read(None), 2, 3), (Read(Some(1)), 4, 5)],
            &[(Write(Some(1)), 1, 0), (Read(None), 2, 3), (Write(Some(2)), 4, 5), (Read(Some(2)), 6, 7)],
            &[(Swap(None, Some(1)), 1, 2), (Swap(Some(1), Some(2)), 3, 4), (Read(Some(2)), 5, 6)],
            &[(Swap(None, Some(1)), 1, 0), (Read(Some(1)), 2, 3)],
        ] {
            assert_eq!(history(calls), Ok(()), "{calls:?}");
        }
    }

    #[test]
    fn histories_that_have_none_are_wrong() {
        for calls in [
            // Lost, stale, out of nowhere, backwards, both at once.
            &[(Write(Some(1)), 1, 2), (Read(None), 3, 4)][..],
            &[(Write(Some(1)), 1, 2), (Write(Some(2)), 3, 4), (Read(Some(1)), 5, 6)],
            &[(Read(Some(1)), 1, 2)],
            &[(Write(Some(1)), 1, 9), (Read(Some(1)), 2, 3), (Read(None), 4, 5)],
            &[(Swap(None, Some(1)), 1, 4), (Swap(None, Some(2)), 2, 3)],
            &[
                (Write(None), 1, 0),
                (Write(Some(1)), 1, 2),
                (Swap(Some(2), Some(3)), 3, 0),
                (Read(Some(3)), 4, 5),
            ],
            &[(Write(Some(1)), 5, 0), (Read(Some(1)), 2, 3)],
        ] {
            assert!(history(calls).is_err(), "{calls:?}");
        }
    }

    #[test]
    fn a_long_history_with_many_at_once_takes_no_time() {
        let mut calls = Vec::new();
        for round in 0..200 {
            for client in 0..6 {
                let number = round * 6 + client;
                calls.push((Write(Some(number)), round * 100 + client, round * 100 + 50 + client));
            }
            calls.push((Read(Some(round * 6 + 3)), round * 100 + 90, round * 100 + 91));
        }
        assert_eq!(history(&calls), Ok(()));
        let last = calls.len() - 1;
        calls[last].0 = Read(Some(1));
        assert!(history(&calls).is_err());
    }
}
