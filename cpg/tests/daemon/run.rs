//! `run`: the reasons for which it ends, and its sleep until then.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{deadline, join, join_with, payloads, pump, views, wait_for};
use cpg::{
    ConnectOptions, Ended, Event, Group, Limits, Link, Reconnect, Session, TotemEvents, Waker, packet,
};
use static_assertions::assert_impl_all;
use testcluster::Cluster;

fn payload(_: &Link, event: Event<'_>) -> ControlFlow<Vec<u8>> {
    if let Event::Deliver(message) = event { Break(message.payload().to_vec()) } else { Continue(()) }
}

/// A handler that expects no event, except a new ring, which a daemon that had to wait for the processor may form.
#[expect(clippy::needless_pass_by_value, reason = "what run takes")]
fn nothing<L>(_: &L, event: Event<'_>) -> ControlFlow<()> {
    assert!(matches!(event, Event::TotemConfChg(_)), "{event:?}");
    Continue(())
}

/// Returns options without events about rings: a daemon that had to wait for the processor may form one, which the test
/// does not expect.
fn without_rings() -> ConnectOptions {
    ConnectOptions::new().totem_events(TotemEvents::None)
}

fn quiet(name: &str) -> Group {
    without_rings().join_until(name, deadline()).unwrap()
}

/// Returns when two messages wait to be dispatched.
fn two_events_wait(group: &mut Group) {
    group.send(b"one").unwrap();
    group.send(b"two").unwrap();
    // The daemon delivers to all in one order, so a message that comes to another group now is after these.
    let mut other = join("after");
    other.send(b"three").unwrap();
    payloads(&mut other, 1);
    other.leave().unwrap();
}

#[test]
fn a_handler_ends_a_run_with_a_value_and_later_events_stay() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("value");
        for byte in 0..5 {
            group.send(&[byte]).unwrap();
        }
        assert_eq!(group.run(Limits::forever(), payload).unwrap(), Ended::Broke(vec![0]));
        assert_eq!(group.run(Limits::forever().until(deadline()), payload).unwrap(), Ended::Broke(vec![1]));
        // The handler borrows a variable, and sends.
        let mut heard = Vec::new();
        let last = group.run(Limits::forever(), |link, event| {
            let Event::Deliver(message) = event else { return Continue(()) };
            heard.extend_from_slice(message.payload());
            if heard.len() == 2 {
                link.send(b"!").unwrap();
            }
            if message.payload() == b"!" { Break(link.me()) } else { Continue(()) }
        });
        assert_eq!((last.unwrap(), &heard[..]), (Ended::Broke(group.me()), &[2, 3, 4, b'!'][..]));
    });
}

#[test]
fn a_deadline_ends_a_run_with_and_without_events() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = quiet("deadline");
        pump(&mut group, |events| views(events).next().is_some());
        let waker = Waker::new().unwrap();
        let soon = || Instant::now() + Duration::from_millis(10);
        assert_eq!(group.run(Limits::forever().until(soon()), nothing).unwrap(), Ended::TimedOut);
        let wait = Limits::forever().until(soon()).woken_by(&waker);
        assert_eq!(group.run(wait, nothing).unwrap(), Ended::TimedOut);
        // The deadline is kept although another event waits.
        two_events_wait(&mut group);
        let mut heard = 0;
        let deadline = soon();
        let ended = group.run(Limits::forever().until(deadline), |_, _| {
            wait_for("the deadline", || (Instant::now() >= deadline).then_some(()));
            heard += 1;
            Continue::<()>(())
        });
        assert_eq!((ended.unwrap(), heard), (Ended::TimedOut, 1));
        assert_eq!(payloads(&mut group, 1), [b"two"]);
        // With a deadline in the past, one waiting event is taken, and no event is waited for.
        let past = Instant::now();
        two_events_wait(&mut group);
        let (ended, heard) = counted(&mut group, Limits::forever().until(past));
        assert_eq!((ended, heard), (Ended::TimedOut, 1));
        let (ended, heard) = counted(&mut group, Limits::available().until(past));
        assert_eq!((ended, heard), (Ended::TimedOut, 1));
        assert_eq!(group.run(Limits::forever().until(past), nothing).unwrap(), Ended::TimedOut);
        assert_eq!(group.run(Limits::available().until(past), nothing).unwrap(), Ended::Idle);
    });
}

/// Runs, and counts the events.
fn counted(group: &mut Group, limits: Limits<'_>) -> (Ended<()>, usize) {
    let mut heard = 0;
    let ended = group.run(limits, |_, _| {
        heard += 1;
        Continue(())
    });
    (ended.unwrap(), heard)
}

#[test]
fn a_run_ends_after_the_waiting_events_or_after_so_many_events() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = quiet("limits");
        pump(&mut group, |events| views(events).next().is_some());
        let later = deadline();
        two_events_wait(&mut group);
        assert_eq!(counted(&mut group, Limits::available()), (Ended::Idle, 2));
        two_events_wait(&mut group);
        assert_eq!(counted(&mut group, Limits::one()), (Ended::Enough, 1));
        assert_eq!(counted(&mut group, Limits::available().at_most(0)), (Ended::Enough, 0));
        assert_eq!(counted(&mut group, Limits::available().at_most(2).until(later)), (Ended::Idle, 1));
        two_events_wait(&mut group);
        assert_eq!(counted(&mut group, Limits::forever().at_most(2).until(later)), (Ended::Enough, 2));
        // The value of the handler takes precedence.
        two_events_wait(&mut group);
        assert_eq!(group.run(Limits::one(), payload).unwrap(), Ended::Broke(b"one".to_vec()));
        assert_eq!(group.run(Limits::available(), payload).unwrap(), Ended::Broke(b"two".to_vec()));
        // The run waits for all events of the limit. Each is sent when the one before has been handled.
        group.send(b"next").unwrap();
        let mut heard = 0;
        let ended = group.run(Limits::forever().at_most(3).until(later), |link, _| {
            heard += 1;
            link.send(b"next").unwrap();
            Continue::<()>(())
        });
        assert_eq!((ended.unwrap(), heard), (Ended::Enough, 3));
    });
}

#[test]
fn a_dispatch_has_the_same_limits() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = quiet("dispatch");
        pump(&mut group, |events| views(events).next().is_some());
        let waker = Waker::new().unwrap();
        two_events_wait(&mut group);
        let wake = |_: &Link, _: Event<'_>| waker.wake();
        assert_eq!(group.dispatch(Limits::available().woken_by(&waker), wake).unwrap(), 1);
        waker.wake();
        assert_eq!(group.dispatch(Limits::one().woken_by(&waker), |_, _| panic!()).unwrap(), 0);
        let soon = Instant::now() + Duration::from_millis(10);
        let waits = |_: &Link, _: Event<'_>| {
            wait_for("the deadline", || (Instant::now() >= soon).then_some(()));
        };
        two_events_wait(&mut group);
        assert_eq!(group.dispatch(Limits::available().until(soon), waits).unwrap(), 1);
        assert_eq!(payloads(&mut group, 2), [b"one", b"two"]);
    });
}

/// Returns a session to which a packet with the messages 0 to 9 has come, and the sender of the packet.
fn with_a_packet(cluster: &Cluster) -> (Session, Group) {
    let mut session = join_with(Session::options().connect_options(without_rings()).coalesce(), "packet");
    let other = cluster.on(2, || join("packet"));
    let me = other.me();
    session
        .run(Limits::forever(), |_, event| match event {
            Event::ConfChg(view) if view.contains(me) => Break(()),
            _ => Continue(()),
        })
        .unwrap();
    let mut bytes = Vec::new();
    packet::begin(&mut bytes);
    (0..10_u8).for_each(|number| packet::push(&mut bytes, &[number]));
    other.send_until(&bytes, deadline()).unwrap();
    wait_for("the packet", || crate::support::readable(session.as_fd()).then_some(()));
    (session, other)
}

#[test]
fn a_session_checks_all_limits_between_two_messages_of_a_packet() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let (mut session, _other) = with_a_packet(&cluster);
        let (waker, mut heard) = (Waker::new().unwrap(), Vec::new());
        let mut number = |event: Event<'_>| {
            let Event::Deliver(message) = event else { panic!("{event:?}") };
            heard.push(message.payload()[0]);
            message.payload()[0]
        };
        let ended = session.run(Limits::forever().woken_by(&waker), |_, event| {
            number(event);
            waker.wake();
            Continue::<()>(())
        });
        assert_eq!(ended.unwrap(), Ended::Woken);
        let soon = Instant::now() + Duration::from_millis(10);
        let ended = session.run(Limits::forever().until(soon), |_, event| {
            number(event);
            wait_for("the deadline", || (Instant::now() >= soon).then_some(()));
            Continue::<()>(())
        });
        assert_eq!(ended.unwrap(), Ended::TimedOut);
        // With a deadline in the past, one waiting message is taken.
        let past = Limits::forever().until(soon);
        assert_eq!(session.dispatch(past, |_, event| _ = number(event)).unwrap(), 1);
        // A wake takes precedence over waiting messages.
        waker.wake();
        let woken = Limits::available().woken_by(&waker);
        assert_eq!(session.dispatch(woken, |_, _| panic!()).unwrap(), 0);
        assert_eq!(session.run(Limits::one(), |_, event| Break(number(event))).unwrap(), Ended::Broke(3));
        let ended = session.run(Limits::available().at_most(2), |_, event| {
            number(event);
            Continue::<()>(())
        });
        assert_eq!(ended.unwrap(), Ended::Enough);
        let ended = session.run(Limits::available(), |_, event| {
            number(event);
            Continue::<()>(())
        });
        assert_eq!((ended.unwrap(), heard), (Ended::Idle, (0..10).collect()));
    });
}

#[test]
fn a_wake_stays_until_it_is_seen_and_many_are_one() {
    assert_impl_all!(Waker: Clone, Send, Sync, std::os::fd::AsFd);
    assert_impl_all!(Limits<'static>: Copy, Send, Sync);
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("stays");
        let waker = Waker::new().unwrap();
        let run = |group: &mut Group, wait: Limits<'_>| {
            group.run(wait.woken_by(&waker), |_, _| Continue::<()>(())).unwrap()
        };
        waker.clone().wake();
        waker.wake();
        assert_eq!(run(&mut group, Limits::forever()), Ended::Woken);
        assert_eq!(run(&mut group, Limits::available()), Ended::Idle);
        // A wake takes precedence over waiting events, over a deadline that has passed, and over not waiting.
        group.send(b"later").unwrap();
        waker.wake();
        assert_eq!(run(&mut group, Limits::available()), Ended::Woken);
        waker.wake();
        assert_eq!(run(&mut group, Limits::forever().until(Instant::now())), Ended::Woken);
        assert_eq!(payloads(&mut group, 1), [b"later"]);
        // A wake from within a handler counts as well, although another event waits. A run without the waker does not
        // see it.
        two_events_wait(&mut group);
        let mut heard = 0;
        let ended = group.run(Limits::forever().woken_by(&waker), |_, _| {
            waker.wake();
            heard += 1;
            Continue::<()>(())
        });
        assert_eq!((ended.unwrap(), heard), (Ended::Woken, 1));
        assert_eq!(payloads(&mut group, 1), [b"two"]);
        waker.wake();
        assert_eq!(group.run(Limits::available(), nothing).unwrap(), Ended::Idle);
        assert_eq!(run(&mut group, Limits::available()), Ended::Woken);
    });
}

#[test]
fn each_wake_of_another_thread_is_seen_although_events_never_end() {
    const WAKES: usize = 200;
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let mut group = join("stream");
        let (waker, seen) = (Waker::new().unwrap(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for wake in 1..=WAKES {
                    waker.wake();
                    wait_for("the wake to be seen", || (seen.load(Ordering::SeqCst) == wake).then_some(()));
                }
            });
            group.send(b"round").unwrap();
            for _ in 0..WAKES {
                let ended = group.run(Limits::forever().until(deadline()).woken_by(&waker), |link, event| {
                    if let Event::Deliver(message) = event {
                        link.send_until(message.payload(), deadline()).unwrap();
                    }
                    Continue::<()>(())
                });
                assert_eq!(ended.unwrap(), Ended::Woken);
                seen.fetch_add(1, Ordering::SeqCst);
            }
        });
    });
}

/// Asserts that an idle run uses no processor time. `run` joins, calls its argument on the thread that will run, and
/// runs until woken.
fn assert_sleeps(run: fn(&dyn Fn(), &Waker) -> Ended<()>) {
    let cluster = Cluster::start(1).unwrap();
    let (waker, mut busy) = (Waker::new().unwrap(), cluster.on(1, || join("busy")));
    let (runs, told) = std::sync::mpsc::channel();
    let idle = cluster.spawn_on(1, {
        let waker = waker.clone();
        // SAFETY: `gettid` has no precondition.
        move || run(&|| runs.send(unsafe { libc::gettid() }).unwrap(), &waker)
    });
    let thread = told.recv().unwrap();
    crate::support::assert_stays_asleep(thread, || {
        busy.send_until(b"x", deadline()).unwrap();
        payloads(&mut busy, 1);
    });
    waker.wake();
    assert_eq!(idle.join().unwrap(), Ended::Woken);
}

#[test]
fn an_idle_run_does_not_run() {
    assert_sleeps(|runs, waker| {
        let mut group = join("idle");
        pump(&mut group, |events| views(events).next().is_some());
        runs();
        group.run(Limits::forever().until(deadline()).woken_by(waker), nothing).unwrap()
    });
}

#[test]
fn an_idle_run_of_a_session_does_not_run() {
    assert_sleeps(|runs, waker| {
        let mut session = join_with(Session::options().reconnect(Reconnect::new()), "idle");
        session
            .run(
                Limits::forever(),
                |_, event| if let Event::ConfChg(_) = event { Break(()) } else { Continue(()) },
            )
            .unwrap();
        // This also holds after its queue has been in use.
        session.send(b"x").unwrap();
        session
            .run(
                Limits::forever(),
                |_, event| if let Event::Deliver(_) = event { Break(()) } else { Continue(()) },
            )
            .unwrap();
        runs();
        session.run(Limits::forever().until(deadline()).woken_by(waker), nothing).unwrap()
    });
}

static WAKER: OnceLock<Waker> = OnceLock::new();
static SIGNALS: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

// SAFETY: this is the system's allocator, which also counts the allocations of a signal handler.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(IN_HANDLER.get().into(), Ordering::SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        ALLOCATED.fetch_add(IN_HANDLER.get().into(), Ordering::SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

extern "C" fn wake_by_signal(_: libc::c_int) {
    // SAFETY: it points at this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    IN_HANDLER.set(true);
    WAKER.get().unwrap().wake();
    IN_HANDLER.set(false);
    SIGNALS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { *errno = before };
}

#[test]
fn a_signal_handler_can_wake_a_run_from_any_place() {
    const COUNT: usize = 1_000;
    static THREAD: AtomicI32 = AtomicI32::new(0);
    static DONE: AtomicBool = AtomicBool::new(false);
    let waker = WAKER.get_or_init(|| Waker::new().unwrap());
    let handler = wake_by_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does what one may do.
    assert_ne!(unsafe { libc::signal(libc::SIGUSR2, handler) }, libc::SIG_ERR);
    let cluster = Cluster::start(1).unwrap();
    let thread = cluster.spawn_on(1, move || {
        let mut group = join("signals");
        pump(&mut group, |events| views(events).next().is_some());
        // SAFETY: `gettid` has no precondition.
        THREAD.store(unsafe { libc::gettid() }, Ordering::SeqCst);
        let mut woken = 0;
        // The signals interrupt wakes, runs, their system calls and the allocator.
        while !DONE.load(Ordering::SeqCst) {
            let wait = Limits::forever().until(deadline()).woken_by(waker);
            assert_eq!(group.run(wait, nothing).unwrap(), Ended::Woken);
            woken += 1;
            drop(std::hint::black_box(waker.clone()));
            drop(std::hint::black_box(vec![0_u8; 100]));
            waker.wake();
            assert_eq!(group.run(Limits::available().woken_by(waker), nothing).unwrap(), Ended::Woken);
        }
        woken
    });
    let id = wait_for("the thread", || Some(THREAD.load(Ordering::SeqCst)).filter(|&id| id != 0));
    let signal = || {
        let process = libc::pid_t::try_from(std::process::id()).unwrap();
        // SAFETY: the thread runs, and the signal has a handler.
        assert_eq!(unsafe { libc::syscall(libc::SYS_tgkill, process, id, libc::SIGUSR2) }, 0);
    };
    for sent in 0..COUNT {
        signal();
        wait_for("the handler", || (SIGNALS.load(Ordering::SeqCst) > sent).then_some(()));
    }
    DONE.store(true, Ordering::SeqCst);
    signal();
    wait_for("the end", || thread.is_finished().then_some(()));
    assert!(thread.join().unwrap() > 0);
    assert_eq!(ALLOCATED.load(Ordering::SeqCst), 0, "wake has used the allocator");
}

#[test]
fn a_waker_is_readable_while_a_wake_waits() {
    let waker = Waker::new().unwrap();
    assert!(!crate::support::readable(waker.as_fd()));
    waker.wake();
    assert!(crate::support::readable(waker.as_fd()) && crate::support::readable(waker.clone().as_fd()));
}
