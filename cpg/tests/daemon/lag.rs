//! The lag of a member behind its messages.

use std::time::{Duration, Instant};

use crate::support::{deadline, join_with, pump_session, receive, split_with, wait_for};
use cpg::{Flow, Limits, Session};
use testcluster::Cluster;

#[test]
fn lag_shows_that_a_receiver_does_not_dispatch() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        for (flow, sizes) in [
            // Two messages are in flight, and the rest waits.
            (Flow::new().window_size(200), [(2, 200), (3, 300)]),
            // The first message is sent at once, and four travel together.
            (Flow::coalesced().window_size(1), [(1, 7 + 100), (4, 6 + 404)]),
        ] {
            let (sender, mut receiver) = split_with(flow, "behind");
            while receiver.recv_until(Instant::now() + Duration::from_millis(20)).unwrap().is_some() {}
            assert_eq!((sender.lag().unwrap().in_flight(), sender.lag().unwrap().oldest()), (0, None));
            let before = Instant::now();
            for _ in 0..5 {
                sender.send(&[7; 100]).unwrap();
            }
            let [in_flight, waiting] = sizes;
            let lag = receiver.lag().unwrap();
            assert_eq!((lag.in_flight(), lag.in_flight_bytes()), in_flight);
            assert_eq!((lag.waiting(), lag.waiting_bytes()), waiting);
            // No event is dispatched, so both times grow.
            let grown = wait_for("time", || {
                let lag = sender.lag().unwrap();
                (lag.oldest() > Some(Duration::from_millis(20))
                    && lag.since_dispatch() > Duration::from_millis(20))
                .then_some(lag)
            });
            assert!(grown.oldest().unwrap() <= before.elapsed());
            assert_eq!(receive(&mut receiver, 5).len(), 5);
            let caught_up = sender.lag().unwrap();
            assert_eq!((caught_up.in_flight(), caught_up.waiting(), caught_up.oldest()), (0, 0, None));
            assert!(caught_up.since_dispatch() < before.elapsed());
            receiver.leave().unwrap();
        }
    });
}

#[test]
fn lag_counts_the_messages_in_flight_of_a_whole_session() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut session = join_with(Session::options(), "counts");
        pump_session(&mut session, |events| crate::support::views(events).next().is_some());
        for in_flight in 1..4 {
            session.send(b"x").unwrap();
            assert_eq!(session.lag().unwrap().in_flight(), in_flight);
        }
        for in_flight in [2, 1, 0] {
            session.dispatch(Limits::one().until(deadline()), |_, _| ()).unwrap();
            assert_eq!(session.lag().unwrap().in_flight(), in_flight);
        }
    });
}
