//! Fact A8: groups with as many members as libcpg has room for.

use std::ops::ControlFlow::Break;

use crate::stub::{List, NODE, Replies, SOUND, Stub, c_name};
use cpg::{Ended, Error, Event, Limits, Session, Waker};
use cpg_sys::{CS_OK, cpg_address};

const NONE: List<'static, cpg_address> = List::Of(&[]);

/// Returns a session in a group of 128 members, whose view has been handled.
pub fn full() -> (Session, Stub) {
    let mut session = Session::join("full").unwrap();
    let stub = Stub::last();
    stub.plan(|stub| {
        let members: Vec<_> = (0..128).map(|pid| cpg_address { nodeid: NODE, pid, reason: 0 }).collect();
        stub.confchg(Some(&c_name(b"full", 4)), [List::Of(&members), NONE, NONE]);
        CS_OK
    });
    assert_eq!(session.dispatch(Limits::one(), |_, _| ()).unwrap(), 1);
    stub.reply(Replies { members: 128, ..SOUND });
    (session, stub)
}

pub fn deliver(stub: Stub) {
    stub.plan(|stub| {
        stub.deliver(Some(&c_name(b"full", 4)), (NODE, 1), &mut b"x".to_owned());
        CS_OK
    });
}

#[test]
fn a8_a_count_is_valid_only_for_the_dispatch_that_made_it() {
    let _alone = crate::stub::alone();
    let (mut session, stub) = full();
    deliver(stub);
    let waker = Waker::new().unwrap();
    stub.on_iteration({
        let waker = waker.clone();
        move |_| {
            waker.wake();
            CS_OK
        }
    });
    // The dispatch ends between the count and the event.
    let ended = session.run(Limits::forever().woken_by(&waker), |_, event| Break(event.into_owned()));
    assert_eq!(ended.unwrap(), Ended::Woken);
    stub.reply(Replies { members: 129, ..SOUND });
    let refused = session.dispatch(Limits::available(), |_, event| panic!("{event:?}")).unwrap_err();
    assert!(matches!(refused, Error::GroupTooLarge { members: 129, limit: 128 }), "{refused}");
    let again = session.dispatch(Limits::available(), |_, _| ()).unwrap_err();
    assert_eq!(again, refused);
}

#[test]
fn a8_the_members_of_a_full_group_are_counted_before_each_event() {
    let _alone = crate::stub::alone();
    let (mut session, stub) = full();
    deliver(stub);
    deliver(stub);
    let mut heard = 0;
    let refused = session.dispatch(Limits::available(), |_, event| {
        assert!(matches!(event, Event::Deliver(_)), "{event:?}");
        heard += 1;
        stub.reply(Replies { members: 129, ..SOUND });
    });
    assert!(matches!(refused, Err(Error::GroupTooLarge { members: 129, limit: 128 })), "{refused:?}");
    assert_eq!(heard, 1);
}
