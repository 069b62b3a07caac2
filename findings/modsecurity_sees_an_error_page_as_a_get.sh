#!/usr/bin/env bash
# libnginx-mod-http-modsecurity 1.0.3 with nginx 1.22.1 (Debian 12): a request that gets a page by `error_page` is looked at twice, the
# second time as a GET. The rules see a GET with a body, which the Core Rule Set calls an attack (920170), and the log has that method.
# Seen: a POST whose upstream is down is answered 502, and a rule for "GET that has a Content-Length" matched it once; without
# error_page it matched never.
set -euo pipefail
dir=$(mktemp -d); trap 'kill "$(cat "$dir/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$dir"' EXIT
mkdir -p "$dir/archives/partial" "$dir/temp" "$dir/html"; cd "$dir"
apt-get -qq -y --download-only --no-install-recommends -o Dir::Cache::archives="$dir/archives" -o APT::Sandbox::User=root \
  install nginx=1.22.1-9+deb12u11 libnginx-mod-http-modsecurity=1.0.3-1+b2 >/dev/null
for package in archives/*.deb; do dpkg -x "$package" .; done
echo page > html/error.html
cat > rules <<'RULES'
SecRuleEngine DetectionOnly
SecRule REQUEST_METHOD "@streq GET" "id:1,phase:1,pass,log,msg:'a GET with a body',chain"
  SecRule REQUEST_HEADERS:Content-Length "!@streq 0" "t:none"
RULES
cat > conf <<CONF
load_module usr/lib/nginx/modules/ngx_http_modsecurity_module.so;
pid pid;
error_log error.log info;
events {}
http {
  access_log off;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  modsecurity on;
  modsecurity_rules_file $dir/rules;
  server {
    listen 127.0.0.1:18932;
    location /plain { proxy_pass http://127.0.0.1:1; }
    location /page { proxy_pass http://127.0.0.1:1; error_page 502 /error.html; }
    location = /error.html { internal; root html; }
  }
}
CONF
export LD_LIBRARY_PATH=$dir/usr/lib/$(uname -m)-linux-gnu
usr/sbin/nginx -p "$dir" -c conf -e error.log
seen() {
  : > error.log
  status=$(curl -s -o /dev/null -w '%{http_code}' --data a=1 "http://127.0.0.1:18932$1")
  sleep 1
  echo "$status, $(grep -c 'a GET with a body' error.log || true)"
}
plain=$(seen /plain) page=$(seen /page)
echo "$(usr/sbin/nginx -v 2>&1): a POST without error_page: $plain; with: $page"
[ "$plain" = "502, 0" ] && [ "$page" = "502, 1" ]
