//! The paths in a file.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, Item, ItemExternCrate, ItemMod, ItemUse, Macro, Meta, Path, UseTree, Visibility,
};

use crate::modules::{Binding, Crate, Declared, Module, ModulePath, Written, is_left_out};
use crate::scan;

/// A path in a file.
#[derive(Debug)]
pub(crate) struct Mention {
    pub file: String,
    pub line: usize,
    /// The module that contains the path.
    pub scope: ModulePath,
    pub path: Written,
    /// True if `::*` follows the path.
    pub glob: bool,
}

/// Adds a file's modules, names and paths to the crate, and returns the modules that other files hold.
pub(crate) fn read(
    krate: &mut Crate,
    file: &str,
    path: &[String],
    syntax: &syn::File,
    built: bool,
) -> Vec<Declared> {
    let folder = match file.rsplit_once('/') {
        _ if file == "lib.rs" => String::new(),
        Some((folder, "mod.rs")) => format!("{folder}/"),
        _ => format!("{}/", file.trim_end_matches(".rs")),
    };
    let mut reader = Reader {
        krate,
        file,
        scope: path.to_vec(),
        folder,
        built,
        blocks: 0,
        open: false,
        declared: Vec::new(),
    };
    reader.enter();
    reader.visit_file(syntax);
    reader.declared
}

struct Reader<'a> {
    krate: &'a mut Crate,
    file: &'a str,
    scope: ModulePath,
    folder: String,
    built: bool,
    /// The number of blocks around the current place.
    blocks: usize,
    /// True while a `use` with a visibility is read.
    open: bool,
    declared: Vec<Declared>,
}

impl Reader<'_> {
    fn enter(&mut self) {
        if self.built {
            let module = Module { file: self.file.to_string(), ..Module::default() };
            self.krate.modules.entry(self.scope.clone()).or_insert(module);
        }
    }

    fn module(&mut self) -> Option<&mut Module> {
        if self.built { self.krate.modules.get_mut(&self.scope) } else { None }
    }

    fn define(&mut self, name: &Ident) {
        if self.blocks == 0 {
            let name = name.unraw().to_string();
            if let Some(module) = self.module() {
                module.items.insert(name);
            }
        }
    }

    fn mention(&mut self, path: Written, line: usize, glob: bool) {
        if self.built {
            let (file, scope) = (self.file.to_string(), self.scope.clone());
            self.krate.mentions.push(Mention { file, line, scope, path, glob });
        }
    }

    fn hidden(&mut self, line: usize, text: &str) {
        self.krate.hidden.push((self.file.to_string(), line, text.to_string()));
    }

    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        for path in scan::paths(tokens) {
            self.mention(path.path, path.line, path.glob);
        }
    }

    /// Reads a tree of `use`, below the names in `before`.
    fn tree(&mut self, tree: &UseTree, before: &Written) {
        let with = |name: &Ident| {
            let mut path = before.clone();
            // `a::{self}` is `a`.
            if name != "self" || path.names.is_empty() {
                path.names.push(name.unraw().to_string());
            }
            path
        };
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before);
                }
            }
            UseTree::Name(name) => {
                let path = with(&name.ident);
                let last = path.names.last().cloned().unwrap_or_default();
                self.bind(last, path, name.ident.span().start().line);
            }
            UseTree::Rename(rename) => {
                let name = rename.rename.unraw().to_string();
                self.bind(name, with(&rename.ident), rename.ident.span().start().line);
            }
            UseTree::Glob(glob) => {
                let (block, open) = (self.blocks > 0, self.open);
                if let Some(module) = self.module() {
                    module.globs.push(Binding { path: before.clone(), block, open });
                }
                self.mention(before.clone(), glob.star_token.span.start().line, true);
            }
        }
    }

    fn bind(&mut self, name: String, path: Written, line: usize) {
        let (block, open) = (self.blocks > 0, self.open);
        if let Some(module) = self.module().filter(|_| name != "_") {
            // Two blocks, or a block and its module, can use one name for two things. The name outside of blocks
            // counts.
            if module.bindings.get(&name).is_none_or(|old| old.block) {
                module.bindings.insert(name, Binding { path: path.clone(), block, open });
            }
        }
        self.mention(path, line, false);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Const(item) => self.define(&item.ident),
            Item::Enum(item) => self.define(&item.ident),
            Item::Fn(item) => self.define(&item.sig.ident),
            Item::Static(item) => self.define(&item.ident),
            Item::Struct(item) => self.define(&item.ident),
            Item::Trait(item) => self.define(&item.ident),
            Item::Type(item) => self.define(&item.ident),
            Item::Union(item) => self.define(&item.ident),
            Item::Macro(item) => {
                if let Some(name) = &item.ident {
                    self.define(name);
                }
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let (line, built) = (item.ident.span().start().line, self.built && !is_left_out(&item.attrs));
        if item.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
            if !built {
                // A file of the tests beside the crate, which this check does not cover.
                return;
            }
            self.hidden(line, "`#[path]` puts a module where nobody looks for it: move the file");
        }
        for attribute in &item.attrs {
            self.visit_attribute(attribute);
        }
        let name = item.ident.unraw().to_string();
        let mut path = self.scope.clone();
        path.push(name.clone());
        let Some((_, items)) = &item.content else {
            self.declared.push(Declared { path, folder: self.folder.clone(), built });
            return;
        };
        let folder = format!("{}{name}/", self.folder);
        let outside = (
            std::mem::replace(&mut self.scope, path),
            std::mem::replace(&mut self.folder, folder),
            std::mem::replace(&mut self.built, built),
        );
        self.enter();
        for item in items {
            self.visit_item(item);
        }
        (self.scope, self.folder, self.built) = outside;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for attribute in &item.attrs {
            self.visit_attribute(attribute);
        }
        self.open = !matches!(item.vis, Visibility::Inherited);
        self.tree(&item.tree, &Written { names: Vec::new(), global: item.leading_colon.is_some() });
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        for attribute in &item.attrs {
            self.visit_attribute(attribute);
        }
        if item.ident == "self" {
            self.hidden(
                item.ident.span().start().line,
                "`extern crate self` gives the root a second name: say `crate`",
            );
        }
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.blocks += 1;
        visit::visit_block(self, block);
        self.blocks -= 1;
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.len() > 1 {
            let names = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
            let written = Written { names, global: path.leading_colon.is_some() };
            self.mention(written, path.segments[0].ident.span().start().line, false);
        }
        visit::visit_path(self, path);
    }

    /// `pub(in crate::a)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("macro_use") {
            let line = attribute.pound_token.span.start().line;
            self.hidden(
                line,
                "`#[macro_use]` imports without a path: give the macro one with `pub(crate) use`",
            );
        }
        self.visit_path(attribute.path());
        match &attribute.meta {
            Meta::Path(_) => {}
            Meta::List(list) => self.tokens(list.tokens.clone()),
            Meta::NameValue(pair) => self.visit_expr(&pair.value),
        }
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        if called.path.segments.last().is_some_and(|segment| segment.ident == "include") {
            self.hidden(
                called.path.span().start().line,
                "`include!` hides what the text imports: make it a module",
            );
        }
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }
}
