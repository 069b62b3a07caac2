#!/usr/bin/env bash
# systemd 252 (Debian 12): a timer of local time loses two things a year, and systemd.time(7) tells of neither. In spring a daily timer in the
# hour that the clock leaves out does not run that day, neither before nor after, and two days pass between two backups. In autumn an hourly timer
# does not run in the second of the two equal hours, so that two hours pass, although no such hour is missing. Persistent= makes up for
# neither, since nothing was due. cron runs what was left out at once.
# Seen with the rules of central Europe in 2027: daily at 02:30: 47 h from 27 to 29 March, 28 March has none; each hour at minute 30: 2 h
# from 00:30 to 02:30 UTC on 31 October. Where the clock is never put forward or back: 24 h and 1 h.
# Slipway's schedules are of UTC where they name no zone (roles/jobs/defaults/main.yml).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/archives/partial"; cd "$dir"
apt-get download systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
lib=$dir/usr/lib/$(uname -m)-linux-gnu
export LD_LIBRARY_PATH=$lib:$lib/systemd
hours() { # TZ, since when, a schedule: hours from one time that is due to the next
  TZ=$1 usr/bin/systemd-analyze calendar --base-time="$2" --iterations=4 "$3" | sed -n 's/.*(in UTC): [A-Z][a-z]* //p' |
    while read -r at; do date -ud "$at" +%s; done | awk 'NR > 1 { printf "%d ", ($1 - last) / 3600 } { last = $1 }'
}
summer=CET-1CEST,M3.5.0,M10.5.0/3 never=CET-1 march='2027-03-26 12:00 UTC' october='2027-10-30 23:00 UTC'
seen="$(hours "$summer" "$march" '02:30')/ $(hours "$summer" "$october" '*:30')" even="$(hours "$never" "$march" '02:30')/ $(hours "$never" "$october" '*:30')"
echo "hours between, daily in March / hourly in October: with summer time $seen; without $even"
[[ $seen == "47 24 24 / 1 2 1 " && $even == "24 24 24 / 1 1 1 " ]]
