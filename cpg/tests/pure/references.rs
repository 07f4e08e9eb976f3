//! Checks that references to facts are links to the facts.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::sources::sources;

/// Returns the documentation in a file without its examples: the whole page of the guide, or the doc comments of Rust
/// code.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let rust = path.extension().is_some_and(|kind| kind == "rs");
    let (mut prose, mut is_example) = (String::new(), false);
    for line in text.lines() {
        let comment = line.trim_start();
        let comment = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"));
        let line = match comment {
            Some(comment) => comment,
            None if rust => {
                is_example = false;
                continue;
            }
            None => line,
        };
        if line.trim_start().starts_with("```") {
            is_example = !is_example;
        } else if !is_example {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// Removes the code spans from a text, because they may contain a letter and a number with another meaning.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

/// Returns the name of a fact at the beginning of the bytes: A or B and a number.
fn fact(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['A', 'B'])?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let ends = !digits[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (end > 0 && !digits.starts_with('0') && ends).then(|| &text[..=end])
}

/// A reference to a fact, with its address if it is a link.
#[derive(Debug, PartialEq)]
struct Reference<'t> {
    fact: &'t str,
    address: Option<&'t str>,
}

fn references(text: &str) -> Vec<Reference<'_>> {
    let mut found = Vec::new();
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if !before.is_alphanumeric() && !['_', '#', '>'].contains(&before) {
            if let Some(fact) = fact(&text[at..]) {
                let rest = &text[at + fact.len()..];
                let link = rest.strip_prefix("](").and_then(|rest| rest.split_once(')'));
                let address = link.filter(|_| before == '[').map(|(address, _)| address);
                found.push(Reference { fact, address });
            }
        }
        before = c;
    }
    found
}

/// Returns the facts that have an anchor: `<span id="a1">A1</span>`.
fn anchors(page: &str) -> BTreeSet<&str> {
    let spans = page.split("<span id=\"").skip(1);
    let anchors = spans.map(|span| {
        let (id, rest) = span.split_once("\">").unwrap();
        let (name, _) = rest.split_once("</span>").unwrap();
        assert_eq!(id, name.to_lowercase(), "the anchor of {name}");
        name
    });
    anchors.collect()
}

#[test]
fn references_to_facts_are_links_to_their_anchors() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    let page = prose(&src.join("facts.rs"));
    let anchors = anchors(&page);
    assert!(anchors.len() > 40, "{} facts have an anchor", anchors.len());

    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in paths {
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap();
        let text = without_code(&prose(&path));
        for Reference { fact, address } in references(&text) {
            count += 1;
            let anchor = fact.to_lowercase();
            let right = match address {
                _ if !anchors.contains(fact) => false,
                Some(address) if name == "facts.rs" => address == format!("#{anchor}"),
                Some(address) => address == format!("crate::facts#{anchor}"),
                None => false,
            };
            if !right {
                wrong.push(format!("{name}: {fact}, {}", address.unwrap_or("no link")));
            }
        }
    }
    assert!(count > 150, "{count} references found");
    assert!(
        wrong.is_empty(),
        "{} are to be links as [A1](crate::facts#a1), and in facts.rs as [A1](#a1):\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn references_are_distinguished_from_links_and_from_other_words() {
    let found =
        |text| references(text).into_iter().map(|found| (found.fact, found.address)).collect::<Vec<_>>();
    assert_eq!(found("(A1, [B16](crate::facts#b16))"), [("A1", None), ("B16", Some("crate::facts#b16"))]);
    assert_eq!(found("A1. [A2] [A3: more](#a3)"), [("A1", None), ("A2", None), ("A3", None)]);
    assert_eq!(found("A B16x A0 CA1 #A1 A1_b <span id=\"a1\">A1</span>"), []);
    assert_eq!(without_code("one `A1` two"), "one  two");
}

/// These files are read outside of the rendered documentation, so their links have the address of the page.
#[test]
fn references_to_facts_in_files_for_maintainers_have_an_address() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = prose(&root.join(name));
        let is_address = |line: &&str| line.contains("]: https://");
        let (addresses, text): (Vec<_>, Vec<_>) = text.lines().partition(is_address);
        let text = without_code(&text.join("\n"));
        let found = references(&text);
        assert!(!found.is_empty(), "{name}: no reference found");
        for Reference { fact, .. } in found {
            let page = "https://docs.rs/corosync-cpg/latest/cpg/facts/";
            let address = format!("[{fact}]: {page}#{}", fact.to_lowercase());
            assert!(addresses.contains(&address.as_str()), "{name}: there is no line {address}");
            let bare = text.replace(&format!("[{fact}]"), "");
            assert!(
                !references(&bare).iter().any(|found| found.fact == fact),
                "{name}: {fact} is not in brackets"
            );
        }
    }
}

/// The links from page to page have the order of the table of contents.
#[test]
fn each_page_of_the_guide_links_to_the_next_one_in_the_table() {
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide.rs")).unwrap();
    let table = guide.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split_once('`'));
    let table: Vec<_> = table.map(|(page, _)| page).collect();
    assert!(table.len() > 10, "{table:?}");
    let (mut pages, mut next, mut led) = (Vec::new(), None, Vec::new());
    for line in guide.lines() {
        if let Some(link) = line.strip_prefix("#[doc = \"Next: ") {
            next = link.split("(crate::guide::").nth(1).and_then(|rest| rest.split(')').next());
        } else if let Some(page) = line.strip_prefix("pub mod ") {
            pages.push(page.trim_end_matches(" {}"));
            led.extend(next.take());
        }
    }
    assert_eq!(pages, table);
    assert_eq!(led, table[1..]);
}
