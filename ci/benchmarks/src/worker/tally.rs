//! The tally of delivered messages.

use cpg::Event;
use hdrhistogram::Histogram;

use super::load::{HEAD, LAST};
use crate::clock::now;
use crate::task::{Latencies, Outcome, Task};

/// The longest latency that is measured, in nanoseconds. Longer ones count as this one.
const LONGEST: u64 = 60_000_000_000;

/// A count of messages. It checks that none is missing, because a program that loses messages is not fast.
#[derive(Default)]
pub struct Tally {
    size: usize,
    received: u64,
    first: u64,
    last: u64,
    is_done: bool,
    latencies: Option<Histogram<u64>>,
}

impl Tally {
    pub fn new(task: &Task) -> Self {
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are ones that it takes");
        Self {
            size: task.size.max(HEAD),
            received: 0,
            first: 0,
            last: 0,
            is_done: false,
            latencies: task.is_timed().then(histogram),
        }
    }

    /// Counts a message.
    #[inline]
    pub fn hear(&mut self, message: &[u8]) {
        let (number, rest) = message.split_first_chunk().expect("a message has a head");
        let number = u64::from_ne_bytes(*number);
        assert!(
            message.len() == self.size && number & !LAST == self.received,
            "message {} of {} bytes came as number {}",
            number & !LAST,
            message.len(),
            self.received
        );
        if let Some(latencies) = &mut self.latencies {
            let (due, _) = rest.split_first_chunk().expect("a message has a head");
            latencies.saturating_record(now().saturating_sub(u64::from_ne_bytes(*due)));
        }
        if self.received == 0 {
            self.first = now();
        }
        self.received += 1;
        if number & LAST != 0 {
            self.last = now();
            self.is_done = true;
        }
    }

    /// Counts an event.
    #[inline]
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Deliver(message) => self.hear(message.payload()),
            Event::ConfChg(_) | Event::TotemConfChg(_) => {}
            other => panic!("there is no other program in the group, but {other:?}"),
        }
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns true if the last message has come.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Returns the outcome. Values that the tally does not know are 0.
    pub fn outcome(&self) -> Outcome {
        let latencies = self.latencies.as_ref().map(|all| Latencies {
            p50: all.value_at_quantile(0.5),
            p99: all.value_at_quantile(0.99),
            p999: all.value_at_quantile(0.999),
        });
        Outcome { received: self.received, span: self.last - self.first, latencies, ..Outcome::default() }
    }
}
