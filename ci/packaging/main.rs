//! A program of somebody who has installed the packages: says a word to a group, and ends when it has come back.

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
