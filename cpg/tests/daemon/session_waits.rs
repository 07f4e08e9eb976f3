//! Every waiting call of a session, with a paused daemon and with one that is killed, as in `waits.rs`.

use std::ops::ControlFlow::Continue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::waits::{Case, End, Gate, drops, late, quiet, returns, soon, waits, with_each_daemon};
use crate::support::{Members, deadline, join, join_with, name, wait_for};
use cpg::{
    Ended, Error, Event, Flow, Handle, Limits, OwnedEvent, Receiver, Sender, Session, SessionOptions, Waker,
};

with_each_daemon!(CASES);

const CASES: &[Case] = &[
    waits("SessionOptions::join_until", join_a_session),
    waits("SessionOptions::join_on_until", join_a_handle_as_a_session),
    waits("Session::dispatch of a full group", |gate| {
        let members = Members::start(gate.cluster(), 1, &name(gate.name()), 127);
        let mut session = session(gate);
        gate.call();
        let _ = session.send(b"x");
        delivered(&mut session, 1)?;
        drop(members);
        Ok(())
    }),
    waits("Session::members", |gate| {
        let session = session(gate);
        gate.call();
        assert_eq!(session.members()?, [session.me()]);
        Ok(())
    }),
    returns("Session::send, with a full queue", |gate| {
        let mut session = session(gate);
        gate.call();
        let filled = fill(session.sender())?;
        assert!(matches!(session.send(&[7; 1000]), Err(Error::QueueFull)));
        assert!(matches!(session.send(&vec![5; 3_000_000]), Err(Error::QueueFull)));
        gate.returned()?;
        delivered(&mut session, filled)
    }),
    waits("Session::recv", |gate| {
        let mut session = session(gate);
        gate.call();
        let _ = session.send(b"x");
        delivered(&mut session, 1)
    }),
    returns("Session::dispatch, with a deadline", |gate| {
        let mut session = session(gate);
        gate.call();
        for how in [
            Limits::one().until(soon()),
            Limits::forever().until(soon()),
            Limits::available(),
            Limits::available().at_most(9),
        ] {
            assert_eq!(session.dispatch(how, |_, _| ())?, 0);
        }
        assert_eq!(session.recv_until(soon())?, None);
        gate.returned()?;
        session.send(b"x")?;
        delivered(&mut session, 1)
    }),
    returns("Session::run, until it is woken", |gate| {
        let mut session = session(gate);
        let waker = Waker::new()?;
        gate.call();
        // The waker is not used before the run has noticed the dead daemon.
        session.run(Limits::available(), |_, _| Continue::<()>(()))?;
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            session.run(Limits::forever().woken_by(&waker), |_, _| Continue::<()>(()))
        });
        assert_eq!(ended?, Ended::Woken);
        gate.returned()?;
        session.send(b"x")?;
        delivered(&mut session, 1)
    }),
    waits("Session::leave", |gate| {
        let session = session(gate);
        gate.call();
        session.leave()?;
        Ok(())
    }),
    returns("Session::leave_until", |gate| {
        let session = session(gate);
        gate.call();
        // The deadline passes, and the membership still ends.
        match session.leave_until(soon(), |_, _| ()) {
            Err(Error::TimedOut { .. }) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        gate.returned()?;
        join(gate.name()).leave()?;
        Ok(())
    }),
    drops("drop of Session", |gate| {
        let session = session(gate);
        gate.call();
        drop(session);
        gate.returned()?;
        join(gate.name()).leave()?;
        Ok(())
    }),
    waits("Sender::members", |gate| {
        let (sender, _receiver) = split(gate);
        gate.call();
        assert_eq!(sender.members()?, [sender.me()]);
        Ok(())
    }),
    waits("Sender::send, with a full queue", |gate| {
        let hearing = Hearing::start(split(gate));
        gate.call();
        let filled = fill(&hearing.sender)?;
        hearing.sender.send(&[7; 1000])?;
        gate.returned()?;
        hearing.finish(filled + 1);
        Ok(())
    }),
    waits("Session::recv of a long message", |gate| {
        let mut session = session(gate);
        gate.call();
        session.send(&vec![5; 3_000_000])?;
        delivered(&mut session, 1)
    }),
    waits("Ticket::wait of a long message", |gate| {
        let hearing = Hearing::start(split(gate));
        gate.call();
        let sent = hearing.sender.send(&vec![5; 3_000_000])?;
        hearing.sender.send(b"behind it")?;
        hearing.sender.ticket(sent).wait()?;
        gate.returned()?;
        hearing.finish(2);
        Ok(())
    }),
    returns("Sender::send_until", |gate| {
        let hearing = Hearing::start(split(gate));
        gate.call();
        let filled = fill(&hearing.sender)?;
        late(hearing.sender.send_until(&[7; 1000], soon()).expect_err("it is full"))?;
        gate.returned()?;
        hearing.finish(filled);
        Ok(())
    }),
    waits("Ticket::wait", |gate| {
        let hearing = Hearing::start(split(gate));
        gate.call();
        hearing.sender.ticket(hearing.sender.send(b"x")?).wait()?;
        gate.returned()?;
        hearing.finish(1);
        Ok(())
    }),
    returns("Ticket::wait_until", |gate| {
        let hearing = Hearing::start(split(gate));
        gate.call();
        let ticket = hearing.sender.ticket(hearing.sender.send(b"x")?);
        match ticket.wait_until(soon()) {
            Err(Error::TimedOut { .. }) => {}
            result => result?,
        }
        gate.returned()?;
        ticket.wait_until(deadline())?;
        hearing.finish(1);
        Ok(())
    }),
    waits("Receiver::leave, with a queue that waits", |gate| {
        let (sender, receiver) = split(gate);
        gate.call();
        fill(&sender)?;
        receiver.leave_until(deadline(), |_, _| ())?;
        Ok(())
    }),
    drops("drop of Sender and Receiver", |gate| {
        let halves = split(gate);
        gate.call();
        drop(halves);
        gate.returned()?;
        join(gate.name()).leave()?;
        Ok(())
    }),
];

fn options() -> SessionOptions {
    Session::options().connect_options(quiet()).flow(Flow::new().queue_size(10_000).window_size(10_000))
}

/// Returns a session whose first view has been handled.
fn session(gate: &Gate) -> Session {
    let mut session = join_with(options(), gate.name());
    assert!(matches!(session.recv().unwrap(), OwnedEvent::ConfChg(_)));
    session
}

fn split(gate: &Gate) -> (Sender, Receiver) {
    session(gate).split()
}

/// Waits until so many messages have come. After the daemon's death, some may be handed back before the error comes.
fn delivered(session: &mut Session, count: usize) -> Result<(), End> {
    for _ in 0..count {
        while !matches!(session.recv()?, OwnedEvent::Deliver(_)) {}
    }
    Ok(())
}

fn join_a_session(gate: &Gate) -> Result<(), End> {
    gate.call();
    let mut session = options().join_until(gate.name(), deadline())?;
    session.send(b"x")?;
    delivered(&mut session, 1)
}

fn join_a_handle_as_a_session(gate: &Gate) -> Result<(), End> {
    let handle = Handle::connect()?;
    gate.call();
    let mut session = options().join_on_until(handle, gate.name(), deadline()).map_err(Error::from)?;
    session.send(b"x")?;
    delivered(&mut session, 1)
}

/// Fills a queue with messages. Returns the number of accepted messages.
fn fill(sender: &Sender) -> Result<usize, Error> {
    let mut filled = 0;
    loop {
        match sender.try_send(&[7; 1000]) {
            Ok(_) => filled += 1,
            Err(Error::QueueFull) => return Ok(filled),
            Err(error) => return Err(error),
        }
    }
}

/// A split session with a thread that dispatches, which sending with a queue needs.
struct Hearing {
    sender: Sender,
    heard: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Hearing {
    fn start((sender, mut receiver): (Sender, Receiver)) -> Self {
        let (heard, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let hearing = Self { sender, heard: Arc::clone(&heard), over: Arc::clone(&over) };
        std::thread::spawn(move || {
            let mut count = |_: &Sender, event: Event<'_>| {
                heard.fetch_add(usize::from(matches!(event, Event::Deliver(_))), Ordering::SeqCst);
            };
            // Until the thread is told to end, or the daemon is dead.
            while !over.load(Ordering::SeqCst)
                && receiver.dispatch(Limits::one().until(soon()), &mut count).is_ok()
            {}
        });
        hearing
    }

    /// Asserts that all messages are delivered.
    fn finish(self, count: usize) {
        wait_for("the messages", || (self.heard.load(Ordering::SeqCst) == count).then_some(()));
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}
