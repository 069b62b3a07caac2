#!/usr/bin/env bash
# Prometheus 2.42.0 (Debian 12): "If the new configuration is not well-formed, the changes will not be applied", its documentation says.
# With one rule file that does not parse the reload is answered 500 and prometheus_config_last_reload_successful is 0, yet the new
# scrape_configs and global section, external labels with them, are in force: only the rules are the old ones. Old rules over new targets
# is a pair that nobody wrote: an alert on a job that was renamed is silent, and Alertmanager's routes meet other labels.
# Seen: 500, after it targets of job "new" alone, `up` of label word="new", and the rule of before, which still asks for job "old".
# Slipway has promtool judge the whole set, rules included, before it is there (roles/prometheus/tasks/main.yml).
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download prometheus=2.42.0+ds-5+deb12u1 >/dev/null 2>&1 && dpkg -x prometheus_*.deb .
write() { # a configuration of that word
  printf 'global: {scrape_interval: 1s, external_labels: {word: %s}}\nrule_files: [rules.yml]\n' "$1" > prometheus.yml
  printf 'scrape_configs: [{job_name: %s, static_configs: [{targets: ["127.0.0.1:18984"]}]}]\n' "$1" >> prometheus.yml
}
at=http://127.0.0.1:18984
ask() { # what an expression finds in an answer of the API
  curl -s "$at/api/v1/$1" | python3 -c "import json, sys; data = json.load(sys.stdin)['data']; print(*$2)"
}
told() { # job of the targets, label of what is federated, query of the rule
  echo "$(ask targets "{t['labels']['job'] for t in data['activeTargets']}") $(curl -s "$at/federate?match\[\]=up" | grep -o 'word="[a-z]*"' | sort -u)" \
    "$(ask rules "(r['query'] for g in data['groups'] for r in g['rules'])")"
}
until_jobs() { for _ in $(seq 60); do [[ $(told) == "$1 word="* ]] && break; sleep 0.3; done; }
write old
echo 'groups: [{name: g, rules: [{alert: Down, expr: "up{job=\"old\"} == 0"}]}]' > rules.yml
usr/bin/prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:18984 --web.enable-lifecycle 2>log &
for _ in $(seq 300); do curl -sf "$at/-/ready" >/dev/null 2>&1 && break; sleep 0.1; done
until_jobs old
before=$(told)
write new
echo 'groups: [{name: g, rules: [{alert: Down, expr: "up{job=\"new\" == 0"}]}]' > rules.yml
status=$(curl -s -o /dev/null -w '%{http_code}' -X POST "$at/-/reload")
until_jobs new
after=$(told)
success=$(curl -s "$at/metrics" | grep '^prometheus_config_last_reload_successful')
echo "before: $before; reload: $status, $success; after: $after"
[[ $status == 500 && $success == *" 0" && $before == 'old word="old" up{job="old"} == 0' && $after == 'new word="new" up{job="old"} == 0' ]]
