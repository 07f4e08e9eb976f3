//! Fact B32: the last messages of a node that leaves the ring.

use std::time::Duration;

use crate::support::{deadline, join, pump, views};
use cpg::{Event, Group, Limits, Member};
use testcluster::Cluster;

/// The time-out of the token, and the time after which a node sends the token a second time, because it saw no sign of the next
/// node. By default that is the time-out divided by 4.2 (`exec/totemconfig.c`).
const TOKEN: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(480);

/// Node 3 is cut off while node 1 sends, and so lacks some messages that node 2 has. After `wait`, before the token times out, node 1
/// is cut off instead, and nodes 2 and 3 go on together. Returns the number of the last message that each of the two has delivered by
/// then; `None` if the machine was too busy, and they did not go on together.
fn cut_off_after(wait: Duration) -> Option<[u32; 2]> {
    let cluster = Cluster::builder().nodes(3).token(TOKEN).start().unwrap();
    let mut groups: Vec<Group> = (1..=3).map(|node| cluster.on(node, || join("b32"))).collect();
    let all: Vec<Member> = groups.iter().map(|group| group.me()).collect();
    for group in &mut groups {
        pump(group, |events| views(events).any(|view| view.members() == all));
    }
    cluster.wait_after_changes(false);
    let mut sender = groups.remove(0);
    std::thread::scope(|scope| {
        let cut = scope.spawn(|| {
            pump(&mut groups[0], |events| events.len() > 100);
            cluster.partition(&[&[1, 2], &[3]]).unwrap();
            std::thread::sleep(wait);
            cluster.partition(&[&[1], &[2, 3]]).unwrap();
        });
        let mut number = 0_u32;
        while !cut.is_finished() {
            let message = [&number.to_le_bytes()[..], &[0; 1000]].concat();
            match sender.send(&message) {
                Ok(()) => number += 1,
                Err(error) => {
                    assert!(error.is_retryable(), "{error}");
                    sender.dispatch(Limits::available(), |_, _| {}).unwrap();
                }
            }
        }
        cut.join().unwrap();
    });
    let delivered = groups.iter_mut().map(|group| {
        let (mut delivered, mut left) = (0, Vec::new());
        while left.is_empty() {
            let one = Limits::one().until(deadline());
            let taken = group.dispatch(one, |_, event| match event {
                Event::Deliver(message) => {
                    delivered = u32::from_le_bytes(message.payload()[..4].try_into().unwrap());
                }
                Event::ConfChg(view) => left = view.left().to_vec(),
                _ => {}
            });
            assert_eq!(taken.unwrap(), 1, "timed out");
        }
        (left == all[..1]).then_some(delivered)
    });
    delivered.collect::<Option<Vec<_>>>().map(|delivered| delivered.try_into().unwrap())
}

#[test]
fn b32_members_that_go_on_together_get_the_last_messages_of_a_node_that_left() {
    // On a busy machine the token may come twice.
    assert!((0..5).filter_map(|_| cut_off_after(Duration::ZERO)).any(|[two, three]| two == three));
}

#[test]
#[ignore = "on a busy machine node 3 may lack nothing in any of the tries"]
fn b32_if_the_token_came_twice_they_may_not() {
    let different = (0..10).filter_map(|_| cut_off_after(AGAIN * 2)).find(|[two, three]| two != three);
    let [two, three] = different.expect("a node that has got the token twice still passes on messages");
    assert!(two > three, "{two} {three}");
}
