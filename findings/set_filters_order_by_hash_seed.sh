#!/usr/bin/env bash
# ansible-core 2.19.14: the filters union, difference and intersect give their elements in an order that is another in each process, by
# Python's hash seed, although lists went in; unique keeps the order. A file or a `first` that is made of one of them changes from run to
# run with the same inventory. Whoever needs an order sorts, or takes lists apart with `reject('in', …)` and `+` … `| unique`.
# Seen: of eight processes at least two differ for each of the three, and none for unique and reject.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q ansible-core==2.19.14
orders() { # how many orders eight processes give
  for seed in 1 2 3 4 5 6 7 8; do
    PYTHONHASHSEED=$seed ANSIBLE_LOCALHOST_WARNING=0 env/bin/ansible localhost -o -m ansible.builtin.debug \
      -a "msg={{ ['edge1', 'edge2', 'app1', 'app2', 'db1', 'cache1'] | $1 | join(' ') }}" 2>/dev/null
  done | sort -u | wc -l
}
ok=0
for filter in "union(['backup1', 'edge1'])" "difference(['edge2'])" "intersect(['app2', 'app1', 'edge1', 'db1', 'cache1'])"; do
  count=$(orders "$filter")
  echo "$filter: $count orders in 8 processes"
  [[ $count -gt 1 ]] || ok=1
done
for filter in "unique" "reject('in', ['edge2'])"; do
  count=$(orders "$filter")
  echo "$filter: $count order in 8 processes"
  [[ $count == 1 ]] || ok=1
done
exit "$ok"
