//! Any event may come between two others. This program asks all members a question, and waits for their answers.
//!
//! Between the send and its delivery come messages of other members, answers to their questions, and views. Between the
//! question and an answer come views in which a member has left that will never answer. A handler that expects the
//! answer as the next event is wrong; this one keeps a state that every event changes.
//!
//! Total order says who must answer: the members of the last view before the question came back. All of them deliver
//! the question in that same view, unless they leave it first. There is a deadline, because a member may be busy, or a
//! question may not reach members that a partition has cut off unnoticed.
//!
//! A change of the ring (`TotemConfChg`) shows members whose node is gone although they are still in the view. Events
//! of other kinds come in between, too: in a session that reconnects `Lost` and `Rejoined`, after which the state must
//! be built anew. [`Event`] is non-exhaustive, so a handler always has a `_` arm.

use std::collections::BTreeSet;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::{Duration, Instant};

use cpg::{Ended, Event, Group, Limits, Member};

const PATIENCE: Duration = Duration::from_secs(30);

struct Question {
    me: Member,
    /// The members of the last view.
    members: BTreeSet<Member>,
    /// Members whose node is gone although they are in that view. They cannot answer.
    ghosts: BTreeSet<Member>,
    /// The members that have not answered; `None` until the question has come back.
    missing: Option<BTreeSet<Member>>,
}

impl Question {
    fn handle(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        match event {
            Event::ConfChg(view) => {
                self.members = view.members().iter().copied().collect();
                // The event about a new ring, which lists its ghosts, follows the view.
                self.ghosts.retain(|ghost| view.contains(*ghost) && !view.joined().contains(ghost));
                for gone in view.left() {
                    if self.missing.as_mut().is_some_and(|missing| missing.remove(gone)) {
                        println!("{gone} cannot answer: {}", gone.reason());
                    }
                }
            }
            Event::Deliver(message) if message.sender() == self.me => {
                self.missing = Some(&(&self.members - &self.ghosts) - &BTreeSet::from([self.me]));
            }
            Event::Deliver(message) => {
                // An answer to the same question of another member, sent before this question was delivered, counts as
                // nothing.
                let missing = self.missing.as_mut();
                if message.payload() == answer_to(self.me)
                    && missing.is_some_and(|missing| missing.remove(&message.sender()))
                {
                    println!("{} answers", message.sender());
                }
            }
            Event::TotemConfChg(ring) => {
                let members: Vec<Member> = self.members.iter().copied().collect();
                self.ghosts = ring.ghosts(&members).collect();
                for ghost in &self.ghosts {
                    if self.missing.as_mut().is_some_and(|missing| missing.remove(ghost)) {
                        println!("{ghost} cannot answer: its node is gone");
                    }
                }
            }
            _ => (),
        }
        if self.missing.as_ref().is_some_and(BTreeSet::is_empty) { Break(()) } else { Continue(()) }
    }
}

fn answer_to(me: Member) -> Vec<u8> {
    format!("answer {me}").into_bytes()
}

fn main() -> cpg::Result<()> {
    let mut group = Group::join("idioms")?;
    let me = group.me();
    group.send_until(format!("ask {me}").as_bytes(), Instant::now() + PATIENCE)?;
    let mut question = Question { me, members: BTreeSet::new(), ghosts: BTreeSet::new(), missing: None };
    let limits = Limits::forever().until(Instant::now() + PATIENCE);
    match group.run(limits, |_, event| question.handle(&event))? {
        Ended::Broke(()) => println!("all have answered or have gone"),
        _ => println!("no answer from {:?}", question.missing),
    }
    group.leave()
}
