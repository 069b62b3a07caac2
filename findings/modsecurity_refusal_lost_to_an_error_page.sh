#!/usr/bin/env bash
# libnginx-mod-http-modsecurity 1.0.3 with nginx 1.22.1 (Debian 12): nginx holds a body against client_max_body_size again in the location
# of the error page. Where that is less than the request's own location allows, a request that ModSecurity refused with 403 is answered
# 413, the server's limit, and ModSecurity's audit log has nothing of it, neither the rule nor the request.
# Seen: 2 kB that a rule refuses, to a location that takes 1 MB on a server that takes 1 kB: 413 and an empty audit log; with
# `client_max_body_size 0` in the error page's location 403 and the rule's message. 500 B, within the server's limit: 403 and the message.
set -euo pipefail
dir=$(mktemp -d); trap 'kill "$(cat "$dir/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$dir"' EXIT
mkdir -p "$dir/archives/partial" "$dir/temp" "$dir/html"; cd "$dir"
apt-get -qq -y --download-only --no-install-recommends -o Dir::Cache::archives="$dir/archives" -o APT::Sandbox::User=root \
  install nginx=1.22.1-9+deb12u11 libnginx-mod-http-modsecurity=1.0.3-1+b2 >/dev/null
for package in archives/*.deb; do dpkg -x "$package" .; done
echo page > html/short.html; echo page > html/any.html
cat > rules <<RULES
SecRuleEngine On
SecRequestBodyAccess On
SecAuditEngine RelevantOnly
SecAuditLogRelevantStatus "^4"
SecAuditLogParts AHZ
SecAuditLogType Serial
SecAuditLog $dir/audit.log
SecRule ARGS:word "@beginsWith forbidden" "id:1,phase:2,deny,status:403,log,auditlog,msg:'a word that is forbidden'"
RULES
cat > conf <<CONF
load_module usr/lib/nginx/modules/ngx_http_modsecurity_module.so;
pid pid;
error_log error.log;
events {}
http {
  access_log off;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  modsecurity on;
  modsecurity_rules_file $dir/rules;
  client_max_body_size 1k;
  server {
    listen 127.0.0.1:18933;
    location /short { client_max_body_size 1m; proxy_pass http://127.0.0.1:1; error_page 403 413 /short.html; }
    location /any { client_max_body_size 1m; proxy_pass http://127.0.0.1:1; error_page 403 413 /any.html; }
    location = /short.html { internal; root html; }
    location = /any.html { internal; root html; client_max_body_size 0; }
  }
}
CONF
export LD_LIBRARY_PATH=$dir/usr/lib/$(uname -m)-linux-gnu
usr/sbin/nginx -p "$dir" -c conf -e error.log
seen() {
  : > audit.log
  status=$(curl -s -o /dev/null -w '%{http_code}' --data "word=forbidden$(printf "%0$2d" 0)" "http://127.0.0.1:18933$1")
  sleep 1
  echo "$status, $(grep -c 'a word that is forbidden' audit.log || true) in the audit log"
}
small=$(seen /short 500) short=$(seen /short 2000) any=$(seen /any 2000)
echo "$(usr/sbin/nginx -v 2>&1): 500 B: $small; 2 kB: $short; 2 kB, page of any size: $any"
[ "$small" = "403, 1 in the audit log" ] && [ "$short" = "413, 0 in the audit log" ] && [ "$any" = "403, 1 in the audit log" ]
