#!/usr/bin/env bash
# Patroni 4.0.7: `synchronous_mode: quorum`, which 4.0 brought and documents for bootstrap.dcs as for any dynamic setting, is "not a boolean"
# to its own `patroni --validate-config`. Whoever has a file validated before it takes the old one's place, as deployments do, cannot begin
# a cluster in that mode, though the daemon of the same version knows the word and acts on it.
# Seen: true: nothing; quorum: "bootstrap.dcs.synchronous_mode quorum is not a boolean"; the daemon's own reading of quorum: yes, a quorum.
# Slipway begins with true and sets quorum in the first run after it (roles/patroni/vars/main.yml).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q patroni==4.0.7 psycopg2-binary==2.9.10
said() { # of synchronous_mode
  cat > conf.yml <<YML
scope: demo
name: one
restapi: {listen: "192.0.2.1:8008", connect_address: "192.0.2.1:8008"}
etcd3: {hosts: ["192.0.2.2:2379"]}
bootstrap: {dcs: {ttl: 30, synchronous_mode: $1}}
postgresql:
  listen: 192.0.2.1:5432
  connect_address: 192.0.2.1:5432
  data_dir: $dir/data
  authentication: {superuser: {username: a}, replication: {username: b}}
YML
  { env/bin/patroni --validate-config --ignore-listen-port conf.yml 2>&1 || true; } | grep synchronous || echo nothing
}
plain=$(said true) quorum=$(said quorum)
knows=$(env/bin/python - <<'PY'
from types import SimpleNamespace as Of

from patroni import global_config

print(global_config.from_cluster(Of(config=Of(modify_version=1, data={"synchronous_mode": "quorum"}))).is_quorum_commit_mode)
PY
)
echo "true: $plain; quorum: $quorum; the daemon takes it for a quorum: $knows"
[[ $plain == nothing && $quorum == "bootstrap.dcs.synchronous_mode quorum is not a boolean" && $knows == True ]]
