#!/usr/bin/env bash
# ansible-core 2.19.14: a task whose condition is false is skipped without a look at its arguments, `vars`, `environment`, `become` or
# `timeout`, which may name what is not defined; `delegate_to` alone is worked out before the condition and fails the host. The usual
# `delegate_to: "{{ groups['monitor'][0] }}"` with `when: groups['monitor'] is defined` therefore ends the play on just those inventories that
# it is written for, those without a monitor. An empty loop is heeded before; a loop of one is not.
# Seen: skipped with an undefined variable in the five others, and with an empty loop; failed in delegate_to, with a loop of one too.
# Slipway delegates to this very host where there is no other (roles/deploy/tasks/silence.yml).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q ansible-core==2.19.14
seen() { # lines of a task that is not to run
  {
    printf -- '- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug: {msg: "{{ nowhere }}"}\n      when: nowhere is defined\n'
    printf '      %s\n' "$@"
  } > play.yml
  ANSIBLE_NOCOLOR=1 env/bin/ansible-playbook -i a, play.yml 2>/dev/null | grep -oE 'failed=1|skipped=1'
}
others=$(for word in 'vars: {x: "{{ nowhere }}"}' 'environment: {X: "{{ nowhere }}"}' 'become: "{{ nowhere }}"' 'timeout: "{{ nowhere }}"'; do
  seen "$word"
done | sort | uniq -c | xargs)
to='delegate_to: "{{ nowhere }}"'
delegated="$(seen "$to") $(seen "$to" 'loop: [1]') $(seen "$to" 'loop: []')"
echo "undefined in vars, environment, become and timeout: $others; in delegate_to, with a loop of one, with an empty loop: $delegated"
[[ $others == "4 skipped=1" && $delegated == "failed=1 failed=1 skipped=1" ]]
