//! The scan of all processes, one after the other, which collects the facts about all of them.

use std::collections::{HashMap, HashSet};
use std::io;

use crate::History;
use crate::damaged::Damaged;
use crate::gone::Gone;
use crate::messages::{Messages, Sequence};
use crate::reading::Reading;
use crate::record::{Ending, Member, MessageId, Record};
use crate::report::Report;
use crate::stretch::Stretch;

/// One membership of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Membership {
    pub(crate) first_seq: u32,
    pub(crate) ending: Option<Ending>,
}

/// The facts that are known of a process.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) client: u16,
    pub(crate) launch: u16,
    pub(crate) group: u8,
    pub(crate) queued: bool,
    pub(crate) bye: bool,
    pub(crate) memberships: Vec<Membership>,
    /// The member that it was.
    pub(crate) members: HashSet<Member>,
}

/// The facts that all processes saw.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) messages: Messages,
    pub(crate) processes: Vec<Process>,
    pub(crate) stretches: Vec<Stretch>,
    pub(crate) gone: Gone,
    pub(crate) damaged: Vec<Damaged>,
    index: HashMap<(u16, u16), usize>,
}

impl Scan {
    /// Returns the process that sent a message.
    pub(crate) fn process(&self, id: MessageId) -> Option<&Process> {
        self.index.get(&(id.client, id.launch)).map(|&index| &self.processes[index])
    }
}

/// Reads the records of all processes.
pub(crate) fn scan(history: &History, report: &mut Report) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let mut sequences: HashMap<u16, Sequence> = HashMap::new();
    for (index, process) in history.processes.iter().enumerate() {
        let mut reader = process.source.open_at(0)?;
        let Some(Record::Hello { client, launch, group, queued }) = reader.read()? else {
            // The process was killed before it had written anything.
            scan.processes.push(Process::default());
            continue;
        };
        report.counts.processes += 1;
        let mut reading = Reading {
            report,
            name: &process.name,
            index,
            process: Process { client, launch, group, queued, ..Process::default() },
            messages: &mut scan.messages,
            sequence: sequences.entry(client).or_default(),
            stretches: &mut scan.stretches,
            gone: &mut scan.gone,
            damaged: &mut scan.damaged,
            live: None,
            next_seq: 0,
            at: reader.offset(),
        };
        while let Some(record) = reader.read()? {
            reading.record(record, reader.offset());
            reading.at = reader.offset();
        }
        reading.cut(true);
        scan.index.insert((client, launch), scan.processes.len());
        scan.processes.push(reading.process);
    }
    Ok(scan)
}
