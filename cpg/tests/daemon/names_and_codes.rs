//! Error codes compared with the header, and names compared with the daemon's treatment of them.

use crate::support::{Members, deadline, pump, rings, views};
use cpg::{CsError, GroupName, Handle, Member};
use testcluster::Cluster;

#[test]
fn every_code_of_the_header_has_its_name() {
    let bindings = include_str!("../../../cpg-sys/src/bindings.rs");
    let mut codes = 0;
    for item in bindings.split("pub const CS_ERR_").skip(1) {
        let (name, rest) = item.split_once(':').unwrap();
        let number: u32 = rest.split_once('=').unwrap().1.split_once(';').unwrap().0.trim().parse().unwrap();
        let name = format!("CS_ERR_{name}");
        assert_eq!(CsError::from(number).name(), Some(name.as_str()));
        codes += 1;
    }
    assert_eq!(codes, 29, "corotypes.h has that many errors");
}

/// Checks the statement of `cpg::facts` (section C) about names that are equal up to a NUL.
#[test]
fn the_daemon_confuses_names_that_are_equal_up_to_a_nul() {
    let cluster = Cluster::start(2).unwrap();
    cluster.on(1, || {
        let names = [GroupName::new("twin").unwrap(), GroupName::with_nul("twin").unwrap()];
        let mut groups =
            names.clone().map(|name| Handle::connect().unwrap().join_until(&name, deadline()).unwrap());
        let remote = names.clone().map(|name| Members::start(&cluster, 2, &name, 1));
        let ids = [0, 1].map(|i| Member::new(2.into(), remote[i].pid()));
        for (group, id) in groups.iter_mut().zip(ids) {
            pump(group, |events| views(events).any(|view| view.contains(id)));
        }
        cluster.kill(2).unwrap();
        // The event about the ring is the last one of a change of nodes.
        let heard = groups.each_mut().map(|group| pump(group, |events| rings(events).next().is_some()));
        let mut told: Vec<_> = heard.iter().flat_map(|events| views(events)).collect();
        assert_eq!(told.len(), 1, "one of the groups gets a view");
        let mut left = told.pop().unwrap().left().to_vec();
        left.sort();
        assert_eq!(left, ids, "the view of the other group does not have the members of both");
        for group in &groups {
            assert_eq!(
                group.members().unwrap(),
                [group.me()],
                "the answer of the daemon has only this member"
            );
        }
    });
}
