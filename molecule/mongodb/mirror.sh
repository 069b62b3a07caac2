#!/bin/sh
# Packages that are called as MongoDB's are, in a repository as upstream has it, signed.
set -e
export GNUPGHOME=/root/mirror-keys
mkdir -p -m 0700 $GNUPGHOME
rm -rf /srv/mirror /root/package
suite=/srv/mirror/dists/trixie/mongodb-org/8.0
mkdir -p $suite/main/binary-amd64 /srv/mirror/pool
for name in mongodb-org-server mongodb-database-tools; do
  package=/root/package/$name
  mkdir -p $package/DEBIAN
  printf 'Package: %s\nVersion: 8.0.99\nArchitecture: all\nMaintainer: Nobody <nobody@example.test>\nDescription: Stands in for it\n' $name \
    > $package/DEBIAN/control
  if [ $name = mongodb-org-server ]; then
    mkdir -p $package/usr/bin $package/lib/systemd/system $package/etc
    cat > $package/usr/bin/mongod << 'END'
#!/bin/sh
# FerretDB with what it knows of a mongod.conf.
setting() { sed -n "s/^ *$1: //p" /etc/mongod.conf; }
test "$(stat -c '%a %U' "$(setting keyFile)")" = '400 mongodb' || exit 3
exec /usr/local/bin/ferretdb --handler=sqlite --sqlite-url=file:/var/lib/mongodb/ --state-dir=/var/lib/mongodb --telemetry=disable \
  --test-enable-new-auth --setup-username=admin --setup-password=only-for-this-scenario-3adm --setup-database=admin --debug-addr=- \
  --listen-addr= --listen-tls="127.0.0.1:$(setting port)" --listen-tls-cert-file="$(setting certificateKeyFile)" \
  --listen-tls-key-file="$(setting certificateKeyFile)"
END
    chmod 0755 $package/usr/bin/mongod
    printf '[Unit]\nDescription=MongoDB\n[Service]\nUser=mongodb\nGroup=mongodb\nExecStart=/usr/bin/mongod --config /etc/mongod.conf\n[Install]\nWantedBy=multi-user.target\n' \
      > $package/lib/systemd/system/mongod.service
    echo 'net: {bindIp: 127.0.0.1}' > $package/etc/mongod.conf
    echo /etc/mongod.conf > $package/DEBIAN/conffiles
    printf '#!/bin/sh\nset -e\ngetent passwd mongodb >/dev/null || useradd --system --user-group --no-create-home --home-dir /var/lib/mongodb mongodb\ninstall -d -o mongodb -g mongodb /var/lib/mongodb\nsystemctl daemon-reload\n' \
      > $package/DEBIAN/postinst
    chmod 0755 $package/DEBIAN/postinst
  fi
  dpkg-deb --root-owner-group --build $package /srv/mirror/pool/$name.deb
  {
    cat $package/DEBIAN/control
    printf 'Filename: pool/%s.deb\nSize: %s\nSHA256: %s\n\n' $name "$(stat -c %s /srv/mirror/pool/$name.deb)" \
      "$(sha256sum < /srv/mirror/pool/$name.deb | cut -d' ' -f1)"
  } >> $suite/main/binary-amd64/Packages
done
cd $suite
{
  printf 'Origin: mongodb\nSuite: trixie\nCodename: trixie/mongodb-org\nArchitectures: amd64\nComponents: main\nDate: %s\nSHA256:\n' "$(date -Ru)"
  printf ' %s %s main/binary-amd64/Packages\n' "$(sha256sum < main/binary-amd64/Packages | cut -d' ' -f1)" "$(stat -c %s main/binary-amd64/Packages)"
} > Release
gpg --batch --passphrase '' --quick-generate-key 'Mirror <mirror@example.test>' rsa3072 sign never
gpg --batch --clearsign --output InRelease Release
gpg --batch --armor --export > /srv/mirror/key.asc
gpg --batch --with-colons --list-keys | sed -n 's/^fpr:*\([0-9A-F]*\):$/\1/p' | head -n 1 > /srv/mirror/fingerprint
