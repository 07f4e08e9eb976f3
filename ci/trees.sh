# shellcheck shell=sh
# Functions for scripts that build in trees of Debian releases (ci/chroot). They are called in the top directory of the
# sources. They make a tree, put the needed crates into a directory for builds without a network, and run commands in a
# tree.

# Making a tree takes a minute. DIR=… is the directory of the trees; if it is set, the trees are kept for the next time.
if [ -z "${DIR:-}" ]; then
    DIR=$(mktemp -d)
    trap 'rm -rf "$DIR"' EXIT
fi

# grow NAME SUITE PACKAGE...: makes the tree NAME, unless it was kept from an earlier time.
grow() {
    tree=$1 release=$2
    shift 2
    [ -e "$DIR/$tree/etc/debian_version" ] || ci/chroot make "$release" "$DIR/$tree" "$@"
}

# start NAME SUITE PACKAGE...: does what grow does, and prepares an empty /mnt/build and the crates in /mnt/vendor.
start() {
    [ -n "${vendored:-}" ] || cargo vendor --locked --versioned-dirs "$DIR/vendor" >/dev/null || return
    vendored=1
    grow "$@" || return
    rm -rf "$DIR/$tree.build"
    mkdir -p "$DIR/$tree.build/home"
    registry /mnt/vendor
}

# registry DIR: tells cargo the directory of the crates in the tree.
registry() {
    printf '[source.crates-io]\nreplace-with = "offline"\n[source.offline]\ndirectory = "%s"\n' "$1" \
        >"$DIR/$tree.build/home/config.toml"
}

# inside COMMAND...: runs a command in the tree. Its current directory is the sources, which it cannot change. If $rust
# is set, that is the Rust toolchain of this machine to use.
inside() {
    ci/chroot run "$DIR/$tree" -b "$PWD:/mnt/src:ro" -b "$DIR/vendor:/mnt/vendor:ro" -b "$DIR/$tree.build:/mnt/build" \
        ${rust:+-b "$rust:/mnt/rust:ro"} env -C /mnt/src PATH="/mnt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin" CARGO_NET_OFFLINE=true \
        CARGO_HOME=/mnt/build/home CARGO_TARGET_DIR=/mnt/build/target "$@"
}
