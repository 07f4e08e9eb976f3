//! A program that a user of the installed packages could write: it sends a message to a group, and ends when the
//! message is delivered to it.

use cpg::{Event, Group, Limits};

fn main() -> cpg::Result<()> {
    let mut group = Group::join("packaged")?;
    group.send(b"hello")?;
    let mut heard = false;
    while !heard {
        group.dispatch(Limits::one(), |link, event| {
            if let Event::Deliver(message) = event {
                heard |= message.sender() == link.me() && message.payload() == b"hello";
            }
        })?;
    }
    println!("heard hello on node {}", group.me().node());
    group.leave()
}
