//! The generated declarations, the committed ones and the header say the same.

use std::collections::BTreeSet;

use crate::declarations::{COMMITTED, COMPILED, Exports, tokens};
use crate::machine;

/// With `CPG_SYS_UPDATE_BINDINGS` set it commits what was generated instead; `ci/bindings` does that.
#[cfg(cpg_sys_generated)]
#[test]
fn generated_declarations_are_the_committed_ones() {
    if std::env::var_os("CPG_SYS_UPDATE_BINDINGS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bindings.rs");
        std::fs::write(path, COMPILED).expect("src/bindings.rs can be written");
        return;
    }
    let (generated, committed) = (comparable(COMPILED), comparable(COMMITTED));
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
fn documentation_is_kept_and_is_markdown() {
    for source in [COMPILED, COMMITTED] {
        let documented = source.matches("doc = \"").count();
        assert!(documented > 40, "{documented} items have documentation");
        assert!(!source.contains("@brief") && !source.contains("@param"), "doxygen commands are left");
        assert!(source.contains("`cpg_handle_t` is NOT a file descriptor and may not be used directly."));
    }
}
