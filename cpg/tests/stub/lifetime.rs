//! The value behind the context pointer of a handle, which lives until `cpg_finalize` has returned.

use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cpg::{Error, Handle, Session};
use cpg_sys::{CPG_REASON_LEAVE, CS_ERR_ACCESS, CS_ERR_TRY_AGAIN, CS_OK};

use crate::stub::{self, List, NODE, Replies, SOUND, Stub};
use crate::support::wait_for;
use crate::{NONE, address, join, join_session, short_name};

/// The system's allocator, which notices when the watched address is freed.
struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

static WATCHED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicBool = AtomicBool::new(false);

/// The number of finalized handles, and the number of those whose context still existed then.
static FINALIZED: AtomicUsize = AtomicUsize::new(0);
static THERE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if (start.addr()..start.addr() + layout.size()).contains(&WATCHED.load(Ordering::SeqCst)) {
            FREED.store(true, Ordering::SeqCst);
        }
        // SAFETY: the caller promises the same.
        unsafe { System.dealloc(start, layout) }
    }
}

/// Watches the target of the context pointer of a handle.
fn watch(stub: Stub) {
    FREED.store(false, Ordering::SeqCst);
    WATCHED.store(stub.context().addr(), Ordering::SeqCst);
    stub.on_finalize(|stub| {
        FINALIZED.fetch_add(1, Ordering::SeqCst);
        if FREED.load(Ordering::SeqCst) {
            return;
        }
        stub.deliver(Some(&short_name()), (1, 1), &mut []);
        stub.confchg(Some(&short_name()), [NONE; 3]);
        stub.totem_confchg(1, 1, List::Null(0));
        THERE.fetch_add(usize::from(!FREED.load(Ordering::SeqCst)), Ordering::SeqCst);
    });
}

/// Plans the view of this member's leave.
fn plan_leave(stub: Stub) {
    stub.plan(|stub| {
        let left = [address(NODE, std::process::id(), CPG_REASON_LEAVE)];
        stub.confchg(Some(&short_name()), [NONE, List::Of(&left), NONE]);
        CS_OK
    });
}

/// The ways in which a handle ends.
const WAYS: &[(&str, fn())] = &[
    ("a connect that fails half-way", || {
        stub::first_replies(Replies { code: CS_ERR_ACCESS, ..SOUND });
        assert!(Handle::connect().is_err());
        stub::first_replies(SOUND);
    }),
    ("a handle that is dropped", || drop(Handle::connect().unwrap())),
    ("a handle that is closed", || Handle::connect().unwrap().close().unwrap()),
    ("a join that fails", || {
        let handle = Handle::connect().unwrap();
        Stub::last().reply(Replies { code: CS_ERR_ACCESS, ..SOUND });
        assert!(handle.join("refused").is_err());
    }),
    ("a join that is not delivered", || {
        let handle = Handle::connect().unwrap();
        Stub::last().reply(Replies { members: 0, ..SOUND });
        let refused = handle.join_until("late", Instant::now() + Duration::from_millis(100)).unwrap_err();
        assert!(matches!(refused.error(), Error::TimedOut { .. }), "{refused}");
        assert!(refused.into_handle().is_none());
    }),
    ("a group that is dropped", || drop(join())),
    ("a group that leaves", || {
        let (group, stub) = join();
        plan_leave(stub);
        group.leave().unwrap();
    }),
    ("a group that leaves too late", || {
        let (group, stub) = join();
        stub.plan(|_| CS_ERR_TRY_AGAIN);
        stub.plan(|_| CS_ERR_ACCESS);
        let refused = group.leave_until(Instant::now(), |_, _| {}).unwrap_err();
        assert!(matches!(refused, Error::TimedOut { .. }), "{refused}");
    }),
    ("a group that leaves with a panic", || {
        let (group, stub) = join();
        plan_leave(stub);
        let leave = AssertUnwindSafe(|| group.leave_until(Instant::now(), |_, _| panic_any(())));
        assert!(catch_unwind(leave).is_err());
    }),
    ("a session that is dropped", || drop(join_session(Session::options()))),
    ("a session that leaves", || {
        let (session, stub) = join_session(Session::options());
        plan_leave(stub);
        session.leave().unwrap();
    }),
    ("a session that leaves its senders behind", || {
        let (session, stub) = join_session(Session::options());
        plan_leave(stub);
        let (sender, receiver) = session.split();
        receiver.leave().unwrap();
        // Before the sender goes.
        assert_eq!(FINALIZED.load(Ordering::SeqCst), 1);
        assert_eq!(sender.try_send(b"late"), Err(Error::Left));
    }),
    ("a session whose receiver goes first", || {
        let (sender, receiver) = join_session(Session::options()).0.split();
        drop(receiver);
        drop(sender);
    }),
    ("a session whose receiver goes last", || {
        let (sender, receiver) = join_session(Session::options()).0.split();
        drop(sender);
        drop(receiver);
    }),
];

#[test]
fn a_context_is_freed_when_its_handle_has_been_finalized() {
    let _alone = stub::alone();
    for (way, end) in WAYS {
        FINALIZED.store(0, Ordering::SeqCst);
        THERE.store(0, Ordering::SeqCst);
        stub::on_open(watch);
        end();
        // A thread frees it, which is left behind on a busy machine.
        wait_for(&format!("{way} to be finalized and freed"), || FREED.load(Ordering::SeqCst).then_some(()));
        assert_eq!(FINALIZED.load(Ordering::SeqCst), 1, "{way} is not finalized once");
        assert_eq!(
            THERE.load(Ordering::SeqCst),
            1,
            "the context of {way} is freed before cpg_finalize has returned"
        );
    }
}
