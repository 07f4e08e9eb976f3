//! What corosync does not keep is named apart, and a history that differs from it in one respect is not excused.

mod again;
mod gone;
mod story;
mod under_way;

use cpg_checker::{Report, check};
use story::Story;

fn report(story: &Story) -> Report {
    check(&story.history()).expect("memory can be read")
}
