#!/usr/bin/env bash
# libmodsecurity 3.0.9 (Debian 12; 3.0.14 in Debian 13 does the same): a rule without actions, such as the last one of a chain, needs a blank
# line or a comment before the next rule; with the next rule in the very next line the file is refused. Who strips a rule set of its
# comments and blank lines, as packages of the Core Rule Set for other engines do, has one that this engine cannot read.
# Seen: the same two rules load with a blank line between them, and without it end with "Expecting an action, got".
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/archives/partial"; cd "$dir"
apt-get -qq -y --download-only --no-install-recommends -o Dir::Cache::archives="$dir/archives" -o APT::Sandbox::User=root \
  install libmodsecurity3=3.0.9-1+deb12u2 >/dev/null
for package in archives/*.deb; do dpkg -x "$package" .; done
export LD_LIBRARY_PATH=$dir/usr/lib/$(uname -m)-linux-gnu
check=$(find . -name modsec-rules-check -type f)
rules() { printf 'SecRule ARGS:a "@eq 1" "id:1,phase:2,pass,nolog,chain"\nSecRule ARGS:b "@eq 2"\n%sSecRule ARGS:c "@eq 3" "id:2,phase:2,pass,nolog"\n' "$1" > rules.conf; }
said() { "$check" rules.conf 2>&1 | tr -d '\n' | grep -oE 'Test ok|Expecting an action, got' | head -1; }
rules $'\n'; apart=$(said || true)
rules ''; together=$(said || true)
echo "with a blank line: $apart; without: $together"
[ "$apart" = "Test ok" ] && [ "$together" = "Expecting an action, got" ]
