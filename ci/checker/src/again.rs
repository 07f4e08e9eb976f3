//! Processes that join again while others still see their earlier membership.

use crate::compare::Compare;
use crate::record::Ending;
use crate::report::{Known, Report};
use crate::sight::{Seen, Sight};
use crate::stretch::{Start, Stretch};

impl Compare<'_> {
    /// Returns true if one of two clients joined and the other was not told, because the other saw the same process in
    /// its view all the time: an earlier membership that the process gave up. Since the join, both must have seen the
    /// same.
    pub(crate) fn joined_again(
        &self,
        one: (&Stretch, &Sight),
        other: (&Stretch, &Sight),
        report: &mut Report,
    ) -> bool {
        [(one, other), (other, one)].into_iter().any(|((joiner, seen), (other, others))| {
            let untold = |seen: &Seen| match seen {
                Seen::Message(_) => true,
                Seen::View(view) => {
                    !view.joined.iter().chain(&view.left).any(|&(member, _)| member == joiner.me)
                }
            };
            let known = joiner.start == Start::Join
                && other.me.node != joiner.me.node
                && (self.gave_up_before(joiner) || self.astray.has_missed(other, joiner.me))
                && other.members.contains(&joiner.me)
                && others.whole().iter().all(untold)
                && others.whole().ends_with(seen.whole());
            if known {
                report.known(Known::EarlierSelf, || {
                    format!("{} was not told that {} joined", self.name(other), self.name(joiner))
                });
            }
            known
        })
    }

    /// Returns true if the membership before this one was given up, so that no client had to be told of its end.
    fn gave_up_before(&self, stretch: &Stretch) -> bool {
        let memberships = &self.scan.processes[stretch.process].memberships;
        let earlier = stretch.membership.checked_sub(2).and_then(|index| memberships.get(index));
        earlier.is_some_and(|earlier| earlier.ending == Some(Ending::GivenUp))
    }
}
