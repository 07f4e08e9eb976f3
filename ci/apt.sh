# shellcheck shell=sh
# Installs packages for scripts that need programs which few machines have.

# install WHO WHY PACKAGE...: installs packages with apt, and says so first. Fails if there is no apt or no sudo.
install() {
    who=$1 why=$2
    shift 2
    root=
    [ "$(id -u)" = 0 ] || root=sudo
    if ! command -v apt-get >/dev/null || ! command -v ${root:-env} >/dev/null; then
        echo "$who: packages are missing $why, and there is no apt${root:+ or no sudo} to install them: $*" >&2
        return 1
    fi
    echo "$who: installing packages $why (they stay on this system): $*" >&2
    # apt calls programs that are not in every user's PATH, and not in root's after a plain `su`.
    $root env PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" apt-get update -q >&2 &&
        $root env PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "$@" >&2
}
