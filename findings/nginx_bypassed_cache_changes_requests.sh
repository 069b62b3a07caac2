#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): with `proxy_cache_bypass 1` and `proxy_no_cache 1` no answer comes from the cache and none goes into it, yet
# nginx still asks the upstream as for the cache: HEAD becomes GET, and Range, If-None-Match and their like are taken out. Each probe of a
# large download by HEAD, each resumed one and each revalidation of a page that is somebody's own has the upstream send the whole body.
# The status seems right, for nginx answers HEAD without a body itself. Seen: the upstream got "GET - -" three times where the same
# requests without a cache are "GET bytes=2-4 -, HEAD - -, GET - "v1"". With the cache's name in a variable that is `off` for such
# requests they arrive as they came. So does Slipway (roles/nginx/templates/cache.conf.j2).
set -euo pipefail
dir=$(mktemp -d); trap 'kill "$(cat "$dir/pid" 2>/dev/null)" $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download nginx=1.22.1-9+deb12u11 >/dev/null 2>&1 && dpkg -x nginx_*.deb .
mkdir temp
cat > upstream.py <<'PY'
import http.server

class Upstream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("seen", "a") as seen:
            print(self.command, self.headers.get("Range", "-"), self.headers.get("If-None-Match", "-"), file=seen)
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"0123456789")

    do_HEAD = do_GET

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", 18983), Upstream).serve_forever()
PY
python3 upstream.py &
cat > conf <<'CONF'
pid pid;
error_log error.log crit;
events {}
http {
  access_log off;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  proxy_cache_path cache keys_zone=pages:1m;
  map $http_cookie $pages { default off; "" pages; }
  server {
    listen 127.0.0.1:18982;
    location = /plain { proxy_pass http://127.0.0.1:18983; }
    location = /bypass { proxy_pass http://127.0.0.1:18983; proxy_cache pages; proxy_cache_bypass 1; proxy_no_cache 1; }
    location = /named { proxy_pass http://127.0.0.1:18983; proxy_cache $pages; }
  }
}
CONF
usr/sbin/nginx -p "$dir" -c conf -e error.log
for _ in $(seq 100); do curl -sf -o /dev/null http://127.0.0.1:18982/plain && break; sleep 0.1; done
got() { # what the upstream gets of three requests of one visitor
  rm -f seen
  curl -s -o /dev/null --cookie visitor=1 --range 2-4 "http://127.0.0.1:18982$1"
  curl -s -o /dev/null --cookie visitor=1 --head "http://127.0.0.1:18982$1"
  curl -s -o /dev/null --cookie visitor=1 --header 'If-None-Match: "v1"' "http://127.0.0.1:18982$1"
  paste -sd, seen
}
plain=$(got /plain) bypass=$(got /bypass) named=$(got /named)
echo "$(usr/sbin/nginx -v 2>&1): without a cache $plain; past one $bypass; by a name that is off $named"
[[ $bypass == "GET - -,GET - -,GET - -" && $plain == 'GET bytes=2-4 -,HEAD - -,GET - "v1"' && $named == "$plain" ]]
