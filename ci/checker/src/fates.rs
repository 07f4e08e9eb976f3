//! The answers that senders got about their messages: property 4, as far as it concerns one message.

use crate::History;
use crate::messages::Sent;
use crate::record::{Ending, Fate, MessageId};
use crate::report::{Known, Property, Report};
use crate::scan::{Process, Scan};

/// Checks all messages of all processes.
pub(crate) fn check(history: &History, scan: &Scan, report: &mut Report) {
    for (process, source) in scan.processes.iter().zip(&history.processes) {
        let messages = scan.messages.of(process.client, process.launch);
        let last_own = messages.iter().rposition(|sent| sent.own);
        for (seq, sent) in messages.iter().enumerate().filter(|(_, sent)| sent.known) {
            let seq = u32::try_from(seq).unwrap_or(u32::MAX);
            let id = MessageId { client: process.client, launch: process.launch, seq };
            let mut bad = |what: &str| {
                report.violation(Property::Fate, || {
                    format!(
                        "{}: {id:?} of {} bytes {what}. The answers to the sender: {:?}",
                        source.name,
                        sent.len,
                        fates(sent)
                    )
                });
            };
            if let Some(what) = contradiction(sent) {
                bad(what);
            } else if process.bye && !is_settled(sent) {
                if process.queued {
                    bad(lack(sent));
                } else if dropped(process, messages, seq, last_own) {
                    if sent.delivered > 0 {
                        bad("was delivered to others, but not to its sender, which stayed a member");
                    } else if history.logged_drops == Some(false) {
                        bad(
                            "was accepted and delivered to nobody, but no daemon reports that it dropped the message",
                        );
                    } else {
                        report.known(Known::Dropped, || {
                            format!("{}: {id:?} of {} bytes", source.name, sent.len)
                        });
                    }
                }
            }
            if sent.has(Fate::BackDropped) {
                report.known(Known::Dropped, || format!("{}: {id:?} of {} bytes", source.name, sent.len));
            }
        }
    }
}

fn fates(sent: &Sent) -> Vec<Fate> {
    use Fate::{Accepted, BackDropped, BackSent, BackUnsent, Failed, Refused, Resolved, Unclear};
    let all = [Accepted, Refused, Unclear, Resolved, Failed, BackSent, BackUnsent, BackDropped];
    all.into_iter().filter(|&fate| sent.has(fate)).collect()
}

/// Returns the contradiction in the answers about a message, if there is one.
fn contradiction(sent: &Sent) -> Option<&'static str> {
    let back = [Fate::BackSent, Fate::BackUnsent, Fate::BackDropped].map(|fate| sent.has(fate));
    let backs = back.into_iter().filter(|&back| back).count();
    if sent.has(Fate::Resolved) && !sent.own {
        Some("has a ticket that says delivered, but was not delivered to its sender")
    } else if sent.has(Fate::Failed) && sent.own {
        Some("has a ticket that says failed, but was delivered to its sender")
    } else if sent.has(Fate::Failed) && sent.has(Fate::Resolved) {
        Some("has a ticket that says both delivered and failed")
    } else if sent.own && backs > 0 {
        Some("was delivered to its sender, and also handed back")
    } else if backs > 1 {
        Some("was handed back twice")
    } else if sent.has(Fate::Refused) && (sent.delivered > 0 || backs > 0) {
        Some("was refused, but then delivered or handed back")
    } else if sent.has(Fate::BackUnsent) && sent.delivered > 0 {
        Some("was handed back as not sent, but was delivered")
    } else if sent.has(Fate::BackDropped) && sent.delivered > 0 {
        Some("was handed back as dropped by the daemon, but was delivered")
    } else {
        None
    }
}

/// Returns true if the sender got all the answers that it was promised.
fn is_settled(sent: &Sent) -> bool {
    let back = [Fate::BackSent, Fate::BackUnsent, Fate::BackDropped].into_iter().any(|fate| sent.has(fate));
    let told = sent.own || back;
    let ticket = !sent.tracked || sent.has(Fate::Resolved) || sent.has(Fate::Failed);
    sent.has(Fate::Refused) || sent.has(Fate::Unclear) || (told && ticket)
}

fn lack(sent: &Sent) -> &'static str {
    if sent.tracked && !sent.has(Fate::Resolved) && !sent.has(Fate::Failed) {
        "has a ticket that never got a result"
    } else {
        "was neither delivered to its sender nor handed back"
    }
}

/// Returns true if a message that was sent without a queue must have been delivered to its sender, because the
/// membership was not lost.
fn dropped(process: &Process, messages: &[Sent], seq: u32, last_own: Option<usize>) -> bool {
    let index = process.memberships.partition_point(|membership| membership.first_seq <= seq);
    let Some(membership) = index.checked_sub(1).map(|index| process.memberships[index]) else { return true };
    let end = process.memberships.get(index).map_or(messages.len(), |next| next.first_seq as usize);
    let later = last_own.is_some_and(|last| last > seq as usize && last < end)
        || messages[seq as usize..end].iter().any(|sent| sent.own);
    membership.ending == Some(Ending::Left) || later
}
