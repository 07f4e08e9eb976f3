//! The modules of a crate, found as the compiler finds them: from `lib.rs` on, by `mod`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use proc_macro2::{LexError, TokenStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

use crate::Sources;
use crate::mentions::{self, Mention};

/// The path of a module: the names of all modules around it, without the root, and its name.
pub(crate) type ModulePath = Vec<String>;

/// A path as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Written {
    /// The names, including `crate`, `self` and `super`.
    pub names: Vec<String>,
    /// True if the path begins with `::` and so leads out of the crate.
    pub global: bool,
}

/// A name, or all names of a module, that a `use` brings into another module.
#[derive(Debug)]
pub(crate) struct Binding {
    pub path: Written,
    /// True if the `use` is in a block. Then other modules cannot use the name.
    pub block: bool,
    /// True if the `use` has a visibility, so that modules outside of this one can use the name.
    pub open: bool,
}

/// A module that is in a normal build of the crate.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The file that the module is in.
    pub file: String,
    /// The names of the items that the module defines, except modules.
    pub items: BTreeSet<String>,
    /// The names that `use` brings in.
    pub bindings: BTreeMap<String, Binding>,
    /// The paths before `::*`.
    pub globs: Vec<Binding>,
}

/// A file.
pub(crate) struct File {
    pub name: String,
    pub lines: usize,
    pub tokens: TokenStream,
    pub syntax: syn::File,
    /// False if only tests or rustdoc see the file.
    pub built: bool,
}

/// A crate.
#[derive(Default)]
pub(crate) struct Crate {
    pub files: Vec<File>,
    pub modules: BTreeMap<ModulePath, Module>,
    /// The paths in all files that are built.
    pub mentions: Vec<Mention>,
    /// The constructs that would hide paths from the check: file, line and a text.
    pub hidden: Vec<(String, usize, String)>,
}

/// A `mod name;`.
pub(crate) struct Declared {
    pub path: ModulePath,
    /// The folder in which the file is searched, with a slash at its end unless it is empty.
    pub folder: String,
    pub built: bool,
}

impl Crate {
    /// Reads a crate from `lib.rs` on.
    pub(crate) fn read(sources: &Sources) -> Result<Self, String> {
        let mut krate = Self::default();
        let mut declared = vec![("lib.rs".to_string(), ModulePath::new(), true)];
        while let Some((name, path, built)) = declared.pop() {
            let text = sources.get(&name).ok_or_else(|| format!("{name} is missing"))?;
            let fail = |line: usize, error: &dyn Display| format!("{name}:{line}: cannot be parsed: {error}");
            let tokens: TokenStream =
                text.parse().map_err(|error: LexError| fail(error.span().start().line, &error))?;
            let syntax: syn::File =
                syn::parse2(tokens.clone()).map_err(|error| fail(error.span().start().line, &error))?;
            let built = built && !is_left_out(&syntax.attrs);
            for next in mentions::read(&mut krate, &name, &path, &syntax, built) {
                let last = next.path.last().cloned().unwrap_or_default();
                let files = [format!("{}{last}.rs", next.folder), format!("{}{last}/mod.rs", next.folder)];
                let Some(file) = files.iter().find(|file| sources.contains_key(*file)) else {
                    return Err(format!(
                        "{name} declares `mod {last}`, and {} is missing",
                        files.join(" or ")
                    ));
                };
                declared.push((file.clone(), next.path, next.built));
            }
            krate.files.push(File { name, lines: text.lines().count(), tokens, syntax, built });
        }
        krate.files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(krate)
    }

    /// Returns the file of a module.
    pub(crate) fn file_of(&self, module: &[String]) -> &str {
        self.modules.get(module).map_or("lib.rs", |module| &module.file)
    }
}

/// Returns true if the attributes exclude an item from a normal build.
pub(crate) fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|meta| never(&meta))
    })
}

/// Returns true if a condition is never true in a normal build.
fn never(condition: &Meta) -> bool {
    let Meta::List(list) = condition else {
        return ["test", "doc", "doctest"].iter().any(|name| condition.path().is_ident(name));
    };
    let Ok(parts) = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else {
        return false;
    };
    (list.path.is_ident("all") && parts.iter().any(never))
        || (list.path.is_ident("any") && !parts.is_empty() && parts.iter().all(never))
}
