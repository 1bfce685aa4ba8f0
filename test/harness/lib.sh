# shellcheck shell=bash
#
# lib.sh -- what the test run and the demo share.  Sourced, never run.
#
# Contract: every file and process belongs to one sandbox directory, $WAWP_SANDBOX, made under
# ${TMPDIR:-/tmp} and removed at the end with all that still runs for it.  No server outside it is
# touched; inside it nothing listens but on Unix sockets and, the simulator, on loopback.

say()  { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die()  { warn "$*"; exit 1; }

is_root() { (( EUID == 0 )); }

# root's PATH may hold things in /root that the unprivileged user cannot run (pyenv, nvm, …)
system_path() { PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH; }

# --- PostgreSQL -------------------------------------------------------------------------------

# The oldest major version that wawp is built for.
oldest_major=15

major_of() { "$1" --version 2>/dev/null | grep -oE '[0-9]+' | head -n 1; }

# All pg_configs that run and are not too old: $PG_CONFIG if it is set, else the one on PATH and Debian's,
# the newest first.
pg_configs() {
    local candidate major
    for candidate in "${PG_CONFIG:-pg_config}" \
        $([[ -n ${PG_CONFIG-} ]] || printf '%s\n' /usr/lib/postgresql/*/bin/pg_config | sort -rV); do
        candidate=$(command -v "$candidate") || continue
        major=$(major_of "$candidate") || continue
        (( major < oldest_major )) || printf '%s\n' "$candidate"
    done
}

# The things themselves: on Debian a pg_config and pgxs.mk come with packages that have neither.
has_headers() {
    [[ -f $("$1" --pgxs 2>/dev/null) && -f $("$1" --includedir-server 2>/dev/null)/postgres.h ]]
}

has_server() {
    local dir
    dir=$("$1" --bindir 2>/dev/null) && [[ -x $dir/initdb && -x $dir/postgres ]]
}

has_pgtap() { [[ -e $("$1" --sharedir 2>/dev/null)/extension/pgtap.control ]]; }

has_pg_regress() { [[ -x $(dirname "$("$1" --pgxs 2>/dev/null)")/../test/regress/pg_regress ]]; }

# Prints the pg_config to use: of those with headers the one that has most of the rest, the first of equals.
find_pg_config() {
    local candidate thing best='' most=-1 count
    while IFS= read -r candidate; do
        has_headers "$candidate" || continue
        count=0
        for thing in has_server has_pgtap has_pg_regress; do
            ! "$thing" "$candidate" || count=$(( count + 1 ))
        done
        if (( count > most )); then best=$candidate most=$count; fi
    done < <(pg_configs)
    [[ -n $best ]] && printf '%s\n' "$best"
}

# Sets PG_CONFIG, bindir, pkglibdir, sharedir, pgxs_src.
find_postgres() {
    PG_CONFIG=$(find_pg_config) || die "no PostgreSQL with server development files found; try: make deps"
    export PG_CONFIG
    bindir=$("$PG_CONFIG" --bindir)
    pkglibdir=$("$PG_CONFIG" --pkglibdir)
    sharedir=$("$PG_CONFIG" --sharedir)
    # shellcheck disable=SC2034
    pgxs_src=$(dirname "$("$PG_CONFIG" --pgxs)")/..
    export PATH="$bindir:$PATH"
}

# --- the sandbox: outside ---------------------------------------------------------------------

# sandbox SCRIPT [ARGS]: installs what is missing, copies the checkout (cwd) to a new sandbox and
# runs SCRIPT --inside ARGS there, as an unprivileged user when we are root (initdb refuses root).
# Returns SCRIPT's status, with WAWP_SANDBOX still there; it goes when the calling shell exits.
# prepare_sandbox, if the caller has such a function, is called before, as who we are.
sandbox() {
    local status=0
    is_root && system_path
    choose_base || return 1
    bash test/harness/deps || return 1
    make_sandbox
    copy_checkout "$PWD" "$WAWP_SANDBOX/src"
    is_root && chown -R "$(sandbox_user)" "$WAWP_SANDBOX"
    if declare -F prepare_sandbox >/dev/null; then prepare_sandbox; fi      # what only its caller can do

    # A process group of its own: a signal to us ends all of it, and a Ctrl-C is not shared by halves.
    set -m
    (cd "$WAWP_SANDBOX/src" && exec "${as_user[@]}" "${clean_env[@]}" bash "$@") </dev/null &
    sandbox_pid=$!
    set +m
    trap 'stop_sandbox; exit 130' INT
    trap 'stop_sandbox; exit 143' TERM HUP
    wait "$sandbox_pid" || status=$?
    sandbox_pid=
    return "$status"
}

sandbox_user() { printf '%s:%s\n' nobody "$(id -gn nobody)"; }

# The user in the sandbox, in front of a command; empty unless we are root.
set_as_user() {
    as_user=()
    ! is_root || as_user=(setpriv --reuid nobody --regid "$(id -gn nobody)" --clear-groups --)
}

# What makes a folder unfit for sandboxes, in words; nothing if it is fit.  A Unix socket's path has 107
# bytes at most, and tests add up to 50 to ours; PGXS knows no spaces.
unfit_folder() {
    local folder=$1 trial
    if [[ $folder != /* ]]; then say "is not an absolute path"; return; fi
    if (( ${#folder} > 40 )); then say "has more than 40 characters, too many for the sockets in there"; return; fi
    if [[ $folder == *[[:space:]]* ]]; then say "has a space in it"; return; fi
    trial=$(mktemp -d "$folder/wawp.XXXXXX" 2>/dev/null) || { say "cannot be written to"; return; }
    say '#!/bin/sh' >"$trial/program"
    chmod 755 "$trial" "$trial/program"
    if ! "${as_user[@]}" test -x "$trial" 2>/dev/null; then
        say "cannot be entered by the user nobody"
    elif ! { "${as_user[@]}" "$trial/program"; } 2>/dev/null; then
        say "does not let programs run (noexec)"
    fi
    rm -rf "$trial"
}

# Sets sandbox_base, before anything takes long: $TMPDIR, or /tmp where TMPDIR cannot be used.
choose_base() {
    local why other
    set_as_user
    sandbox_base=${TMPDIR:-/tmp}
    sandbox_base=${sandbox_base%/}
    why=$(unfit_folder "$sandbox_base")
    [[ -n $why ]] || return 0
    if [[ $sandbox_base != /tmp && $why != *noexec* && -z $(unfit_folder /tmp) ]]; then
        warn "TMPDIR=$sandbox_base $why: using /tmp"
        sandbox_base=/tmp
        export TMPDIR=/tmp
        return 0
    fi
    for other in /var/tmp "${HOME:-/nowhere}" /a/folder; do
        [[ $other != /a/folder && -n $(unfit_folder "$other") ]] || break
    done
    warn "$sandbox_base $why: name another folder, as in TMPDIR=$other make test"
    return 1
}

make_sandbox() {
    local name
    [[ -n ${sandbox_base-} ]] || choose_base || exit 1
    WAWP_SANDBOX=$(mktemp -d "$sandbox_base/wawp.XXXXXX")
    sandbox_pid=
    trap remove_sandbox EXIT
    mkdir -p "$WAWP_SANDBOX"/{src,home,tmp,sock}

    clean_env=(env -i "PATH=$PATH" "HOME=$WAWP_SANDBOX/home" "TMPDIR=$WAWP_SANDBOX/tmp"
               "WAWP_SANDBOX=$WAWP_SANDBOX" LANG=C.UTF-8 LC_ALL=C.UTF-8 TZ=UTC)
    for name in PG_CONFIG LAYERS TESTS KEEP ACCEPT CI TERM VERBOSE PROVE_JOBS PG_TEST_TIMEOUT_DEFAULT CC \
        FAULTS FAULTS_JOBS FAULTS_LATENCY FAULTS_NO_NAMESPACE SOAK_MINUTES PARTS FLOODS SHORT SEED; do
        [[ -z ${!name-} ]] || clean_env+=("$name=${!name}")
    done
}

# copy_checkout FROM TO: tracked files and new ones that git does not ignore, as they are now;
# out of a tarball, everything but what a build leaves.
copy_checkout() {
    local from=$1 to=$2
    # safe.directory: the checkout may belong to someone else than root
    if git -c safe.directory='*' -C "$from" rev-parse --git-dir >/dev/null 2>&1; then
        git -c safe.directory='*' -C "$from" ls-files -z --cached --others --exclude-standard
    else
        (cd "$from" && find . -name .git -prune -o -type f \
            ! -name '*.o' ! -name '*.so' ! -name '*.bc' ! -path './results/*' ! -path './tmp_check*' \
            ! -path './test/unit/build/*' ! -path './test/results/*' -print0)
    fi |
        (cd "$from" && while IFS= read -r -d '' file; do
            if [[ -e $file || -L $file ]]; then printf '%s\0' "$file"; fi
        done) |
        tar -C "$from" --null --no-recursion -T - -cf - |
        tar -C "$to" --no-same-owner -xf -
}

# dockerfile_instructions FILE: a line each, without comments.
dockerfile_instructions() { sed '/^ *#/d; /^$/d' "$1" | sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}'; }

# The commit, and whether the working tree is that commit.
revision() {
    local commit changed=''
    if ! commit=$(git -c safe.directory='*' rev-parse --short HEAD 2>/dev/null); then
        say "out of a tarball"
        return
    fi
    [[ -z $(git -c safe.directory='*' status --porcelain 2>/dev/null) ]] || changed=' with changes'
    say "$commit$changed"
}

# save_results NAME FILE: keeps what a run measured in the checkout (cwd), where git ignores it.
save_results() {
    mkdir -p test/results
    cat "$2" >"test/results/$1"
    say "results: test/results/$1"
}

stop_sandbox() {
    trap '' INT TERM HUP
    [[ -z $sandbox_pid ]] || kill -TERM -- "-$sandbox_pid" 2>/dev/null || true
    wait 2>/dev/null || true
}

remove_sandbox() {
    [[ -d ${WAWP_SANDBOX-} ]] || return 0
    end_processes
    [[ ${KEEP-} == 1 ]] || rm -rf "$WAWP_SANDBOX"
}

# Ends what is left of this sandbox and nothing else: postmasters by their pid files (they overwrite
# the environment they show), all others by the sandbox's name in their environment.
end_processes() {
    local file pid signal
    for signal in INT TERM KILL; do
        local found=0
        while IFS= read -r -d '' file; do
            read -r pid <"$file" || continue
            # INT is a fast shutdown; a postmaster's QUIT, not its KILL, lets the children go
            [[ $pid =~ ^[0-9]+$ && -d /proc/$pid ]] || continue
            [[ $(readlink "/proc/$pid/cwd") == "$(dirname "$(realpath "$file")")" ]] || continue
            found=1
            kill "-${signal/#KILL/QUIT}" "$pid" 2>/dev/null || true
        done < <(find "$WAWP_SANDBOX" -name postmaster.pid -print0 2>/dev/null)
        for pid in $(sandbox_pids); do
            found=1
            kill "-${signal/#INT/TERM}" "$pid" 2>/dev/null || true
        done
        (( found )) || return 0
        sleep 0.3
    done
}

sandbox_pids() {
    local dir pid
    for dir in /proc/[0-9]*; do
        pid=${dir#/proc/}
        if [[ -r $dir/environ ]] &&
            { tr '\0' '\n' <"$dir/environ" | grep -qxF "WAWP_SANDBOX=$WAWP_SANDBOX"; } 2>/dev/null; then
            printf '%s\n' "$pid"
        fi
    done
}

# --- the sandbox: inside ----------------------------------------------------------------------

# build_and_stage [MAKE ARGS]: compiles the copy, installs it under $WAWP_SANDBOX/stage and writes
# $WAWP_SANDBOX/conf, the settings that make any private server find it there.
build_and_stage() {
    local log=$WAWP_SANDBOX/build.log
    # No bitcode: it doubles the build, and JIT inlining of our functions is of no use to a test.
    if ! { make -j"$(nproc)" "$@" with_llvm=no all &&
           make "$@" with_llvm=no install "DESTDIR=$WAWP_SANDBOX/stage"; } >"$log" 2>&1; then
        warn "the build failed:"
        grep -E -A5 -m20 'error:|warning:|\*\*\*' "$log" >&2 || tail -n 40 "$log" >&2
        return 1
    fi
    write_conf >"$WAWP_SANDBOX/conf"
}

write_conf() {
    local stage=$WAWP_SANDBOX/stage settings
    settings=$(postgres --describe-config | cut -f1)
    if grep -qx extension_destdir <<<"$settings"; then          # Debian's and Ubuntu's packages
        say "extension_destdir = '$stage'"
    elif grep -qx extension_control_path <<<"$settings"; then   # 18 and newer
        say "extension_control_path = '$stage$sharedir:\$system'"
    else
        die "this PostgreSQL cannot load an extension from a staged install: use Debian's packages, or 18 and newer"
    fi
    # extension_destdir does not reach shared_preload_libraries, dynamic_library_path does
    sed -e "s|@PKGLIBDIR@|$stage$pkglibdir|" test/regress.conf.in
}

# clusters_below DIR: what a Perl program needs that makes clusters (PostgreSQL::Test); what they leave is in DIR.
clusters_below() {
    export TESTDIR=$1 TESTDATADIR=$1/data TESTLOGDIR=$1/log TEMP_CONFIG=$WAWP_SANDBOX/conf PGPORT=65432 \
        PG_REGRESS=$pgxs_src/test/regress/pg_regress
    mkdir -p "$TESTDATADIR" "$TESTLOGDIR"
}

# cluster_start DIR: a private server on a Unix socket; sets PGHOST and PGPORT for its clients.
cluster_start() {
    local dir=$1
    if ! initdb -D "$dir/data" -A trust -N --no-locale -E UTF8 >"$dir.initdb" 2>&1; then
        tail -n 20 "$dir.initdb" >&2
        return 1
    fi
    cat "$WAWP_SANDBOX/conf" - >>"$dir/data/postgresql.conf" <<EOF
listen_addresses = ''
unix_socket_directories = '$WAWP_SANDBOX/sock'
fsync = off
EOF
    if ! pg_ctl -D "$dir/data" -w -t 60 -l "$dir.log" start >/dev/null; then
        tail -n 20 "$dir.log" >&2
        return 1
    fi
    export PGHOST=$WAWP_SANDBOX/sock PGPORT=5432
}

cluster_stop() { pg_ctl -D "$1/data" -w -m "${2:-fast}" stop >/dev/null 2>&1 || true; }

# sim_start: one simulator on a free port; sets and exports WAWP_SIM_PORT.
sim_start() {
    local file=$WAWP_SANDBOX/sim.port log=$WAWP_SANDBOX/sim.log i
    rm -f "$file"
    python3 test/simulator/wawp_sim.py --port 0 --port-file "$file" >"$log" 2>&1 &
    sim_pid=$!
    for (( i = 0; i < 100; i++ )); do
        if [[ -s $file ]]; then
            WAWP_SIM_PORT=$(grep -oE '[0-9]+' "$file" | head -n 1)
            export WAWP_SIM_PORT
            return 0
        fi
        kill -0 "$sim_pid" 2>/dev/null || break
        sleep 0.1
    done
    warn "the simulator did not start:"
    tail -n 20 "$log" >&2
    return 1
}

sim_stop() {
    [[ -n ${sim_pid-} ]] || return 0
    kill "$sim_pid" 2>/dev/null || true
    wait "$sim_pid" 2>/dev/null || true
    sim_pid=
}
