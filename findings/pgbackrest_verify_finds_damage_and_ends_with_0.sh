#!/usr/bin/env bash
# pgBackRest 2.45 with PostgreSQL 15 (Debian 12): `verify` that finds a backup damaged ends with 0 and "completed successfully". What it
# found is of level INFO, which is not shown by default (log-level-console is warn): nothing at all is said. `check` and `info` are content,
# too. A timer that trusts the status has verified backups until a restore fails. With output=text the verdict is on standard output.
# Seen: one file of a backup removed: verify status 0, 0 lines; check 0; info "status: ok"; with --output=text status 0 and "status: error";
# restore ends with 55.
# Slipway asks for the text and reads the verdict from it (plugins/module_utils/engines/postgresql/pgbackrest/verify.py).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/archives/partial" "$dir/work"; chmod 755 "$dir"; cd "$dir"
apt-get -qq -y --download-only --no-install-recommends -o Dir::Cache::archives="$dir/archives" -o APT::Sandbox::User=root \
  install pgbackrest=2.45-1 postgresql-15=15.20-0+deb12u1 >/dev/null
for package in archives/*.deb; do dpkg -x "$package" .; done
cat > run.sh <<'RUN'
set -euo pipefail
export LD_LIBRARY_PATH=$1/usr/lib/$(uname -m)-linux-gnu
server=$1/usr/lib/postgresql/15/bin here=$1/work
cd "$here"; trap '"$server/pg_ctl" -D data -m immediate stop >/dev/null 2>&1 || true' EXIT
"$server/initdb" -D data -L "$1/usr/share/postgresql/15" -A trust -N >/dev/null
cat > conf <<CONF
[global]
repo1-path=$here/repo
repo1-retention-full=9
log-path=$here
lock-path=$here/lock
spool-path=$here/spool
start-fast=y
[demo]
pg1-path=$here/data
pg1-socket-path=$here
pg1-port=18987
CONF
cat >> data/postgresql.conf <<CONF
port=18987
listen_addresses=''
unix_socket_directories='$here'
archive_mode=on
archive_command='$1/usr/bin/pgbackrest --config=$here/conf --stanza=demo archive-push %p'
CONF
"$server/pg_ctl" -D data -l log -w start >/dev/null
does() { rc=0; "$root/usr/bin/pgbackrest" --config="$here/conf" --stanza=demo "$@" >said 2>&1 || rc=$?; }
root=$1
does stanza-create; does backup --type=full
does verify --output=text; whole="$rc $(grep -c 'status: error' said || true)"
rm "$(find repo/backup -path '*pg_data/base*' -name '*.gz' -size +10k | sort | head -1)"
does verify; verify="$rc $(wc -l < said)"
does check; check=$rc
does info; info="$rc $(grep -m 1 -o 'status: [a-z]*' said)"
does verify --output=text; text="$rc $(grep -c 'status: error' said || true)"
does restore --pg1-path="$here/restored"; restore=$rc
echo "status and errors in text: whole $whole, a file gone $text; then verify by default: $verify lines, check $check, info $info, restore $restore"
[[ "$whole, $text, $verify, $check, $info, $restore" == "0 0, 0 1, 0 0, 0, 0 status: ok, 55" ]]
RUN
if [[ $(id -u) == 0 ]]; then
  chown nobody work && setpriv --reuid=nobody --clear-groups bash run.sh "$dir"
else
  bash run.sh "$dir"
fi
