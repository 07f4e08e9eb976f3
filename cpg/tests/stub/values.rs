//! Values from C: names, messages, lists, numbers and codes.

use std::time::Instant;

use cpg::{CsError, Error, Event, FlowControl, Limits, Member, NodeId, OwnedEvent, Reason};
use cpg_sys::{CS_ERR_ACCESS, CS_ERR_TRY_AGAIN, CS_OK};

use crate::stub::{self, List, SOUND, c_name};
use crate::{Joined, NONE, address, events, join, payloads};

const TWO_GIB: usize = 1 << 31;

/// Zeroed memory, of which no page exists until it is written.
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
        // SAFETY: it was mapped with this length, and there is no reference to it.
        assert_eq!(unsafe { libc::munmap(self.0, self.1) }, 0);
    }
}

#[test]
fn names_of_any_length_are_read_within_their_bounds() {
    let _alone = stub::alone();
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
    let _alone = stub::alone();
    let (mut group, stub) = join();
    stub.plan(|stub| {
        stub.deliver(None, (1, 1), &mut [b'x']);
        stub.confchg(None, [NONE; 3]);
        CS_OK
    });
    assert_eq!(events(&mut group), []);
}

#[test]
fn messages_of_any_length_are_delivered_with_their_length() {
    let _alone = stub::alone();
    for (mut joined, stub) in Joined::each() {
        stub.plan(|stub| {
            let name = c_name(b"n", 1);
            stub.deliver_null(Some(&name), (1, 1), 0);
            stub.deliver_null(Some(&name), (1, 1), 5);
            stub.deliver(Some(&name), (1, 1), &mut []);
            stub.deliver(Some(&name), (1, 1), &mut [b'x']);
            CS_OK
        });
        let lengths: Vec<_> = payloads(&joined.events()).into_iter().map(<[u8]>::len).collect();
        assert_eq!(lengths, [0, 0, 0, 1]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "all of it would be there")]
fn a_message_of_two_gibibytes_is_not_read_or_copied() {
    let _alone = stub::alone();
    for (mut joined, stub) in Joined::each() {
        stub.plan(|stub| {
            let mut zeros = Zeros::new(TWO_GIB + 1);
            stub.deliver(Some(&c_name(b"n", 1)), (1, 1), zeros.bytes());
            CS_OK
        });
        let mut seen = 0;
        let taken = joined.dispatch(Limits::available().at_most(1), |event| {
            let Event::Deliver(mut message) = event else { panic!("{event:?}") };
            seen = message.payload().len();
            // The first and the last byte exist, and can be written.
            assert_eq!((message.payload()[0], message.payload()[TWO_GIB]), (0, 0));
            message.payload_mut()[TWO_GIB] = 1;
        });
        assert_eq!((taken.unwrap(), seen), (1, TWO_GIB + 1));
    }
}

#[test]
fn lists_up_to_the_limit_are_views() {
    let _alone = stub::alone();
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
    assert_eq!((ring.id().seq(), ring.id().node()), (1 << 63, NodeId::new(u32::MAX)));
}

#[test]
fn longer_lists_are_refused_and_not_read() {
    let _alone = stub::alone();
    let one = [address(1, 1, 0)];
    for len in [129, TWO_GIB, usize::MAX] {
        for (place, (mut joined, stub)) in (0..3).flat_map(|place| Joined::each().map(|each| (place, each))) {
            stub.plan(move |stub| {
                let mut lists = [NONE; 3];
                lists[place] = if place == 1 { List::Null(len) } else { List::Long(&one, len) };
                stub.confchg(Some(&c_name(b"n", 1)), lists);
                CS_OK
            });
            joined.refuses(len);
        }
    }
    for len in [129, TWO_GIB, u32::MAX as usize] {
        for (mut joined, stub) in Joined::each() {
            stub.plan(move |stub| {
                stub.totem_confchg(1, 1, List::Long(&[1], len));
                CS_OK
            });
            joined.refuses(len);
        }
    }
}

#[test]
fn numbers_that_the_header_does_not_name_are_kept() {
    let _alone = stub::alone();
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
        let seen: Vec<_> = list.iter().map(|member| (member.pid(), u32::from(member.reason()))).collect();
        assert_eq!(seen, reasons.map(|reason| (reason, reason)));
        assert_eq!(list[2].reason(), Reason::Unknown(42));
        assert!(format!("{list:?}").contains("reason 4294967295"));
    }
    for number in [2, 42, u32::MAX] {
        stub.reply(stub::Replies { flow_control: number, ..SOUND });
        assert_eq!(group.daemon().flow_control().unwrap(), FlowControl::Unknown(number));
    }
}

#[test]
fn codes_that_the_header_does_not_name_are_errors() {
    let _alone = stub::alone();
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
        unknown("local_node", group.daemon().local_node().unwrap_err());
        unknown("groups", group.daemon().groups().unwrap_err());
        unknown("flow_control", group.daemon().flow_control().unwrap_err());
        unknown("leave", group.leave().unwrap_err());
    }
}

#[test]
fn replies_stay_within_their_bounds() {
    let _alone = stub::alone();
    let (mut group, stub) = join();
    // After a view, the crate asks with `cpg_membership_get`.
    stub.plan(|stub| {
        stub.confchg(Some(&c_name(b"n", 1)), [List::Of(&[address(1, 1, 0)]), NONE, NONE]);
        CS_OK
    });
    events(&mut group);
    // While an event may wait, the crate reads the members one by one, up to the last.
    for members in [0, 1, 384, 385, 1000, -1] {
        stub.reply(stub::Replies { members, ..SOUND });
        assert_eq!(group.members().unwrap().len(), usize::try_from(members).unwrap_or(0));
    }
    stub.quiet();
    for (members, expected) in
        [(0, 0), (1, 1), (384, 384), (385, 384), (i32::MAX, 384), (-1, 0), (i32::MIN, 0)]
    {
        stub.reply(stub::Replies { members, ..SOUND });
        assert_eq!(group.members().unwrap().len(), expected);
    }
    for length in [0, 128, 129, 1 << 31, u32::MAX] {
        stub.reply(stub::Replies { name_length: Some(length), members: 2, ..SOUND });
        for process in group.daemon().processes().unwrap() {
            assert_eq!(process.group().len(), length.min(128) as usize);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes a file without a name from /dev/shm")]
fn a_buffer_with_a_null_pointer_is_an_error() {
    let _alone = stub::alone();
    let error = join().0.zero_copy(10).unwrap_err();
    assert_eq!(error.code(), Some(CsError::NotSupported));
}

#[test]
fn a_descriptor_that_stays_readable_does_not_prevent_a_deadline() {
    let _alone = stub::alone();
    for limits in [Limits::one(), Limits::forever()] {
        let late = limits.until(Instant::now());
        for (mut joined, stub) in Joined::each() {
            stub.plan(|_| CS_ERR_TRY_AGAIN);
            stub.plan(|_| CS_ERR_ACCESS);
            assert_eq!(joined.dispatch(late, |event| panic!("{event:?}")).unwrap(), 0);
            // The crate called C once.
            let next = joined.dispatch(Limits::available(), |event| panic!("{event:?}"));
            assert_eq!(next.unwrap_err().code(), Some(CsError::Access));
        }
    }
}
