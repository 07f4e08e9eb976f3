//! The checks that need only the records of one process, membership by membership.

use std::collections::BTreeSet;

use crate::damaged::Damaged;
use crate::gone::{Gone, Late};
use crate::live::Live;
use crate::messages::{Messages, Sent, Sequence};
use crate::record::{
    Change, Child, Ending, Fate, LEAVE, Member, MessageId, NODE_DOWN, NODE_UP, PROC_DOWN, Record, Ring, View,
};
use crate::report::{Known, Property, Report};
use crate::scan::{Membership, Process};
use crate::stretch::{End, Start, Stretch};

/// The state of reading the records of one process.
pub(crate) struct Reading<'a> {
    pub(crate) report: &'a mut Report,
    pub(crate) name: &'a str,
    pub(crate) index: usize,
    pub(crate) process: Process,
    pub(crate) messages: &'a mut Messages,
    pub(crate) sequence: &'a mut Sequence,
    pub(crate) stretches: &'a mut Vec<Stretch>,
    pub(crate) gone: &'a mut Gone,
    pub(crate) damaged: &'a mut Vec<Damaged>,
    pub(crate) live: Option<Live>,
    pub(crate) next_seq: u32,
    /// The start of the current record.
    pub(crate) at: u64,
}

impl Reading<'_> {
    pub(crate) fn record(&mut self, record: Record, after: u64) {
        match record {
            Record::Hello { .. } => self.bad(Property::Delivery, "the records have a second Hello"),
            Record::Begin { me, .. } => self.begin(me, after),
            Record::Send { seq, hash, len, tracked } => {
                self.report.counts.sent += 1;
                self.next_seq = seq + 1;
                let sent = self.messages.get_mut(self.own(seq));
                *sent = Sent { hash, len, tracked, known: true, ..*sent };
            }
            Record::Fate { seq, fate } => self.fate(seq, fate),
            Record::Deliver { id, sender, .. } => self.deliver(id, sender, after),
            Record::View(view) => self.view(&view, after),
            Record::Totem(ring) => self.ring(ring, after),
            Record::End(ending) => {
                if let Some(membership) = self.process.memberships.last_mut() {
                    membership.ending.get_or_insert(ending);
                }
                self.cut(ending != Ending::Lost);
            }
            Record::Settled => {
                if let Some(live) = self.live.as_ref().filter(|live| live.view.is_some()) {
                    let stretch = self.stretch(live, End::Settled);
                    self.stretches.push(stretch);
                }
                // The end of the run begins here, where nothing is compared.
                if let Some(live) = &mut self.live {
                    live.ring = None;
                    live.start = Start::Join;
                    live.from = after;
                    live.to = after;
                    live.any = false;
                }
            }
            Record::Bye => self.process.bye = true,
            Record::Fork(child) => self.fork(child),
            Record::Alien { len, sender, excusable } => {
                self.damaged.push(Damaged { process: self.index, at: self.at, sender, len, excusable });
            }
        }
    }

    fn fork(&mut self, child: Child) {
        self.report.counts.forks += 1;
        match child {
            Child::Refused => {}
            Child::Used => self.bad(Property::Delivery, "a forked child could use its parent's connection"),
            Child::Hung => self.bad(Property::Convergence, "a forked child did not end"),
        }
    }

    fn own(&self, seq: u32) -> MessageId {
        MessageId { client: self.process.client, launch: self.process.launch, seq }
    }

    fn bad(&mut self, property: Property, what: &str) {
        let name = self.name;
        self.report.violation(property, || format!("{name}: {what}"));
    }

    fn begin(&mut self, me: Member, after: u64) {
        self.cut(true);
        self.report.counts.incarnations += 1;
        self.process.memberships.push(Membership { first_seq: self.next_seq, ending: None });
        self.process.members.insert(me);
        self.live = Some(Live::new(me, after));
    }

    fn fate(&mut self, seq: u32, fate: Fate) {
        let counts = &mut self.report.counts;
        match fate {
            Fate::Resolved => counts.resolved += 1,
            Fate::Failed => counts.failed += 1,
            Fate::Refused | Fate::Unclear => counts.refused += 1,
            Fate::BackSent | Fate::BackUnsent | Fate::BackDropped => counts.handed_back += 1,
            Fate::Accepted => {}
        }
        let sent = self.messages.get_mut(self.own(seq));
        let again = sent.has(fate);
        sent.fates |= 1 << fate as u8;
        if again {
            self.bad(Property::Fate, &format!("message {seq} got the answer {fate:?} twice"));
        }
    }

    fn deliver(&mut self, id: MessageId, sender: Member, after: u64) {
        self.report.counts.delivered += 1;
        if !self.sequence.is_next(id) {
            return self.bad(
                Property::Delivery,
                &format!("{id:?} was delivered twice, or after a later message of its sender"),
            );
        }
        let own = (id.client, id.launch) == (self.process.client, self.process.launch);
        let sent = self.messages.get_mut(id);
        sent.delivered += 1;
        sent.own |= own;
        let Some(live) = &mut self.live else {
            return self.bad(Property::Delivery, &format!("{id:?} was delivered outside a membership"));
        };
        live.to = after;
        live.any = true;
        live.ended.clear();
        live.lost_nodes.clear();
        live.up_nodes.clear();
        live.unheard.remove(&sender.node);
        let Some(view) = &live.view else {
            return self.bad(Property::Delivery, &format!("{id:?} was delivered before the first view"));
        };
        if !view.contains(&sender) {
            if live.departed.contains(&sender) {
                self.report.counts.late += 1;
            } else {
                live.early.push((sender, id));
            }
        }
    }

    fn view(&mut self, view: &View, after: u64) {
        self.report.counts.views += 1;
        let Some(live) = &mut self.live else {
            return self.bad(Property::Views, "a view was delivered outside a membership");
        };
        let me = live.me;
        let members: BTreeSet<Member> = view.members.iter().copied().collect();
        let among = |list: &[Change], member: Member| list.iter().any(|&(other, _)| other == member);
        let mut complaint = None;
        if let Some(last) = &live.view {
            let mut follows = last.clone();
            follows.retain(|&member| !among(&view.left, member));
            follows.extend(view.joined.iter().map(|&(member, _)| member));
            if follows != members {
                complaint = Some(format!("{view:?} does not follow from the view before, {last:?}"));
            }
            live.any = true;
        } else {
            if !members.contains(&me) || !among(&view.joined, me) {
                complaint =
                    Some(format!("the first view, {view:?}, does not list this client, {me:?}, as joining"));
            }
            (live.from, live.to) = (after, after);
        }
        if !members.contains(&me) && !among(&view.left, me) && !live.absent {
            complaint = Some(format!("{view:?} lacks this client, {me:?}, which has not left"));
        }
        for &(member, reason) in &view.left {
            live.departed.insert(member);
            if reason == PROC_DOWN {
                live.ended.insert(member);
            }
            if reason == NODE_DOWN {
                live.lost_nodes.insert(member.node);
            }
        }
        let mut come = BTreeSet::new();
        for &(member, reason) in &view.joined {
            live.departed.remove(&member);
            if reason == NODE_UP {
                come.insert(member.node);
            } else {
                live.ended.remove(&member);
            }
        }
        for &node in &come {
            *live.meetings.entry(node).or_default() += 1;
        }
        live.up_nodes.extend(come);
        let early = std::mem::take(&mut live.early);
        let (come, early): (Vec<_>, Vec<_>) =
            early.into_iter().partition(|(sender, _)| members.contains(sender));
        live.early = early;
        live.view = Some(members);
        for (sender, id) in come {
            let name = self.name;
            self.report.known(Known::BeforeJoining, || {
                format!("{name}: {id:?} came before the view in which its sender {sender:?} joins")
            });
        }
        if let Some(complaint) = complaint {
            self.bad(Property::Views, &complaint);
        }
        if view.left.iter().any(|&(member, reason)| member == me && reason == LEAVE) {
            self.cut(true);
        } else if among(&view.left, me) {
            self.earlier_self(after);
        } else if let Some(live) =
            self.live.as_mut().filter(|live| live.absent && among(&view.joined, live.me))
        {
            live.absent = false;
            live.start = Start::Join;
            (live.from, live.to) = (after, after);
            live.any = false;
        }
    }

    /// Handles a view that says that this process has ended, while it goes on.
    fn earlier_self(&mut self, after: u64) {
        let name = self.name;
        self.report.known(Known::EarlierSelf, || format!("{name}, byte {after}"));
        if let Some(live) = &self.live {
            let stretch = self.stretch(live, End::Cut { daemon: true });
            self.stretches.push(stretch);
        }
        if let Some(live) = &mut self.live {
            live.absent = true;
            (live.from, live.to) = (after, after);
        }
    }

    fn ring(&mut self, ring: Ring, after: u64) {
        self.report.counts.rings += 1;
        let Some(live) = &mut self.live else { return };
        if live.view.is_none() || (!live.any && live.ring.is_none_or(|old| old == ring)) {
            // This is the ring in which the client joined.
            live.ring = Some(ring);
            (live.from, live.to) = (after, after);
            return;
        }
        if live.ring == Some(ring) {
            // The client joined while that ring was formed, so everything until now belongs to the ring before.
            live.ring = None;
        }
        let early = std::mem::take(&mut live.early);
        live.departed.clear();
        let (process, group, node, on) = (self.index, self.process.group, live.me.node, live.ring);
        for member in std::mem::take(&mut live.ended) {
            let back = live.view.as_ref().is_some_and(|view| view.contains(&member));
            self.gone.tell(group, node, ring, member, back);
        }
        let late = early.into_iter().map(|(sender, id)| Late { process, group, node, ring: on, sender, id });
        self.gone.late.extend(late);
        let live = self.live.as_ref().expect("looked at above");
        if !live.absent {
            let stretch = self.stretch(live, End::Ring(ring));
            self.stretches.push(stretch);
        }
        let live = self.live.as_mut().expect("looked at above");
        live.ring = Some(ring);
        live.start = Start::Ring;
        (live.from, live.to) = (after, after);
        live.members = live.view.clone().unwrap_or_default();
        live.any = false;
        live.lost_nodes.clear();
        live.unheard.append(&mut live.up_nodes);
        live.met_nodes = live.unheard.clone();
    }

    fn stretch(&self, live: &Live, end: End) -> Stretch {
        Stretch {
            process: self.index,
            group: self.process.group,
            me: live.me,
            start: live.start,
            ring: live.ring,
            end,
            from: live.from,
            to: live.to,
            until: self.at,
            lost_nodes: live.lost_nodes.clone(),
            met_nodes: live.met_nodes.clone(),
            meetings: live.meetings.clone(),
            membership: self.process.memberships.len(),
            members: live.members.clone(),
        }
    }

    /// Handles the end of the membership, or of its records.
    pub(crate) fn cut(&mut self, daemon: bool) {
        if let Some(live) = self.live.take().filter(|live| live.view.is_some() && live.to > live.from) {
            let stretch = self.stretch(&live, End::Cut { daemon });
            self.stretches.push(stretch);
        }
    }
}
