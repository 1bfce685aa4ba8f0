#!/usr/bin/env bash
# What was believed: pg_upgrade goes from any minor release of an older major version to any of a newer one; only
#   extensions have to be thought of.
# What is true: 17.12 (November 2026) notes in each column of each table, views included, an attribute option pg_attver.
#   pg_upgrade of 18.6 (August 2026) takes it for one that a user has set and writes ALTER TABLE ... SET (pg_attver=...),
#   which 18.6 refuses: unrecognized parameter. So no database with a table of its own gets from the one to the other,
#   and pg_upgrade's own --check says that the clusters are compatible.
# Version: PostgreSQL 17.12-0+deb13u1 and 18.6-3 of Debian.
# Why it matters: a security release of the old version closes the way to the new version's current release; an upgrade
#   that was rehearsed before it fails afterwards, after the check, with the old server stopped.
set -euo pipefail

if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null || ! command -v unshare >/dev/null; then
	echo "skipped: needs root, debootstrap and unshare"
	exit 77
fi
# The mirror that this machine's own apt uses.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(SITE) $(LABEL)' 'Created-By: Packages' | awk '$2 == "Debian" { print $1; exit }')
[ -n "$mirror" ] || { echo "skipped: apt knows no mirror of Debian"; exit 77; }

dir=$(mktemp -d)
chmod 755 "$dir"
trap 'rm -rf --one-file-system "$dir"' EXIT
cat >"$dir.inside" <<'EOF'
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/none.conf
{ apt-get -qq update && apt-get -qq -y install --no-install-recommends postgresql-17=17.12-0+deb13u1 postgresql-18=18.6-3; } >/tmp/apt.log 2>&1 ||
	{ tail -n 5 /tmp/apt.log; echo "skipped: the mirror has other versions by now"; exit 77; }
cd /tmp
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
for version in 17 18; do
	as /usr/lib/postgresql/$version/bin/initdb -D /tmp/$version -U postgres -A trust --no-data-checksums >/tmp/initdb.log 2>&1 ||
		as /usr/lib/postgresql/$version/bin/initdb -D /tmp/$version -U postgres -A trust >/tmp/initdb.log
done
as /usr/lib/postgresql/17/bin/pg_ctl -w -D /tmp/17 -l /tmp/17.log -o "-k /tmp -c listen_addresses=''" start >/dev/null
psql="as /usr/lib/postgresql/17/bin/psql -X -h /tmp -U postgres -At -d postgres"
$psql -c "SHOW server_version"
/usr/lib/postgresql/18/bin/postgres --version
$psql -qc "CREATE TABLE greeting (word text)"
echo "options of the new table's column: $($psql -c "SELECT regexp_replace(attoptions::text, '[0-9]+', 'N') FROM pg_attribute WHERE attrelid = 'greeting'::regclass AND attnum = 1")"
as /usr/lib/postgresql/17/bin/pg_ctl -w -D /tmp/17 stop >/dev/null
upgrade="as /usr/lib/postgresql/18/bin/pg_upgrade -b /usr/lib/postgresql/17/bin -B /usr/lib/postgresql/18/bin -d /tmp/17 -D /tmp/18 -U postgres"
status=0
$upgrade --check >/tmp/check.log 2>&1 || status=$?
echo "pg_upgrade --check: status $status, $(grep -o 'Clusters are compatible' /tmp/check.log || tail -n 1 /tmp/check.log)"
status=0
$upgrade >/tmp/upgrade.log 2>&1 || status=$?
echo "pg_upgrade: status $status"
find /tmp/18/pg_upgrade_output.d -name 'pg_upgrade_dump_*.log' -exec grep -h -o 'ERROR: .*' {} + | sort -u
EOF
trap 'rm -rf --one-file-system "$dir" "$dir.inside"' EXIT
debootstrap --variant=minbase sid "$dir" "$mirror" >"$dir.log" 2>&1 || { tail -n 5 "$dir.log"; rm -f "$dir.log"; exit 1; }
rm -f "$dir.log"
cp /etc/resolv.conf "$dir/etc/resolv.conf"
cp -r /etc/apt/apt.conf.d/. "$dir/etc/apt/apt.conf.d/"
echo "deb $mirror trixie main" >"$dir/etc/apt/sources.list.d/trixie.list"
cp "$dir.inside" "$dir/tmp/inside"

status=0
# shellcheck disable=SC2016
said=$(unshare --mount --pid --fork --propagation private -- sh -c 'mount -t proc proc "$0/proc" && mkdir -p "$0/dev/shm" && mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm" &&
	exec chroot "$0" bash /tmp/inside' "$dir" </dev/null) || status=$?
echo "$said"
[ "$status" = 0 ] || exit "$status"
[ "$said" = "17.12 (Debian 17.12-0+deb13u1)
postgres (PostgreSQL) 18.6 (Debian 18.6-3)
options of the new table's column: {pg_attver=N}
pg_upgrade --check: status 0, Clusters are compatible
pg_upgrade: status 1
ERROR:  unrecognized parameter \"pg_attver\"" ]
