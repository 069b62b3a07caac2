#!/bin/sh
# publish REPOSITORY VERSION [POSTINST]: a package with a daemon whose file is another one in each version.
set -e
place=$(mktemp -d)
mkdir -p "$place/DEBIAN" "$place/usr/lib/slipway-sample" "$place/usr/lib/systemd/system" /srv/main /srv/security
cp /usr/bin/sleep "$place/usr/lib/slipway-sample/daemon"
cat >"$place/usr/lib/systemd/system/slipway-sample.service" <<UNIT
[Service]
ExecStart=/usr/lib/slipway-sample/daemon infinity
UNIT
cat >"$place/DEBIAN/control" <<CONTROL
Package: slipway-sample
Version: $2
Architecture: all
Maintainer: Scenario <scenario@example.test>
Description: a daemon
CONTROL
printf '#!/bin/sh\nset -e\nsystemctl daemon-reload\ntest -n "$2" || systemctl start slipway-sample\n%s\n' "$3" >"$place/DEBIAN/postinst"
chmod 0755 "$place" "$place/DEBIAN/postinst"
dpkg-deb --root-owner-group --build "$place" "/srv/$1/slipway-sample_$2_all.deb" >/dev/null
rm -r "$place"
for suite in main security; do
  cd "/srv/$suite"
  dpkg-scanpackages --multiversion . >Packages 2>/dev/null
  printf 'Label: %s\nSuite: scenario-%s\nDate: %s\n' "$suite" "$suite" "$(date -Ru)" >Release
  printf 'SHA256:\n %s %s Packages\n' "$(sha256sum Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" >>Release
done
