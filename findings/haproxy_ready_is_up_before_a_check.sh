#!/usr/bin/env bash
# HAProxy 2.6.12 (Debian 12), and 3.0.11 (Debian 13) alike: a server that is `disabled` in the configuration, on whose port nothing
# listens, is UP at once after `set server b/spare state ready`, and gets requests until its first failed check has come (`inter`, here
# 5 s). With `set server b/spare health down` right after it, it stays DOWN until a check passes. Who adds servers at run time needs both.
# Seen: "ready: UP, then DOWN after its checks", "ready and health down: DOWN all the time".
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing1=1.6.0-4 libopentracing-c-wrapper0=1.1.3-3+b1 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
cat > conf <<'CONF'
global
  stats socket unix@admin.sock level admin
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
backend b
  option httpchk GET /
  server spare 127.0.0.1:18933 check inter 5s fall 1 disabled
  server other 127.0.0.1:18934 check inter 5s fall 1 disabled
CONF
LD_LIBRARY_PATH=$dir/usr/lib/x86_64-linux-gnu usr/sbin/haproxy -db -f conf 2>/dev/null &
for _ in $(seq 50); do [[ -S admin.sock ]] && break; sleep 0.1; done
ask() { # a command of the socket
  python3 - "$1" <<'PY'
import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect("admin.sock"); s.sendall(sys.argv[1].encode() + b"\n"); s.shutdown(socket.SHUT_WR)
print(b"".join(iter(lambda: s.recv(65536), b"")).decode())
PY
}
state() { ask "show stat" | awk -F, -v name="$1" '$1 == "b" && $2 == name { print $18 }'; }
ask "set server b/spare state ready; set server b/other state ready; set server b/other health down" >/dev/null
at_once="$(state spare) $(state other)"
for _ in $(seq 200); do [[ $(state spare) == DOWN* ]] && break; sleep 0.1; done
later="$(state spare) $(state other)"
echo "ready: ${at_once% *}, then ${later% *} after its checks; ready and health down: ${at_once#* }, then ${later#* }"
[[ $at_once == "UP DOWN"* && $later == "DOWN DOWN"* ]]
