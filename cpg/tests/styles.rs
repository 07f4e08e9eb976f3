//! Forks, panics and lost daemons in each style of taking events: `run`, `recv`, the iterator and the halves of a `split`.

mod support;

use std::ops::ControlFlow::{self, Continue};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cpg::{Error, Event, Group, Limits, Link, OwnedEvent, Result, Waker};
use support::fork::{alone, child, ensure, fork, reap, refused};
use support::{Members, deadline, join, messages, payloads, pump, views, wait_for};
use testcluster::Cluster;

fn go_on(_: &Link, _: Event<'_>) -> ControlFlow<()> {
    Continue(())
}

#[test]
fn a_child_is_refused_in_each_style_and_the_parent_goes_on() {
    let _alone = alone();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("whole");
        let (sender, mut receiver) = join("halves").split().unwrap();
        let mut others = Members::start(&cluster, 1, sender.name(), 1);
        let (_, leaving) = join("leaving").split().unwrap();
        let waker = Waker::new().unwrap();
        // There are events, which a child would take from the parent.
        sender.send(b"before").unwrap();
        let pid = fork();
        if pid == 0 {
            child(move || {
                ensure!(refused(group.run(go_on)));
                ensure!(refused(group.run_with(Limits::available().woken_by(&waker), go_on)));
                ensure!(refused(group.recv()));
                ensure!(refused(group.recv_until(Instant::now())));
                ensure!(group.events().next().is_some_and(refused));
                let clone = sender.clone();
                ensure!(refused(sender.send(b"from the child")));
                ensure!(refused(clone.send_until(b"from the child", deadline())));
                ensure!(refused(clone.send(&vec![0; 3_000_000])));
                ensure!(refused(clone.members()));
                ensure!(refused(receiver.run(go_on)));
                ensure!(refused(receiver.recv()));
                ensure!(refused(receiver.recv_until(deadline())));
                ensure!(refused(receiver.dispatch(Limits::one(), |_, _| ())));
                ensure!(receiver.events().next().is_some_and(refused));
                ensure!(refused(leaving.leave()));
                // What it drops stays with the parent.
                drop((group, sender, clone, receiver));
                0
            });
        }
        reap(pid);
        sender.send(b"after").unwrap();
        others.expect(|line| {
            assert!(!line.contains(&format!("-{}", sender.me())), "it has left: {line}");
            line.ends_with("after")
        });
        let heard: Vec<_> = receiver.events().map(Result::unwrap).take(4).collect();
        let heard: Vec<_> = messages(&heard).map(|message| message.payload().to_vec()).collect();
        assert_eq!(heard, [&b"before"[..], b"after"]);
        group.send(b"whole").unwrap();
        assert_eq!(payloads(&mut group, 1), [b"whole"]);
        receiver.leave().unwrap();
    });
}

#[test]
fn a_child_is_refused_though_a_thread_of_its_parent_had_the_lock() {
    let _alone = alone();
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let (sender, receiver) = join("locked").split().unwrap();
        cluster.pause(1).unwrap();
        let asked = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                asked.store(true, Ordering::SeqCst);
                sender.members()
            });
            wait_for("the thread", || asked.load(Ordering::SeqCst).then_some(()));
            // With the lock, in all likelihood; a child that does not find it taken is refused too.
            std::thread::yield_now();
            for _ in 0..10 {
                let pid = fork();
                if pid == 0 {
                    child(|| {
                        ensure!(refused(sender.send(b"from the child")));
                        ensure!(refused(sender.members()));
                        ensure!(refused(receiver.send(b"from the child")));
                        ensure!(refused(receiver.leave()));
                        0
                    });
                }
                reap(pid);
            }
            cluster.resume(1).unwrap();
            assert_eq!(asking.join().unwrap().unwrap(), [sender.me()]);
        });
    });
}

#[test]
fn a_panic_of_a_handler_goes_on_in_the_caller_and_later_events_stay() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("panics");
        pump(&mut group, |events| views(events).next().is_some());
        for byte in 0..6_u8 {
            group.send(&[byte]).unwrap();
        }
        let mut heard = Vec::new();
        let mut handler = |_: &Link, event: Event<'_>| -> ControlFlow<()> {
            let Event::Deliver(message) = event else { return Continue(()) };
            heard.push(message.payload()[0]);
            panic_any(message.payload()[0])
        };
        let panic_of = |work: &mut dyn FnMut()| -> u8 {
            *catch_unwind(AssertUnwindSafe(work)).unwrap_err().downcast().unwrap()
        };
        assert_eq!(panic_of(&mut || _ = group.run(&mut handler)), 0);
        let waker = Waker::new().unwrap();
        let wait = Limits::forever().until(deadline()).woken_by(&waker);
        assert_eq!(panic_of(&mut || _ = group.run_with(wait, &mut handler)), 1);
        let (sender, mut receiver) = group.split().unwrap();
        assert_eq!(panic_of(&mut || _ = receiver.run(&mut handler)), 2);
        assert_eq!(panic_of(&mut || _ = receiver.run_with(wait, &mut handler)), 3);
        let dispatch = &mut || _ = receiver.dispatch(Limits::one(), |link, event| _ = handler(link, event));
        assert_eq!(panic_of(dispatch), 4);
        let Some(OwnedEvent::Deliver(last)) = receiver.recv_until(deadline()).unwrap() else { panic!() };
        assert_eq!((&heard[..], last.payload()), (&[0, 1, 2, 3, 4][..], &[5][..]));
        // A sender does not notice, and the lock is free.
        sender.send(b"goes on").unwrap();
        assert_eq!(sender.members().unwrap(), [sender.me()]);
        receiver.leave().unwrap();
    });
}

#[test]
fn a_lost_daemon_ends_each_style() {
    let cluster = Cluster::start(1).unwrap();
    // One that waits, and one that starts to wait later.
    let styles: [fn(&mut Group) -> Error; 6] = [
        |group| group.run(go_on).unwrap_err(),
        |group| group.run_with(Limits::forever().woken_by(&Waker::new().unwrap()), go_on).unwrap_err(),
        |group| group.run_with(Limits::forever().until(deadline()), go_on).unwrap_err(),
        |group| group.events().find_map(Result::err).unwrap(),
        |group| loop {
            if let Err(error) = group.recv() {
                return error;
            }
        },
        |group| loop {
            if let Err(error) = group.recv_until(deadline()) {
                return error;
            }
        },
    ];
    let waiting: Vec<_> = (0..styles.len())
        .map(|index| {
            let mut group = cluster.on(1, || join(&format!("waiting {index}")));
            cluster.spawn_on(1, move || (styles[index](&mut group), styles[index](&mut group)))
        })
        .collect();
    cluster.kill(1).unwrap();
    for thread in waiting {
        wait_for("the end", || thread.is_finished().then_some(()));
        let (first, again) = thread.join().unwrap();
        assert!(first.is_connection_lost() && again.is_connection_lost(), "{first}, {again}");
    }
}
