#!/usr/bin/env bash
# fail2ban 1.0.2 (Debian 12): `fail2ban-client -t` reads configuration and compiles none of its expressions. A failregex without a host, or
# with a bracket too few, is "OK: configuration test is successful", 0. The reload that follows fails at that jail, and by then it has
# ended the jails that were running and stand further down: nobody watches for SSH any more because of a typing error in another jail, and
# `fail2ban-client ping`, as monitoring asks it, answers pong.
# Seen: test 0, reload 255, jails before "good", after "bad" alone, ping 0.
# Slipway's health asks for each jail by its name, not for the server alone (roles/fail2ban/meta/checks.yml.j2).
set -euo pipefail
dir=$(mktemp -d); trap 'client stop >/dev/null 2>&1 || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download fail2ban=1.0.2-2 >/dev/null 2>&1 && dpkg -x fail2ban_*.deb .
export PYTHONPATH=$dir/usr/lib/python3/dist-packages PATH=$dir/usr/bin:$PATH
client() { /usr/bin/python3 usr/bin/fail2ban-client -c "$dir/etc/fail2ban" -s "$dir/socket" -p "$dir/pid" --logtarget "$dir/log" "$@"; }
rm etc/fail2ban/jail.d/*
printf '[Definition]\ndbfile = None\nallowipv6 = auto\n' > etc/fail2ban/fail2ban.local
printf '[Definition]\nfailregex = ^refused .*$\n' > etc/fail2ban/filter.d/nobody.conf
touch watched
jail() { printf '[%s]\nenabled = true\nfilter = %s\nlogpath = %s\nbackend = polling\naction =\n' "$1" "$2" "$dir/watched"; }
jails() { client status | sed -n 's/.*Jail list:[[:space:]]*//p'; }
jail good sshd > etc/fail2ban/jail.d/good.local
client start >/dev/null 2>&1
for _ in $(seq 50); do [[ $(jails) == good ]] && break; sleep 0.1; done
before=$(jails)
jail bad nobody > etc/fail2ban/jail.d/bad.local
test=0; client -t >said 2>&1 || test=$?
reload=0; client reload >/dev/null 2>&1 || reload=$?
sleep 1
after=$(jails) ping=0; client ping >/dev/null 2>&1 || ping=$?
echo "$(tail -1 said); test $test, reload $reload; jails before: $before; after: $after; ping $ping"
[[ $(tail -1 said) == OK:* && "$test $reload $before $after $ping" == "0 255 good bad 0" ]]
