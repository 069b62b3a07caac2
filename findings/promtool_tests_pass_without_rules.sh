#!/usr/bin/env bash
# promtool 2.42.0 (Debian 12): `test rules` succeeds when a file of `rule_files` is not there, though it is a plain name and no pattern, and
# when `alertname` is no alert of any rule: an empty `exp_alerts` is then fulfilled. A rule file that was moved, or an alert that was
# renamed, turns every "does not fire here" of its tests into a pass of nothing; CI is green. `check config` does refuse the plain name.
# Seen: with the rules and another name: SUCCESS, 0; without the file: a warning, SUCCESS, 0; the right name, which fires: FAILED, 1.
# Slipway has each alert fire in one test as well as stay silent in another (tests/unit/test_alerts.py).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download prometheus=2.42.0+ds-5+deb12u1 >/dev/null 2>&1 && dpkg -x prometheus_*.deb .
echo 'groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]' > rules.yml
seen() { # rule file, alert that must not fire
  cat > test.yml <<YML
rule_files: [$1]
tests:
  - input_series: [{series: up, values: 0x10}]
    alert_rule_test: [{eval_time: 5m, alertname: $2, exp_alerts: []}]
YML
  rc=0; usr/bin/promtool test rules test.yml >said 2>&1 || rc=$?
  echo "$(grep -oE 'SUCCESS|FAILED' said | head -1) $rc"
}
right=$(seen rules.yml Down) renamed=$(seen rules.yml Downn) gone=$(seen moved.yml Down)
echo 'rule_files: [moved.yml]' > prometheus.yml
config=0; usr/bin/promtool check config prometheus.yml >/dev/null 2>&1 || config=$?
echo "an alert that fires: $right; of another name: $renamed; without the rule file: $gone; check config of that file: $config"
[[ "$right, $renamed, $gone, $config" == "FAILED 1, SUCCESS 0, SUCCESS 0, 1" ]]
