//! One order of all messages: property 1, and everything else that needs the histories of all clients at once.
//!
//! The histories of all clients are read in parallel. Each history waits at its next delivery. A message is passed when
//! every client to which it is delivered waits at it. If all histories reach their ends, the order of passing contains
//! each client's order. If not, the messages at which clients wait form a cycle.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use crate::History;
use crate::messages::Sequence;
use crate::record::{MessageId, Record};
use crate::report::{Property, Report};
use crate::scan::Scan;
use crate::source::Reader;

/// The number of deliveries that are searched for two messages in different orders.
const AHEAD: usize = 50_000;

/// One client, over all its processes.
struct Client {
    processes: VecDeque<usize>,
    open: Option<(usize, Reader)>,
    sequence: Sequence,
    /// The message at which the client waits.
    at: Option<MessageId>,
}

impl Client {
    /// Goes to the next delivery.
    fn advance(&mut self, history: &History, scan: &Scan, report: &mut Report) -> io::Result<()> {
        self.at = None;
        loop {
            let Some((index, reader)) = &mut self.open else {
                let Some(index) = self.processes.pop_front() else { return Ok(()) };
                self.open = Some((index, history.processes[index].source.open_at(0)?));
                continue;
            };
            match reader.read()? {
                None => self.open = None,
                Some(Record::Deliver { id, hash, sender }) if self.sequence.is_next(id) => {
                    let (sent, name) = (scan.messages.get(id), &history.processes[*index].name);
                    if !sent.known {
                        report.violation(Property::Delivery, || {
                            format!("{name}: {id:?} was delivered, but nobody sent it")
                        });
                    } else if sent.hash != hash {
                        report.violation(Property::Delivery, || {
                            format!("{name}: {id:?} was delivered with bytes that differ from those sent")
                        });
                    }
                    if scan.process(id).is_some_and(|process| !process.members.contains(&sender)) {
                        report.violation(Property::Delivery, || {
                            format!(
                                "{name}: {id:?} was delivered with the sender {sender:?}, which is another process"
                            )
                        });
                    }
                    self.at = Some(id);
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }
}

/// Checks the order of all deliveries.
pub(crate) fn check(history: &History, scan: &mut Scan, report: &mut Report) -> io::Result<()> {
    let mut clients: BTreeMap<u16, Client> = BTreeMap::new();
    for (index, process) in scan.processes.iter().enumerate() {
        let client = clients.entry(process.client).or_insert_with(|| Client {
            processes: VecDeque::new(),
            open: None,
            sequence: Sequence::default(),
            at: None,
        });
        client.processes.push_back(index);
    }
    let mut clients: Vec<Client> = clients.into_values().collect();
    // The clients that wait at each message.
    let mut waiting: BTreeMap<MessageId, Vec<usize>> = BTreeMap::new();
    let mut moving: Vec<usize> = (0..clients.len()).collect();
    loop {
        while let Some(index) = moving.pop() {
            clients[index].advance(history, scan, report)?;
            let Some(id) = clients[index].at else { continue };
            let sent = scan.messages.get_mut(id);
            sent.reached += 1;
            if sent.reached >= sent.delivered {
                moving.push(index);
                moving.extend(waiting.remove(&id).unwrap_or_default());
            } else {
                waiting.entry(id).or_default().push(index);
            }
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let heads: Vec<(MessageId, usize)> = waiting.iter().map(|(&id, indices)| (id, indices[0])).collect();
        let text = explain(history, &clients, &heads)?;
        report.violation(Property::Order, || text);
        // Goes on as if this message had come first, to find further violations.
        let Some((id, indices)) = waiting.pop_first() else { return Ok(()) };
        let sent = scan.messages.get_mut(id);
        sent.delivered = 0;
        moving.extend(indices);
    }
}

/// Finds two clients that deliver two messages in different orders, if they are near each other.
fn explain(history: &History, clients: &[Client], heads: &[(MessageId, usize)]) -> io::Result<String> {
    let mut later: Vec<Vec<MessageId>> = Vec::new();
    for &(_, index) in heads {
        let mut ids = Vec::new();
        if let Some((process, reader)) = &clients[index].open {
            let mut reader = history.processes[*process].source.open_at(reader.offset())?;
            while let (true, Some(record)) = (ids.len() < AHEAD, reader.read()?) {
                if let Record::Deliver { id, .. } = record {
                    ids.push(id);
                }
            }
        }
        later.push(ids);
    }
    let name = |index: usize| match &clients[index].open {
        Some((process, _)) => history.processes[*process].name.as_str(),
        None => "a client",
    };
    for (x, &(a, first)) in heads.iter().enumerate() {
        for (y, &(b, second)) in heads.iter().enumerate().skip(x + 1) {
            if later[x].contains(&b) && later[y].contains(&a) {
                return Ok(format!(
                    "{} got {a:?} before {b:?}, but {} got {b:?} first",
                    name(first),
                    name(second)
                ));
            }
        }
    }
    let heads: Vec<String> = heads.iter().map(|&(id, index)| format!("{} at {id:?}", name(index))).collect();
    Ok(format!(
        "no order of all messages contains the order of each client: these form a cycle: {}",
        heads.join(", ")
    ))
}
