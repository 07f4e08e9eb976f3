//! Callbacks and replies as no sound libcpg has them: what a broken or a newer one, or a hostile daemon, could hand over.

// Not in `support`: whoever has this module has no real libcpg.
#[path = "support/stub.rs"]
mod stub;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::mpsc;

use cpg::{
    CsError, Error, Event, Flow, FlowControl, Group, GroupName, Handle, Limits, Member, NodeId, OwnedEvent,
    Reason,
};
use cpg_sys::{CS_ERR_LIBRARY, CS_ERR_NO_MEMORY, CS_OK, cpg_address};
use stub::{List, SOUND, Stub, c_name};

const TWO_GIB: usize = 1 << 31;
const NONE: List<'static, cpg_address> = List::Of(&[]);

fn join() -> (Group, Stub) {
    join_with(Flow::default())
}

fn join_with(flow: Flow) -> (Group, Stub) {
    let handle = cpg::Connect::new().flow(flow).open().unwrap();
    let stub = Stub::last();
    (handle.join(&GroupName::new("stub").unwrap()).unwrap(), stub)
}

/// All events that are planned.
fn events(group: &mut Group) -> Vec<OwnedEvent> {
    let mut events = Vec::new();
    group.dispatch(Limits::available(), |_, event| events.push(event.to_owned())).unwrap();
    events
}

fn address(nodeid: u32, pid: u32, reason: u32) -> cpg_address {
    cpg_address { nodeid, pid, reason }
}

/// Memory that is all zero, of which nothing is there until it is written.
struct Zeros(*mut libc::c_void, usize);

impl Zeros {
    fn new(len: usize) -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses an address that nothing is mapped at.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        Self(start, len)
    }

    fn bytes(&mut self) -> &mut [u8] {
        #[expect(clippy::disallowed_methods, reason = "a mapping")]
        // SAFETY: so many bytes are mapped, for as long as this is there.
        unsafe {
            std::slice::from_raw_parts_mut(self.0.cast(), self.1)
        }
    }
}

impl Drop for Zeros {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has a reference to it.
        assert_eq!(unsafe { libc::munmap(self.0, self.1) }, 0);
    }
}

#[test]
fn names_of_any_length_are_read_within_their_bounds() {
    let (mut group, stub) = join();
    let lengths = [0, 1, 127, 128, 129, 1 << 31, u32::MAX];
    for length in lengths {
        stub.plan(move |stub| {
            let name = c_name(&[b'n'; 128], length);
            stub.deliver(Some(&name), (7, 8), &mut []);
            CS_OK
        });
        stub.plan(move |stub| {
            stub.confchg(Some(&c_name(&[b'n'; 128], length)), [NONE; 3]);
            CS_OK
        });
    }
    let heard = events(&mut group);
    for (events, length) in heard.chunks(2).zip(lengths) {
        let expected = vec![b'n'; length.min(128) as usize];
        let [OwnedEvent::Deliver(message), OwnedEvent::ConfChg(view)] = events else { panic!("{events:?}") };
        assert_eq!(message.group().as_bytes(), expected);
        assert_eq!(message.sender(), Member::new(NodeId::new(7), 8));
        assert_eq!(view.group().as_bytes(), expected);
        assert_eq!(view.group().to_string(), "n".repeat(expected.len()));
    }
    assert_eq!(heard.len(), 2 * lengths.len());
}

#[test]
fn without_a_name_there_is_no_event() {
    let (mut group, stub) = join();
    stub.plan(|stub| {
        stub.deliver(None, (1, 1), &mut [b'x']);
        stub.confchg(None, [NONE; 3]);
        CS_OK
    });
    assert_eq!(events(&mut group), []);
}

#[test]
fn messages_of_any_length_are_as_long_as_they_are() {
    for flow in [Flow::default(), Flow::coalesced()] {
        let (mut group, stub) = join_with(flow);
        stub.plan(|stub| {
            let name = c_name(b"n", 1);
            stub.deliver_null(Some(&name), (1, 1), 0);
            stub.deliver_null(Some(&name), (1, 1), 5);
            stub.deliver(Some(&name), (1, 1), &mut []);
            stub.deliver(Some(&name), (1, 1), &mut [b'x']);
            CS_OK
        });
        let lengths: Vec<_> = events(&mut group)
            .iter()
            .map(|event| match event {
                OwnedEvent::Deliver(message) => message.payload().len(),
                event => panic!("{event:?}"),
            })
            .collect();
        assert_eq!(lengths, [0, 0, 0, 1]);
    }
}

#[test]
fn a_message_of_two_gibibytes_is_not_touched() {
    for flow in [Flow::default(), Flow::coalesced()] {
        let (mut group, stub) = join_with(flow);
        stub.plan(|stub| {
            let mut zeros = Zeros::new(TWO_GIB + 1);
            stub.deliver(Some(&c_name(b"n", 1)), (1, 1), zeros.bytes());
            CS_OK
        });
        let mut seen = 0;
        let taken = group.dispatch(Limits::available().at_most(1), |_, event| {
            let Event::Deliver(mut message) = event else { panic!("{event:?}") };
            seen = message.payload().len();
            // The ends are there, and can be written.
            assert_eq!((message.payload()[0], message.payload()[TWO_GIB]), (0, 0));
            message.payload_mut()[TWO_GIB] = 1;
        });
        assert_eq!((taken.unwrap(), seen), (1, TWO_GIB + 1));
    }
}

#[test]
fn lists_up_to_the_limit_are_views() {
    let (mut group, stub) = join();
    let full: Vec<_> = (0..128).map(|pid| address(1, pid, 0)).collect();
    let (left, ring) = (full[..3].to_vec(), vec![9; 128]);
    stub.plan(move |stub| {
        let name = c_name(b"n", 1);
        stub.confchg(Some(&name), [List::Null(0); 3]);
        stub.confchg(Some(&name), [NONE; 3]);
        stub.confchg(Some(&name), [List::Null(3), List::Of(&left), List::Null(128)]);
        stub.totem_confchg(1 << 63, u32::MAX, List::Of(&ring));
        stub.totem_confchg(0, 0, List::Null(0));
        stub.totem_confchg(0, 0, List::Null(128));
        stub.confchg(Some(&name), [List::Of(&full), List::Of(&full), List::Of(&full)]);
        CS_OK
    });
    let heard = events(&mut group);
    let sizes: Vec<_> = heard
        .iter()
        .map(|event| match event {
            OwnedEvent::ConfChg(view) => [view.members().len(), view.left().len(), view.joined().len()],
            OwnedEvent::TotemConfChg(ring) => [ring.members().len(), 0, 0],
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(sizes, [[0; 3], [0; 3], [0, 3, 0], [128, 0, 0], [0; 3], [0; 3], [128; 3]]);
    let OwnedEvent::TotemConfChg(ring) = &heard[3] else { panic!("{heard:?}") };
    assert_eq!((ring.id().seq, ring.id().node), (1 << 63, NodeId::new(u32::MAX)));
}

#[test]
fn longer_lists_are_refused_and_not_read() {
    let one = [address(1, 1, 0)];
    for len in [129, TWO_GIB, usize::MAX] {
        for place in 0..3 {
            let (mut group, stub) = join();
            stub.plan(move |stub| {
                let mut lists = [NONE; 3];
                lists[place] = if place == 1 { List::Null(len) } else { List::Long(&one, len) };
                stub.confchg(Some(&c_name(b"n", 1)), lists);
                CS_OK
            });
            refused(&mut group, len);
        }
    }
    for len in [129, TWO_GIB, u32::MAX as usize] {
        let (mut group, stub) = join();
        stub.plan(move |stub| {
            stub.totem_confchg(1, 1, List::Long(&[1], len));
            CS_OK
        });
        refused(&mut group, len);
    }
}

/// That a list of so many is an error, and remains one.
fn refused(group: &mut Group, len: usize) {
    for _ in 0..2 {
        let refused = group.dispatch(Limits::available(), |_, event| panic!("{event:?}"));
        assert!(
            matches!(refused, Err(Error::GroupTooLarge { members, .. }) if members == len),
            "{refused:?}"
        );
    }
}

#[test]
fn numbers_that_no_header_has_are_kept() {
    let (mut group, stub) = join();
    let reasons = [0, 6, 42, 1 << 31, u32::MAX];
    stub.plan(move |stub| {
        let list = reasons.map(|reason| address(u32::MAX, reason, reason));
        stub.confchg(Some(&c_name(b"n", 1)), [NONE, List::Of(&list), List::Of(&list)]);
        CS_OK
    });
    let heard = events(&mut group);
    let [OwnedEvent::ConfChg(view)] = &heard[..] else { panic!("{heard:?}") };
    for list in [view.left(), view.joined()] {
        let seen: Vec<_> = list.iter().map(|member| (member.pid(), member.reason().code())).collect();
        assert_eq!(seen, reasons.map(|reason| (reason, reason)));
        assert_eq!(list[2].reason(), Reason::Unknown(42));
        assert!(format!("{list:?}").contains("reason 4294967295"));
    }
    for number in [2, 42, u32::MAX] {
        stub.reply(stub::Replies { flow_control: number, ..SOUND });
        assert_eq!(group.handle().unwrap().flow_control().unwrap(), FlowControl::Unknown(number));
    }
}

#[test]
fn codes_that_no_header_has_are_errors() {
    for code in [0, 999, 1 << 31, u32::MAX] {
        let (mut group, stub) = join();
        let unknown = |what: &str, error: Error| {
            assert_eq!(error.code(), Some(CsError::Unknown(code)), "{what}: {error}");
            assert!(!error.is_retryable() && !error.is_connection_lost(), "{what}: {error}");
        };
        stub.plan(move |stub| {
            stub.deliver(Some(&c_name(b"n", 1)), (1, 1), &mut []);
            code
        });
        let mut heard = 0;
        unknown("dispatch", group.dispatch(Limits::available(), |_, _| heard += 1).unwrap_err());
        assert_eq!(heard, 1);
        stub.reply(stub::Replies { code, ..SOUND });
        unknown("send", group.send(b"x").unwrap_err());
        unknown("members", group.members().unwrap_err());
        unknown("zero_copy", group.zero_copy(1).unwrap_err());
        unknown("local_node", group.handle().unwrap().local_node().unwrap_err());
        unknown("groups", group.handle().unwrap().groups().unwrap_err());
        unknown("flow_control", group.handle().unwrap().flow_control().unwrap_err());
        unknown("leave", group.leave().unwrap_err());
    }
}

#[test]
fn replies_stay_within_their_bounds() {
    let (mut group, stub) = join();
    // A view, so that membership_get is what is asked.
    stub.plan(|stub| {
        stub.confchg(Some(&c_name(b"n", 1)), [List::Of(&[address(1, 1, 0)]), NONE, NONE]);
        CS_OK
    });
    events(&mut group);
    for (members, expected) in
        [(0, 0), (1, 1), (384, 384), (385, 384), (i32::MAX, 384), (-1, 0), (i32::MIN, 0)]
    {
        stub.reply(stub::Replies { members, ..SOUND });
        // What the descriptor says sends it the other way, which has no bound but the end.
        if members < 1000 {
            assert!(group.members().unwrap().len() <= expected.max(385));
        }
    }
    for length in [0, 128, 129, 1 << 31, u32::MAX] {
        stub.reply(stub::Replies { name_length: Some(length), members: 2, ..SOUND });
        for process in group.handle().unwrap().processes().unwrap() {
            assert_eq!(process.unwrap().group.len(), length.min(128) as usize);
        }
    }
    let error = group.zero_copy(10).unwrap_err();
    assert_eq!(error.code(), Some(CsError::NotSupported));
}

#[test]
fn callbacks_at_odd_times_reach_nobody() {
    let name = c_name(b"odd", 3);
    let call = |stub: Stub| {
        stub.deliver(Some(&name), (1, 1), &mut []);
        stub.confchg(Some(&name), [NONE; 3]);
        stub.confchg(Some(&name), [List::Null(129); 3]);
        stub.totem_confchg(1, 1, List::Null(0));
    };
    let handle = Handle::connect().unwrap();
    let stub = Stub::last();
    call(stub);
    let mut group = handle.join(&GroupName::new("odd").unwrap()).unwrap();
    call(stub);
    // From a send, which is no dispatch.
    stub.on_send(move |stub| {
        stub.deliver(Some(&c_name(b"odd", 3)), (1, 1), &mut []);
        CS_OK
    });
    group.send(b"x").unwrap();
    assert_eq!(group.dispatch(Limits::available(), |_, event| panic!("{event:?}")).unwrap(), 0);
    call(stub);
    drop(group);
    call(stub);
}

#[test]
fn a_callback_while_the_dispatch_of_another_handle_runs_reaches_nobody() {
    let (_group, stub) = join();
    let (mut other, another) = join();
    another.plan(move |another| {
        stub.deliver(Some(&c_name(b"one", 3)), (1, 1), &mut []);
        another.deliver(Some(&c_name(b"other", 5)), (1, 1), &mut []);
        CS_OK
    });
    let heard = events(&mut other);
    let [OwnedEvent::Deliver(message)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(message.group().as_bytes(), b"other");
}

#[test]
fn a_callback_on_another_thread_reaches_nobody() {
    let (mut group, stub) = join();
    stub.plan(|stub| {
        std::thread::scope(|scope| {
            let elsewhere = || {
                stub.deliver(Some(&c_name(b"n", 1)), (1, 1), &mut [b'x']);
                stub.confchg(Some(&c_name(b"n", 1)), [List::Null(129); 3]);
                // Nor if that thread dispatches another handle.
                let (mut group, other) = join();
                other.plan(move |_| {
                    stub.totem_confchg(1, 1, List::Null(0));
                    CS_OK
                });
                assert_eq!(events(&mut group), []);
            };
            scope.spawn(elsewhere).join().unwrap();
        });
        CS_OK
    });
    assert_eq!(events(&mut group), []);
}

#[test]
fn a_callback_of_an_outer_dispatch_reaches_nobody_from_an_inner_one() {
    let (mut outer, outside) = join();
    outside.plan(|stub| {
        stub.deliver(Some(&c_name(b"outer", 5)), (1, 1), &mut b"1".to_owned());
        stub.deliver(Some(&c_name(b"outer", 5)), (1, 1), &mut b"2".to_owned());
        CS_OK
    });
    let (mut inner, inside) = join();
    inside.plan(move |stub| {
        outside.deliver(Some(&c_name(b"outer", 5)), (1, 1), &mut b"odd".to_owned());
        stub.deliver(Some(&c_name(b"inner", 5)), (1, 1), &mut b"3".to_owned());
        CS_OK
    });
    let mut heard = Vec::new();
    let taken = outer.dispatch(Limits::available(), |_, event| {
        heard.push(event.to_owned());
        heard.extend(events(&mut inner));
    });
    assert_eq!(taken.unwrap(), 2);
    let payloads = heard.iter().map(|event| match event {
        OwnedEvent::Deliver(message) => message.payload(),
        event => panic!("{event:?}"),
    });
    assert!(payloads.eq([b"1", b"3", b"2"]));
}

#[test]
fn a_callback_within_a_callback_is_a_panic_in_the_dispatch() {
    let (mut group, stub) = join();
    stub.plan(|stub| {
        stub.deliver(Some(&c_name(b"n", 1)), (1, 1), &mut []);
        CS_OK
    });
    stub.on_send(|stub| {
        stub.confchg(Some(&c_name(b"n", 1)), [NONE; 3]);
        CS_OK
    });
    let mut handled = 0;
    let dispatch = AssertUnwindSafe(|| {
        group.dispatch(Limits::available(), |link, _| {
            link.send(b"x").unwrap();
            handled += 1;
        })
    });
    assert!(catch_unwind(dispatch).is_err());
    // The handler has run to its end, once, and the group goes on.
    assert_eq!(handled, 1);
    assert_eq!(events(&mut group), []);
}

#[test]
fn a_panic_goes_on_when_c_has_returned() {
    let (mut group, stub) = join();
    let (returned, has_returned) = mpsc::channel();
    for byte in 0..3_u8 {
        let returned = returned.clone();
        stub.plan(move |stub| {
            stub.deliver(Some(&c_name(b"n", 1)), (1, 1), &mut [byte]);
            returned.send(byte).unwrap();
            // What C says is of no interest then.
            if byte == 1 { CS_ERR_LIBRARY } else { CS_OK }
        });
    }
    let mut heard = Vec::new();
    let dispatch = AssertUnwindSafe(|| {
        group.dispatch(Limits::available(), |_, event| {
            let Event::Deliver(message) = event else { panic!("{event:?}") };
            heard.push(message.payload()[0]);
            if message.payload() == [1] {
                panic_any("of the handler");
            }
        })
    });
    let panic = catch_unwind(dispatch).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"of the handler"));
    assert_eq!(heard, [0, 1]);
    assert!(has_returned.try_iter().eq([0, 1]));
    assert_eq!(events(&mut group).len(), 1);
}

#[test]
fn a_panic_and_a_list_that_is_too_long_are_both_told() {
    let (mut group, stub) = join();
    stub.plan(|stub| {
        stub.deliver(Some(&c_name(b"n", 1)), (1, 1), &mut []);
        stub.confchg(Some(&c_name(b"n", 1)), [List::Null(200), NONE, NONE]);
        CS_OK
    });
    let dispatch = AssertUnwindSafe(|| group.dispatch(Limits::available(), |_, _| panic_any(1)));
    assert_eq!(catch_unwind(dispatch).unwrap_err().downcast_ref(), Some(&1));
    refused(&mut group, 200);
}

#[test]
fn any_size_of_message_that_libcpg_names_is_borne() {
    for flow in [Flow::default(), Flow::coalesced()] {
        for max_atomic in [0, 1, 10, 100, u32::MAX] {
            stub::first_replies(stub::Replies { max_atomic, ..SOUND });
            let (group, _) = join_with(flow);
            let (sender, receiver) = group.split().unwrap();
            let limit = receiver.max_atomic_message_size();
            assert!(limit <= max_atomic as usize);
            for len in [0, 1, 50, 5000] {
                match sender.try_send(&vec![0; len]) {
                    Ok(()) => assert!(len <= limit),
                    Err(Error::Waits { .. }) => assert!(len > limit || limit == 0),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

/// libcpg has one such error: it has no memory for a long message, passes over that, and goes on.
#[test]
fn an_error_that_does_not_come_again_comes_after_what_it_hands_back() {
    let (group, stub) = join();
    let (sender, mut receiver) = group.split().unwrap();
    sender.send(b"in flight").unwrap();
    stub.plan(|_| CS_ERR_NO_MEMORY);
    stub.plan(|_| panic!("it is not dispatched before the error was told"));
    let mut events = Vec::new();
    let error = receiver.dispatch(Limits::available(), |_, event| events.push(event.to_owned())).unwrap_err();
    assert_eq!(error.code(), Some(CsError::NoMemory));
    let [OwnedEvent::Undelivered(message)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((message.payload(), message.error().code()), (&b"in flight"[..], Some(CsError::NoMemory)));
}
