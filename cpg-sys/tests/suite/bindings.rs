//! The generated declarations, the committed ones and the header say the same.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(cpg_sys_generated)]
use crate::declarations::GENERATED;
use crate::declarations::{COMMITTED, COMPILED, Exports, tokens};
use crate::machine;

/// The documentation of the declarations.
const TEXTS: &str = include_str!("../../src/declarations.md");

/// With `CPG_SYS_UPDATE_BINDINGS` set it commits what was generated instead; `ci/bindings` does that.
#[cfg(cpg_sys_generated)]
#[test]
fn generated_declarations_are_the_committed_ones() {
    if std::env::var_os("CPG_SYS_UPDATE_BINDINGS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bindings.rs");
        std::fs::write(path, GENERATED).expect("src/bindings.rs can be written");
        return;
    }
    let (generated, committed) = (comparable(GENERATED), comparable(COMMITTED));
    let differing = generated.iter().zip(&committed).position(|(left, right)| left != right);
    let place = differing.unwrap_or(generated.len().min(committed.len()));
    let around = |tokens: &[String]| {
        let (start, end) = (place.saturating_sub(12), tokens.len().min(place + 12));
        tokens[start.min(end)..end].join(" ")
    };
    assert!(
        generated == committed,
        "src/bindings.rs is not what {}/corosync/cpg.h gives; `ci/bindings` writes it anew.\n\
         generated: … {} …\ncommitted: … {} …",
        machine::INCLUDE,
        around(&generated),
        around(&committed),
    );
}

/// Without the layout assertions where they are others than those of 64 bits, which are the committed ones.
#[cfg(cpg_sys_generated)]
fn comparable(source: &str) -> Vec<String> {
    let text = tokens(source);
    if cfg!(target_pointer_width = "64") {
        return text;
    }
    let joined = text.join(" ");
    let mut parts = joined.split("# [ allow ( clippy : : unnecessary_operation");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once("} ;").expect("an assertion has an end").1);
    }
    kept.split(' ').map(str::to_owned).collect()
}

#[test]
fn every_name_in_the_header_is_declared() {
    let declared: BTreeSet<String> = tokens(COMPILED).into_iter().collect();
    let header = machine::header();
    let names: BTreeSet<&str> = header
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|name| name.starts_with("cpg_") || name.starts_with("CPG_"))
        .collect();
    assert!(names.len() > 50, "the header has lost most of its names: {names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !declared.contains(**name)).collect();
    assert!(missing.is_empty(), "in cpg.h, but not declared: {missing:?}");
}

#[test]
fn nothing_else_is_declared() {
    for source in [COMPILED, COMMITTED] {
        for name in Exports::of(source).names() {
            let ours =
                ["cpg_", "CPG_", "CS_OK", "CS_ERR_", "CS_DISPATCH_"].iter().any(|own| name.starts_with(own));
            assert!(ours || name == "cs_error_t" || name == "cs_dispatch_flags_t", "{name} is declared");
        }
    }
}

#[test]
fn the_committed_declarations_have_no_comments_but_a_heading() {
    let (heading, code) = COMMITTED.split_once('\n').expect("there are lines");
    assert!(heading.starts_with("// Generated from corosync/cpg.h"), "{heading}");
    for comment in ["//", "/*", "doc ="] {
        assert!(!code.contains(comment), "`{comment}` is in src/bindings.rs");
    }
}

/// The texts in the order of the file, by the names in their headings.
fn texts() -> Vec<(&'static str, &'static str)> {
    let sections = TEXTS.split("\n## ").skip(1);
    sections
        .map(|section| section.split_once('\n').expect("a text"))
        .map(|(name, text)| (name, text.trim()))
        .collect()
}

#[test]
fn every_declaration_is_documented_once_and_nothing_else_is() {
    let names: BTreeSet<String> = texts().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), texts().len(), "two headings are the same");
    let items = Exports::of(COMMITTED).items();
    let differing: Vec<_> = names.symmetric_difference(&items).collect();
    assert!(differing.is_empty(), "only declared or only documented: {differing:?}");
}

#[test]
fn each_declaration_follows_its_own_documentation() {
    let texts: BTreeMap<_, _> = texts().into_iter().collect();
    let (mut owner, mut found) = (String::new(), Vec::new());
    let mut followed = 0;
    for line in COMPILED.lines().map(str::trim_start) {
        if let Some(documentation) = line.strip_prefix("///") {
            found.push(documentation.strip_prefix(' ').unwrap_or(documentation));
        } else if line.starts_with("pub ") {
            let tokens = tokens(line);
            let name = match tokens[1].as_str() {
                "fn" | "const" | "type" => tokens[2].clone(),
                "struct" => {
                    owner.clone_from(&tokens[2]);
                    owner.clone()
                }
                field => format!("{owner}.{field}"),
            };
            assert_eq!(found.join("\n"), texts[name.as_str()], "{name}");
            found.clear();
            followed += 1;
        }
    }
    assert_eq!(followed, Exports::of(COMPILED).items().len());
}
