//! The crate and C programs in one group.

use crate::support::{Members, deadline, join, messages, payloads, pump, views};
use cpg::{GroupName, OwnedEvent, Reason};
use testcluster::Cluster;

#[test]
fn c_and_rust_see_the_same_messages_and_views() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        for name in [GroupName::new("mixed").unwrap(), GroupName::with_nul("mixed").unwrap()] {
            let mut group = cpg::Handle::connect().unwrap().join_until(&name, deadline()).unwrap();
            let me = group.me();
            let mut c = Members::start(&cluster, 2, &name, 1);
            let them = cpg::Member::new(2.into(), c.pid());
            let events = pump(&mut group, |events| views(events).any(|view| view.contains(them)));
            assert_eq!(views(&events).last().unwrap().members(), [me, them]);

            group.send(b"from Rust").unwrap();
            c.expect(|line| line == format!("deliver {me} from Rust"));
            c.tell("send from C");
            let events = pump(&mut group, |events| messages(events).count() == 2);
            let heard: Vec<_> = messages(&events).map(|m| (m.sender(), m.payload())).collect();
            assert_eq!(heard, [(me, &b"from Rust"[..]), (them, b"from C")]);
            assert!(messages(&events).all(|message| *message.group() == name));

            c.tell("size 5000000");
            assert_eq!(payloads(&mut group, 1), [vec![b'x'; 5_000_000]]);
            group.send(&vec![1; 3_000_000]).unwrap();
            c.expect(|line| line == format!("big {me} 3000000 3000000"));
            payloads(&mut group, 1);

            c.tell("leave");
            let events = pump(&mut group, |events| views(events).next().is_some());
            let OwnedEvent::ConfChg(view) = &events[0] else { panic!("{events:?}") };
            assert_eq!((view.left(), view.left()[0].reason()), (&[them][..], Reason::Leave));
            c.expect(|line| line == "left");
            group.leave().unwrap();
        }
    });
}

#[test]
fn names_with_and_without_nul_are_two_groups() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let _c = Members::start(&cluster, 1, &GroupName::with_nul("both").unwrap(), 1);
        let mut group = join("both");
        assert_eq!(group.members().unwrap(), [group.me()]);
        let names: Vec<_> = group.daemon().groups().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 2);
        assert!(names.contains(&"both".to_owned()) && names.contains(&r"both\0".to_owned()), "{names:?}");
        assert_eq!(views(&pump(&mut group, |events| !events.is_empty())).next().unwrap().members().len(), 1);
    });
}
