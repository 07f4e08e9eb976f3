//! The lost messages of a queue.

use std::ops::Range;

use crate::error::Error;

/// The numbers of lost messages: ranges in order, each with its error.
///
/// A ticket can be made at any time, so no loss is forgotten. All messages that are lost with the same error between two
/// deliveries share one range. So a daemon that is lost again and again, while nothing is delivered, costs one range. A range has
/// at most 64 bytes. A session that has lost its daemon 10 000 times, with deliveries and losses each time, keeps 625 KiB.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Losses(Vec<(Range<u64>, Error)>);

const _: () = assert!(size_of::<(Range<u64>, Error)>() <= 64, "the documentation of Losses says 64");

impl Losses {
    /// Records that these messages are lost. They come after all recorded messages. Messages below `arrived` have come back or
    /// are recorded as lost.
    pub(super) fn note(&mut self, messages: Range<u64>, error: &Error, arrived: u64) {
        match self.0.last_mut() {
            // No message was delivered in between: numbers that are missing belong to messages that were not accepted.
            Some((last, same)) if arrived <= last.end && same == error => last.end = messages.end,
            _ => self.0.push((messages, error.clone())),
        }
    }

    /// Returns the error with which a message was lost. `None` if it was not lost.
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
            // Every second number belongs to a message that was not accepted.
            losses.note(2 * number..2 * number + 1, &Error::NoMembership, 0);
        }
        assert_eq!(losses.0, [(0..19_999, Error::NoMembership)]);
    }

    #[test]
    fn each_lost_message_has_its_own_reason_and_a_delivered_one_has_none() {
        let mut losses = Losses::default();
        for number in 0..10_000 {
            let error = if number % 4 < 2 { Error::DroppedByDaemon } else { Error::NoMembership };
            // The last of three messages is delivered.
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
