//! Finds the installed libcpg: the variables first, then pkg-config.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use pkg_config::Error;

use crate::advice;

/// The library that was found.
pub struct Library {
    pub lib_dirs: Vec<PathBuf>,
    pub include_dirs: Vec<PathBuf>,
    /// Unknown when the variables name a place that has no `libcpg.pc`.
    pub version: Option<String>,
}

/// Finds libcpg, or says what was tried and what to do about it.
pub fn find(minimum: &str) -> Result<Library, String> {
    let dirs = ["CPG_LIB_DIR", "CPG_INCLUDE_DIR"].map(|name| (name, for_target(name).map(PathBuf::from)));
    let value =
        |dir: &Option<PathBuf>| dir.as_ref().map_or("not set".to_owned(), |dir| dir.display().to_string());
    let mut tried: Vec<String> = dirs.iter().map(|(name, dir)| format!("{name}: {}", value(dir))).collect();

    let found = match dirs.map(|(_, dir)| dir) {
        [Some(lib), Some(include)] => from_variables(lib, include, minimum),
        [None, None] => from_pkg_config(minimum, &mut tried),
        // A half from here and a half from elsewhere could be of two versions.
        _ => Err("only one of CPG_LIB_DIR and CPG_INCLUDE_DIR is set: set both or neither".to_owned()),
    };
    found.map_err(|headline| advice::for_libcpg(&headline, minimum, &tried))
}

/// They overrule everything, so that an old version is only warned of.
fn from_variables(lib: PathBuf, include: PathBuf, minimum: &str) -> Result<Library, String> {
    if !lib.join("libcpg.so").exists() {
        return Err("there is no libcpg.so in CPG_LIB_DIR".to_owned());
    }
    if !include.join("corosync/cpg.h").exists() {
        return Err("there is no corosync/cpg.h in CPG_INCLUDE_DIR".to_owned());
    }
    let version = version_in(&lib.join("pkgconfig/libcpg.pc"));
    if let Some(found) = version.as_ref().filter(|found| is_older(found, minimum)) {
        println!("cargo::warning=libcpg in CPG_LIB_DIR is version {found}, older than {minimum}");
    }
    Ok(Library { lib_dirs: vec![lib], include_dirs: vec![include], version })
}

fn version_in(pc_file: &Path) -> Option<String> {
    let text = fs::read_to_string(pc_file).ok()?;
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"))?;
    Some(version.trim().to_owned())
}

/// Asks for any version, because pkg-config says "not found" of one that is merely too old.
fn from_pkg_config(minimum: &str, tried: &mut Vec<String>) -> Result<Library, String> {
    let probe = || pkg_config::Config::new().cargo_metadata(false).probe("libcpg");
    let mut found = probe();
    if let Err(error) = &found {
        let why = outcome(error);
        tried.push(format!("pkg-config libcpg: {why}"));
        if why.contains("libqb") {
            stand_in_for_libqb()?;
            found = probe();
            if let Err(error) = &found {
                tried.push(format!("pkg-config libcpg, without libqb: {}", outcome(error)));
            }
        }
    }
    let found = found.map_err(|_| "cannot find libcpg, a library of the corosync cluster engine")?;
    if is_older(&found.version, minimum) {
        tried.push(format!("pkg-config libcpg: version {} in {:?}", found.version, found.link_paths));
        return Err(format!("libcpg {} is too old, {minimum} or newer is needed", found.version));
    }
    Ok(Library {
        lib_dirs: found.link_paths,
        include_dirs: found.include_paths,
        version: Some(found.version),
    })
}

/// Shows pkg-config an empty libqb.pc behind all others: libcpg.pc requires one, linking does not.
///
/// Every pkg-config takes this; the options that pass over requirements are not the same in all.
fn stand_in_for_libqb() -> Result<(), String> {
    let dir = Path::new(&cargo_variable("OUT_DIR")).join("pkgconfig");
    let file = "Name: libqb\nDescription: stand-in by cpg-sys\nVersion: 0\n";
    fs::create_dir_all(&dir)
        .and_then(|()| fs::write(dir.join("libqb.pc"), file))
        .map_err(|error| format!("{}: {error}", dir.display()))?;

    // The name that the crate looks at first, with what it would have found there or under the others.
    let (target, kind) = (cargo_variable("TARGET"), if is_cross() { "TARGET" } else { "HOST" });
    let names = [
        format!("PKG_CONFIG_PATH_{target}"),
        format!("PKG_CONFIG_PATH_{}", target.replace('-', "_")),
        format!("{kind}_PKG_CONFIG_PATH"),
        "PKG_CONFIG_PATH".to_owned(),
    ];
    let path = names.iter().find_map(env::var_os).unwrap_or_default();
    let dirs = env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty()).chain([dir]);
    let path = env::join_paths(dirs).map_err(|error| error.to_string())?;
    // SAFETY: this program has one thread.
    unsafe { env::set_var(&names[0], path) };
    println!(
        "cargo::warning=libqb.pc, which libcpg.pc requires, is not installed; \
         going on without it, as linking to libcpg does not need it"
    );
    Ok(())
}

/// Returns the text of the error without the advice of the crate pkg-config, which suits any library.
fn outcome(error: &Error) -> String {
    match error {
        Error::ProbeFailure { output, .. } | Error::Failure { output, .. } => {
            String::from_utf8_lossy(&output.stderr).trim().replace('\n', "\n        ")
        }
        Error::Command { command, cause } => format!("cannot run `{}`: {cause}", command.trim()),
        Error::CrossCompilation => "not asked, because it is not set up for cross compiling".to_owned(),
        Error::EnvNoPkgConfig(name) => format!("not asked, because {name} is set"),
        other => other.to_string(),
    }
}

fn is_older(version: &str, minimum: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        text.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok()).collect()
    };
    numbers(version) < numbers(minimum)
}

/// A variable with the target before its name, or else without.
fn for_target(name: &str) -> Option<OsString> {
    let own = variable(&format!("{}_{name}", target_prefix()));
    let common = variable(name);
    own.or(common)
}

/// Reads a variable; cargo runs the build script again when it changes.
pub fn variable(name: &str) -> Option<OsString> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var_os(name).filter(|value| !value.is_empty())
}

/// A variable that cargo sets for every build script.
pub fn cargo_variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}; is this run by cargo?"))
}

pub fn target_prefix() -> String {
    cargo_variable("TARGET").to_uppercase().replace(['-', '.'], "_")
}

/// Returns true if the C library is to be linked into the program, which then cannot load libcpg.
///
/// The answer is the compiler's: `CARGO_CFG_TARGET_FEATURE` lacks the `crt-static` that a target has by
/// default, since cargo asks about all kinds of crates at once, and procedural macros are never static.
pub fn is_static() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let output = Command::new(cargo_variable("RUSTC"))
        .args(["--print=cfg", "--target", &cargo_variable("TARGET")])
        .args(flags.split('\x1f').filter(|flag| !flag.is_empty()))
        .output();
    // One that cannot be asked, as about a target of somebody's own, cannot be known to be static.
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).lines().any(|line| line == r#"target_feature="crt-static""#)
    })
}

pub fn is_cross() -> bool {
    cargo_variable("HOST") != cargo_variable("TARGET")
}
