//! The resolution of a written path to the module to which it leads.

use crate::modules::{Crate, ModulePath, Written};

/// The number of re-exports after which a path counts as a circle.
const DEEP: usize = 16;

/// The end of a path.
#[derive(Debug)]
pub(crate) struct Found {
    /// The module, unless a re-export leads out of the crate.
    pub module: Option<ModulePath>,
    /// The name in the module. Empty if the path names the module itself.
    pub rest: Vec<String>,
    /// The modules whose re-exports the path goes through.
    pub through: Vec<ModulePath>,
}

impl Crate {
    /// Follows a path from the module that contains it. Returns `None` for a path that leads out of the crate, and for
    /// one that begins with an item of a `use`, because then the `use` counts.
    pub(crate) fn follow(&self, scope: &[String], path: &Written) -> Option<Found> {
        self.lead(scope, path, 0)
    }

    fn lead(&self, scope: &[String], path: &Written, depth: usize) -> Option<Found> {
        if path.global || depth > DEEP {
            return None;
        }
        let mut start = scope.to_vec();
        let mut names = &path.names[..];
        match names.first()?.as_str() {
            "crate" => {
                start.clear();
                names = &names[1..];
            }
            "self" | "super" => {
                if names[0] == "self" {
                    names = &names[1..];
                }
                while names.first().is_some_and(|name| name == "super") {
                    start.pop();
                    names = &names[1..];
                }
            }
            first if self.child(scope, first).is_some() => {}
            first => {
                let binding = self.modules.get(scope)?.bindings.get(first)?;
                let found = self.lead(scope, &binding.path, depth + 1)?;
                if !found.rest.is_empty() {
                    return None;
                }
                start = found.module?;
                names = &names[1..];
            }
        }
        let mut found = Found { module: Some(start), rest: names.to_vec(), through: Vec::new() };
        self.walk(scope, &mut found, depth);
        Some(found)
    }

    /// Removes names from `rest` while they are modules or re-exports.
    fn walk(&self, scope: &[String], found: &mut Found, depth: usize) {
        while let (Some(at), Some(name)) = (found.module.clone(), found.rest.first().cloned()) {
            if let Some(child) = self.child(&at, &name) {
                found.module = Some(child);
                found.rest.remove(0);
                continue;
            }
            let Some(module) = self.modules.get(&at) else { return };
            // `pub(crate) use name;` gives a path to a macro, and is no re-export.
            if module.items.contains(&name) {
                return;
            }
            let end = match module.bindings.get(&name).filter(|binding| !binding.block || at == scope) {
                Some(binding) if depth < DEEP => {
                    let mut end = self.lead(&at, &binding.path, depth + 1);
                    if let Some(end) = &mut end {
                        end.rest.extend_from_slice(&found.rest[1..]);
                        self.walk(&at, end, depth + 1);
                    }
                    end
                }
                Some(_) => None,
                None => match self.through_glob(scope, &at, &found.rest, depth) {
                    Some(end) => Some(end),
                    None => return,
                },
            };
            if at != scope {
                found.through.push(at);
            }
            match end {
                Some(end) => {
                    found.module = end.module;
                    found.rest = end.rest;
                    found.through.extend(end.through);
                }
                None => found.module = None,
            }
            return;
        }
    }

    /// Looks for a name in the modules that a module imports by `::*`.
    fn through_glob(&self, scope: &[String], at: &[String], rest: &[String], depth: usize) -> Option<Found> {
        if depth >= DEEP {
            return None;
        }
        let mut globs = self.modules.get(at)?.globs.iter().filter(|glob| glob.open || scope.starts_with(at));
        globs.find_map(|glob| {
            let end = self.lead(at, &glob.path, depth + 1)?;
            let target = end.module.clone().filter(|target| end.rest.is_empty() && target != at)?;
            let module = self.modules.get(&target)?;
            let known = self.child(&target, &rest[0]).is_some()
                || module.items.contains(&rest[0])
                || module.bindings.contains_key(&rest[0]);
            if !known {
                return None;
            }
            let mut found = Found { module: Some(target), rest: rest.to_vec(), through: end.through };
            self.walk(at, &mut found, depth + 1);
            Some(found)
        })
    }

    fn child(&self, module: &[String], name: &str) -> Option<ModulePath> {
        let mut child = module.to_vec();
        child.push(name.to_string());
        self.modules.contains_key(&child).then_some(child)
    }
}
