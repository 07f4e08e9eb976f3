//! Facts A10 and A11: names that are no C strings, and numbers that the header does not name.

use std::collections::BTreeSet;

use crate::support::{Members, deadline, join, messages, pump, views};
use cpg::{CsError, Daemon, Error, GroupName, Handle, Member, NameError, NodeId, Reason};
use testcluster::Cluster;

fn names(daemon: &Daemon) -> BTreeSet<GroupName> {
    daemon.groups().unwrap().into_iter().collect()
}

#[test]
fn a10_a_name_of_128_bytes_is_read_whole_and_not_joined() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let text = "0123456789abcdef".repeat(8);
        let members = Members::start_named(&cluster, 1, &text, 2);
        let handle = Handle::connect().unwrap();
        let full = names(&handle).pop_first().unwrap();
        assert_eq!(full.as_bytes(), text.as_bytes());
        assert_eq!((full.len(), full.to_string()), (128, text.clone()));
        assert_eq!(full, full.clone());

        // The daemon can be asked about a name that was read, as about any other.
        let processes = handle.processes_of(&full).unwrap();
        assert_eq!(processes.len(), 2);
        assert!(processes.iter().all(|process| *process.group() == full));
        let asked: Vec<Member> = handle.members_of(&full).unwrap();
        assert!(processes.iter().all(|process| asked.contains(&process.member())));

        // The name without its last byte is another name.
        let shorter = GroupName::new(&text[..127]).unwrap();
        assert!(handle.members_of(&shorter).unwrap().is_empty());
        assert_eq!(GroupName::new(&text), Err(NameError::TooLong { len: 128 }));

        let error = handle.join_until(&full, deadline()).unwrap_err();
        assert!(matches!(error.error(), Error::InvalidName(NameError::TooLong { len: 128 })), "{error:?}");
        let handle = error.into_handle().unwrap();
        assert_eq!(handle.members_of(&full).unwrap().len(), 2);
        let mut group = handle.join_until(&shorter, deadline()).unwrap();
        group.send(b"to the shorter").unwrap();
        let events = pump(&mut group, |events| messages(events).next().is_some());
        assert_eq!(*messages(&events).next().unwrap().group(), shorter);
        assert_eq!(names(group.daemon()), BTreeSet::from([full, shorter]));
        drop(members);
    });
}

#[test]
fn a10_an_empty_name_is_read_and_not_joined() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let _members = Members::start_named(&cluster, 1, "", 2);
        let handle = Handle::connect().unwrap();
        let processes = handle.processes().unwrap();
        let [first, _] = &processes[..] else { panic!("{processes:?}") };
        assert!(first.group().is_empty() && first.group().as_bytes() == b"");
        let error = handle.join_until(first.group(), deadline()).unwrap_err();
        assert!(matches!(error.error(), Error::InvalidName(NameError::Empty)), "{error:?}");
    });
}

#[test]
fn a10_any_bytes_are_a_name() {
    let cluster = Cluster::start(1).unwrap();
    cluster.on(1, || {
        let odd: [&[u8]; 7] = [
            b"\xff\xfe\x80",
            b"line\nbreak\ttab",
            b"cut \xe2\x82",
            "größe €".as_bytes(),
            b" ",
            br"\0",
            &[0xff; GroupName::MAX_LEN],
        ];
        let mut joined = Vec::new();
        for bytes in odd {
            for name in [GroupName::new(bytes).ok(), GroupName::with_nul(bytes).ok()].into_iter().flatten() {
                let mut group = Handle::connect().unwrap().join_until(&name, deadline()).unwrap();
                group.send(bytes).unwrap();
                let events = pump(&mut group, |events| messages(events).next().is_some());
                assert_eq!(views(&events).next().unwrap().group(), &name);
                assert_eq!(*messages(&events).next().unwrap().group(), name);
                assert_eq!(group.members().unwrap(), [group.me()]);
                joined.push(group);
            }
        }
        let own: BTreeSet<GroupName> = joined.iter().map(|group| group.name().clone()).collect();
        assert_eq!(own.len(), 2 * odd.len() - 1);
        assert_eq!(names(joined[0].daemon()), own);
        let shown: BTreeSet<String> = own.iter().map(GroupName::to_string).collect();
        assert_eq!(shown.len(), own.len(), "{shown:?}");
        assert!(shown.iter().all(|name| !name.contains(char::is_control)), "{shown:?}");
    });
}

#[test]
fn a11_numbers_without_a_name_keep_their_number() {
    for code in (0..1000).chain([u32::MAX - 1, u32::MAX]) {
        assert_eq!(u32::from(Reason::from(code)), code);
        assert_eq!(u32::from(CsError::from(code)), code);
    }
    let unknown = Reason::from(6);
    assert_eq!((unknown, unknown.to_string()), (Reason::Unknown(6), "reason 6".to_owned()));
    assert!(CsError::from(u32::MAX).to_string().contains("4294967295"));
}

#[test]
fn a11_the_reasons_of_a_daemon_have_names() {
    use Reason::{Join, Leave, NodeDown, NodeUp, ProcDown};

    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let mut group = join("reasons");
        let name = group.name().clone();
        let mut reasons = Vec::new();
        let mut hear = |count: usize| {
            let events = pump(&mut group, |events| views(events).count() == count);
            let named = |members: &[Member]| members.iter().map(Member::reason).collect::<Vec<_>>();
            reasons
                .extend(views(&events).flat_map(|view| [named(view.left()), named(view.joined())].concat()));
            let undefined = |member: &Member| member.reason() == Reason::Undefined;
            assert!(views(&events).all(|view| view.members().iter().all(undefined)));
        };
        hear(1);
        let mut leaves = Members::start(&cluster, 2, &name, 1);
        leaves.tell("leave");
        hear(2);
        let ends = Members::start(&cluster, 2, &name, 1);
        drop(ends);
        hear(2);
        let stays = Members::start(&cluster, 2, &name, 1);
        hear(1);
        cluster.partition(&[&[1], &[2]]).unwrap();
        hear(1);
        cluster.heal().unwrap();
        hear(1);
        drop(stays);
        assert_eq!(reasons, [Join, Join, Leave, Join, ProcDown, Join, NodeDown, NodeUp]);
        assert_eq!(group.me().reason(), Reason::Undefined);
        assert_eq!(Member::new(NodeId::new(1), 1).reason(), Reason::Undefined);
    });
}
