//! The build script on machines that lack something, run by itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use crate::declarations::{COMMITTED, tokens};
use crate::machine::{self, INCLUDE, text};

const TARGET: &str = env!("CPG_SYS_TARGET");

/// A run of the script in an environment that says nothing, but for `settings`.
struct Run {
    output: Output,
    out_dir: PathBuf,
}

impl Run {
    fn new(name: &str, settings: &[(&str, &Path)]) -> Self {
        let out_dir = machine::fresh_dir(&format!("{name}-out"));
        let mut command = Command::new(env!("CPG_SYS_BUILD_SCRIPT"));
        machine::without_settings(&mut command)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("OUT_DIR", &out_dir)
            .envs([("TARGET", TARGET), ("HOST", TARGET), ("PKG_CONFIG_LIBDIR", "/nonexistent")])
            .env("CARGO_CFG_TARGET_POINTER_WIDTH", usize::BITS.to_string())
            .env("RUSTC", env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
            .envs(settings.iter().copied());
        Self { output: machine::run(&mut command), out_dir }
    }

    /// The instructions to cargo of a run that succeeds.
    fn instructions(&self) -> String {
        machine::assert_success("the build script", &self.output);
        text(&self.output.stdout)
    }

    /// A file that a run leaves behind.
    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.out_dir.join(name)).expect("the build script writes it")
    }

    /// The text of a run that fails.
    fn error(&self) -> String {
        let error = text(&self.output.stderr);
        assert!(!self.output.status.success(), "it succeeds: {}", text(&self.output.stdout));
        assert!(!error.contains("panicked"), "{error}");
        error
    }
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

/// A directory that has a libcpg.so in it, for `CPG_LIB_DIR`.
fn lib_dir(name: &str) -> PathBuf {
    let dir = machine::fresh_dir(name);
    std::os::unix::fs::symlink(machine::libcpg(), dir.join("libcpg.so")).expect("a link can be made");
    dir
}

#[test]
fn not_found_says_what_was_tried_and_what_to_do() {
    let error = Run::new("not-found", &[]).error();
    assert_contains(&error, &["cannot find libcpg", "3.0.3 or newer", "'libcpg'", "not found"]);
    assert_contains(&error, &["CPG_LIB_DIR: not set", "pkg-config libcpg:", TARGET]);
    assert_contains(
        &error,
        &["libcpg-dev", "corosynclib-devel", "corosync-devel", "corosync-dev ", "AUR", "Nix"],
    );
    assert_contains(&error, &["PKG_CONFIG_PATH", "_CPG_LIB_DIR"]);
    assert!(!error.contains("cross"), "this is no cross build:\n{error}");
}

#[test]
fn too_old_is_not_called_not_found() {
    let dir = machine::pkg_config_dir("too-old", "2.0");
    let error = Run::new("too-old", &[("PKG_CONFIG_LIBDIR", &dir)]).error();
    assert_contains(&error, &["libcpg 2.0 is too old, 3.0.3 or newer is needed", "libcpg-dev"]);
    assert!(!error.contains("cannot find"), "{error}");
}

#[test]
fn versions_are_compared_as_numbers() {
    for (version, enough) in [
        ("3.0.2", false),
        ("3.0.3", true),
        ("3.0.10", true),
        ("3.1", true),
        ("3.1.9.12-ab1", true),
        ("10.0", true),
    ] {
        let name = format!("version-{version}");
        let dir = machine::pkg_config_dir(&name, version);
        let run = Run::new(&name, &[("PKG_CONFIG_LIBDIR", &dir)]);
        assert_eq!(run.output.status.success(), enough, "{version}: {}", text(&run.output.stderr));
    }
}

#[test]
fn a_missing_libqb_is_warned_of_and_not_needed() {
    let dir = machine::pkg_config_dir("no-libqb", "3.1.7");
    // By way of PKG_CONFIG_PATH, which the stand-in for libqb must not hide.
    let instructions = Run::new("no-libqb", &[("PKG_CONFIG_PATH", &dir)]).instructions();
    assert_contains(&instructions, &["cargo::warning=libqb.pc", "cargo::metadata=version=3.1.7\n"]);
    assert_contains(
        &instructions,
        &["cargo::rustc-link-lib=dylib=cpg\n", "cargo::rustc-link-search=native=/"],
    );
    assert_contains(&instructions, &[&format!("cargo::metadata=include={INCLUDE}\n")]);

    fs::write(dir.join("libqb.pc"), "Name: libqb\nDescription: libqb\nVersion: 2.0\nLibs: -lqb\n")
        .expect("writable");
    let instructions = Run::new("with-libqb", &[("PKG_CONFIG_LIBDIR", &dir)]).instructions();
    assert!(!instructions.contains("warning"), "{instructions}");
    assert!(!instructions.contains("=qb"), "libqb is linked to:\n{instructions}");
}

#[test]
fn variables_come_before_pkg_config() {
    let dir = lib_dir("variables");
    let (pc, include) = (machine::pkg_config_dir("variables-pc", "3.1.7"), Path::new(INCLUDE));
    let settings = [("CPG_LIB_DIR", dir.as_path()), ("CPG_INCLUDE_DIR", include), ("PKG_CONFIG_PATH", &pc)];
    let instructions = Run::new("variables", &settings).instructions();
    assert_contains(&instructions, &[&format!("cargo::rustc-link-search=native={}\n", dir.display())]);
    assert_contains(&instructions, &["cargo::rustc-link-lib=dylib=cpg\n", "cargo::metadata=include="]);
    assert_eq!(instructions.matches("rustc-link-search").count(), 1, "{instructions}");
    assert!(!instructions.contains("metadata=version"), "nothing gives the version:\n{instructions}");
}

#[test]
fn variables_for_the_target_come_first() {
    let dir = lib_dir("variables-target");
    let own = format!("{}_CPG_LIB_DIR", TARGET.to_uppercase().replace(['-', '.'], "_"));
    let settings = [
        ("CPG_LIB_DIR", Path::new("/nonexistent")),
        ("CPG_INCLUDE_DIR", Path::new(INCLUDE)),
        (own.as_str(), &dir),
    ];
    let instructions = Run::new("variables-target", &settings).instructions();
    assert_contains(&instructions, &[&format!("cargo::rustc-link-search=native={}\n", dir.display())]);
}

#[test]
fn a_version_beside_the_library_is_taken() {
    let dir = lib_dir("variables-version");
    fs::create_dir(dir.join("pkgconfig")).expect("a directory can be made");
    for (version, old) in [("3.1.9", false), ("2.4.5", true)] {
        fs::write(dir.join("pkgconfig/libcpg.pc"), format!("Name: cpg\nVersion: {version}\n"))
            .expect("writable");
        let settings = [("CPG_LIB_DIR", dir.as_path()), ("CPG_INCLUDE_DIR", Path::new(INCLUDE))];
        let instructions = Run::new("variables-version", &settings).instructions();
        assert_contains(&instructions, &[&format!("cargo::metadata=version={version}\n")]);
        assert_eq!(instructions.contains("cargo::warning"), old, "{instructions}");
    }
}

#[test]
fn variables_that_lead_nowhere_are_errors() {
    let (dir, empty) = (lib_dir("variables-wrong"), machine::fresh_dir("variables-empty"));
    let include = Path::new(INCLUDE);
    let half = "only one of CPG_LIB_DIR and CPG_INCLUDE_DIR is set";
    let cases: [(&[(&str, &Path)], &str); 4] = [
        (&[("CPG_LIB_DIR", &dir)], half),
        (&[("CPG_INCLUDE_DIR", include)], half),
        (&[("CPG_LIB_DIR", &empty), ("CPG_INCLUDE_DIR", include)], "no libcpg.so in CPG_LIB_DIR"),
        (&[("CPG_LIB_DIR", &dir), ("CPG_INCLUDE_DIR", &empty)], "no corosync/cpg.h in CPG_INCLUDE_DIR"),
    ];
    for (settings, expected) in cases {
        let tried = format!("{}: {}", settings[0].0, settings[0].1.display());
        assert_contains(&Run::new("variables-wrong", settings).error(), &[expected, &tried, "libcpg-dev"]);
    }
}

#[test]
fn a_cross_build_gets_hints() {
    let other = if TARGET == "riscv64gc-unknown-linux-gnu" {
        "s390x-unknown-linux-gnu"
    } else {
        "riscv64gc-unknown-linux-gnu"
    };
    let own = format!("{}_CPG_LIB_DIR", other.to_uppercase().replace('-', "_"));
    let host = format!("host {TARGET}");
    let error = Run::new("cross", &[("TARGET", Path::new(other))]).error();
    assert_contains(&error, &["PKG_CONFIG_ALLOW_CROSS", "PKG_CONFIG_SYSROOT_DIR", other, &host, &own]);
}

#[test]
fn docs_rs_needs_nothing_and_links_nothing() {
    let run = Run::new("docs-rs", &[("DOCS_RS", Path::new("1"))]);
    let instructions = run.instructions();
    assert_contains(&instructions, &["cargo::rerun-if-env-changed=DOCS_RS\n"]);
    for absent in ["rustc-link", "metadata", "cpg_sys_generated\n"] {
        assert!(!instructions.contains(absent), "{instructions}");
    }
    assert_eq!(tokens(&run.file("declarations.rs")), tokens(COMMITTED));
}

const MUSL: &str = "x86_64-unknown-linux-musl";

/// The target has it by default, or somebody sets it.
#[test]
fn a_static_program_is_refused_as_it_could_not_load_libcpg() {
    let run = |target: &str, flags: &str| {
        let (target, flags) = (Path::new(target), Path::new(flags));
        Run::new("static", &[("TARGET", target), ("HOST", target), ("CARGO_ENCODED_RUSTFLAGS", flags)])
            .error()
    };
    let refused = "error: a static program cannot load libcpg";
    for (target, flags) in [(MUSL, ""), (TARGET, "-C\x1ftarget-feature=+crt-static")] {
        let error = run(target, flags);
        assert_contains(&error, &[refused, target, r#"RUSTFLAGS="-C target-feature=-crt-static""#]);
        assert_contains(&error, &["corosync-dev"]);
    }
    let other = "--cfg\x1fcrt-static\x1f-Ctarget-feature=-crt-static";
    for (target, flags) in [(MUSL, other), (TARGET, "")] {
        let error = run(target, flags);
        assert_contains(&error, &["cannot find libcpg", target]);
        assert!(!error.contains(refused), "{error}");
    }
}

/// Each text of a build that the guide quotes is one of these, word for word.
#[test]
fn the_guide_quotes_what_is_printed() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cpg/src/guide/troubleshooting.md");
    // The package of this crate is without its neighbour.
    let Ok(guide) = fs::read_to_string(guide) else { return };
    let (_, building) = guide.split_once("\n# Building\n").expect("the guide has a chapter about building");
    let quotes: Vec<String> = building
        .split("\n\n")
        .filter(|paragraph| paragraph.starts_with("> "))
        .map(|paragraph| words(&paragraph.replace("\n> ", " ")[2..]))
        .collect();
    assert!(quotes.len() >= 4, "{quotes:?}");

    let old = machine::pkg_config_dir("quotes-old", "2.4.5");
    let printed = [
        Run::new("quotes", &[]).error(),
        Run::new("quotes", &[("PKG_CONFIG_LIBDIR", &old)]).error(),
        Run::new("quotes", &[("TARGET", Path::new(MUSL))]).error(),
    ]
    .into_iter();
    #[cfg(cpg_sys_generated)]
    let printed =
        printed.chain([with_bindgen::without_libclang("quotes"), with_bindgen::in_a_static_script("quotes")]);
    let printed: Vec<String> = printed.map(|text| words(&text)).collect();
    for quote in quotes {
        // Only bindgen says these.
        let bindgen = quote.contains("libclang") || quote.contains("declarations");
        if cfg!(cpg_sys_generated) || !bindgen {
            assert!(printed.iter().any(|text| text.contains(&quote)), "`{quote}` is not in: {printed:#?}");
        }
    }
}

/// The text in one line.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_change_of_any_variable_runs_it_again() {
    let dir = machine::pkg_config_dir("rerun", "3.1.7");
    let instructions = Run::new("rerun", &[("PKG_CONFIG_PATH", &dir)]).instructions();
    let prefix = TARGET.to_uppercase().replace(['-', '.'], "_");
    for name in
        ["DOCS_RS", "CPG_LIB_DIR", "CPG_INCLUDE_DIR", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG"]
    {
        assert_contains(&instructions, &[&format!("rerun-if-env-changed={name}\n")]);
    }
    assert_contains(
        &instructions,
        &[&format!("={prefix}_CPG_LIB_DIR\n"), &format!("={prefix}_CPG_INCLUDE_DIR\n")],
    );
    assert_contains(&instructions, &[&format!("cargo::rerun-if-changed={INCLUDE}/corosync/cpg.h\n")]);
}

#[cfg(cpg_sys_generated)]
mod with_bindgen {
    use super::*;

    /// Returns the error of a build without libclang.
    pub(super) fn without_libclang(name: &str) -> String {
        let dir = machine::pkg_config_dir(&format!("{name}-no-libclang"), "3.1.7");
        let nowhere = Path::new("/nonexistent");
        Run::new(name, &[("PKG_CONFIG_PATH", &dir), ("LIBCLANG_PATH", nowhere)]).error()
    }

    /// Returns the error of a build whose build script is a static program. In static programs, `dlopen` of musl fails with these words.
    pub(super) fn in_a_static_script(name: &str) -> String {
        let name = format!("{name}-static-script");
        let dir = machine::pkg_config_dir(&name, "3.1.7");
        let (source, library) = (dir.join("dlopen.c"), dir.join("dlopen.so"));
        let functions = "void *dlopen(const char *file, int mode) { return 0; }\n\
                         char *dlerror(void) { return \"Dynamic loading not supported\"; }\n";
        fs::write(&source, functions).expect("writable");
        // For the machine of the build script, which that of $CC need not be.
        machine::output_of(Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]));
        Run::new(&name, &[("PKG_CONFIG_PATH", &dir), ("LD_PRELOAD", &library)]).error()
    }

    #[test]
    fn a_missing_libclang_is_explained() {
        let error = without_libclang("missing");
        assert_contains(
            &error,
            &["cannot generate the declarations", "libclang-dev", "clang-devel", "LIBCLANG_PATH"],
        );
        assert_contains(&error, &["default-features = false"]);
        assert!(!error.contains("static"), "{error}");
    }

    #[test]
    fn a_libclang_that_a_static_build_script_cannot_load_is_not_called_missing() {
        let error = in_a_static_script("unloadable");
        assert_contains(&error, &["cannot generate the declarations", "Dynamic loading not supported"]);
        assert_contains(&error, &[r#"RUSTFLAGS="-C target-feature=-crt-static""#, "without --target"]);
        assert_contains(&error, &["default-features = false"]);
        assert!(!error.contains("Install libclang"), "{error}");
    }

    /// Adds comments of every kind to all lines of a header but those of the preprocessor.
    fn commented(code: &str) -> String {
        let mut text = String::new();
        for line in code.lines() {
            let plain = line.trim().is_empty() || line.starts_with('#');
            let line =
                if plain { line.to_owned() } else { format!("/** Other words. */ {line} /**< And more. */") };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    #[test]
    fn headers_that_differ_in_comments_alone_give_the_same_declarations() {
        let lib = lib_dir("comments-lib");
        let generated = |name: &str, edit: fn(&str) -> String| {
            let include = machine::fresh_dir(name);
            fs::create_dir(include.join("corosync")).expect("a directory can be made");
            for file in ["corosync/cpg.h", "corosync/corotypes.h"] {
                let text = fs::read_to_string(Path::new(INCLUDE).join(file)).expect("readable");
                fs::write(include.join(file), edit(&text)).expect("writable");
            }
            let run = Run::new(name, &[("CPG_LIB_DIR", &lib), ("CPG_INCLUDE_DIR", &include)]);
            run.instructions();
            ["generated.rs", "declarations.rs"].map(|file| run.file(file))
        };
        let installed = generated("comments-installed", str::to_owned);
        assert!(installed[0].contains("pub fn cpg_dispatch"), "{}", installed[0]);
        let none = generated("comments-none", machine::without_comments);
        let more = generated("comments-more", |text| commented(&machine::without_comments(text)));
        for others in [none, more] {
            for (one, other) in installed.iter().zip(others) {
                let difference = one.lines().zip(other.lines()).find(|(one, other)| one != other);
                assert!(*one == other, "{difference:?}");
            }
        }
    }

    #[test]
    fn a_missing_header_is_explained() {
        let dir = machine::pkg_config_dir("no-header", "3.1.7");
        let pc = dir.join("libcpg.pc");
        let file = fs::read_to_string(&pc).expect("readable").replace(INCLUDE, "/nonexistent");
        fs::write(pc, file).expect("writable");
        let settings =
            [("PKG_CONFIG_PATH", dir.as_path()), ("BINDGEN_EXTRA_CLANG_ARGS", Path::new("-nostdinc"))];
        let error = Run::new("no-header", &settings).error();
        assert_contains(
            &error,
            &["'corosync/cpg.h' file not found", "libcpg-dev", "default-features = false"],
        );
    }

    #[test]
    fn a_change_of_libclang_runs_it_again() {
        let dir = machine::pkg_config_dir("rerun-libclang", "3.1.7");
        let instructions = Run::new("rerun-libclang", &[("PKG_CONFIG_PATH", &dir)]).instructions();
        assert_contains(&instructions, &["=LIBCLANG_PATH\n", "=BINDGEN_EXTRA_CLANG_ARGS\n", "wrapper.h\n"]);
    }
}
