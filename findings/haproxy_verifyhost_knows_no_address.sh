#!/usr/bin/env bash
# HAProxy 2.6.12 (Debian 12): `verifyhost 127.0.0.1` refuses a certificate whose subjectAltName has IP:127.0.0.1; it compares with
# DNS names and the subject's common name alone. curl takes the same certificate for the same address.
# Seen: server "byaddress" DOWN (L6RSP, SSL handshake failure), server "byname" with `verifyhost app.example.test` UP (L7OK).
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing1=1.6.0-4 libopentracing-c-wrapper0=1.1.3-3+b1 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=app -keyout key.pem -out cert.pem \
  -addext 'subjectAltName=IP:127.0.0.1,DNS:app.example.test' 2>/dev/null
cat > serve.py <<'PY'
import http.server, ssl
server = http.server.ThreadingHTTPServer(("127.0.0.1", 18932), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
python3 serve.py 2>/dev/null &
cat > conf <<'CONF'
global
  stats socket unix@admin.sock
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
backend b
  option httpchk GET /
  server byaddress 127.0.0.1:18932 ssl verify required ca-file cert.pem verifyhost 127.0.0.1 check inter 500ms fall 1
  server byname 127.0.0.1:18932 ssl verify required ca-file cert.pem verifyhost app.example.test check inter 500ms fall 1
CONF
sleep 1
LD_LIBRARY_PATH=$dir/usr/lib/x86_64-linux-gnu usr/sbin/haproxy -db -f conf 2>/dev/null &
sleep 4
curl -s -o /dev/null -w 'curl: %{http_code}\n' --cacert cert.pem https://127.0.0.1:18932/
state=$(python3 - <<'PY'
import socket
s = socket.socket(socket.AF_UNIX); s.connect("admin.sock"); s.sendall(b"show stat\n"); s.shutdown(socket.SHUT_WR)
text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
rows = [line.split(",") for line in text.splitlines()]
print(" ".join(f"{row[1]}={row[17]}/{row[36]}" for row in rows if row[0] == "b" and row[1].startswith("by")))
PY
)
echo "HAProxy: $state"
[[ $state == "byaddress=DOWN/"*"L6RSP byname=UP/"*"L7OK" ]]
