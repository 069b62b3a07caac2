#!/usr/bin/env bash
# sslscan 2.0.7 (Debian 12) ends with 0 when nothing listens on the port. The reason is on standard error and in an <error> of the XML it
# was asked for, which has no `ssltest` then: a scheduled scan that trusts the exit code, or counts weak ciphers in the XML, is content.
# Seen: exit 0, "Could not open a connection", 0 ssltest. openssl s_client on the same port ends with 1.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download sslscan=2.0.7-1+b1 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" .; done
code=0; usr/bin/sslscan --no-colour --xml=report.xml 127.0.0.1:18933 >text 2>&1 || code=$?
other=0; openssl s_client -connect 127.0.0.1:18933 </dev/null >/dev/null 2>&1 || other=$?
tail -n 1 text
echo "sslscan: $code, openssl s_client: $other, ssltest in XML: $(grep -c '<ssltest' report.xml || true)"
python3 -c 'import xml.dom.minidom; xml.dom.minidom.parse("report.xml")' && [[ $code == 0 && $other != 0 ]] && grep -q '<error>' report.xml && ! grep -q '<ssltest' report.xml
