//! The exceptions that corosync causes are reported separately. A history that differs from one in one respect is not
//! excused.

mod again;
mod damaged;
mod gone;
mod released;
mod story;
mod under_way;

use cpg_checker::{Report, check};
use story::Story;

fn report(story: &Story) -> Report {
    check(&story.history()).expect("memory can be read")
}
