//! The rules about modules and imports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use syn::spanned::Spanned as _;
use syn::{Item, Visibility};

use crate::levels::{folder, level, place};
use crate::mentions::Mention;
use crate::modules::{Crate, is_left_out};
use crate::report::Report;
use crate::resolve::Found;

/// The imports between files: from, to, and the lines where the first names the second.
type Imports = BTreeMap<(String, String), BTreeSet<usize>>;

/// The uses of re-exports: the file, the written path, the file of the re-export, the path that should be written, and
/// the lines.
type Reexports = BTreeMap<(String, String, String, String), BTreeSet<usize>>;

pub(crate) fn check(krate: &Crate, report: &mut Report) {
    for (file, line, text) in &krate.hidden {
        report.violation(file, *line, text);
    }
    for file in krate.files.iter().filter(|file| file.built) {
        if level(&file.name).is_none() {
            let text = format!("{}/ has no level: give it one in LEVELS of ci/layers", folder(&file.name));
            report.violation(&file.name, 1, text);
        }
    }
    modules_alone(krate, report);
    let imports = imports(krate, report);
    report.imports = imports.len();
    let imports = directions(imports, report);
    circles(imports, report);
}

fn is_index(file: &str) -> bool {
    file == "lib.rs" || file.ends_with("/mod.rs")
}

/// Checks that each `mod.rs` has only modules and re-exports.
fn modules_alone(krate: &Crate, report: &mut Report) {
    for file in krate.files.iter().filter(|file| file.built && file.name.ends_with("/mod.rs")) {
        for item in &file.syntax.items {
            let text = match item {
                Item::Mod(item) if item.content.is_none() || is_left_out(&item.attrs) => continue,
                Item::Use(item) if !matches!(item.vis, Visibility::Inherited) => continue,
                Item::Use(_) => "an import in a mod.rs that is not a re-export: delete it",
                _ => "code in a mod.rs, which has modules and re-exports alone: move it to a file of its own",
            };
            report.violation(&file.name, item.span().start().line, text);
        }
    }
}

/// Resolves each path. Reports the paths that use re-exports or lead to the root.
fn imports(krate: &Crate, report: &mut Report) -> Imports {
    let mut imports = Imports::new();
    let mut reexports = Reexports::new();
    for mention in krate.mentions.iter().filter(|mention| mention.file != "lib.rs") {
        let Some(found) = krate.follow(&mention.scope, &mention.path) else { continue };
        let written = mention.path.names.join("::");
        let right = right(&found);
        for module in &found.through {
            let file = krate.file_of(module);
            if file != mention.file {
                let key = (mention.file.clone(), written.clone(), file.to_string(), right.clone());
                reexports.entry(key).or_default().insert(mention.line);
            }
        }
        let Some(module) = &found.module else { continue };
        let target = krate.file_of(module);
        if target == mention.file {
            continue;
        }
        if target == "lib.rs" {
            if !found.rest.is_empty() && !mention.glob {
                let text = format!(
                    "`{written}` is of lib.rs, which imports all other files: move it to a file of its own"
                );
                report.violation(&mention.file, mention.line, text);
            }
        } else {
            let pair = (mention.file.clone(), target.to_string());
            imports.entry(pair).or_default().insert(mention.line);
        }
        if let Some(text) = glob(krate, mention, &found, target) {
            report.violation(&mention.file, mention.line, text);
        }
    }
    for ((file, written, through, right), lines) in reexports {
        let text = format!("`{written}` is a re-export in {through}: name {right}{}", others(&lines));
        report.violation(&file, first(&lines), text);
    }
    imports
}

/// Returns the text of the path that uses no re-export.
fn right(found: &Found) -> String {
    match &found.module {
        Some(module) => {
            let names: Vec<_> = module.iter().chain(&found.rest).map(String::as_str).collect();
            format!("`crate::{}`", names.join("::"))
        }
        None => "it where it is defined, in another crate".to_string(),
    }
}

/// Returns a text if `::*` imports re-exports.
fn glob(krate: &Crate, mention: &Mention, found: &Found, target: &str) -> Option<String> {
    let path = found.module.as_ref().filter(|_| mention.glob && found.rest.is_empty())?;
    let module = krate.modules.get(path)?;
    let inside = mention.scope.starts_with(path);
    let reexports = is_index(target)
        || module
            .globs
            .iter()
            .chain(module.bindings.values())
            .any(|name| !name.block && (inside || name.open));
    reexports.then(|| {
        let written = mention.path.names.join("::");
        format!("`{written}::*` takes in the modules and re-exports of {target}: name what is needed where it is defined")
    })
}

fn first(lines: &BTreeSet<usize>) -> usize {
    lines.first().copied().unwrap_or(1)
}

/// Returns a text for the lines after the first one.
fn others(lines: &BTreeSet<usize>) -> String {
    let others: Vec<_> = lines.iter().skip(1).map(ToString::to_string).collect();
    if others.is_empty() { String::new() } else { format!(" (lines {} too)", others.join(", ")) }
}

/// Reports imports from higher levels, and returns the others.
fn directions(imports: Imports, report: &mut Report) -> Imports {
    let mut rest = Imports::new();
    for ((from, to), lines) in imports {
        match (level(&from), level(&to)) {
            (Some(below), Some(above)) if above > below => {
                let text = format!(
                    "imports from {to}: what is {} must not know what is {}; move it down, or hand in a value{}",
                    place(&from),
                    place(&to),
                    others(&lines)
                );
                report.violation(&from, first(&lines), text);
            }
            _ => {
                rest.insert((from, to), lines);
            }
        }
    }
    rest
}

/// Reports circles of files. A `mod.rs` is in none, because it does not use its re-exports.
fn circles(mut imports: Imports, report: &mut Report) {
    imports.retain(|(from, to), _| !is_index(from) && !is_index(to));
    while let Some(circle) = shortest_circle(&imports) {
        let steps: Vec<_> = circle.windows(2).map(|step| (step[0].clone(), step[1].clone())).collect();
        let told: Vec<_> = steps
            .iter()
            .map(|pair| format!("{}:{} imports {}", pair.0, first(&imports[pair]), pair.1))
            .collect();
        let what = if steps.len() == 2 { "two files that import each other" } else { "a circle of files" };
        let text = format!("{what}: {}; move what they share to a file below them", told.join(", "));
        report.violation(&circle[0], first(&imports[&steps[0]]), text);
        // This step is removed, and then the other circles are found.
        imports.remove(&steps[steps.len() - 1]);
    }
}

/// Returns the shortest circle, with its first file at both ends.
fn shortest_circle(imports: &Imports) -> Option<Vec<String>> {
    let circles = imports.keys().filter_map(|(from, to)| {
        let mut circle = way(imports, to, from)?;
        circle.insert(0, from.clone());
        Some(circle)
    });
    circles.min_by_key(Vec::len)
}

/// Returns the shortest way from one file to another, including both.
fn way(imports: &Imports, from: &str, to: &str) -> Option<Vec<String>> {
    let mut came: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        if at == to {
            let mut way = vec![to.to_string()];
            let mut at = to;
            while at != from {
                at = came[at];
                way.insert(0, at.to_string());
            }
            return Some(way);
        }
        for (_, next) in imports.keys().filter(|(file, _)| file == at) {
            if next != from && !came.contains_key(next.as_str()) {
                came.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}
