//! The way from a callback to its handler, which exists during one dispatch, of one handle, on one thread.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::mpsc;
use std::thread;

use cpg::{Event, Handle, Limits, OwnedEvent};
use cpg_sys::{CS_ERR_LIBRARY, CS_OK};

use crate::stub::{self, List, Stub, c_name};
use crate::{Joined, NONE, events, join, payloads, short_name};

/// Calls each callback, and the callback for views also with lists that are too long.
fn call_all(stub: Stub) {
    let name = short_name();
    stub.deliver(Some(&name), (1, 1), &mut []);
    stub.confchg(Some(&name), [NONE; 3]);
    stub.confchg(Some(&name), [List::Null(129); 3]);
    stub.totem_confchg(1, 1, List::Null(0));
}

#[test]
fn callbacks_outside_of_a_dispatch_reach_no_handler() {
    let _alone = stub::alone();
    stub::on_open(call_all);
    let handle = Handle::connect().unwrap();
    let stub = Stub::last();
    call_all(stub);
    stub.on_finalize(call_all);
    handle.close().unwrap();
    call_all(stub);

    for (mut joined, stub) in Joined::each() {
        call_all(stub);
        // From within a send, which is no dispatch.
        stub.on_send(|stub| {
            call_all(stub);
            CS_OK
        });
        joined.send(b"x").unwrap();
        assert_eq!(joined.events(), []);
        call_all(stub);
        // After a dispatch that had an event.
        stub.plan(|stub| {
            stub.deliver(Some(&short_name()), (1, 1), &mut [b'y']);
            CS_OK
        });
        assert_eq!(payloads(&joined.events()), [b"y"]);
        call_all(stub);
        // After a dispatch that has ended in a panic.
        stub.plan(|stub| {
            stub.deliver(Some(&short_name()), (1, 1), &mut []);
            CS_OK
        });
        let panics = AssertUnwindSafe(|| joined.dispatch(Limits::available(), |_| panic_any(())));
        assert!(catch_unwind(panics).is_err());
        call_all(stub);
        assert_eq!(joined.events(), []);
        stub.on_finalize(call_all);
        drop(joined);
        call_all(stub);
    }
}

#[test]
fn a_callback_during_the_dispatch_of_another_handle_reaches_no_handler() {
    let _alone = stub::alone();
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
fn a_callback_for_an_outer_dispatch_reaches_no_handler_from_an_inner_one() {
    let _alone = stub::alone();
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
        heard.push(event.into_owned());
        heard.extend(events(&mut inner));
    });
    assert_eq!(taken.unwrap(), 2);
    assert_eq!(payloads(&heard), [b"1", b"3", b"2"]);
}

/// Dispatches the first of these, and the others within each event of the first.
fn dispatch_nested(joined: &mut [Joined], heard: &mut Vec<Vec<u8>>, panic_at: &[u8]) {
    let [first, rest @ ..] = joined else { return };
    let dispatched = first.dispatch(Limits::available(), |event| {
        let Event::Deliver(message) = event else { panic!("{event:?}") };
        heard.push(message.payload().to_vec());
        dispatch_nested(rest, heard, panic_at);
        if message.payload() == panic_at {
            panic_any("in the middle");
        }
    });
    assert!(dispatched.is_ok(), "{dispatched:?}");
}

#[test]
fn nested_dispatches_of_other_handles_reach_their_own_handlers() {
    let _alone = stub::alone();
    let (mut joined, stubs): (Vec<_>, Vec<_>) = Joined::each().into_iter().chain(Joined::each()).unzip();
    let plan = || {
        for (stub, level) in stubs.iter().zip(b'0'..) {
            stub.plan(move |stub| {
                stub.deliver(Some(&short_name()), (1, 1), &mut [level, b'a']);
                // The way still exists after the inner dispatches have returned.
                stub.deliver(Some(&short_name()), (1, 1), &mut [level, b'b']);
                CS_OK
            });
        }
    };
    plan();
    let mut heard = Vec::new();
    dispatch_nested(&mut joined, &mut heard, b"none");
    let down = ["0a", "1a", "2a", "3a", "4a", "5a", "5b", "4b", "3b", "2b", "1b", "0b"];
    assert!(heard.iter().eq(down.map(str::as_bytes).iter()), "{heard:?}");

    // A panic goes through all dispatches, and removes the way of each.
    plan();
    heard.clear();
    let nested = AssertUnwindSafe(|| dispatch_nested(&mut joined, &mut heard, b"5a"));
    assert_eq!(catch_unwind(nested).unwrap_err().downcast_ref(), Some(&"in the middle"));
    assert!(heard.iter().eq(down[..6].iter().map(|text| text.as_bytes())), "{heard:?}");
    for (joined, &stub) in joined.iter_mut().zip(&stubs) {
        call_all(stub);
        assert_eq!(joined.events(), []);
    }
}

#[test]
fn a_list_that_is_too_long_is_reported_by_its_dispatch() {
    let _alone = stub::alone();
    let (mut outer, outside) = join();
    let [(mut inner, inside), ..] = Joined::each();
    outside.plan(|stub| {
        stub.deliver(Some(&short_name()), (1, 1), &mut []);
        CS_OK
    });
    inside.plan(|stub| {
        stub.confchg(Some(&short_name()), [List::Null(200), NONE, NONE]);
        CS_OK
    });
    assert_eq!(outer.dispatch(Limits::available(), |_, _| inner.refuses(200)).unwrap(), 1);
    assert_eq!(events(&mut outer), []);
}

#[test]
fn a_handle_that_was_moved_reaches_its_handlers() {
    let _alone = stub::alone();
    for (joined, stub) in Joined::each() {
        let mut places = vec![joined];
        for round in 0..5_u8 {
            // In another place in memory, and on another thread.
            let mut joined = Box::new(places.pop().unwrap());
            for byte in 0..2 {
                stub.plan(move |stub| {
                    stub.deliver(Some(&short_name()), (1, 1), &mut [round, byte]);
                    CS_OK
                });
            }
            let dispatch = move || {
                let mut heard = Vec::new();
                joined
                    .dispatch(Limits::available(), |event| {
                        let Event::Deliver(message) = event else { panic!("{event:?}") };
                        heard.push((message.payload().to_vec(), thread::current().id()));
                    })
                    .unwrap();
                call_all(stub);
                (*joined, heard)
            };
            let thread = thread::spawn(dispatch);
            let id = thread.thread().id();
            let (joined, heard) = thread.join().unwrap();
            assert_eq!(heard, [(vec![round, 0], id), (vec![round, 1], id)]);
            call_all(stub);
            places = vec![joined];
        }
    }
}

#[test]
fn a_callback_within_a_callback_reaches_no_handler() {
    let _alone = stub::alone();
    for (mut joined, stub) in Joined::each() {
        stub.plan(|stub| {
            stub.deliver(Some(&short_name()), (1, 1), &mut [b'1']);
            stub.deliver(Some(&short_name()), (1, 1), &mut [b'2']);
            CS_OK
        });
        let mut heard = Vec::new();
        joined
            .dispatch(Limits::available(), |event| {
                heard.push(event.into_owned());
                stub.deliver(Some(&short_name()), (1, 1), &mut [b'3']);
                stub.confchg(Some(&short_name()), [NONE; 3]);
                stub.totem_confchg(1, 1, List::Null(0));
            })
            .unwrap();
        // Each time the handler has run to its end, and then its way exists again.
        assert_eq!(payloads(&heard), [b"1", b"2"]);
        assert_eq!(joined.events(), []);
    }
}

#[test]
fn a_panic_goes_on_when_c_has_returned() {
    let _alone = stub::alone();
    for (mut joined, stub) in Joined::each() {
        let (returned, has_returned) = mpsc::channel();
        for byte in 0..3_u8 {
            let returned = returned.clone();
            stub.plan(move |stub| {
                stub.deliver(Some(&short_name()), (1, 1), &mut [byte]);
                returned.send(byte).unwrap();
                // The return value of C does not matter then.
                if byte == 1 { CS_ERR_LIBRARY } else { CS_OK }
            });
        }
        let mut heard = Vec::new();
        let dispatch = AssertUnwindSafe(|| {
            joined.dispatch(Limits::available(), |event| {
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
        assert_eq!(payloads(&joined.events()), [[2]]);
    }
}

#[test]
fn a_callback_after_a_panic_reaches_no_handler() {
    let _alone = stub::alone();
    for (mut joined, stub) in Joined::each() {
        stub.plan(|stub| {
            for byte in 0..3 {
                stub.deliver(Some(&short_name()), (1, 1), &mut [byte]);
            }
            CS_OK
        });
        let mut heard = Vec::new();
        let dispatch = AssertUnwindSafe(|| {
            joined.dispatch(Limits::available(), |event| {
                heard.push(event.into_owned());
                panic_any(heard.len());
            })
        });
        assert_eq!(catch_unwind(dispatch).unwrap_err().downcast_ref(), Some(&1_usize));
        assert_eq!(payloads(&heard), [[0]]);
        assert_eq!(joined.events(), []);
    }
}

#[test]
fn a_panic_and_a_list_that_is_too_long_are_both_reported() {
    let _alone = stub::alone();
    for (mut joined, stub) in Joined::each() {
        stub.plan(|stub| {
            stub.deliver(Some(&short_name()), (1, 1), &mut []);
            stub.confchg(Some(&short_name()), [List::Null(200), NONE, NONE]);
            CS_OK
        });
        let dispatch = AssertUnwindSafe(|| joined.dispatch(Limits::available(), |_| panic_any(1)));
        assert_eq!(catch_unwind(dispatch).unwrap_err().downcast_ref(), Some(&1));
        joined.refuses(200);
    }
}
