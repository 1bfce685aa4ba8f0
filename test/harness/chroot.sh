# shellcheck shell=bash
#
# chroot.sh -- a bare Debian tree to run things in.  Sourced by test/bare-machine, test/matrix and test/packages.
#
# Contract: the tree is $dir, made by debootstrap of $suite from the mirror, sources and keys of this
# machine's apt.  Everything is written in there or in the cache the caller names.  Mounts live in a
# private mount namespace; at the end what still runs in the tree is ended and the tree removed
# (KEEP=1 leaves it).
# shellcheck disable=SC2154     # suite is the caller's
# shellcheck source=test/harness/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# enter_namespace SCRIPT ARGS: SCRIPT again in a mount namespace of its own, so that every mount goes
# with us however we end.
enter_namespace() {
    if [[ ${WAWP_MOUNT_NAMESPACE-} != 1 ]]; then
        WAWP_MOUNT_NAMESPACE=1 exec unshare --mount --propagation private -- bash "$@"
    fi
}

# What this machine lacks for any tree, in words.
lacking_for_trees() {
    if ! is_root; then
        say "root (chroot, mounts)"
    elif [[ ${WAWP_MOUNT_NAMESPACE-} != 1 ]] && ! unshare --mount true 2>/dev/null; then
        say "a mount namespace, which this container does not give"
    fi
}

# run_apart COMMAND...: in a process group of its own, so that a signal to us ends all of it and its tree goes.  Sets
# apart_status; call it as a command by itself, for in `run_apart … || …` errexit would be off in the command.
run_apart() {
    local child
    apart_status=0
    set -m
    ( "$@" ) </dev/null &
    child=$!
    set +m
    # shellcheck disable=SC2064
    trap "kill -TERM -- -$child 2>/dev/null; wait $child; exit 143" INT TERM HUP
    # shellcheck disable=SC2034
    wait "$child" || apart_status=$?
    trap - INT TERM HUP
}

# make_directory [DIR]: sets $dir, by default to a new directory, which goes when the shell exits.
make_directory() {
    dir=${1-}
    if [[ -n $dir ]]; then
        mkdir -p "$dir"
        [[ -z $(ls -A "$dir") ]] || die "$dir is not empty"
    else
        dir=$(mktemp -d "${TMPDIR:-/tmp}/wawp-chroot.XXXXXX")
    fi
    dir=$(realpath "$dir")
    trap remove_tree EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

remove_tree() {
    local mounted pid
    for pid in $(processes_inside); do kill -KILL "$pid" 2>/dev/null || true; done
    while mounted=$(awk -v d="$dir/" 'index($5, d) == 1 { m = $5 } END { print m }' /proc/self/mountinfo) &&
        [[ -n $mounted ]]; do
        umount -l "$mounted" || return 0        # better left behind than removed through a mount
    done
    if [[ ${KEEP-} == 1 ]]; then say "kept: $dir"; else rm -rf --one-file-system "$dir"; fi
}

# Those of a process whose / is the tree, in whichever mount namespace.
processes_inside() {
    local pid
    for pid in /proc/[0-9]*; do
        [[ ! $pid/root/ -ef $dir ]] || say "${pid#/proc/}"
    done
}

# --- what is in it ----------------------------------------------------------------------------

# The mirror this machine takes the suite from; for a suite it does not use, where its Debian is from.
mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(SITE) $(RELEASE) $(LABEL)' 'Created-By: Packages' |
        awk -v suite="$suite" '
            $2 == suite && !exact { exact = $1 }
            $3 == "Debian" && !debian { debian = $1 }
            END { print exact ? exact : debian }'
}

# install_debian: the bare tree, with git and make.
install_debian() {
    local from
    command -v debootstrap >/dev/null || die "debootstrap is not installed"
    from=$(mirror)
    [[ -n $from ]] || die "apt knows no mirror of Debian here; on a Debian machine run apt-get update first"
    if ! debootstrap --variant=minbase --include=git,make,ca-certificates "$suite" "$dir" "$from" \
        >"$dir.log" 2>&1; then
        tail -n 20 "$dir.log" >&2
        rm -f "$dir.log"
        die "debootstrap failed"
    fi
    rm -f "$dir.log" "$dir"/var/cache/apt/archives/*.deb
    chmod 755 "$dir"        # it is / for those in there
}

# make_bare_tree: such a tree, and what makes it a machine.  With $cache it is kept there (made anew with $fresh), and
# apt-get finds the packages that keep_packages has left there.
make_bare_tree() {
    local kept=${cache-}/bare-$suite.tar.gz
    if [[ -n ${cache-} && -s $kept && -z ${fresh-} ]]; then
        restore_tree "$kept"
    else
        install_debian
        [[ -z ${cache-} ]] || { mkdir -p "$cache"; save_tree "$kept"; }
    fi
    copy_network_settings
    copy_sources
    say force-unsafe-io >"$dir/etc/dpkg/dpkg.cfg.d/wawp"
    mount_tree
    [[ -z ${cache-} ]] || link_packages "$cache/packages-$suite" "$dir/var/cache/apt/archives"
}

keep_packages() { [[ -z ${cache-} ]] || link_packages "$dir/var/cache/apt/archives" "$cache/packages-$suite"; }

# link_packages FROM TO: not one shared folder, which apt-get locks.
link_packages() {
    mkdir -p "$1" "$2"
    find "$1" -maxdepth 1 -name '*.deb' -exec cp --no-clobber --link -t "$2" {} + 2>/dev/null ||
        find "$1" -maxdepth 1 -name '*.deb' -exec cp --no-clobber -t "$2" {} +
}

# The cache of those who are not told another.
default_cache() { say "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/wawp/matrix"; }

# The same sources as here, for the suite, and the same keys, so that security updates resolve as here.
copy_sources() {
    local file
    mkdir -p "$dir/usr/share/keyrings"
    for file in /usr/share/keyrings/debian-archive-*.gpg; do
        [[ ! -e $file || -e $dir$file ]] || cp "$file" "$dir$file"
    done
    rm -rf "$dir"/etc/apt/sources.list "$dir"/etc/apt/sources.list.d
    mkdir -p "$dir/etc/apt/sources.list.d"
    add_sources "$suite" ""
}

# add_sources SUITE PREFIX: the sources of this machine for that suite, security updates included, in files of that prefix.
add_sources() {
    local file own
    own=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
        [[ ! -s $file ]] || sed "s/\b$own\b/$1/g" "$file" | without_updates_of_sid "${file##*.}" >"$dir/etc/apt/sources.list.d/$2$(basename "$file")"
    done
}

# without_updates_of_sid FORM: sid has neither updates nor security updates of its own.
without_updates_of_sid() {
    case $1 in
        list) grep -vE '\bsid-(updates|security|backports)\b|\bsid/updates\b' || true ;;
        *) sed -E 's/[[:space:]]+sid-(updates|security|backports)\b//g; s/^(Suites:)[[:space:]]*$/\1/' | awk -v RS= -v ORS='\n\n' '!/(^|\n)Suites:[[:space:]]*(\n|$)/' ;;
    esac
}

# overlay_suite SUITE SOURCE: what is built of Debian's source package SOURCE may come from SUITE, too, whichever
# is newer; nothing else does unless no other has it.
overlay_sources=etc/apt/sources.list.d/wawp-overlay.list
overlay_suite() {
    say "deb $(mirror) $1 main" >"$dir/$overlay_sources"
    mkdir -p "$dir/etc/apt/preferences.d"
    printf '%s\n' "Package: src:$2" "Pin: release a=$1" "Pin-Priority: 500" >"$dir/etc/apt/preferences.d/wawp-overlay"
}

# save_tree FILE, restore_tree FILE: a tarball, compressed as its name says; what is mounted is left out.
save_tree() {
    local new=${1%/*}/new.$$.${1##*/}
    tar -C "$dir" --numeric-owner --one-file-system -caf "$new" . && mv "$new" "$1"
}

restore_tree() {
    tar -C "$dir" --numeric-owner -xpf "$1"
    chmod 755 "$dir"
}

# What apt and the resolver in there need to know of this machine.
copy_network_settings() {
    mkdir -p "$dir/etc/apt/apt.conf.d"
    cp -L /etc/resolv.conf "$dir/etc/resolv.conf"
    cp -L /etc/hosts "$dir/etc/hosts"
    # A mirror frozen at a date is older than its own expiry says; take over what apt here thinks of it.
    apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date) ' >"$dir/etc/apt/apt.conf.d/99wawp" || true
}

# What a machine has besides files: processes, devices, terminals, shared memory.
mount_tree() {
    local node
    mount -t proc proc "$dir/proc"
    mount -t tmpfs -o mode=755,nosuid tmpfs "$dir/dev"
    for node in null zero full random urandom tty; do
        : >"$dir/dev/$node"
        mount --bind "/dev/$node" "$dir/dev/$node"
    done
    ln -s /proc/self/fd "$dir/dev/fd"
    ln -s /proc/self/fd/0 "$dir/dev/stdin"
    ln -s /proc/self/fd/1 "$dir/dev/stdout"
    ln -s /proc/self/fd/2 "$dir/dev/stderr"
    ln -s pts/ptmx "$dir/dev/ptmx"
    mkdir "$dir/dev/shm" "$dir/dev/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$dir/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$dir/dev/pts"
}

# --- running things ---------------------------------------------------------------------------

# pivot_root, for in a chroot the kernel gives nobody a user namespace, which some tests use.
inside() {
    # shellcheck disable=SC2016
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}" \
        unshare --mount --propagation private -- sh -c 'mount --rbind "$0" "$0" && cd "$0" && pivot_root . mnt &&
            cd / && umount -l /mnt && exec "$@"' "$dir" "$@" </dev/null
}

apt_install() { inside env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends "$@"; }

# logged WHAT COMMAND...: says what it said only if it fails, and ends this process then.
logged() {
    local what=$1 log=$dir/tmp/step.log
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        die "$what failed"
    fi
    rm -f "$log"
}

# The line a log closes with.
closing_line_of() {
    grep -E '^[0-9]+ passed, [0-9]+ failed' "$1" || grep -v '^$' "$1" | tail -n 1 || true
}
