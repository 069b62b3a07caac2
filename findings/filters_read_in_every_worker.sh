#!/usr/bin/env bash
# ansible-core 2.19.14 reads every file of a collection's filters, with what they import, in each worker that uses one of them, for a
# filter may be in any file; it goes on after it has found it. A worker is forked for each task and host, and what it read goes with it.
# Once a filter has been used where the parent works, as in a play's pattern, its workers have all files already.
# Seen: 4 tasks on 3 hosts use `near`; the file of `far`, which nobody uses, is read 12 times. With `near` in the pattern: once.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q ansible-core==2.19.14
place=ansible_collections/demo/small/plugins/filter
mkdir -p "$place"
for name in near far; do
  cat > "$place/$name.py" <<PY
import os
with open(os.environ["READ"], "a") as log:
    print("$name", file=log)

class FilterModule:
    def filters(self):
        return {"$name": lambda value: value}
PY
done
play() {
  printf -- '- hosts: "%s"\n  gather_facts: false\n  tasks:\n' "$1"
  for number in 1 2 3 4; do printf '    - ansible.builtin.debug: {msg: "{{ %s | demo.small.near }}"}\n' "$number"; done
}
play all > workers.yml
play "{{ 'all' | demo.small.near }}" > pattern.yml
far() {
  rm -f read
  READ=$dir/read ANSIBLE_COLLECTIONS_PATH=$dir ANSIBLE_LOCALHOST_WARNING=0 env/bin/ansible-playbook -i a,b,c, "$1" >/dev/null 2>&1
  grep -c far read
}
workers=$(far workers.yml) pattern=$(far pattern.yml)
echo "the file that nobody uses was read $workers times; with a filter in the pattern $pattern time(s)"
[[ $workers == 12 && $pattern == 1 ]]
