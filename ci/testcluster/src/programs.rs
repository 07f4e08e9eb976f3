//! Finding programs in `PATH`, and in the directories of system programs, which are often not in a user's `PATH`.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::error::{Error, Result};

/// The directories that are searched after `PATH`. On Debian, corosync's tools are in an sbin directory, and a user's
/// `PATH` has none.
pub(crate) const MORE_DIRECTORIES: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";

/// Returns the full path of a program. Searches in `PATH` and then in the usual directories, including those of system
/// programs.
///
/// ```no_run
/// # fn main() -> Result<(), testcluster::Error> {
/// let mut tool = std::process::Command::new(testcluster::find("corosync-cpgtool")?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::MissingTool`], which names the package if it is known.
pub fn find(name: &str) -> Result<PathBuf> {
    // Without PATH, only the usual directories are searched.
    let path = env::var_os("PATH").unwrap_or_default();
    find_in(&path, name).ok_or_else(|| {
        Error::MissingTool(format!(
            "{} is neither in PATH ({}) nor in {MORE_DIRECTORIES}",
            described(name),
            Path::new(&path).display(),
        ))
    })
}

/// Finds several programs. The error names all that are missing.
pub(crate) fn find_all<const COUNT: usize>(names: [&str; COUNT]) -> Result<[PathBuf; COUNT]> {
    let found = names.map(find);
    if found.iter().all(Result::is_ok) {
        return Ok(found.map(|path| path.expect("all were found")));
    }
    let missing = names.iter().zip(&found).filter(|(_, path)| path.is_err());
    let missing: Vec<String> = missing.map(|(name, _)| format!("  {}", described(name))).collect();
    Err(Error::MissingTool(format!(
        "a test cluster needs programs that are neither in PATH nor in {MORE_DIRECTORIES}:\n{}",
        missing.join("\n"),
    )))
}

fn find_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    env::split_paths(path)
        .chain(env::split_paths(MORE_DIRECTORIES))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

/// Returns the name of a program, with its package.
fn described(name: &str) -> String {
    let package = match name {
        "ip" => ": package iproute2 (Debian, Ubuntu, openSUSE, Arch, Alpine), iproute (Fedora, RHEL)",
        "nsenter" | "setpriv" | "unshare" => ": package util-linux (Alpine: util-linux-misc and setpriv)",
        _ if name.split('-').next() == Some("corosync") => {
            ": package corosync (Debian, Ubuntu, Fedora, openSUSE, Arch AUR; RHEL: repository HighAvailability)"
        }
        _ => "",
    };
    format!("{name}{package}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_sbin_is_found_with_the_path_of_a_user() {
        let here = env!("CARGO_MANIFEST_DIR");
        let users = OsStr::new("/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games");
        let tool = find_in(users, "corosync-cpgtool").unwrap();
        assert!(tool.is_absolute() && tool.ends_with("corosync-cpgtool"), "{tool:?}");
        assert!(find_in(OsStr::new(""), "sh").is_some(), "without PATH");
        assert!(Path::new(here).join("Cargo.toml").exists());
        assert_eq!(find_in(OsStr::new(here), "Cargo.toml"), None, "a file that is no program");
    }

    #[test]
    fn the_error_for_a_missing_program_names_its_package() {
        let told = |name| find(name).unwrap_err().to_string();
        assert!(told("no-such-program").starts_with("no-such-program is neither in PATH ("));
        assert!(told("corosync-no-such-tool").contains("package corosync (Debian"));
        let all = find_all(["sh", "corosync-no-such-tool", "no-such-program"]).unwrap_err().to_string();
        assert!(
            all.contains("\n  corosync-no-such-tool: package corosync")
                && all.ends_with("\n  no-such-program"),
            "{all}"
        );
    }
}
