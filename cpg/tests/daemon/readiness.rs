//! The descriptors of handles, groups, sessions and receivers, for the event loop of a program.

use std::os::fd::{AsFd, AsRawFd as _};

use crate::support::{deadline, join, pump, readable, views, wait_for};
use cpg::{Group, Handle, Limits, Result, Session, TotemEvents};
use testcluster::Cluster;

fn becomes_readable(fd: &impl AsFd) {
    wait_for("the descriptor", || readable(fd.as_fd()).then_some(()));
}

/// Asserts that a descriptor is level-triggered: it stays readable until the last of two events has been dispatched.
fn two_events<T: AsFd>(of: &mut T, mut one: impl FnMut(&mut T) -> Result<usize>) {
    for _ in 0..2 {
        becomes_readable(of);
        assert!(readable(of.as_fd()) && readable(of.as_fd()));
        assert_eq!(one(of).unwrap(), 1);
    }
    for _ in 0..3 {
        assert!(!readable(of.as_fd()));
        assert_eq!(one(of).unwrap(), 0);
    }
}

#[test]
fn a_group_is_readable_while_an_event_waits() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("group");
        assert_eq!(group.as_fd().as_raw_fd(), group.as_raw_fd());
        pump(&mut group, |events| views(events).next().is_some());
        let one = |group: &mut Group| group.dispatch(Limits::available().at_most(1), |_, _| ());
        assert!(!readable(group.as_fd()));
        for size in [10, 500_000] {
            group.send(&vec![1; size]).unwrap();
            group.send(&vec![2; size]).unwrap();
            two_events(&mut group, one);
        }
        cluster.kill(1).unwrap();
        becomes_readable(&group);
        assert!(one(&mut group).unwrap_err().is_connection_lost());
        // The descriptor stays unreadable.
        assert!(readable(group.as_fd()));
    });
}

#[test]
fn a_receiver_is_readable_while_an_event_waits() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, mut receiver) = Session::join("receiver").unwrap().split();
        assert_eq!(receiver.as_fd().as_raw_fd(), receiver.as_raw_fd());
        assert_eq!(receiver.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap(), 1);
        assert!(!readable(receiver.as_fd()));
        sender.send(b"one").unwrap();
        sender.send(b"two").unwrap();
        // The answer to a request is no event.
        assert_eq!(sender.members().unwrap(), [sender.me()]);
        two_events(&mut receiver, |receiver| receiver.dispatch(Limits::available().at_most(1), |_, _| ()));
        cluster.kill(1).unwrap();
        becomes_readable(&receiver);
        assert!(receiver.recv().unwrap_err().is_connection_lost());
    });
}

#[test]
fn a_handle_is_readable_while_a_ring_waits() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let open = |totem| cpg::ConnectOptions::new().totem_events(totem).connect().unwrap();
        let (mut handle, deaf) = (open(TotemEvents::Changes), open(TotemEvents::None));
        assert_eq!(handle.as_fd().as_raw_fd(), handle.as_raw_fd());
        assert!(!readable(handle.as_fd()));
        cluster.kill(2).unwrap();
        cluster.restart(2).unwrap();
        two_events(&mut handle, |handle| handle.dispatch(Limits::available().at_most(1), |_, _| ()));
        // A group has the descriptor of its handle. A session has a new one, which its receiver keeps.
        let (fd, other) = (deaf.as_raw_fd(), handle.as_raw_fd());
        let group = deaf.join_until("same", deadline()).unwrap();
        assert_eq!(group.as_raw_fd(), fd);
        let joined = open(TotemEvents::None);
        let fd = joined.as_raw_fd();
        let session = Session::options().join_on_until(joined, "own", deadline()).unwrap();
        let own = session.as_raw_fd();
        assert_ne!(own, fd);
        let (_sender, receiver) = session.split();
        assert_eq!(receiver.as_raw_fd(), own);
        cluster.kill(1).unwrap();
        becomes_readable(&handle);
        assert!(handle.dispatch(Limits::available(), |_, _| ()).unwrap_err().is_connection_lost());
        assert!(Handle::connect().is_err() && fd != other);
    });
}
