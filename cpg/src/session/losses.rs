//! The messages of a queue that were lost.

use std::ops::Range;

use crate::error::Error;

/// The numbers of messages that were lost: ranges in their order, each with its reason.
///
/// A ticket can be made at any time, so none is forgotten. There is one range for all that is lost for the same reason before
/// another message is delivered: however often a daemon is lost while nothing comes through, that is one. A range has
/// 64 bytes at most, so a session that has lost its daemon 10 000 times, with messages delivered and others lost
/// each time, keeps 625 KiB.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Losses(Vec<(Range<u64>, Error)>);

const _: () = assert!(size_of::<(Range<u64>, Error)>() <= 64, "the documentation of Losses says 64");

impl Losses {
    /// Notes that these messages are lost, which come after all that are noted. Messages below `arrived` have come back, or are
    /// noted.
    pub(super) fn note(&mut self, messages: Range<u64>, error: &Error, arrived: u64) {
        match self.0.last_mut() {
            // Nothing was delivered between: numbers that are missing are of messages that were not accepted.
            Some((last, same)) if arrived <= last.end && same == error => last.end = messages.end,
            _ => self.0.push((messages, error.clone())),
        }
    }

    /// Returns why a message was lost, if it was.
    pub(super) fn reason(&self, number: u64) -> Option<&Error> {
        let index = self.0.partition_point(|(range, _)| range.end <= number);
        self.0.get(index).filter(|(range, _)| range.start <= number).map(|(_, error)| error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_lost_again_and_again_while_nothing_comes_through_is_one_range() {
        let mut losses = Losses::default();
        for number in 0..10_000 {
            // Every other number is of a message that was not accepted.
            losses.note(2 * number..2 * number + 1, &Error::NoMembership, 0);
        }
        assert_eq!(losses.0, [(0..19_999, Error::NoMembership)]);
    }

    #[test]
    fn each_lost_message_has_its_own_reason_and_a_delivered_one_has_none() {
        let mut losses = Losses::default();
        for number in 0..10_000 {
            let error = if number % 4 < 2 { Error::DroppedByDaemon } else { Error::NoMembership };
            // Of three messages the last is delivered.
            losses.note(3 * number..3 * number + 1, &error, 3 * number);
            losses.note(3 * number + 1..3 * number + 2, &error, 3 * number);
        }
        assert_eq!(losses.0.len(), 10_000);
        for number in 0..10_000 {
            let error = if number % 4 < 2 { Error::DroppedByDaemon } else { Error::NoMembership };
            let reasons = [0, 1, 2].map(|third| losses.reason(3 * number + third).cloned());
            assert_eq!(reasons, [Some(error.clone()), Some(error), None]);
        }
        assert_eq!(losses.reason(30_000), None);
    }
}
