#!/usr/bin/env bash
# ansible-core 2.19.14: callbacks_enabled is a list that is empty by default, but said to be empty, by ANSIBLE_CALLBACKS_ENABLED= or
# `callbacks_enabled =` in ansible.cfg, it is a list of one empty name, and each program ends with 250 before its first task: "Unexpected
# Exception, this is probably a bug: A non-empty plugin name is required". 2.18.9 takes it for none. Whoever runs Ansible beneath a
# program and empties the variable, so that callbacks of a user's environment stay out, has to unset it. Other lists may be empty.
# Seen: 2.18.9: 0 and 0; 2.19.14: 250 and 250, and 0 with ANSIBLE_COLLECTIONS_PATH= and ANSIBLE_ROLES_PATH=.
# Slipway sets the callback of its drift report and leaves that list alone (plugins/action/drift.py).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
printf '[defaults]\ncallbacks_enabled =\n' > ansible.cfg; touch plain.cfg
seen() { # version: status by the variable, by the file, and with other empty lists
  python3 -m venv "env-$1" && "env-$1/bin/pip" install -q "ansible-core==$1"
  ask() { rc=0; env "$@" "env-$version/bin/ansible" localhost -m ansible.builtin.debug >said 2>&1 || rc=$?; echo "$rc"; }
  version=$1
  echo "$(ask ANSIBLE_CONFIG="$dir/plain.cfg" ANSIBLE_CALLBACKS_ENABLED=) $(ask ANSIBLE_CONFIG="$dir/ansible.cfg")" \
    "$(ask ANSIBLE_CONFIG="$dir/plain.cfg" ANSIBLE_COLLECTIONS_PATH= ANSIBLE_ROLES_PATH=)"
}
before=$(seen 2.18.9) after=$(seen 2.19.14)
echo "2.18.9: $before; 2.19.14: $after"
[[ $before == "0 0 0" && $after == "250 250 0" ]]
