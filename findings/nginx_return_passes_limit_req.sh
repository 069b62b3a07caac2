#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): limit_req does not hold for a location that answers with `return`.
# `return` belongs to the rewrite phase, which comes before the phase that limit_req refuses in. `nginx -t` says nothing.
# Seen: of 8 requests at once, limit 1 r/m, `return 302` answered 8; the same limit before a file answered 1 and refused 7.
set -euo pipefail
package=nginx=1.22.1-9+deb12u11
dir=$(mktemp -d); trap 'kill "$(cat "$dir/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
apt-get download "$package" >/dev/null && dpkg -x nginx_*.deb .
mkdir html temp && echo file > html/index.html
cat > conf <<'CONF'
pid pid;
error_log error.log crit;
events {}
http {
  access_log off;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m;
  limit_req_zone $binary_remote_addr zone=two:1m rate=1r/m;
  limit_req_status 429;
  server {
    listen 127.0.0.1:18931;
    location = /moved { limit_req zone=one; return 302 https://www.example.test/; }
    location / { limit_req zone=two; root html; }
  }
}
CONF
usr/sbin/nginx -p "$dir" -c conf -e error.log
answers() { for _ in 1 2 3 4 5 6 7 8; do curl -s -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:18931$1"; done | sort | uniq -c | xargs; }
moved=$(answers /moved) file=$(answers /)
echo "$(usr/sbin/nginx -v 2>&1): with return: $moved; a file: $file"
[ "$moved" = "8 302" ] && [ "$file" = "1 200 7 429" ]
