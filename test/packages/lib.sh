# shellcheck shell=bash
#
# lib.sh -- packages of each suite, and steps in its trees.  Sourced by test/packages/deb and test/packages/upgrade.
#
# Contract: the caller has set cache; see test/harness/chroot.sh for what is written where.  Packages are kept in the
# cache under a digest of what they are built from.
# shellcheck disable=SC2154,SC2034     # checkout is the caller's, who uses these
# shellcheck source=test/harness/chroot.sh
. "$checkout/test/harness/chroot.sh"

# Each suite has one major version.
declare -A majors=([bookworm]=15 [trixie]=17 [sid]=18)
declare -A suite_of=([15]=bookworm [17]=trixie [18]=sid)

# A machine with the checkout in /opt/wawp and apt's lists.
make_machine() {
    make_directory ""
    make_bare_tree
    logged "apt-get update" inside apt-get -qq update
    mkdir "$dir/opt/wawp"
    copy_checkout "$checkout" "$dir/opt/wawp"
    chmod -R go+rX "$dir/opt"
}

# step NAME [ARGUMENTS]: of test/packages/inside; its log is shown only if it fails.  Its last line is in $last.
step() {
    local name=$1 status=0 log=$dir/tmp/step.log start=$SECONDS
    inside bash /opt/wawp/test/packages/inside "$@" >"$log" 2>&1 || status=$?
    last=$(grep -v '^ *$' "$log" | tail -n 1) || last=
    say "$suite, $name: $(( SECONDS - start )) s, status $status: $last"
    (( status == 0 )) || tail -n "${VERBOSE:-60}" "$log" | sed 's/^/    /' >&2
    return "$status"
}

# What a package is built from, as a name.
source_digest() {
    local folder
    folder=$(mktemp -d)
    copy_checkout "$checkout" "$folder"
    (cd "$folder" && find Makefile wawp.control META.json README.md CHANGELOG.md doc src sql debian -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16
    rm -rf "$folder"
}

# Where the packages of a suite are kept.
kept_packages() { say "$cache/wawp-$1-$(source_digest)"; }

keep_built() {
    local kept
    kept=$(kept_packages "$suite")
    rm -rf "$cache/wawp-$suite-"*
    mkdir -p "$kept"
    cp -t "$kept" "$dir"/home/builder/wawp_*.dsc "$dir"/home/builder/wawp_*.tar.* "$dir"/home/builder/postgresql-*.deb
}

# Ends the program where it cannot run.
need_trees() {
    local lacking
    lacking=$(lacking_for_trees)
    if [[ -z $lacking ]] && ! command -v debootstrap >/dev/null; then
        for suite in "$@"; do [[ -s $cache/bare-$suite.tar.gz && -z ${fresh-} ]] || lacking=debootstrap; done
    fi
    [[ -z $lacking ]] || { say "needs $lacking: skipped"; exit 77; }
}
