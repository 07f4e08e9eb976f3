//! Correct histories pass, and each violation that is planted into one is found.

mod simulator;

use cpg_checker::record::{Child, Ending, Fate, Member, MessageId, Record};
use cpg_checker::{Property, Report, check};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use simulator::Simulator;

fn report(simulator: &Simulator, logs: bool) -> Report {
    check(&simulator.history(logs)).expect("memory can be read")
}

fn numbers() -> impl Strategy<Value = Vec<(u8, u8)>> {
    vec((any::<u8>(), any::<u8>()), 20..150)
}

/// Returns the places of all matching records: the process, and the record in it.
fn places(simulator: &Simulator, wanted: impl Fn(&Record) -> bool) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    for (process, client) in simulator.clients.iter().enumerate() {
        let here = client.records.iter().enumerate().filter(|(_, record)| wanted(record));
        places.extend(here.map(|(at, _)| (process, at)));
    }
    places
}

fn is_delivery(record: &Record) -> bool {
    matches!(record, Record::Deliver { .. })
}

fn id_of(record: &Record) -> Option<MessageId> {
    match record {
        Record::Deliver { id, .. } => Some(*id),
        _ => None,
    }
}

/// Returns the number of clients to which a message is delivered.
fn audience(simulator: &Simulator, id: MessageId) -> usize {
    places(simulator, |record| id_of(record) == Some(id)).len()
}

fn is_broken(report: &Report, property: Property) -> bool {
    report.violations.contains_key(&property)
}

/// Returns the places of deliveries of short messages that other clients of the same stretch have as well.
fn shared(simulator: &Simulator) -> Vec<(usize, usize)> {
    let short = |id: MessageId| {
        let of = |client: &&simulator::Client| (client.number, client.launch) == (id.client, id.launch);
        let sender = simulator.clients.iter().find(of).expect("it was sent");
        sender
            .records
            .iter()
            .any(|record| matches!(record, Record::Send { seq, len, .. } if *seq == id.seq && *len < 1000))
    };
    let all = places(simulator, is_delivery);
    all.into_iter()
        .filter(|&(process, at)| {
            let id = id_of(&simulator.clients[process].records[at]).expect("a delivery");
            // In the last stretch, which all clients have from the same ring to the end.
            let records = &simulator.clients[process].records;
            let last_ring = records.iter().rposition(|record| matches!(record, Record::Totem(_)));
            let settled = records.iter().position(|record| matches!(record, Record::Settled));
            // The first messages of a node that has merged may be missing, because they can have been under way.
            let Record::Deliver { sender, .. } = &records[at] else { unreachable!() };
            let of = |record: &Record| matches!(record, Record::Deliver { sender: other, .. } if other.node == sender.node);
            let heard = last_ring.is_some_and(|ring| at > ring && records[ring..at].iter().any(of));
            short(id) && heard && settled.is_some_and(|end| at < end)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_correct_history_passes(numbers in numbers(), logs in any::<bool>()) {
        let report = report(&Simulator::run(&numbers), logs);
        prop_assert!(report.is_good(), "{:#?}", report.violations);
        prop_assert!(report.counts.compared > 0);
    }

    #[test]
    fn a_history_with_an_incomplete_last_record_passes(numbers in numbers(), which in any::<Index>(), at in any::<Index>()) {
        let mut simulator = Simulator::run(&numbers);
        // A client that was killed: its last record is incomplete.
        let killed = which.index(simulator.clients.len());
        let len = simulator.clients[killed].records.len();
        // Its messages are recorded, or they were not sent.
        let keep = at.index(len);
        let sends = |record: &Record| matches!(record, Record::Send { .. });
        prop_assume!(!simulator.clients[killed].records[keep..].iter().any(sends));
        simulator.clients[killed].records.truncate(keep);
        let report = report(&simulator, true);
        prop_assert!(report.is_good(), "{:#?}", report.violations);
    }

    #[test]
    fn two_messages_in_different_orders_are_found(numbers in numbers(), which in any::<Index>()) {
        let mut simulator = Simulator::run(&numbers);
        let places = places(&simulator, is_delivery);
        let pairs: Vec<(usize, usize)> = places
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 + 1 == pair[1].1)
            .map(|pair| pair[0])
            .filter(|&(process, at)| {
                let records = &simulator.clients[process].records;
                let (a, b) = (id_of(&records[at]).unwrap(), id_of(&records[at + 1]).unwrap());
                let has = |id: MessageId, client: &simulator::Client| {
                    client.records.iter().any(|record| id_of(record) == Some(id))
                };
                a.client != b.client
                    && simulator.clients.iter().filter(|client| has(a, client) && has(b, client)).count() > 1
            })
            .collect();
        prop_assume!(!pairs.is_empty());
        let (process, at) = *which.get(&pairs);
        simulator.clients[process].records.swap(at, at + 1);
        prop_assert!(is_broken(&report(&simulator, true), Property::Order));
    }

    #[test]
    fn a_message_that_one_client_lacks_is_found(numbers in numbers(), which in any::<Index>()) {
        let mut simulator = Simulator::run(&numbers);
        let places = shared(&simulator);
        prop_assume!(!places.is_empty());
        let (process, at) = *which.get(&places);
        let record = simulator.clients[process].records.remove(at);
        let id = id_of(&record).unwrap();
        let own = (simulator.clients[process].number, simulator.clients[process].launch) == (id.client, id.launch);
        let report = report(&simulator, true);
        prop_assert!(is_broken(&report, Property::Views));
        let resolved = Record::Fate { seq: id.seq, fate: Fate::Resolved };
        let of = |client: &&simulator::Client| (client.number, client.launch) == (id.client, id.launch);
        let sender = simulator.clients.iter().find(of).unwrap();
        if own || sender.records.contains(&resolved) {
            prop_assert!(is_broken(&report, Property::Fate));
        }
    }

    #[test]
    fn a_message_that_comes_twice_is_found(numbers in numbers(), which in any::<Index>(), later in any::<bool>()) {
        let mut simulator = Simulator::run(&numbers);
        let places = places(&simulator, is_delivery);
        prop_assume!(!places.is_empty());
        let (process, at) = *which.get(&places);
        let record = simulator.clients[process].records[at].clone();
        let again = simulator.clients[process].records[at + 1..].iter().rposition(is_delivery);
        let to = if later { at + 1 + again.unwrap_or(0) } else { at + 1 };
        simulator.clients[process].records.insert(to, record);
        prop_assert!(is_broken(&report(&simulator, true), Property::Delivery));
    }

    #[test]
    fn a_message_that_has_changed_is_found(numbers in numbers(), which in any::<Index>(), how in 0..5) {
        let mut simulator = Simulator::run(&numbers);
        let places = places(&simulator, is_delivery);
        prop_assume!(!places.is_empty());
        let (process, at) = *which.get(&places);
        let record = &mut simulator.clients[process].records[at];
        match (how, &mut *record) {
            (0, Record::Deliver { hash, .. }) => *hash ^= 1,
            (1, Record::Deliver { id, .. }) => id.seq += 1_000_000,
            (2, Record::Deliver { id, .. }) => id.client += 1000,
            (3, Record::Deliver { sender, .. }) => sender.pid += 10_000,
            (_, record) => {
                *record = Record::Alien { len: 5, sender: Member { node: 1, pid: 1 }, excusable: true };
            }
        }
        prop_assert!(is_broken(&report(&simulator, true), Property::Delivery));
    }

    #[test]
    fn a_child_that_uses_the_connection_or_hangs_is_found(
        numbers in numbers(), which in any::<Index>(), at in any::<Index>(), hangs in any::<bool>()
    ) {
        let mut simulator = Simulator::run(&numbers);
        let records = &mut which.get_mut(&mut simulator.clients).records;
        let at = 1 + at.index(records.len());
        records.insert(at, Record::Fork(Child::Refused));
        let (child, property) =
            if hangs { (Child::Hung, Property::Convergence) } else { (Child::Used, Property::Delivery) };
        let good = report(&simulator, true);
        prop_assert!(good.is_good() && good.counts.forks == 1, "{:#?}", good.violations);
        let records = simulator.clients.iter_mut().flat_map(|client| &mut client.records);
        for record in records.filter(|record| matches!(record, Record::Fork(_))) {
            *record = Record::Fork(child);
        }
        prop_assert!(is_broken(&report(&simulator, true), property));
    }

    #[test]
    fn messages_that_a_child_takes_from_its_parent_are_found(numbers in numbers(), which in any::<Index>()) {
        let mut simulator = Simulator::run(&numbers);
        let places = shared(&simulator);
        prop_assume!(!places.is_empty());
        let (process, at) = *which.get(&places);
        // The child takes an event, which the parent does not get.
        simulator.clients[process].records[at] = Record::Fork(Child::Refused);
        prop_assert!(is_broken(&report(&simulator, true), Property::Views));
    }

    #[test]
    fn a_message_of_a_child_is_found(numbers in numbers(), which in any::<Index>()) {
        let mut simulator = Simulator::run(&numbers);
        let places = places(&simulator, is_delivery);
        prop_assume!(!places.is_empty());
        let (process, at) = *which.get(&places);
        let mut message = simulator.clients[process].records[at].clone();
        let Record::Deliver { id, .. } = &mut message else { unreachable!() };
        // The child sends a message that its parent does not know.
        id.seq += 1_000_000;
        for client in &mut simulator.clients {
            let settled = client.records.iter().position(|record| *record == Record::Settled);
            if let Some(settled) = settled {
                client.records.insert(settled, message.clone());
            }
        }
        prop_assert!(is_broken(&report(&simulator, true), Property::Delivery));
    }

    #[test]
    fn a_message_of_a_process_that_is_no_member_is_found(numbers in numbers(), which in any::<Index>()) {
        let mut simulator = Simulator::run(&numbers);
        // For another client, the view of the join comes later than it should, or not at all: here a message comes
        // before the first view that has its sender.
        let first = places(&simulator, |record| matches!(record, Record::View(_)));
        let early: Vec<(usize, usize, usize)> = first
            .iter()
            .filter_map(|&(process, at)| {
                let records = &simulator.clients[process].records;
                let Record::View(view) = &records[at] else { return None };
                let (who, reason) = *view.joined.first()?;
                let is_first = !matches!(records[..at].last()?, Record::Begin { .. });
                let next = records[at..].iter().position(
                    |record| matches!(record, Record::Deliver { sender, .. } if *sender == who),
                )?;
                // On the same ring, because a later event would excuse it.
                let same = !records[at..at + next].iter().any(|record| matches!(record, Record::Totem(_)));
                (reason == simulator::JOIN && is_first && same).then_some((process, at, at + next))
            })
            .collect();
        prop_assume!(!early.is_empty());
        let (process, to, from) = *which.get(&early);
        let records = &mut simulator.clients[process].records;
        let message = records.remove(from);
        records.insert(to, message);
        let report = report(&simulator, true);
        // The place of the message in the order shows it, and the text names the view that excuses it.
        prop_assert!(!report.is_good() || !report.known.is_empty());
    }

    #[test]
    fn a_view_that_does_not_follow_from_the_last_is_found(numbers in numbers(), which in any::<Index>(), more in any::<bool>()) {
        let mut simulator = Simulator::run(&numbers);
        let places = places(&simulator, |record| matches!(record, Record::View(_)));
        let (process, at) = *which.get(&places);
        let first = matches!(simulator.clients[process].records[at - 1], Record::Begin { .. });
        let Record::View(view) = &mut simulator.clients[process].records[at] else { unreachable!() };
        let own = view.members.len() < 2;
        prop_assume!(!own && !first);
        if more {
            view.members.push(Member { node: 9, pid: 9 });
        } else {
            view.members.remove(0);
        }
        prop_assert!(is_broken(&report(&simulator, true), Property::Views));
    }

    #[test]
    fn a_false_answer_to_a_sender_is_found(numbers in numbers(), which in any::<Index>(), how in 0..6) {
        let mut simulator = Simulator::run(&numbers);
        let ended = |process: usize, simulator: &Simulator| simulator.clients[process].records.last() == Some(&Record::Bye);
        let fate = |wanted: Fate| move |record: &Record| matches!(record, Record::Fate { fate, .. } if *fate == wanted);
        let resolved: Vec<_> = places(&simulator, fate(Fate::Resolved))
            .into_iter()
            .filter(|&(process, _)| ended(process, &simulator))
            .collect();
        let refused = places(&simulator, fate(Fate::Refused));
        prop_assume!(!resolved.is_empty() && !refused.is_empty());
        let (process, at) = *which.get(&resolved);
        let records = &mut simulator.clients[process].records;
        let Record::Fate { seq, .. } = records[at] else { unreachable!() };
        match how {
            // The ticket is never resolved.
            0 => drop(records.remove(at)),
            // The ticket says that the message failed, although it was delivered.
            1 => records[at] = Record::Fate { seq, fate: Fate::Failed },
            // The message is handed back, although it was delivered.
            2 => records.insert(at, Record::Fate { seq, fate: Fate::BackSent }),
            // The message was refused, and was delivered.
            3 => records[at] = Record::Fate { seq, fate: Fate::Refused },
            4 => records.insert(at, Record::Fate { seq, fate: Fate::BackUnsent }),
            // The message was neither refused nor handed back nor delivered.
            _ => {
                let (process, at) = *which.get(&refused);
                simulator.clients[process].records.remove(at);
                prop_assume!(ended(process, &simulator) && simulator.clients[process].queued);
            }
        }
        prop_assert!(is_broken(&report(&simulator, true), Property::Fate));
    }

    #[test]
    fn a_message_that_no_client_gets_is_found(numbers in numbers(), which in any::<Index>()) {
        let mut simulator = Simulator::run(&numbers);
        // From a client without a queue that sends more messages later, or leaves.
        let places: Vec<MessageId> = places(&simulator, is_delivery)
            .into_iter()
            .filter_map(|(process, at)| {
                let client = &simulator.clients[process];
                let id = id_of(&client.records[at])?;
                let rest = &client.records[at..];
                let end = rest.iter().find_map(|record| match record {
                    Record::End(ending) => Some(*ending),
                    _ => None,
                });
                let own = (client.number, client.launch) == (id.client, id.launch);
                let ended = client.records.last() == Some(&Record::Bye);
                (own && ended && !client.queued && end == Some(Ending::Left)).then_some(id)
            })
            .collect();
        prop_assume!(!places.is_empty());
        let id = *which.get(&places);
        for client in &mut simulator.clients {
            client.records.retain(|record| id_of(record) != Some(id));
        }
        prop_assert_eq!(audience(&simulator, id), 0);
        let mut history = simulator.history(true);
        history.logged_drops = Some(false);
        prop_assert!(is_broken(&check(&history).unwrap(), Property::Fate));
        // If the log of the daemon reports it, it is a known exception.
        history.logged_drops = Some(true);
        let report = check(&history).unwrap();
        prop_assert!(report.is_good() && !report.known.is_empty());
    }
}
