#!/usr/bin/env bash
# A host whose container is gone is `unreachable` to ansible-core 2.19.14 by the connection community.docker.docker 4.8.5 (of ansible
# 12.3.0), and `failed` when pipelining is on: without it the first command makes a directory, and its failure counts as a lost host;
# with it the module is the first command. So `ignore_unreachable` keeps such a host in a play in one of the cases only.
# Seen: exit status 4, UNREACHABLE! and not a word of the container without pipelining; 2, FAILED! and "No such container" with it.
# It wants a Docker daemon that answers; it starts no container.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q ansible==12.3.0 ansible-core==2.19.14
ask() {
  rc=0
  ANSIBLE_PIPELINING=$1 env/bin/ansible all -i 'not-there,' -c community.docker.docker -m ansible.builtin.ping > "$1" 2>&1 || rc=$?
  word=$(grep -o 'UNREACHABLE!\|FAILED!' "$1" | head -1)
  why=$(grep -c 'No such container' "$1" || true)
  echo "pipelining $1: exit status $rc, $word, $why lines name the reason"
}
ask False; [[ $rc == 4 && $word == 'UNREACHABLE!' && $why == 0 ]]
ask True; [[ $rc == 2 && $word == 'FAILED!' && $why == 1 ]]
