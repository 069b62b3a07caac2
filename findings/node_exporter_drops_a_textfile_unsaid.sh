#!/usr/bin/env bash
# node_exporter 1.5.0 (Debian 12): two textfiles may have series of one metric only while both describe it alike. When the second one's
# HELP differs in a word, or one of them has HELP and the other none, all series of the second file are dropped, although its labels are
# its own: HTTP 200, node_textfile_scrape_error 0, and node_textfile_mtime_seconds stays fresh, so that an alert on either of them, which
# is what people have, is silent while a backup's age is gone. promhttp_metric_handler_errors_total{cause="gathering"} and the log tell.
# Two files without any HELP are taken.
# Seen: alike: 2 series; another HELP: 1; HELP in one alone: 1; in none: 2; scrape_error 0 and 2 mtimes each time.
# Slipway's programs have names of their own for their metrics, one writer each (plugins/module_utils/host/textfile.py).
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download prometheus-node-exporter=1.5.0-1+b6 >/dev/null 2>&1 && dpkg -x prometheus-node-exporter_*.deb .
mkdir text
usr/bin/prometheus-node-exporter --collector.disable-defaults --collector.textfile --collector.textfile.directory=text \
  --web.listen-address=127.0.0.1:18985 2>log &
for _ in $(seq 100); do curl -sf -o /dev/null http://127.0.0.1:18985/ && break; sleep 0.1; done
write() { # file, HELP or nothing
  { [[ -z $2 ]] || echo "# HELP backup_age $2"; echo '# TYPE backup_age gauge'; echo "backup_age{of=\"$1\"} 1"; } > "text/$1.prom"
}
seen() { # two HELPs
  write a "$1"; write b "$2"
  curl -s -w '%{http_code}\n' http://127.0.0.1:18985/metrics > page
  echo "$(grep -c '^backup_age' page) $(grep '^node_textfile_scrape_error' page | cut -d' ' -f2) $(grep -c '^node_textfile_mtime' page) $(tail -1 page)"
}
alike=$(seen Age. Age.) other=$(seen Age. 'Age in seconds.') one=$(seen Age. '') none=$(seen '' '')
echo "series, scrape_error, mtimes, status: alike $alike; another HELP $other; HELP in one $one; in none $none"
[[ "$alike, $other, $one, $none" == "2 0 2 200, 1 0 2 200, 1 0 2 200, 2 0 2 200" ]]
