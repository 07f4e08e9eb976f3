//! The rules about `unsafe`. They are checked on tokens, so that macros hide nothing.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::{Attribute, Meta};

use crate::levels::{UNSAFE, folder};
use crate::modules::Crate;
use crate::report::Report;

/// The lines of a file that break the rules.
#[derive(Default)]
struct Lines {
    keyword: BTreeSet<usize>,
    /// `allow(unsafe_code)`, and anything else that weakens the lint.
    weakened: BTreeSet<usize>,
    /// `unsafe impl` of `Send` or `Sync`.
    declared: BTreeSet<usize>,
    transmuted: BTreeSet<usize>,
}

pub(crate) fn check(krate: &Crate, report: &mut Report) {
    for file in &krate.files {
        let mut lines = Lines::default();
        look(file.tokens.clone(), &mut lines);
        let name = &file.name;
        for line in lines.declared {
            let text =
                "`unsafe impl` of Send or Sync: build the type of parts that are Send and Sync by themselves";
            report.violation(name, line, text);
        }
        for line in lines.transmuted {
            let text = "a transmutation, which nothing checks: use a cast, or `from_ne_bytes` and the like";
            report.violation(name, line, text);
        }
        let allowed = UNSAFE.contains(&folder(name));
        if !allowed {
            for line in lines.keyword {
                let text = format!(
                    "`unsafe`, which only {} may have: move it there, behind a safe function",
                    UNSAFE.join("/ and ") + "/"
                );
                report.violation(name, line, text);
            }
        }
        let head: BTreeSet<usize> =
            file.syntax.attrs.iter().map(|attribute| attribute.span().start().line).collect();
        let mut once = allowed && *name == format!("{}/mod.rs", folder(name));
        for line in lines.weakened {
            if once && head.contains(&line) {
                once = false;
                continue;
            }
            let text = format!(
                "the lint unsafe_code is weakened, which only {} may do, once, at the top",
                UNSAFE.join("/mod.rs and ") + "/mod.rs"
            );
            report.violation(name, line, text);
        }
        if name == "lib.rs" && !file.syntax.attrs.iter().any(denies) {
            report.violation(name, 1, "no `#![deny(unsafe_code)]`: add it");
        }
    }
}

/// Returns true if an attribute is `deny(unsafe_code)`.
fn denies(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::List(list) => list.path.is_ident("deny") && has(list.tokens.clone(), "unsafe_code"),
        _ => false,
    }
}

/// Returns true if the tokens contain a name, not counting groups.
fn has(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(ident) if ident == name))
}

fn look(tokens: TokenStream, lines: &mut Lines) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let line = token.span().start().line;
        let name = match token {
            TokenTree::Group(group) => {
                look(group.stream(), lines);
                continue;
            }
            TokenTree::Ident(name) => name.to_string(),
            _ => continue,
        };
        match (name.as_str(), tokens.get(at + 1)) {
            ("unsafe", next) => {
                lines.keyword.insert(line);
                if matches!(next, Some(TokenTree::Ident(next)) if next == "impl")
                    && is_marker(&tokens[at + 2..])
                {
                    lines.declared.insert(line);
                }
            }
            ("transmute" | "transmute_copy", _) => {
                lines.transmuted.insert(line);
            }
            ("allow" | "expect" | "warn", Some(TokenTree::Group(group)))
                if has(group.stream(), "unsafe_code") =>
            {
                lines.weakened.insert(line);
            }
            _ => {}
        }
    }
}

/// Returns true if the trait between `impl` and `for` is `Send` or `Sync`.
fn is_marker(tokens: &[TokenTree]) -> bool {
    let is = |token: &TokenTree, names: &[&str]| match token {
        TokenTree::Ident(ident) => names.iter().any(|name| ident == name),
        _ => false,
    };
    tokens
        .windows(2)
        .take_while(|pair| !matches!(pair[0], TokenTree::Group(_)))
        .any(|pair| is(&pair[0], &["Send", "Sync"]) && is(&pair[1], &["for"]))
}
