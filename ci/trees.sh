# shellcheck shell=sh
# For scripts that build in trees of Debian releases (ci/chroot), from the top of the sources: the place of the trees, and for
# those without a network the crates they need in a directory, and commands in a tree.

# Trees take a minute each to make: DIR=… names where they are, and keeps them for the next time.
if [ -z "${DIR:-}" ]; then
    DIR=$(mktemp -d)
    trap 'rm -rf "$DIR"' EXIT
fi

# grow NAME SUITE PACKAGE...: makes the tree NAME unless it was kept.
grow() {
    tree=$1 release=$2
    shift 2
    [ -e "$DIR/$tree/etc/debian_version" ] || ci/chroot make "$release" "$DIR/$tree" "$@"
}

# start NAME SUITE PACKAGE...: the same, and makes an empty /mnt/build for it, and the crates in /mnt/vendor.
start() {
    [ -n "${vendored:-}" ] || cargo vendor --locked --versioned-dirs "$DIR/vendor" >/dev/null || return
    vendored=1
    grow "$@" || return
    rm -rf "$DIR/$tree.build"
    mkdir -p "$DIR/$tree.build/home"
    registry /mnt/vendor
}

# registry DIR: where cargo finds crates in the tree.
registry() {
    printf '[source.crates-io]\nreplace-with = "offline"\n[source.offline]\ndirectory = "%s"\n' "$1" \
        >"$DIR/$tree.build/home/config.toml"
}

# inside COMMAND...: runs in the tree, in the sources, which it cannot change; with this machine's Rust when $rust is set to it.
inside() {
    ci/chroot run "$DIR/$tree" -b "$PWD:/mnt/src:ro" -b "$DIR/vendor:/mnt/vendor:ro" -b "$DIR/$tree.build:/mnt/build" \
        ${rust:+-b "$rust:/mnt/rust:ro"} env -C /mnt/src PATH="/mnt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin" CARGO_NET_OFFLINE=true \
        CARGO_HOME=/mnt/build/home CARGO_TARGET_DIR=/mnt/build/target "$@"
}
