#!/usr/bin/env bash
# nginx 1.22.1 (Debian 12): a `map` never asks its regular expressions about an empty value, not even "~^$" or "~^.*$", which match it as
# they do everywhere else in nginx: `if ($http_user_agent ~ "^$")` is true for a request without that header. Only the empty string as a
# key, "" without a tilde, is found; else the default counts. The module's page says nothing of it, and `nginx -t` neither. Who refuses
# clients without a user agent, a referer or a certificate's subject by an expression refuses nobody.
# Seen: without a user agent the map says "default" for "~^$" and for "~^.*$", "found" for "", and `if` finds it.
# Slipway gives the missing user agent a key of its own (roles/nginx/templates/limits.conf.j2).
set -euo pipefail
dir=$(mktemp -d); trap 'kill "$(cat "$dir/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download nginx=1.22.1-9+deb12u11 >/dev/null 2>&1 && dpkg -x nginx_*.deb .
mkdir temp
cat > conf <<'CONF'
pid pid;
error_log error.log crit;
events {}
http {
  access_log off;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  map $http_user_agent $end { default default; "~^$" found; }
  map $http_user_agent $any { default default; "~^.*$" found; }
  map $http_user_agent $key { default default; "" found; }
  server {
    listen 127.0.0.1:18981;
    location = /map { return 200 "$end $any $key"; }
    location = /if { if ($http_user_agent ~ "^$") { return 200 found; } return 200 default; }
  }
}
CONF
usr/sbin/nginx -p "$dir" -c conf -e error.log
answers() { echo "$(curl -s -A "$1" http://127.0.0.1:18981/map), $(curl -s -A "$1" http://127.0.0.1:18981/if)"; }
without=$(answers '') with=$(answers curl)
echo "$(usr/sbin/nginx -v 2>&1): ~^\$, ~^.*\$ and \"\" of a map, then if: without a user agent $without; with one $with"
[[ $without == "default default found, found" && $with == "default found default, default" ]]
