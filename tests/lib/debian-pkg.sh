#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Packages of any Debian suite, in a private folder: nothing is installed, and the machine's own apt
# configuration, lists and packages stay as they are. The sources are the machine's own with the
# suite's name replaced, so whatever mirror it uses is used here too.
#
#   debian-pkg.sh apt SUITE COMMAND…      run apt-get, apt-cache… on SUITE instead of the machine's
#   debian-pkg.sh deb SUITE PACKAGE       print the path of the downloaded .deb
#   debian-pkg.sh tree SUITE PACKAGE…     print a folder with the packages and all they depend on
#   debian-pkg.sh sources SUITE           print the lines of sources.list for SUITE
#   debian-pkg.sh exec TREE PROGRAM ARG…  run a program of such a folder with its own ld.so and libraries
#
# SUITE may be SUITE:ARCHITECTURE, for a cross-build. Links in such a folder are relative.
#
# What was downloaded once is not asked for again: it lies in $IPCBOX_TEST_CACHE (default: build/cache
# beside tests/). Exit 77, with the reason on stderr: the package cannot be had here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${IPCBOX_TEST_CACHE:-${here%/tests/lib}/build/cache}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

cannot()
{
    echo "debian-pkg: $*" >&2
    exit 77
}

usage()
{
    sed -n '3,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# The machine's Debian sources with its own suite replaced by $1, as sources.list lines.
sources()
{
    signed=
    [ ! -r "$keyring" ] || signed="[signed-by=$keyring] "
    # shellcheck source=/dev/null
    own=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME:-sid}") || return 0
    case $1 in
    sid | unstable | experimental) suffix='' ;; # they have no -updates and no -security
    *) suffix='-updates|-security' ;;
    esac
    # shellcheck disable=SC2016 # apt's own format characters
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sed -nE "s,^([^ ]*) $own($suffix|) main\$,deb $signed\1 $1\2 main,p" | sort -u
}

# Prepares the private apt of suite $1, once, and makes apt-get and apt-cache of this process use it.
use_suite()
{
    case $1 in
    '' | *[!a-z0-9:-]*) usage ;;
    *:*) arch=${1#*:} ;;
    *) arch=$(dpkg --print-architecture) ;;
    esac
    root=$cache/apt-$(echo "$1" | tr : -)
    command -v apt-get >/dev/null || cannot "this machine has no apt"
    mkdir -p "$root/lists/partial" "$root/archives/partial" "$root/parts"
    : >"$root/status" # nothing counts as installed: dependencies come in whole
    cat >"$root/apt.conf" <<CONF
Dir::State "$root";
Dir::State::status "$root/status";
Dir::Cache "$root";
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "$root/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$root/parts";
APT::Default-Release "";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
    if [ ! -e "$root/updated" ]; then
        sources "${1%:*}" >"$root/sources.list"
        [ -s "$root/sources.list" ] || cannot "no source of this machine's apt serves Debian's $1"
        APT_CONFIG=$root/apt.conf apt-get -q --error-on=any update >"$root/update.log" 2>&1 ||
            cannot "apt-get update for $1 failed: $(tail -n 1 "$root/update.log")"
        touch "$root/updated"
    fi
    export APT_CONFIG="$root/apt.conf"
}

# Runs the rest of the command line alone on the cache: two test runs may want the same package.
locked()
{
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
}

do_deb()
{
    use_suite "$1"
    mkdir -p "$root/debs"
    if ! ls "$root/debs/$2"_*.deb 2>/dev/null; then
        (cd "$root/archives/partial" && apt-get -q download "$2") >"$root/download.log" 2>&1 ||
            cannot "cannot download $2 of $1: $(tail -n 1 "$root/download.log")"
        mv "$root/archives/partial/$2"_*.deb "$root/debs/"
        ls "$root/debs/$2"_*.deb
    fi
}

do_tree()
{
    suite=$1
    shift
    tree=$cache/tree-$(echo "$suite" | tr : -)-$(echo "$*" | tr ' ' '+')
    if [ ! -d "$tree" ]; then
        use_suite "$suite"
        rm -rf "$tree.new" "$root/archives/"*.deb
        apt-get -q -y --no-install-recommends --download-only install "$@" >"$root/download.log" 2>&1 ||
            cannot "cannot download $* of $suite: $(tail -n 1 "$root/download.log")"
        # A merged /usr, as these suites have it: the ELF interpreter is named below /lib64.
        mkdir -p "$tree.new/usr/bin" "$tree.new/usr/sbin" "$tree.new/usr/lib" "$tree.new/usr/lib64"
        for dir in bin sbin lib lib64; do
            ln -s "usr/$dir" "$tree.new/$dir"
        done
        for deb in "$root/archives/"*.deb; do
            dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$tree.new"
        done
        rm -f "$root/archives/"*.deb
        find "$tree.new" -lname '/*' | while IFS= read -r link; do
            ln -sfnr "$tree.new$(readlink "$link")" "$link"
        done
        mv "$tree.new" "$tree"
    fi
    echo "$tree"
}

do_exec()
{
    tree=$1 program=$2
    shift 2
    for dir in sbin bin; do
        [ ! -x "$tree/usr/$dir/$program" ] || program=$tree/usr/$dir/$program
    done
    libs=$(echo "$tree"/usr/lib/*-linux-gnu | tr ' ' :)
    exec "$(echo "$tree"/usr/lib64/ld-linux-*.so.*)" --library-path "$libs" "$program" "$@"
}

if [ "${1-}" = sources ] && [ $# -eq 2 ]; then
    lines=$(sources "$2")
    [ -n "$lines" ] || cannot "no source of this machine's apt serves Debian's $2"
    echo "$lines"
    exit
fi
[ $# -ge 3 ] || usage
verb=$1
shift
case $verb in
apt)
    locked
    use_suite "$1"
    shift
    "$@"
    ;;
deb)
    [ $# -eq 2 ] || usage
    locked
    do_deb "$@"
    ;;
tree)
    locked
    do_tree "$@"
    ;;
exec) do_exec "$@" ;;
*) usage ;;
esac
