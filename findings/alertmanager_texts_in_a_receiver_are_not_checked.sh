#!/usr/bin/env bash
# Alertmanager 0.25.0 (Debian 12): `amtool check-config` reads template files and fails at a function that does not exist, but not the
# templates that stand in a receiver, `text:` and its like. The same error there is SUCCESS, 0; the daemon starts and reloads with it, too,
# and finds out when it notifies: that receiver gets nothing, of any alert, and alerts about Alertmanager would go the same way.
# Seen: in a file FAILED, 1; in a receiver SUCCESS, 0, the daemon ready, reload 200; an alert to that receiver never arrives,
# one to its neighbour does; the log has "function \"nosuch\" not defined".
# Slipway keeps all texts in a file, and sends each new channel a real alert (roles/alertmanager/templates).
# It wants root, for the package's program looks for its own templates at one place, and gets a root directory of its own.
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download prometheus-alertmanager=0.25.0-1+b4 libc6=2.36-9+deb12u14 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
cat > hook.py <<'PY'
import http.server

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        with open("seen", "a") as seen:
            print(self.path, file=seen)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", 18993), Hook).serve_forever()
PY
python3 hook.py &
cat > conf.yml <<'YML'
route:
  receiver: wrong
  group_wait: 0s
  group_interval: 1s
  routes: [{matchers: ['to="right"'], receiver: right}]
receivers:
  - {name: wrong, slack_configs: [{api_url: "http://127.0.0.1:18993/wrong", channel: a, text: "{{ nosuch .Alerts }}"}]}
  - {name: right, slack_configs: [{api_url: "http://127.0.0.1:18993/right", channel: a, text: "{{ len .Alerts }}"}]}
YML
{ echo 'templates: [file.tmpl]'; sed 's/nosuch/len/' conf.yml; } > file.yml
echo '{{ define "x" }}{{ nosuch .Alerts }}{{ end }}' > file.tmpl
amtool() { chroot "$dir" /usr/bin/amtool --alertmanager.url=http://127.0.0.1:18994 "$@"; }
file=0; amtool check-config /file.yml >/dev/null 2>&1 || file=$?
inline=0; amtool check-config /conf.yml >/dev/null 2>&1 || inline=$?
chroot "$dir" /usr/bin/prometheus-alertmanager --config.file=/conf.yml --storage.path=/data --web.listen-address=127.0.0.1:18994 \
  --cluster.listen-address= >log 2>&1 &
for _ in $(seq 100); do curl -sf -o /dev/null http://127.0.0.1:18994/-/ready && break; sleep 0.1; done
reload=$(curl -s -o /dev/null -w '%{http_code}' -X POST http://127.0.0.1:18994/-/reload)
amtool alert add first to=wrong; amtool alert add second to=right
for _ in $(seq 100); do grep -q 'not defined' log && grep -q right seen 2>/dev/null && break; sleep 0.1; done
sleep 1
arrived=$(sort -u seen | paste -sd' ') reason=$(grep -c 'function .*nosuch.* not defined' log || true)
echo "check of a file $file, of a receiver $inline; reload $reload; arrived: $arrived; $reason lines of the log give the reason"
[[ "$file $inline $reload $arrived" == "1 0 200 /right" && $reason != 0 ]]
