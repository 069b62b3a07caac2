#!/usr/bin/env bash
# Removes what `make demo` made: containers, their volumes, the network, generated secrets and cached facts. Reports stay.
set -euo pipefail
cd "$(dirname "$0")/.."
if docker version >/dev/null 2>&1; then
  ansible-playbook -i inventories/demo/hosts.yml testbed/destroy.yml
fi
rm -rf inventories/demo/secrets .cache/demo .cache/facts
echo "The demo is gone. Reports, if any, are still under reports/."
