#!/usr/bin/env bash
# pgBouncer 1.18.0 (Debian 12) with psycopg2-binary 2.9.10: a line "local pgbouncer nobody peer" of auth_hba_file lets in whom the kernel
# names, with no password. But only once auth_file has a line for that user, with an empty password: without it the socket answers
# "unix socket login rejected", the same words as for a wrong account, though nothing in auth_file is ever compared. stats_users alone does
# not make the user known.
# Seen: without the line refused with these words; with it SHOW VERSION is answered.
# Slipway's role pgbouncer writes a line with an empty password for each user of its socket (roles/pgbouncer/templates/userlist.txt.j2).
set -euo pipefail
dir=$(mktemp -d); trap '[[ -s $dir/pid ]] && kill "$(cat "$dir/pid")" 2>/dev/null; sleep 0.5; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download pgbouncer=1.18.0-1+deb12u1 libc-ares2 libevent-2.1-7 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
chmod 777 "$dir"
export LD_LIBRARY_PATH=$dir/usr/lib/$(uname -m)-linux-gnu
python3 -m venv venv && venv/bin/pip --quiet --disable-pip-version-check install psycopg2-binary==2.9.10
cat > ini <<END
[databases]
[pgbouncer]
listen_addr =
listen_port = 6543
unix_socket_dir = $dir
auth_type = hba
auth_hba_file = $dir/hba
auth_file = $dir/users
stats_users = nobody
pidfile = $dir/pid
logfile = $dir/log
END
echo 'local pgbouncer nobody peer' > hba
cat > ask.py <<END
import psycopg2
try:
    connection = psycopg2.connect(host="$dir", port=6543, user="nobody", dbname="pgbouncer")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SHOW VERSION")
    print(cursor.fetchone()[0])
except psycopg2.OperationalError as error:
    print("refused:", "unix socket login rejected" in str(error))
END
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
try() {
    printf '%s' "$1" > users
    as_nobody usr/sbin/pgbouncer --quiet --daemon ini
    for _ in $(seq 50); do [[ -S .s.PGSQL.6543 ]] && break; sleep 0.1; done
    as_nobody venv/bin/python ask.py
    kill "$(cat pid)"; while [[ -e pid ]]; do sleep 0.1; done
}
without=$(try $'"root" ""\n')
with=$(try $'"root" ""\n"nobody" ""\n')
echo "without its line: $without; with it: $with"
[[ $without == "refused: True" && $with == "PgBouncer 1.18.0" ]]
