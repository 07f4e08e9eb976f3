//! Checks that the documentation is complete: every public item is in an example, and every error on the page about
//! troubleshooting.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::sources::sources;
use cpg::{CsError, Error, GroupName, SystemError};

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An example: the words of its code, with a mark if the example uses `cpg::tokio`.
struct Example {
    words: BTreeSet<String>,
    tasks: bool,
}

fn words(code: &str) -> BTreeSet<String> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').map(str::to_owned).collect()
}

/// Returns the examples of one file, except those that must not compile.
fn examples_in(path: &Path) -> Vec<Example> {
    let text = fs::read_to_string(path).unwrap();
    let rust = path.extension().is_some_and(|kind| kind == "rs");
    let lines = text.lines().map(str::trim_start).filter_map(|line| {
        let code = if rust { line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))? } else { line };
        Some(code.trim_start())
    });
    let (mut examples, mut code, mut wanted) = (Vec::new(), None::<String>, false);
    for line in lines {
        if let Some(kind) = line.strip_prefix("```") {
            match code.take() {
                None => {
                    wanted = matches!(kind, "" | "no_run" | "rust,no_run");
                    code = Some(String::new());
                }
                Some(code) if wanted => {
                    let tasks = code.contains("cpg::tokio");
                    examples.push(Example { words: words(&code), tasks });
                }
                Some(_) => {}
            }
        } else if let Some(code) = &mut code {
            code.push_str(line);
            code.push('\n');
        }
    }
    assert!(code.is_none(), "{}: an example does not end", path.display());
    examples
}

fn examples() -> Vec<Example> {
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")];
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    paths.iter().flat_map(|path| examples_in(path)).collect()
}

/// Returns the name of a variable of a type: `join_error` for `JoinError`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// Returns the path of the item in a line of `ci/api`: `cpg::Group::join` for `pub fn cpg::Group::join<N>(N) -> …`.
fn path_of(line: &str) -> Option<(&str, String)> {
    let kind = ["fn", "struct", "enum", "const", "type"]
        .into_iter()
        .find(|kind| line.contains(&format!("pub {kind} ")) || line.contains(&format!("{kind} cpg::")))?;
    let from = line.find("cpg::")?;
    // Parameters of types can be within the path: cpg::packet::Frames<'a>::new.
    let (mut path, mut depth) = (String::new(), 0);
    for c in line[from..].chars() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            c if depth > 0 || c.is_alphanumeric() || c == '_' || c == ':' => {
                if depth == 0 {
                    path.push(c);
                }
            }
            _ => break,
        }
    }
    Some((kind, path.trim_end_matches(':').to_owned()))
}

/// The rule: the name of a type, a function or a constant of a module is in an example. The name of a method is in an
/// example together with its type, as the name of the type or of a variable. An item of `cpg::tokio` is in an example
/// that uses this module.
///
/// Implementations of traits need no example. Variants and fields need none either: those of [`Error`] and [`CsError`]
/// are on the page about troubleshooting.
#[test]
fn every_public_item_is_in_an_example() {
    let api = file("../ci/api/corosync-cpg.txt");
    let examples = examples();
    let (mut missing, mut of_trait, mut seen) = (Vec::new(), false, 0);
    for line in api.lines() {
        if line.starts_with("impl") {
            of_trait = line.contains(" for ");
            continue;
        }
        let Some((kind, path)) = path_of(line) else {
            of_trait = false;
            continue;
        };
        let parts: Vec<_> = path.split("::").skip(1).collect();
        let (name, of) = (parts[parts.len() - 1], parts.len().checked_sub(2).map(|at| parts[at]));
        let is_member = of.is_some_and(|of| of.starts_with(char::is_uppercase));
        if kind == "struct" || kind == "enum" || !is_member {
            of_trait = false;
        }
        if of_trait || (kind == "type" && is_member) || parts.contains(&"guide") {
            continue;
        }
        seen += 1;
        let tasks = parts[0] == "tokio";
        let shown = examples.iter().any(|example| {
            let has = |word: &str| example.words.contains(word);
            let of_type = |of: &str| has(of) || has(&snake(of));
            (example.tasks || !tasks) && has(name) && (!is_member || of.is_some_and(of_type))
        });
        if !shown {
            missing.push(path);
        }
    }
    assert!(seen > 150, "{seen} items found in ci/api");
    assert!(missing.is_empty(), "{} of {seen} are in no example:\n{}", missing.len(), missing.join("\n"));
}

/// A search of the documentation for a name of the C library finds its counterpart.
#[test]
fn every_function_of_libcpg_is_an_alias_of_its_counterpart() {
    let mut paths = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    let source: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let api = file("../ci/api/cpg-sys.txt");
    let functions = api.lines().filter_map(|line| {
        let (_, name) = line.strip_prefix("pub unsafe c fn ")?.split_once("::")?;
        name.split('(').next()
    });
    let (found, missing): (Vec<_>, Vec<_>) =
        functions.partition(|name| source.contains(&format!("#[doc(alias = \"{name}\")]")));
    assert!(found.len() >= 20 && missing.is_empty(), "{} have an alias, not {missing:?}", found.len());
}

/// Returns the text of a page in one line, without the marks of quotations.
fn page() -> String {
    let text = file("src/guide/troubleshooting.md");
    text.split_whitespace().filter(|word| *word != ">").collect::<Vec<_>>().join(" ")
}

#[test]
fn troubleshooting_has_every_code() {
    let page = page();
    let codes = (0..=1000).map(CsError::from).filter(|code| code.name().is_some());
    let missing: Vec<_> = codes.map(|code| code.to_string()).filter(|text| !page.contains(text)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
    assert!(page.contains(&CsError::from(77).to_string()));
}

#[test]
fn troubleshooting_has_every_error_as_it_is_printed() {
    let os = |code| SystemError::from(io::Error::from_raw_os_error(code));
    // With the names of the variants, because an error does not print its name.
    macro_rules! named {
        ($($error:expr,)*) => { [$(($error, stringify!($error))),*] };
    }
    let errors = named![
        Error::Cs { call: "cpg_model_initialize", code: CsError::Library },
        Error::Forked { owner: 4711 },
        Error::ForkedWhileConnecting { parent: 4711 },
        Error::StackTooSmall { needed: 1_179_648, remaining: 65_536 },
        Error::TooManyHandles { open: 47 },
        Error::NoList(Box::new(Error::Cs { call: "cpg_model_initialize", code: CsError::Library })),
        Error::InvalidName(GroupName::new([b'n'; 200]).unwrap_err()),
        Error::InvalidName(GroupName::new("").unwrap_err()),
        Error::InvalidName(GroupName::new("ledger\0").unwrap_err()),
        Error::GroupTooLarge { members: 130, limit: 128 },
        Error::MessageTooLong { len: 3_000_000_000, limit: 0x7fff_ffff },
        Error::NoDescriptors(os(libc::EMFILE)),
        Error::UntrustedDaemon { uid: 1000, is_overflow: false },
        Error::UntrustedDaemon { uid: 65534, is_overflow: true },
        Error::DatagramIpc,
        Error::NoSharedMemory { len: 1_000_000, source: os(libc::ENOSPC) },
        Error::Left,
        Error::NoMembership,
        Error::WouldWait { waiting_for: "room in the sending queue" },
        Error::WouldWait { waiting_for: "the self-delivery of a message" },
        Error::WouldWait { waiting_for: "the session to be back in its group" },
        Error::ForeignToken,
        Error::QueueFull,
        Error::DroppedByDaemon,
        Error::ReceiverDropped,
        Error::TimedOut { waiting_for: "this member's join to be delivered" },
        Error::CallOutstanding,
        Error::Io { call: "starting a thread to wait for the daemon", source: os(libc::EAGAIN) },
        Error::Io { call: "eventfd", source: os(libc::EMFILE) },
        Error::Io { call: "poll", source: os(libc::EINVAL) },
    ];
    let page = page();
    let missing: Vec<_> =
        errors.iter().map(|(error, _)| error.to_string()).filter(|text| !page.contains(text)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:#?}");

    // No variant is missing above: the declared variants are those with a heading.
    let source = file("src/error.rs");
    let (_, declared) = source.split_once("pub enum Error {").unwrap();
    let (declared, _) = declared.split_once("\n}").unwrap();
    let declared = declared.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.split(['(', ' ', ',', '{']).next()?;
        name.starts_with(char::is_uppercase).then_some(name)
    });
    let mut count = 0;
    for name in declared {
        count += 1;
        assert!(
            errors.iter().any(|(_, error)| {
                error.strip_prefix("Error::").and_then(|error| error.split([' ', '(']).next()) == Some(name)
            }),
            "Error::{name} is not in the list of this test"
        );
        assert!(name == "Cs" || page.contains(&format!("`Error::{name}`")), "Error::{name} has no heading");
    }
    assert!(count >= 18, "{count} variants found");
}

/// The guide names the file of a test for each claim.
#[test]
fn the_files_that_the_guide_names_exist() {
    let mut pages = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide"), &mut pages);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut count = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let ours = ["cpg/", "ci/", "examples/"];
        for path in quoted.filter(|path| ours.iter().any(|start| path.starts_with(start))) {
            count += 1;
            assert!(root.join(path).exists(), "{}: there is no {path}", page.display());
        }
    }
    assert!(count > 30, "{count} files are named");
}

/// The examples of README are compiled where the package's README has them too: an archive of the package has no other.
/// The unit is of a service with a program that is there, and is looked at without the units of this machine.
#[test]
fn systemd_takes_the_unit_of_the_guide() {
    let page = file("src/guide/losing_the_daemon.md");
    let unit = page.split("```ini\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(unit.contains("ExecStart=/usr/local/bin/ledger\n") && unit.contains("After=corosync.service\n"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    fs::create_dir_all(&directory).unwrap();
    let ledger = directory.join("ledger.service");
    fs::write(&ledger, unit.replace("/usr/local/bin/ledger", "/bin/true")).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&ledger).output();
    let output = match verified {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("passed over: there is no systemd-analyze");
            return;
        }
        output => output.unwrap(),
    };
    // What it says of other units of this machine does not matter, nor that it can do nothing here.
    let said = String::from_utf8_lossy(&output.stderr);
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("ledger")).collect();
    assert!(complaints.is_empty(), "{said}");
}

#[test]
fn the_readme_of_the_package_has_the_examples_of_the_other_readme() {
    let code = |path: &str| {
        let text = file(path);
        let blocks: Vec<_> = text.split("\n```").skip(1).step_by(2).map(str::to_owned).collect();
        blocks.into_iter().filter(|block| block.starts_with("rust")).collect::<Vec<_>>()
    };
    let examples = code("../README.md");
    assert!(!examples.is_empty() && examples.iter().all(|example| example.starts_with("rust,no_run\n")));
    assert_eq!(code("README.md"), examples);
}

/// A reader at a registry has only the package.
#[test]
fn the_readmes_of_the_packages_have_no_links_out_of_the_packages() {
    for path in ["README.md", "../cpg-sys/README.md"] {
        let text = file(path);
        assert!(!text.contains("ci/") && !text.contains("!["), "{path}: of the repository");
        let inline = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        let references = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
        let links: Vec<_> = inline.chain(references.map(|(_, link)| link)).collect();
        assert!(!links.is_empty(), "{path}: no link found");
        for link in links {
            assert!(link.starts_with("https://"), "{path}: {link}");
        }
    }
}
