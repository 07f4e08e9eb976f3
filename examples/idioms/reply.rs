//! Sending from within a handler: each question is answered by the handler that gets it.
//!
//! The first argument of a handler sends: a [`Link`] of a group, a [`Sender`](cpg::Sender) of a session. A handler must
//! not wait, because only the dispatch that called it makes space for further messages. So an answer that flow control
//! refuses is kept, and sent after the dispatch. Later answers queue behind it, or they would overtake it.
//!
//! A session has that queue built in: its handlers use [`try_send`](cpg::Sender::try_send), which is refused only when
//! the queue is full.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cpg::{Event, Group, Limits, Link};

/// The pause before a refused answer is sent again: nothing tells when flow control ends.
const RETRY: Duration = Duration::from_millis(5);

/// The answers that flow control has refused, and those after them.
#[derive(Default)]
struct Answers(VecDeque<Vec<u8>>);

impl Answers {
    fn add(&mut self, link: &Link, answer: Vec<u8>) -> cpg::Result<()> {
        self.0.push_back(answer);
        self.send(link)
    }

    fn send(&mut self, link: &Link) -> cpg::Result<()> {
        while let Some(answer) = self.0.front() {
            match link.send(answer) {
                Ok(()) => drop(self.0.pop_front()),
                Err(error) if error.is_retryable() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn main() -> cpg::Result<()> {
    let mut group = Group::join("idioms")?;
    let mut answers = Answers::default();
    loop {
        let limits = Limits::one();
        let limits = if answers.0.is_empty() { limits } else { limits.until(Instant::now() + RETRY) };
        let mut sent = Ok(());
        group.dispatch(limits, |link, event| {
            if let Event::Deliver(message) = event {
                // This member's answers are delivered to this member, too; they are no questions.
                if let Some(question) = message.payload().strip_prefix(b"ask ") {
                    sent = answers.add(link, [b"answer ", question].concat());
                }
            }
        })?;
        sent?;
        answers.send(&group)?;
    }
}
