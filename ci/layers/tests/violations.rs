//! The violations, each in a small tree that is otherwise correct.

use cpg_layers::{Report, Sources};

/// A tree without violations.
const CLEAN: [(&str, &str); 16] = [
    (
        "lib.rs",
        "#![deny(unsafe_code)]
        mod error;
        mod event;
        mod ffi;
        mod group;
        mod os;
        pub mod packet;
        mod session;
        #[cfg(any(doc, doctest))]
        pub mod facts;
        pub use error::{Error, Result};
        pub use event::view::View;
        pub use session::sender::Sender;",
    ),
    (
        "error.rs",
        "//! [`crate::session::sender::Sender`]\npub struct Error;\npub type Result<T> = std::result::Result<T, Error>;",
    ),
    ("facts.rs", "pub use crate::session::sender::Sender as Fact;"),
    ("packet/mod.rs", "//! Packets.\n#![warn(missing_docs)]\nmod read;\npub use read::Frames;"),
    ("packet/read.rs", "use crate::error::Error;\npub struct Frames(Error);"),
    ("event/mod.rs", "pub(crate) mod message;\npub(crate) mod view;"),
    (
        "event/message.rs",
        "use super::view::View;
        use crate::packet::read::Frames;
        pub struct Message { view: View, frames: Frames }
        macro_rules! three { () => { $crate::error::Error } }
        pub(crate) use three;",
    ),
    (
        "event/view.rs",
        "use std::thread;
        pub(in crate::event) struct View;
        fn f() { thread::yield_now() }
        #[cfg(test)]
        mod tests {
            use super::*;
            use crate::Sender;
            fn f() -> crate::session::sender::Sender { loop {} }
        }",
    ),
    ("os/mod.rs", "#![allow(unsafe_code)]\npub(crate) mod stack;"),
    ("os/stack.rs", "pub(crate) fn low() -> usize { unsafe { f() } }\nunsafe fn f() -> usize { 0 }"),
    ("ffi/mod.rs", "//! C.\n#![allow(unsafe_code)]\npub(crate) mod handle;"),
    (
        "ffi/handle.rs",
        "use crate::os::stack;\npub(crate) fn low() -> usize { stack::low() }\nunsafe extern \"C\" { fn g(); }",
    ),
    ("group/mod.rs", "pub(crate) mod link;"),
    (
        "group/link.rs",
        "use crate::event::{self, message::three, view::View as Seen};
        use crate::ffi;
        pub(crate) struct Link(Seen, event::message::Message);
        fn low() { ffi::handle::low(); three!(); }",
    ),
    ("session/mod.rs", "pub(crate) mod sender;"),
    ("session/sender.rs", "use crate::group::link::*;\npub struct Sender { link: Link }"),
];

/// Returns the clean tree with the text of one file replaced, or with one more file.
fn planted(changes: &[(&str, &str)]) -> Sources {
    CLEAN.iter().chain(changes).map(|(name, text)| ((*name).to_string(), (*text).to_string())).collect()
}

/// Returns the clean tree with a text at the end of one file.
fn with(file: &str, text: &str) -> Sources {
    let mut sources = planted(&[]);
    let old = sources.get_mut(file).expect("a file of the clean tree");
    old.push('\n');
    old.push_str(text);
    sources
}

fn check(sources: &Sources) -> Report {
    cpg_layers::check(sources).expect("a tree that can be parsed")
}

/// Asserts that there is one violation, in this file and line, and that its text contains `part`.
#[track_caller]
fn finds(sources: &Sources, file: &str, line: usize, part: &str) {
    let report = check(sources);
    let [wrong] = &report.violations[..] else { panic!("not one violation: {:#?}", report.violations) };
    assert_eq!((wrong.file.as_str(), wrong.line), (file, line), "{}", wrong.text);
    assert!(wrong.text.contains(part), "no `{part}` in: {}", wrong.text);
}

/// Asserts that a text at the end of `event/view.rs`, which has 9 lines, is reported as an import from the session.
#[track_caller]
fn climbs(text: &str, line: usize) {
    finds(&with("event/view.rs", text), "event/view.rs", 9 + line, "imports from session/sender.rs");
}

#[test]
fn a_clean_tree_passes() {
    let report = check(&planted(&[]));
    assert!(report.is_clean(), "{:#?}", report.violations);
    assert_eq!((report.files, report.imports), (16, 12));
}

#[test]
fn a_use_of_a_higher_level_is_reported() {
    climbs("use crate::session::sender::Sender;", 1);
    climbs("use crate::session::sender::Sender as Other;", 1);
    climbs("use crate::session::sender::Sender as _;", 1);
    climbs("use crate::session::sender;", 1);
    climbs("use crate::session::sender::*;", 1);
    climbs("pub(crate) use crate::session::sender::Sender;", 1);
    climbs("#[cfg(feature = \"x\")]\nuse crate::session::sender::Sender;", 2);
    climbs("fn f() {\nuse crate::session::sender::Sender;\n}", 2);
}

#[test]
fn a_nested_use_of_a_higher_level_is_reported() {
    climbs("use crate::{error::Error, session::{\nsender::{self, Sender}}};", 2);
    climbs("use {std::fmt, crate::{session::sender::{self as other}}};", 1);
}

#[test]
fn a_path_through_super_is_reported() {
    climbs("use super::super::session::sender::Sender;", 1);
    climbs("mod inner {\nuse super::super::super::session::sender::Sender;\n}", 2);
    climbs("use self::super::super::session::sender::Sender;", 1);
    climbs("fn f(_: &super::super::session::sender::Sender) {}", 1);
}

#[test]
fn a_path_outside_of_use_is_reported() {
    climbs("fn f() {\nlet x = crate::session::sender::f();\n}", 2);
    climbs("fn f(x: Option<crate::session::sender::Sender>) {}", 1);
    climbs("fn f(x: X) { match x { crate::session::sender::Sender { .. } => {} } }", 1);
    climbs("impl crate::session::sender::Trait for View {}", 1);
    climbs("fn f() { <View as crate::session::sender::Trait>::g() }", 1);
    climbs("#[derive(crate::session::sender::Derive)]\nstruct X;", 1);
    climbs("type X = [u8; { crate::session::sender::LEN }];", 1);
}

#[test]
fn a_path_through_another_name_of_a_folder_or_the_root_is_reported() {
    // The folder is an import by itself.
    let sources = with("event/view.rs", "use crate::session as s;\nfn f() { s::sender::f() }");
    let lines: Vec<_> = check(&sources).violations.iter().map(|wrong| wrong.line).collect();
    assert_eq!(lines, [10, 11]);
    climbs("use crate as root;\nfn f() { root::session::sender::f() }", 2);
    climbs("use super::super as root;\nuse root::session::sender::Sender;", 2);
}

#[test]
fn a_path_in_a_macro_is_reported() {
    climbs("fn f() { println!(\"{}\",\ncrate::session::sender::NAME); }", 2);
    climbs("fn f() { vec![(1, [super::super::session::sender::f()])]; }", 1);
    climbs("macro_rules! m { () => { $crate::session::sender::f() } }", 1);
    climbs("macro_rules! m { () => { use crate::{error::Error, session::{sender::{self, Sender}}}; } }", 1);
    climbs("macro_rules! m { () => { use crate::session::sender::*; } }", 1);
    climbs("use crate as c;\nfn f() { dbg!(c::session::sender::f()); }", 2);
    climbs("#[error(\"{}\", crate::session::sender::f())]\nstruct X;", 1);
    climbs("crate::session::sender::m!();", 1);
}

#[test]
fn a_reexport_at_the_root_is_reported() {
    let right = "`crate::Result` is a re-export in lib.rs: name `crate::error::Result`";
    finds(&with("event/view.rs", "use crate::Result;"), "event/view.rs", 10, right);
    finds(&with("event/view.rs", "use crate::{Result as R};"), "event/view.rs", 10, right);
    finds(&with("event/view.rs", "fn f() -> crate::Result<()> { Ok(()) }"), "event/view.rs", 10, right);
    finds(&with("event/view.rs", "m!(crate::Result);"), "event/view.rs", 10, right);
    finds(
        &with("event/view.rs", "use super::super::*;"),
        "event/view.rs",
        10,
        "`super::super::*` takes in the modules and re-exports of lib.rs",
    );
}

#[test]
fn a_reexport_at_the_root_does_not_hide_a_higher_level() {
    let report = check(&with("event/view.rs", "fn f(_: crate::Sender) {}"));
    let [reexport, level] = &report.violations[..] else { panic!("{:#?}", report.violations) };
    assert!(level.text.contains("imports from session/sender.rs"), "{}", level.text);
    assert!(reexport.text.contains("name `crate::session::sender::Sender`"), "{}", reexport.text);
}

#[test]
fn a_reexport_in_a_folder_is_reported() {
    let right = "is a re-export in packet/mod.rs: name `crate::packet::read::Frames`";
    finds(&with("group/link.rs", "use crate::packet::Frames;"), "group/link.rs", 5, right);
    finds(&with("group/link.rs", "use crate::packet;\ntype X = packet::Frames;"), "group/link.rs", 6, right);
    finds(
        &with("group/link.rs", "use crate::packet::{self as p};\ntype X = p::Frames;"),
        "group/link.rs",
        6,
        right,
    );
    let inner = "mod inner {\nuse crate::packet::{self};\ntype X = packet::Frames; }";
    finds(&with("group/link.rs", inner), "group/link.rs", 7, right);
    finds(&with("group/link.rs", "use crate::packet::*;"), "group/link.rs", 5, "`crate::packet::*` takes in");
    let called = "macro_rules! m { () => { use crate::packet::*; } }";
    finds(&with("group/link.rs", called), "group/link.rs", 5, "`crate::packet::*` takes in");
    finds(&with("group/link.rs", "use crate::event::*;"), "group/link.rs", 5, "`crate::event::*` takes in");
    let sources = planted(&[
        ("packet/mod.rs", "mod read;\nmod write;\npub use read::Frames;"),
        ("packet/write.rs", "use super::Frames;"),
    ]);
    finds(&sources, "packet/write.rs", 1, right);
}

#[test]
fn a_use_of_another_files_import_is_reported() {
    let right = "`crate::group::link::Seen` is a re-export in group/link.rs: name `crate::event::view::View`";
    finds(&with("session/sender.rs", "use crate::group::link::Seen;"), "session/sender.rs", 3, right);
    let sources = planted(&[
        ("session/sender.rs", "mod inner;\npub struct Sender;\nuse std::sync::Arc;"),
        ("session/sender/inner.rs", "use super::{Arc, Sender};"),
    ]);
    finds(&sources, "session/sender/inner.rs", 1, "`super::Arc` is a re-export in session/sender.rs");
}

#[test]
fn a_glob_of_a_file_with_imports_is_reported() {
    let sources = planted(&[
        ("session/sender.rs", "mod inner;\npub struct Sender;\nuse std::sync::Arc;"),
        ("session/sender/inner.rs", "use super::*;"),
    ]);
    finds(&sources, "session/sender/inner.rs", 1, "`super::*` takes in");
    let mut sources = with("group/link.rs", "pub(crate) use std::sync::Arc;");
    finds(&sources, "session/sender.rs", 1, "`crate::group::link::*` takes in");
    sources.insert("group/link.rs".to_string(), "pub(crate) use std::sync::*;".to_string());
    finds(&sources, "session/sender.rs", 1, "`crate::group::link::*` takes in");
}

#[test]
fn a_module_with_another_name_at_the_root_is_reported() {
    let mut sources = with("event/view.rs", "fn f() { crate::other::sender::f() }");
    sources.get_mut("lib.rs").expect("the root").push_str("\npub use session as other;");
    let report = check(&sources);
    let [reexport, level] = &report.violations[..] else { panic!("{:#?}", report.violations) };
    assert!(level.text.contains("imports from session/sender.rs"), "{}", level.text);
    assert!(reexport.text.contains("name `crate::session::sender::f`"), "{}", reexport.text);
}

#[test]
fn correct_code_that_looks_like_a_violation_passes() {
    for (file, text) in [
        // Another crate.
        ("group/link.rs", "use crate::packet;\nfn f(_: ::packet::Frames) { m!(::packet::Frames) }"),
        // A macro's variable.
        ("group/link.rs", "use crate::packet;\nmacro_rules! m { ($packet:ident) => { $packet::Frames } }"),
        // A module that its mod.rs re-exports from, and that names another one by way of the folder.
        ("packet/read.rs", "use crate::packet;\nfn f() { packet::read::f() }"),
        // What only rustdoc sees, and the visibility of an item.
        (
            "event/view.rs",
            "/// [`crate::session::sender::Sender`]\n#[doc(alias = \"crate::session\")]\npub(super) fn f() {}",
        ),
        ("event/view.rs", "#[cfg(all(test, feature = \"x\"))]\nmod more { use crate::Sender; }"),
    ] {
        let report = check(&with(file, text));
        assert!(report.is_clean(), "{text}: {:#?}", report.violations);
    }
    let tests = planted(&[("event/view.rs", "#![cfg(test)]\nuse crate::session::sender::Sender;")]);
    assert!(!check(&tests).violations.iter().any(|wrong| wrong.file == "event/view.rs"));
}

#[test]
fn names_in_blocks_are_not_those_of_the_module() {
    let item = with("session/sender.rs", "fn f() { struct View; }\npub use crate::event::view::View;");
    let named = |mut sources: Sources| {
        sources.insert("session/mod.rs".to_string(), "mod other;\npub(crate) mod sender;".to_string());
        sources.insert("session/other.rs".to_string(), "use crate::session::sender::View;".to_string());
        sources
    };
    finds(&named(item), "session/other.rs", 1, "is a re-export in session/sender.rs");
    let import = with("session/sender.rs", "fn f() { use crate::event::view::View; }\nmake!(View);");
    assert!(check(&named(import)).is_clean());
    // Other modules cannot use the names that a file imports for itself.
    finds(
        &with("event/view.rs", "fn f() { crate::session::sender::low() }"),
        "event/view.rs",
        10,
        "imports from session/sender.rs",
    );
}

#[test]
fn an_item_of_the_root_is_reported() {
    let sources = with("lib.rs", "struct Root;");
    assert!(check(&sources).is_clean());
    let mut sources = with("event/view.rs", "use crate::Root;");
    sources.get_mut("lib.rs").expect("the root").push_str("\nstruct Root;");
    finds(&sources, "event/view.rs", 10, "`crate::Root` is of lib.rs");
}

#[test]
fn two_files_that_import_each_other_are_reported() {
    let text = "two files that import each other: event/message.rs:1 imports event/view.rs, event/view.rs:10 imports";
    finds(&with("event/view.rs", "use crate::event::message::Message;"), "event/message.rs", 1, text);
    finds(&with("event/view.rs", "fn f() { super::message::f() }"), "event/message.rs", 1, text);
    let sources = planted(&[
        ("session/sender.rs", "mod inner;\npub struct Sender;\nfn f() { inner::f() }"),
        ("session/sender/inner.rs", "use super::Sender;"),
    ]);
    finds(&sources, "session/sender.rs", 3, "two files that import each other");
}

#[test]
fn a_circle_of_three_files_is_reported() {
    let sources = planted(&[
        ("session/mod.rs", "mod a;\nmod b;\npub(crate) mod sender;"),
        ("session/sender.rs", "pub struct Sender;\nuse super::a;"),
        ("session/a.rs", "use crate::session::b;"),
        ("session/b.rs", "fn f() -> super::sender::Sender { loop {} }"),
    ]);
    let text = "a circle of files: session/a.rs:1 imports session/b.rs, session/b.rs:1 imports session/sender.rs, \
                session/sender.rs:2 imports session/a.rs";
    finds(&sources, "session/a.rs", 1, text);
}

#[test]
fn an_import_from_a_higher_level_in_a_file_beside_the_root_is_reported() {
    finds(
        &with("error.rs", "use crate::packet::read::Frames;"),
        "error.rs",
        4,
        "imports from packet/read.rs",
    );
}

#[test]
fn each_level_is_above_the_one_before() {
    let levels = cpg_layers::levels::LEVELS;
    assert_eq!(levels, ["packet", "event", "os", "ffi", "dispatch", "handle", "group", "session", "tokio"]);
    let below = std::iter::once("").chain(levels);
    for (below, above) in below.zip(levels) {
        let low = if below.is_empty() { "low.rs".to_string() } else { format!("{below}/low.rs") };
        let mut sources: Sources = [
            (
                "lib.rs".to_string(),
                format!(
                    "#![deny(unsafe_code)]\nmod {};\nmod {above};",
                    low.split(['/', '.']).next().unwrap()
                ),
            ),
            (format!("{above}/mod.rs"), "mod high;".to_string()),
            (format!("{above}/high.rs"), String::new()),
            (low.clone(), format!("use crate::{above}::high;")),
        ]
        .into();
        if !below.is_empty() {
            sources.insert(format!("{below}/mod.rs"), "mod low;".to_string());
        }
        finds(&sources, &low, 1, &format!("imports from {above}/high.rs"));
        sources.insert(low.clone(), String::new());
        let down = low.trim_end_matches(".rs").replace('/', "::");
        sources.insert(format!("{above}/high.rs"), format!("use crate::{down};"));
        assert!(check(&sources).is_clean());
    }
}

#[test]
fn a_folder_without_a_level_is_reported() {
    let sources = planted(&[
        ("error.rs", "mod inner;"),
        ("error/inner.rs", ""),
        ("lib.rs", "#![deny(unsafe_code)]\nmod error;"),
    ]);
    let report = check(&sources);
    assert!(
        report
            .violations
            .iter()
            .any(|wrong| wrong.file == "error/inner.rs" && wrong.text.contains("has no level"))
    );
}

#[test]
fn code_in_a_mod_rs_is_reported() {
    for text in [
        "fn f() {}",
        "const X: u8 = 1;",
        "mod inner { }",
        "impl X {}",
        "macro_rules! m { () => {} }",
        "m!();",
    ] {
        finds(&with("group/mod.rs", text), "group/mod.rs", 2, "code in a mod.rs");
    }
    finds(&with("group/mod.rs", "use link::Link;"), "group/mod.rs", 2, "not a re-export");
    assert!(
        check(&with("group/mod.rs", "pub(crate) use link::Link;\n#[cfg(test)]\nmod tests { fn f() {} }"))
            .is_clean()
    );
}

#[test]
fn an_import_from_a_higher_level_in_a_mod_rs_is_reported() {
    finds(
        &with("group/mod.rs", "pub use crate::session::sender::Sender;"),
        "group/mod.rs",
        2,
        "imports from session/sender.rs",
    );
}

#[test]
fn unsafe_outside_of_its_folders_is_reported() {
    for text in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "unsafe trait X {}",
        "unsafe impl X for View {}",
        "unsafe extern \"C\" { fn f(); }",
        "#[unsafe(no_mangle)] fn f() {}",
        "macro_rules! m { () => { unsafe { f() } } }",
        "fn f() { m!(unsafe { g() }) }",
        "#[cfg(test)] mod more { unsafe fn f() {} }",
    ] {
        finds(
            &with("event/view.rs", text),
            "event/view.rs",
            10,
            "`unsafe`, which only os/ and ffi/ may have",
        );
    }
}

#[test]
fn a_weakened_lint_is_reported() {
    for text in [
        "#[allow(unsafe_code)] fn f() {}",
        "#[cfg_attr(x, expect(unsafe_code))] fn f() {}",
        "#[warn(dead_code, unsafe_code)] fn f() {}",
    ] {
        finds(&with("event/view.rs", text), "event/view.rs", 10, "the lint unsafe_code is weakened");
        finds(&with("os/stack.rs", text), "os/stack.rs", 3, "the lint unsafe_code is weakened");
        finds(&with("lib.rs", text), "lib.rs", 14, "the lint unsafe_code is weakened");
    }
    let of_a_module =
        planted(&[("os/mod.rs", "#![allow(unsafe_code)]\n#[allow(unsafe_code)]\npub(crate) mod stack;")]);
    finds(&of_a_module, "os/mod.rs", 2, "weakened");
    let of_a_module_alone = planted(&[("os/mod.rs", "#[allow(unsafe_code)]\npub(crate) mod stack;")]);
    finds(&of_a_module_alone, "os/mod.rs", 1, "weakened");
    let twice =
        planted(&[("os/mod.rs", "#![allow(unsafe_code)]\n#![allow(unsafe_code)]\npub(crate) mod stack;")]);
    finds(&twice, "os/mod.rs", 2, "weakened");
    let undenied = planted(&[("lib.rs", &CLEAN[0].1.replace("deny", "warn")[..])]);
    assert!(
        check(&undenied).violations.iter().any(|wrong| wrong.text.contains("no `#![deny(unsafe_code)]`"))
    );
}

#[test]
fn a_transmutation_is_reported_even_where_unsafe_is_allowed() {
    finds(
        &with("os/stack.rs", "fn f() { unsafe { std::mem::transmute(1) } }"),
        "os/stack.rs",
        3,
        "a transmutation",
    );
    finds(&with("os/stack.rs", "fn f() { m!(transmute_copy(&1)) }"), "os/stack.rs", 3, "a transmutation");
    finds(&with("ffi/handle.rs", "use std::mem::transmute as t;"), "ffi/handle.rs", 4, "a transmutation");
}

#[test]
fn a_type_that_is_declared_send_or_sync_is_reported() {
    for text in ["unsafe impl Send for X {}", "unsafe impl<T: for<'a> F<'a>> std::marker::Sync for X<T> {}"] {
        finds(&with("os/stack.rs", text), "os/stack.rs", 3, "`unsafe impl` of Send or Sync");
    }
    assert!(
        check(&with("os/stack.rs", "unsafe impl<T: Send> X for Y<T> {}\nimpl my::Send for Y {}")).is_clean()
    );
}

#[test]
fn code_that_would_hide_imports_is_reported() {
    finds(&with("event/view.rs", "include!(\"x\");"), "event/view.rs", 10, "`include!`");
    finds(&with("lib.rs", "extern crate self as cpg;"), "lib.rs", 14, "`extern crate self`");
    finds(&with("event/view.rs", "#[macro_use] extern crate x;"), "event/view.rs", 10, "`#[macro_use]`");
    let sources = planted(&[("event/mod.rs", "pub mod message;\n#[path = \"x.rs\"]\npub mod view;")]);
    finds(&sources, "event/mod.rs", 3, "`#[path]`");
    // Code that only tests see may use files of the tests.
    let tests = "pub mod message;\npub mod view;\n#[cfg(test)]\n#[path = \"../../tests/x.rs\"]\nmod x;";
    assert!(check(&planted(&[("event/mod.rs", tests)])).is_clean());
}

#[test]
fn a_file_that_is_no_module_is_reported() {
    finds(&planted(&[("group/old.rs", "")]), "group/old.rs", 1, "no file declares this one");
}

#[test]
fn a_long_file_is_a_note() {
    let report = check(&with("error.rs", &"\n".repeat(400)));
    assert!(report.is_clean());
    assert_eq!(report.long, [("error.rs".to_string(), 403)]);
}

#[test]
fn a_tree_that_cannot_be_read_is_an_error() {
    let unparsable = planted(&[("error.rs", "\nfn f( {}")]);
    let error = cpg_layers::check(&unparsable).unwrap_err();
    assert!(error.starts_with("error.rs:2: cannot be parsed"), "{error}");
    let mut missing = planted(&[]);
    missing.remove("error.rs");
    let error = cpg_layers::check(&missing).unwrap_err();
    assert!(error.contains("error.rs or error/mod.rs is missing"), "{error}");
}
