//! The texts for a build that lacks something: what was tried, what to install, what to set.

use crate::probe::{cargo_variable, is_cross, target_prefix};

const LIBCPG_PACKAGES: &str = "\
Install the development files of libcpg, and pkg-config:
    Debian, Ubuntu    apt install libcpg-dev pkg-config
    Fedora            dnf install corosynclib-devel pkgconf-pkg-config
    RHEL, CentOS      dnf install --enablerepo=crb corosynclib-devel pkgconf-pkg-config
                      (in EPEL where CRB does not have it)
    openSUSE          zypper install corosync-devel pkgconf (or libcorosync-devel)
    Alpine            apk add corosync-dev pkgconf
    Arch              corosync from the AUR, and pacman -S pkgconf
    Nix               corosync, libqb and pkg-config among the inputs
";

#[cfg(feature = "bindgen")]
const LIBCLANG_PACKAGES: &str = "\
Install libclang, which bindgen, the generator of the declarations, loads:
    Debian, Ubuntu    apt install libclang-dev
    Fedora, RHEL      dnf install clang-devel
    openSUSE          zypper install clang-devel
    Alpine            apk add clang-dev
    Arch              pacman -S clang
    Nix               rustPlatform.bindgenHook among the inputs
or set LIBCLANG_PATH to the directory that holds libclang.so.
";

/// The script itself is static for a host with musl: dlopen in musl's static library fails with these words.
#[cfg(feature = "bindgen")]
const NO_DYNAMIC_LOADING: &str = "Dynamic loading not supported";

#[cfg(feature = "bindgen")]
const STATIC_BUILD_SCRIPT: &str = "\
libclang is installed, and this build script cannot load it: the script is a static program, as Rust's programs
for musl are. Build without --target, which would keep RUSTFLAGS from build scripts, and with
    RUSTFLAGS=\"-C target-feature=-crt-static\"
";

#[cfg(feature = "bindgen")]
const WITHOUT_BINDGEN: &str = "
Or use the declarations that come with this crate, which takes neither libclang nor the header: where your
Cargo.toml names corosync-cpg or cpg-sys, add
    default-features = false
(a single crate in the build that leaves its feature `bindgen` on turns it on for all).
";

/// For a libcpg that cannot be used: `headline` says why, `tried` what led there.
pub fn for_libcpg(headline: &str, minimum: &str, tried: &[String]) -> String {
    let (target, host) = (cargo_variable("TARGET"), cargo_variable("HOST"));
    let prefix = target_prefix();
    let tried = tried.join("\n    ");
    let cross = if is_cross() {
        format!(
            "\nThis is a cross build. pkg-config takes part in it when PKG_CONFIG_ALLOW_CROSS=1 is set, with\n\
             PKG_CONFIG_SYSROOT_DIR and PKG_CONFIG_LIBDIR leading to the files of {target},\n\
             or when PKG_CONFIG names a pkg-config that is made for that target.\n"
        )
    } else {
        String::new()
    };
    format!(
        "error: {headline}\n\n\
         cpg-sys links to the system's libcpg, {minimum} or newer.\n\
         Target {target}, host {host}. Tried:\n    {tried}\n\n\
         {LIBCPG_PACKAGES}\n\
         If it is installed where pkg-config does not look, set PKG_CONFIG_PATH to the directory of libcpg.pc,\n\
         or both of these (also as {prefix}_CPG_LIB_DIR, for this target alone):\n    \
         CPG_LIB_DIR        the directory of libcpg.so\n    \
         CPG_INCLUDE_DIR    the directory that has corosync/cpg.h in it\n\
         {cross}"
    )
}

/// For a target whose programs are static, as those of Rust for musl are unless they are told otherwise.
pub fn for_static() -> String {
    let target = cargo_variable("TARGET");
    format!(
        "error: a static program cannot load libcpg, which is a shared library\n\n\
         Programs for {target} are static in this build (target feature crt-static). Build dynamic ones:\n    \
         RUSTFLAGS=\"-C target-feature=-crt-static\"\n\
         or in .cargo/config.toml:\n    \
         [target.{target}]\n    \
         rustflags = [\"-C\", \"target-feature=-crt-static\"]\n\
         and take `+crt-static` out where it is set. RUSTFLAGS overrules such a file.\n\n\
         With musl, libcpg has to be one for musl (Alpine: apk add corosync-dev), and the daemon one for musl too.\n"
    )
}

/// For a bindgen that stopped: `why` is what it or clang said.
#[cfg(feature = "bindgen")]
pub fn for_bindgen(why: &str) -> String {
    let remedy = if why.contains(NO_DYNAMIC_LOADING) {
        STATIC_BUILD_SCRIPT
    } else if why.contains("libclang") {
        LIBCLANG_PACKAGES
    } else if why.contains("'corosync/cpg.h' file not found") {
        LIBCPG_PACKAGES
    } else {
        "Where clang misses a header of its own or of the C library, BINDGEN_EXTRA_CLANG_ARGS can lead it there\n\
         (-I DIR, --sysroot=DIR).\n"
    };
    let why = why.trim();
    format!(
        "error: cannot generate the declarations of libcpg from corosync/cpg.h\n\n\
         {why}\n\n{remedy}{WITHOUT_BINDGEN}"
    )
}
