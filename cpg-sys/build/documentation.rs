//! Puts the documentation in `src/declarations.md` before the declarations.

use std::collections::BTreeMap;

/// One text for the declarations that bindgen makes and for the committed ones, which have none of their own.
const TEXT: &str = include_str!("../src/declarations.md");

/// Returns the declarations, each with its documentation before it.
///
/// The declarations are those of some version of libcpg. What it lacks is passed over, and what is new in it
/// stays without documentation, of which the compiler warns.
pub fn add_to(declarations: &str) -> String {
    let texts = texts();
    let mut parts = declarations.split("pub ");
    let mut documented = parts.next().unwrap_or_default().to_owned();
    let mut owner = "";
    for part in parts {
        let mut words =
            part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty());
        let name = match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("fn" | "const" | "type", name) => name.to_owned(),
            ("struct", name) => {
                owner = name;
                name.to_owned()
            }
            (field, _) => format!("{owner}.{field}"),
        };
        if let Some(text) = texts.get(name.as_str()) {
            let indent = begin_line(&mut documented);
            for line in text.trim().lines() {
                documented.push_str(format!("/// {line}").trim_end());
                documented.push('\n');
                documented.push_str(&indent);
            }
        }
        documented.push_str("pub ");
        documented.push_str(part);
    }
    documented
}

/// Ends a line that has more than its indentation, as bindgen's have without rustfmt; returns the indentation.
fn begin_line(text: &mut String) -> String {
    let line = text.rsplit('\n').next().unwrap_or_default();
    if line.trim().is_empty() {
        return line.to_owned();
    }
    text.push('\n');
    String::new()
}

/// The texts by the names in their headings.
fn texts() -> BTreeMap<&'static str, &'static str> {
    TEXT.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect()
}
