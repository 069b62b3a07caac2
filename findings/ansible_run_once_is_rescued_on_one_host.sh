#!/usr/bin/env bash
# ansible-core 2.19.14: when a task with run_once fails in a block, every host of the play has failed by it, but `rescue` runs on the one
# host that ran it, and only that one goes on. The others go through `always` without having been rescued and are gone for the rest of the
# run, next plays too, while the recap counts failed=0 for all and only the exit status, 2, differs from a run that went well. What a
# rescue takes back is taken back on one host of many. Without run_once all three are rescued and go on.
# Seen: rescue a; always a b c; next play a; failed=0 three times; status 2. Without run_once: a b c each time, status 0.
# Slipway has no run_once on a task that may fail in a release (roles/deploy/tasks/main.yml).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q ansible-core==2.19.14
play() { # with run_once or without
  cat <<YML
- hosts: all
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.fail: {msg: no}
          run_once: $1
      rescue:
        - ansible.builtin.debug: {msg: "rescue on {{ inventory_hostname }}"}
      always:
        - ansible.builtin.debug: {msg: "always on {{ inventory_hostname }}"}
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "next on {{ inventory_hostname }}"}
YML
}
seen() {
  play "$1" > play.yml
  rc=0; ANSIBLE_FORCE_COLOR=0 ANSIBLE_NOCOLOR=1 env/bin/ansible-playbook -i a,b,c, play.yml > said 2>/dev/null || rc=$?
  for word in rescue always next; do echo -n "$word $(grep -o "$word on [abc]" said | cut -d' ' -f3 | sort | xargs); "; done
  echo "failed=0 $(grep -c 'failed=0' said) times; status $rc"
}
once=$(seen true) each=$(seen false)
echo "run_once: $once"; echo "without: $each"
[[ $once == "rescue a; always a b c; next a; failed=0 3 times; status 2" ]]
[[ $each == "rescue a b c; always a b c; next a b c; failed=0 3 times; status 0" ]]
