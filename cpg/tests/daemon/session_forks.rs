//! Fact A17: forks in the handlers of a session. The child returns from the handler into a dispatch of its parent.

use std::ops::ControlFlow::Continue;
use std::os::fd::AsFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use crate::support::fork::{child, ensure, fork, reap, refused};
use crate::support::process::own_process;
use crate::support::{Members, deadline, join, join_with, name, readable, split_with, wait_for};
use cpg::{Ended, Error, Flow, Limits, OwnedEvent, Receiver, Reconnect, Result, Session, Waker};
use testcluster::Cluster;

/// A test that forks in handlers.
#[derive(Default)]
struct Forks {
    is_child: bool,
    /// The events that handlers have got in a child.
    taken: usize,
}

impl Forks {
    /// Forks. The parent waits here until the dispatch of the child has returned and the child has ended. So the parent
    /// would miss every event that the child takes.
    fn fork(&mut self) {
        let pid = fork();
        if pid == 0 {
            self.is_child = true;
            // A child that hangs in its dispatch must end as well.
            // SAFETY: it sets a timer of this process.
            unsafe { libc::alarm(20) };
        } else {
            reap(pid);
        }
    }

    /// Calls `dispatch` with a handler that keeps the events in `heard`, and forks at the events for which `at` returns
    /// true. Each child runs `checks` and ends.
    fn dispatch<R, T>(
        receiver: &mut R,
        heard: &mut Vec<OwnedEvent>,
        at: impl Fn(&OwnedEvent) -> bool,
        dispatch: impl FnOnce(&mut R, &mut dyn FnMut(OwnedEvent)) -> Result<T>,
        checks: impl FnOnce(&mut R) -> u32,
    ) -> Result<T> {
        let mut forks = Self::default();
        let mut handler = |event: OwnedEvent| {
            if forks.is_child {
                forks.taken += 1;
                return;
            }
            heard.push(event);
            if heard.last().is_some_and(&at) {
                forks.fork();
            }
        };
        let result = catch_unwind(AssertUnwindSafe(|| dispatch(receiver, &mut handler)));
        if forks.is_child {
            child(|| {
                ensure!(result.is_ok_and(refused));
                ensure!(forks.taken == 0);
                checks(receiver)
            });
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Checks in the child that another dispatch gets no event.
fn nothing_more(receiver: &mut Receiver) -> u32 {
    let mut taken = 0;
    ensure!(refused(receiver.dispatch(Limits::available(), |_, _| taken += 1)));
    ensure!(refused(receiver.recv_until(Instant::now())));
    ensure!(refused(receiver.run(Limits::forever(), |_, _| Continue::<()>(()))));
    ensure!(taken == 0);
    ensure!(refused(receiver.sender().try_send(b"of the child")));
    // The child cannot ask for the lag of its parent either.
    ensure!(refused(receiver.lag()));
    0
}

fn number(event: &OwnedEvent) -> Option<u8> {
    if let OwnedEvent::Deliver(message) = event { message.payload().first().copied() } else { None }
}

/// Dispatches five events.
fn five(receiver: &mut Receiver, handler: &mut dyn FnMut(OwnedEvent)) -> Result<usize> {
    receiver.dispatch(Limits::one().at_most(5).until(deadline()), |_, event| handler(event.into_owned()))
}

fn messages_and_tickets(flow: Flow) {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = split_with(flow, "forks");
        while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
        let tickets: Vec<_> =
            (0..20_u8).map(|number| sender.ticket(sender.send(&[number]).unwrap())).collect();
        let mut heard = Vec::new();
        while heard.len() < tickets.len() {
            let at = |event: &OwnedEvent| matches!(number(event), Some(3 | 6 | 8));
            Forks::dispatch(&mut receiver, &mut heard, at, five, |receiver| {
                for ticket in &tickets {
                    ensure!(matches!(ticket.outcome(), Some(Err(Error::Forked { .. }))));
                    ensure!(refused(ticket.wait_until(deadline())));
                }
                nothing_more(receiver)
            })
            .unwrap();
        }
        assert!(heard.iter().map(number).eq((0..20).map(Some)), "{heard:?}");
        for ticket in tickets {
            ticket.wait_until(deadline()).unwrap();
        }
        receiver.leave().unwrap();
    });
}

#[test]
fn a17_a_child_forked_in_a_handler_takes_neither_messages_nor_tickets() {
    own_process!();
    messages_and_tickets(Flow::new());
}

#[test]
fn a17_a_child_forked_in_the_middle_of_a_packet_takes_none_of_its_rest() {
    own_process!();
    // The first message travels alone, and the others together. One fork is while libcpg has the packet, another in the
    // rest of the packet that is kept when a dispatch ends.
    messages_and_tickets(Flow::coalesced().window_size(1));
}

#[test]
fn a17_a_forked_child_takes_no_event_of_a_loss_and_a_rejoin() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let options = Session::options().flow(Flow::new().window_size(1)).reconnect(Reconnect::new());
        let (sender, mut receiver) = join_with(options, "returns").split();
        while !matches!(receiver.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
        cluster.pause(1).unwrap();
        let tickets = [1, 2, 3].map(|number| sender.ticket(sender.send(&[number]).unwrap()));
        cluster.kill(1).unwrap();
        let mut heard = Vec::new();
        let mut next = |heard: &mut Vec<OwnedEvent>| {
            wait_for("the descriptor", || readable(receiver.as_fd()).then_some(()));
            let all = |receiver: &mut Receiver, handler: &mut dyn FnMut(OwnedEvent)| {
                receiver.dispatch(Limits::available(), |_, event| handler(event.into_owned()))
            };
            Forks::dispatch(&mut receiver, heard, |_| true, all, nothing_more).unwrap();
        };
        while !matches!(heard.last(), Some(OwnedEvent::Lost(_))) {
            next(&mut heard);
        }
        let handed_back = heard.iter().map(|event| match event {
            OwnedEvent::Undelivered(message) => message.payload(),
            OwnedEvent::Lost(_) => b"lost",
            event => panic!("{event:?}"),
        });
        assert!(handed_back.eq([&[1][..], &[2], &[3], b"lost"]), "{heard:?}");
        assert!(tickets.iter().all(|ticket| ticket.outcome().unwrap().unwrap_err().is_connection_lost()));
        cluster.restart(1).unwrap();
        heard.clear();
        while !heard.iter().any(|event| matches!(event, OwnedEvent::Rejoined(_))) {
            next(&mut heard);
        }
        let ticket = sender.ticket(sender.send(&[4]).unwrap());
        while !heard.iter().any(|event| number(event) == Some(4)) {
            next(&mut heard);
        }
        ticket.wait_until(deadline()).unwrap();
        receiver.leave().unwrap();
    });
}

#[test]
fn a17_a_child_forked_while_leaving_does_not_leave() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut others = Members::start(&cluster, 1, &name("leaves"), 1);
        let (sender, receiver) = split_with(Flow::new().window_size(1), "leaves");
        for number in 0..3_u8 {
            sender.send(&[number]).unwrap();
        }
        let (mut receiver, mut heard) = (Some(receiver), Vec::new());
        let leave = |receiver: &mut Option<Receiver>, handler: &mut dyn FnMut(OwnedEvent)| {
            let receiver = receiver.take().unwrap();
            receiver.leave_until(deadline(), |_, event| handler(event.into_owned()))
        };
        let at = |event: &OwnedEvent| number(event).is_some();
        Forks::dispatch(&mut receiver, &mut heard, at, leave, |_| {
            ensure!(refused(sender.try_send(b"of the child")));
            0
        })
        .unwrap();
        assert!(heard.iter().filter_map(number).eq(0..3), "{heard:?}");
        others.expect(|line| line.contains(&format!("-{}", sender.me())));
    });
}

/// The wake comes before the fork, and neither process has seen it yet.
fn wakes<R>(
    receiver: &mut R,
    run: impl FnOnce(&mut R, Limits<'_>, &mut dyn FnMut(OwnedEvent)) -> Result<Ended<()>>,
) {
    let waker = Waker::new().unwrap();
    let (limits, mut heard) = (Limits::forever().until(deadline()), Vec::new());
    let at = |_: &OwnedEvent| {
        waker.wake();
        true
    };
    let run = |receiver: &mut R, handler: &mut dyn FnMut(OwnedEvent)| {
        run(receiver, limits.woken_by(&waker), handler)
    };
    let ended = Forks::dispatch(receiver, &mut heard, at, run, |_| 0).unwrap();
    assert_eq!((ended, heard.len()), (Ended::Woken, 1));
}

#[test]
fn a17_a_wake_for_the_parent_does_not_wake_the_child() {
    own_process!();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        wakes(&mut join("plain"), |group, limits, handler| {
            group.run(limits, |_, event| {
                handler(event.into_owned());
                Continue(())
            })
        });
        for options in [Session::options(), Session::options().flow(Flow::coalesced().window_size(1))] {
            let mut session = join_with(options, "session");
            while !matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)) {}
            (0..3).for_each(|number| _ = session.send(&[number]).unwrap());
            // Once with a message alone, and once in a packet.
            for _ in 0..2 {
                wakes(&mut session, |session, limits, handler| {
                    session.run(limits, |_, event| {
                        handler(event.into_owned());
                        Continue(())
                    })
                });
            }
            session.leave().unwrap();
        }
    });
}
