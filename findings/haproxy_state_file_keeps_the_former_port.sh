#!/usr/bin/env bash
# HAProxy 2.6.12 (Debian 12): with a server-state file, which is to carry health and weights over a reload, a server whose address and port
# were edited in the configuration begins at the new address with the former port, a pair that stands in no file. When the port alone was
# edited, the former one is used. `haproxy -c` finds the configuration valid, and no message names the difference. A weight is otherwise:
# an edited one counts. So a service that moves to another port is not found by its proxy, or another service is.
# Seen: configured 127.0.0.1:18991 weight 10, then :18992 weight 20: 127.0.0.1:18991 weight 20; then 127.0.0.2:18992: 127.0.0.2:18991; the
# same configuration without the file: 127.0.0.2:18992.
# Slipway fits each line of the file to the configuration before a start and a reload (plugins/module_utils/edge/haproxy/unit.py).
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing1=1.6.0-4 libopentracing-c-wrapper0=1.1.3-3+b1 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
export LD_LIBRARY_PATH=$dir/usr/lib/$(uname -m)-linux-gnu
ask() { # a command of the socket
  python3 - "$1" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("admin.sock"); s.sendall(sys.argv[1].encode() + b"\n"); s.shutdown(socket.SHUT_WR)
print(b"".join(iter(lambda: s.recv(65536), b"")).decode())
PY
}
run() { # address and port, weight: where the server is and what it weighs; the state is kept for the next run
  cat > conf <<CONF
global
  stats socket unix@admin.sock level admin
  server-state-file $dir/state
defaults
  mode http
  load-server-state-from-file global
  timeout connect 2s
  timeout client 5s
  timeout server 5s
backend b
  server one $1 weight $2
CONF
  usr/sbin/haproxy -c -f conf >/dev/null 2>&1
  rm -f admin.sock
  usr/sbin/haproxy -db -f conf 2>>messages & proxy=$!
  for _ in $(seq 50); do [[ -S admin.sock ]] && break; sleep 0.1; done
  ask "show servers state" > next
  kill "$proxy"; wait "$proxy" || true
  mv next state
  awk '$4 == "one" { print $5 ":" $19, "weight", $8 }' state
}
run 127.0.0.1:18991 10 > told
run 127.0.0.1:18992 20 >> told
run 127.0.0.2:18992 20 >> told
rm state
run 127.0.0.2:18992 20 >> told
seen=$(paste -sd, told) named=$(grep -c 1899 messages || true)
echo "$seen; messages that name a port: $named"
[[ $seen == "127.0.0.1:18991 weight 10,127.0.0.1:18991 weight 20,127.0.0.2:18991 weight 20,127.0.0.2:18992 weight 20" && $named == 0 ]]
