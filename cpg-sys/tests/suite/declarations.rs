//! Reads a `bindings.rs`, formatted or not, as far as the tests need.

use std::collections::BTreeSet;

/// The committed file.
pub const COMMITTED: &str = include_str!("../../src/bindings.rs");

/// The declarations that this build has made from the header.
#[cfg(cpg_sys_generated)]
pub const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/generated.rs"));

/// The declarations that this build has compiled: one of the two above, with documentation.
pub const COMPILED: &str = include_str!(concat!(env!("OUT_DIR"), "/declarations.rs"));

/// The names that a file exports.
#[derive(Debug, Default)]
pub struct Exports {
    pub functions: BTreeSet<String>,
    pub constants: BTreeSet<String>,
    pub types: BTreeSet<String>,
    /// As `struct.field`.
    pub fields: BTreeSet<String>,
    pub structs: BTreeSet<String>,
}

impl Exports {
    pub fn of(source: &str) -> Self {
        let mut exports = Self::default();
        let mut owner = String::new();
        for window in tokens(source).windows(3).filter(|window| window[0] == "pub") {
            let name = window[2].clone();
            match window[1].as_str() {
                "fn" => exports.functions.insert(name),
                "const" | "static" => exports.constants.insert(name),
                "type" => exports.types.insert(name),
                "struct" | "union" => {
                    owner.clone_from(&name);
                    exports.structs.insert(name)
                }
                field if window[2] == ":" => exports.fields.insert(format!("{owner}.{field}")),
                other => panic!("`pub {other} {name}` is none of what these tests know"),
            };
        }
        exports
    }

    /// Everything that `use cpg_sys::*` brings.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.functions.iter().chain(&self.constants).chain(&self.types).chain(&self.structs)
    }

    /// Everything that has documentation.
    pub fn items(&self) -> BTreeSet<String> {
        self.names().chain(&self.fields).cloned().collect()
    }
}

/// The tokens of a file, without comments, and without commas that only formatting puts there.
pub fn tokens(source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = source.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            string_length(rest)
        } else if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after.trim_start();
        if token.starts_with("//") {
            continue;
        }
        if matches!(token, ")" | "]" | "}" | ">") && tokens.last().is_some_and(|last| last == ",") {
            tokens.pop();
        }
        tokens.push(token.to_owned());
    }
    tokens
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    panic!("a string without an end: {text}");
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
