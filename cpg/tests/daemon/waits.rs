//! Every waiting call of handles and groups, with a paused daemon and with one that is killed.
//!
//! Requests wait for a daemon that is stopped, up to their limit (B16), and no longer than it lives. That the limit is kept is in
//! `limits_groups.rs` and `limits_sessions.rs`. The rest comes back by its deadline.
//! Those of sessions are in `session_waits.rs`, those of tasks in `tasks/waits.rs`.

use std::ops::ControlFlow::{Break, Continue};

use crate::support::waits::{
    Case, End, Gate, drops, ends, late, quiet, returns, soon, waits, with_each_daemon,
};
use crate::support::{Members, deadline, join, name, payloads, pump, views};
use cpg::{ConnectOptions, Ended, Error, Event, Group, Handle, Limits, OwnedEvent, TotemEvents, Waker};

with_each_daemon!(CASES);

const CASES: &[Case] = &[
    waits("Handle::connect", connect),
    waits("ConnectOptions::join_until", join_anew),
    waits("Handle::join_until", join_a_handle),
    waits("Daemon::local_node", |gate| {
        let handle = Handle::connect()?;
        gate.call();
        assert_eq!(handle.local_node()?.get(), 1);
        Ok(())
    }),
    waits("Daemon::groups", |gate| {
        let group = idle(gate);
        gate.call();
        assert!(group.daemon().groups()?.contains(group.name()));
        Ok(())
    }),
    waits("Daemon::processes", |gate| {
        let group = idle(gate);
        gate.call();
        assert!(group.daemon().processes()?.iter().any(|process| process.member() == group.me()));
        Ok(())
    }),
    waits("Daemon::processes_of", |gate| {
        let group = idle(gate);
        gate.call();
        assert_eq!(group.daemon().processes_of(group.name())?.len(), 1);
        Ok(())
    }),
    waits("Daemon::members_of", |gate| {
        let group = idle(gate);
        gate.call();
        assert_eq!(group.daemon().members_of(group.name())?, [group.me()]);
        Ok(())
    }),
    waits("Handle::close", |gate| {
        let handle = Handle::connect()?;
        gate.call();
        handle.close()?;
        Ok(())
    }),
    drops("drop of Handle", |gate| {
        let handle = Handle::connect()?;
        gate.call();
        drop(handle);
        gate.returned()
    }),
    waits("Handle::dispatch", |gate| {
        // The only events of a handle are rings, and a cluster of one node has only the first one.
        let mut handle = ConnectOptions::new().totem_events(TotemEvents::InitialAndChanges).connect()?;
        gate.call();
        // This makes sure that there is an answer: it makes a request, and then dispatches the available events.
        handle.local_node()?;
        handle.dispatch(Limits::available(), |_, _| ())?;
        Ok(())
    }),
    returns("Handle::dispatch, with a deadline", |gate| {
        let mut handle = Handle::connect()?;
        gate.call();
        assert_eq!(handle.dispatch(Limits::one().until(soon()), |_, _| ())?, 0);
        gate.returned()
    }),
    waits("Link::members", |gate| {
        let group = idle(gate);
        gate.call();
        assert_eq!(group.members()?, [group.me()]);
        Ok(())
    }),
    returns("Link::send", |gate| {
        let mut group = idle(gate);
        gate.call();
        group.send(b"short")?;
        gate.returned()?;
        assert_eq!(payloads(&mut group, 1), [b"short"]);
        Ok(())
    }),
    waits("Link::send of a long message", |gate| {
        let mut group = idle(gate);
        gate.call();
        group.send(&vec![5; 3_000_000])?;
        gate.returned()?;
        assert_eq!(payloads(&mut group, 1), [vec![5; 3_000_000]]);
        Ok(())
    }),
    returns("Link::send_until", |gate| {
        let mut group = idle(gate);
        gate.call();
        let mut sent = 0;
        let refused = loop {
            match group.send_until(b"many", soon()) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        late(refused)?;
        gate.returned()?;
        assert_eq!(payloads(&mut group, sent).len(), sent);
        assert_eq!(group.members()?, [group.me()]);
        Ok(())
    }),
    waits("Link::zero_copy", |gate| {
        let mut group = idle(gate);
        gate.call();
        let buffer = group.zero_copy(10)?;
        gate.returned()?;
        buffer.send()?;
        drop(buffer);
        assert_eq!(payloads(&mut group, 1), [[0; 10]]);
        Ok(())
    }),
    waits("ZeroCopyBuffer::send", |gate| {
        let mut group = idle(gate);
        let buffer = group.zero_copy(10)?;
        gate.call();
        buffer.send()?;
        drop(buffer);
        // In newer versions of libcpg, these calls are a plain send and a local free, which do not wait. A request
        // waits.
        group.members()?;
        gate.returned()?;
        assert_eq!(payloads(&mut group, 1), [[0; 10]]);
        Ok(())
    }),
    ends("drop of ZeroCopyBuffer", |gate| {
        let group = idle(gate);
        let buffer = group.zero_copy(10)?;
        gate.call();
        drop(buffer);
        // In newer versions of libcpg, the buffer is not given back to the daemon.
        let _ = group.members();
        Ok(())
    }),
    waits("Group::dispatch", |gate| {
        let mut group = idle(gate);
        gate.call();
        let _ = group.send(b"x");
        assert_eq!(group.dispatch(Limits::one(), |_, event| is_x(&event))?, 1);
        Ok(())
    }),
    returns("Group::dispatch, with a deadline", |gate| {
        let mut group = idle(gate);
        gate.call();
        let _ = group.send(b"x");
        for how in [
            Limits::one().until(soon()),
            Limits::forever().until(soon()),
            Limits::available(),
            Limits::available().at_most(9),
        ] {
            assert_eq!(group.dispatch(how, |_, _| ())?, 0);
        }
        gate.returned()?;
        assert_eq!(payloads(&mut group, 1), [b"x"]);
        Ok(())
    }),
    waits("Group::dispatch of a full group", |gate| {
        let members = Members::start(gate.cluster(), 1, &name(gate.name()), 127);
        let mut group = quiet().join_until(gate.name(), deadline())?;
        pump(&mut group, |events| views(events).any(|view| view.members().len() == 128));
        gate.call();
        // The members of a full group are counted before each event.
        let _ = group.send(b"x");
        assert_eq!(group.dispatch(Limits::one(), |_, event| is_x(&event))?, 1);
        drop(members);
        Ok(())
    }),
    waits("Group::run", |gate| {
        let mut group = idle(gate);
        gate.call();
        let _ = group.send(b"x");
        group.run(Limits::forever(), |_, event| {
            is_x(&event);
            Break(())
        })?;
        Ok(())
    }),
    returns("Group::run, until a deadline", |gate| {
        let mut group = idle(gate);
        gate.call();
        let _ = group.send(b"x");
        let ended = group.run(Limits::forever().until(soon()), |_, _| Continue::<()>(()))?;
        assert_eq!(ended, Ended::TimedOut);
        gate.returned()?;
        assert_eq!(payloads(&mut group, 1), [b"x"]);
        Ok(())
    }),
    returns("Group::run, until it is woken", |gate| {
        let mut group = idle(gate);
        let waker = Waker::new()?;
        gate.call();
        let _ = group.send(b"x");
        // The waker is not used before the run has noticed the dead daemon.
        group.run(Limits::available(), |_, _| Continue::<()>(()))?;
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| waker.wake());
            group.run(Limits::forever().woken_by(&waker), |_, _| Continue::<()>(()))
        });
        assert_eq!(ended?, Ended::Woken);
        gate.returned()?;
        assert_eq!(payloads(&mut group, 1), [b"x"]);
        Ok(())
    }),
    waits("Group::recv", |gate| {
        let mut group = idle(gate);
        gate.call();
        let _ = group.send(b"x");
        assert!(matches!(group.recv()?, OwnedEvent::Deliver(message) if message.payload() == b"x"));
        Ok(())
    }),
    returns("Group::recv_until", |gate| {
        let mut group = idle(gate);
        gate.call();
        let _ = group.send(b"x");
        assert_eq!(group.recv_until(soon())?, None);
        gate.returned()?;
        assert_eq!(payloads(&mut group, 1), [b"x"]);
        Ok(())
    }),
    waits("Group::events", |gate| {
        let mut group = idle(gate);
        gate.call();
        let _ = group.send(b"x");
        group.events().next().unwrap()?;
        Ok(())
    }),
    waits("Group::leave", |gate| {
        let group = idle(gate);
        gate.call();
        group.leave()?;
        Ok(())
    }),
    returns("Group::leave_until", |gate| {
        let group = idle(gate);
        gate.call();
        // The deadline passes, and the membership still ends.
        match group.leave_until(soon(), |_, _| ()) {
            Err(Error::TimedOut { .. }) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        gate.returned()?;
        join(gate.name()).leave()?;
        Ok(())
    }),
    drops("drop of Group", |gate| {
        let group = idle(gate);
        gate.call();
        drop(group);
        gate.returned()?;
        join(gate.name()).leave()?;
        Ok(())
    }),
];

/// Returns a group whose first view has been handled.
fn idle(gate: &Gate) -> Group {
    let mut group = quiet().join_until(gate.name(), deadline()).unwrap();
    pump(&mut group, |events| views(events).next().is_some());
    group
}

fn is_x(event: &Event<'_>) {
    assert!(matches!(event, Event::Deliver(message) if message.payload() == b"x"), "{event:?}");
}

fn connect(gate: &Gate) -> Result<(), End> {
    gate.call();
    assert_eq!(Handle::connect()?.local_node()?.get(), 1);
    Ok(())
}

fn join_anew(gate: &Gate) -> Result<(), End> {
    gate.call();
    let mut group = ConnectOptions::new().join_until(gate.name(), deadline())?;
    group.send(b"x")?;
    assert_eq!(payloads(&mut group, 1), [b"x"]);
    Ok(())
}

fn join_a_handle(gate: &Gate) -> Result<(), End> {
    let handle = Handle::connect()?;
    gate.call();
    let mut group = handle.join_until(name(gate.name()), deadline()).map_err(Error::from)?;
    group.send(b"x")?;
    assert_eq!(payloads(&mut group, 1), [b"x"]);
    Ok(())
}
