//! The list of exceptions.

use cpg_layers::exceptions::Exceptions;
use cpg_layers::{Report, Sources};

fn tree(message: &str, view: &str) -> Sources {
    let files = [
        ("lib.rs", "#![deny(unsafe_code)]\nmod event;\nmod session;\npub use event::view::View;"),
        ("event/mod.rs", "pub(crate) mod message;\npub(crate) mod view;"),
        ("event/message.rs", message),
        ("event/view.rs", view),
        ("session/mod.rs", "pub(crate) mod queue;"),
        ("session/queue.rs", ""),
    ];
    files.into_iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

fn check(sources: &Sources, exceptions: &str) -> Report {
    cpg_layers::check(sources, Exceptions::parse(exceptions).unwrap()).unwrap()
}

const UP: &str = "event/view.rs -> session/queue.rs: until the queue has gone\n";
const CIRCLE: &str = "event/view.rs -> event/message.rs: until it is one file\n";

#[test]
fn an_exception_covers_an_import_of_a_higher_level() {
    let sources = tree("", "use crate::session::queue;");
    assert_eq!(check(&sources, "").violations.len(), 1);
    assert!(check(&sources, UP).is_clean());
}

#[test]
fn an_exception_covers_a_circle() {
    let sources = tree("use super::view;", "use super::message;");
    assert_eq!(check(&sources, "").violations.len(), 1);
    assert!(check(&sources, CIRCLE).is_clean());
}

#[test]
fn an_exception_covers_a_reexport_and_unsafe() {
    let sources = tree("use crate::View;", "unsafe fn f() {}");
    assert_eq!(check(&sources, "").violations.len(), 2);
    let exceptions = "event/message.rs -> lib.rs: for now\nevent/view.rs -> unsafe: for now";
    assert!(check(&sources, exceptions).is_clean());
}

#[test]
fn an_exception_that_nothing_needs_is_wrong() {
    for (sources, exception) in [
        (tree("", ""), UP),
        (tree("use super::view;", ""), CIRCLE),
        // An import, and no circle any more.
        (tree("", "use super::message;"), CIRCLE),
    ] {
        let report = check(&sources, exception);
        assert!(report.violations.is_empty() && !report.is_clean());
        assert_eq!(report.idle, [exception.split(": ").next().unwrap()]);
    }
}

#[test]
fn an_exception_has_a_reason_and_is_listed_once() {
    assert!(Exceptions::parse("# comment\n\na.rs -> b.rs: reason").is_ok());
    for text in ["a.rs -> b.rs", "a.rs -> b.rs: ", "a.rs b.rs: reason", "a -> b: c\na -> b: d"] {
        assert!(Exceptions::parse(text).is_err(), "{text}");
    }
}
