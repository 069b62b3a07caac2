#!/usr/bin/env bash
# Redis 7.0.15 (Debian 12): `num-slaves` of SENTINEL MASTER is how many replicas a sentinel has ever known. After the only replica was
# killed it stays 1, also when the sentinel itself calls that replica down, while SENTINEL CKQUORUM says OK. A failover would find nobody;
# whoever watches that somebody could take over reads the flags of SENTINEL REPLICAS.
# Seen: "num-slaves 1, flags slave; replica killed: num-slaves 1, flags s_down,slave,disconnected, CKQUORUM OK".
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 redis-sentinel=5:7.0.15-1~deb12u10 libjemalloc2=5.3.0-1 \
  liblzf1=3.6-3 liblua5.1-0=5.1.5-9 lua-bitop=1.0.2-7 lua-cjson=2.1.0+dfsg-2.2 libhiredis0.14=0.14.1-3 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
export LD_LIBRARY_PATH=$dir/usr/lib/x86_64-linux-gnu
common=(--bind 127.0.0.1 --save "" --dir "$dir")
usr/bin/redis-server --port 18961 "${common[@]}" >/dev/null &
usr/bin/redis-server --port 18962 "${common[@]}" --replicaof 127.0.0.1 18961 >/dev/null &
replica=$!
printf 'bind 127.0.0.1\nport 18963\nsentinel monitor main 127.0.0.1 18961 1\nsentinel down-after-milliseconds main 1000\n' > sentinel.conf
usr/bin/redis-sentinel sentinel.conf >/dev/null &
sentinel() { usr/bin/redis-cli -p 18963 sentinel "$@" 2>/dev/null; }
told() { # how many replicas it counts, and what it says of the first
  echo "num-slaves $(sentinel master main | grep -A1 '^num-slaves$' | tail -1), flags $(sentinel replicas main | grep -A1 '^flags$' | tail -1)"
}
for _ in $(seq 300); do [[ $(told) == "num-slaves 1, flags slave" ]] && break; sleep 0.1; done
before=$(told)
kill -KILL "$replica"
for _ in $(seq 300); do [[ $(told) == *s_down* ]] && break; sleep 0.1; done
after="$(told), CKQUORUM $(sentinel ckquorum main | cut -d' ' -f1)"
echo "$before; replica killed: $after"
[[ $before == "num-slaves 1, flags slave" && $after == "num-slaves 1, flags s_down,slave"*", CKQUORUM OK" ]]
