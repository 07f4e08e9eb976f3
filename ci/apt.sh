# shellcheck shell=sh
# For scripts with a purpose of their own, which few have the programs for.

# install WHO WHY PACKAGE...: installs with apt, and says so first; fails where that cannot be done.
install() {
    who=$1 why=$2
    shift 2
    root=
    [ "$(id -u)" = 0 ] || root=sudo
    if ! command -v apt-get >/dev/null || ! command -v ${root:-env} >/dev/null; then
        echo "$who: these packages are missing $why, and there is no apt${root:+ or no sudo} to install them: $*" >&2
        return 1
    fi
    echo "$who: installing $why, for good: $*" >&2
    # Packages are configured by programs that are not in everybody's PATH, not even in that of root after a plain `su`.
    $root env PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" apt-get update -q >&2 &&
        $root env PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "$@" >&2
}
