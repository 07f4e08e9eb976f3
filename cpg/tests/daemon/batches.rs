//! The number of events that one dispatch handles, for loops with other work to do.

use crate::support::{join, pump};
use cpg::{Ended, Limits, Waker};
use testcluster::Cluster;

#[test]
fn a_dispatch_handles_at_most_so_many_events_and_does_not_wait() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("batches");
        pump(&mut group, |events| events.len() == 1);
        for number in 0..5_u8 {
            group.send(&[number]).unwrap();
        }
        let mut heard = Vec::new();
        let mut handle = |event: cpg::Event<'_>| {
            if let cpg::Event::Deliver(message) = event {
                heard.push(message.payload()[0]);
            }
        };
        assert_eq!(group.dispatch(Limits::available().at_most(0), |_, event| handle(event)).unwrap(), 0);
        let mut handled = 0;
        while handled < 5 {
            let batch = group.dispatch(Limits::available().at_most(2), |_, event| handle(event)).unwrap();
            assert!(batch <= 2);
            handled += batch;
        }
        assert_eq!(group.dispatch(Limits::available().at_most(2), |_, event| handle(event)).unwrap(), 0);
        assert_eq!(heard, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_wake_that_a_loop_has_taken_does_not_end_a_run() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("taken");
        let waker = Waker::new().unwrap();
        assert!(!waker.take());
        waker.wake();
        waker.wake();
        assert!(waker.clone().take());
        assert!(!waker.take());
        // A wake that was taken does not end a run: this run ends with this member's view.
        let ended = group.run(Limits::forever().woken_by(&waker), |_, _| std::ops::ControlFlow::Break(7));
        assert_eq!(ended.unwrap(), Ended::Broke(7));
    });
}
