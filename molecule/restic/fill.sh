#!/bin/sh
# Files of every kind, the same each time: names with spaces and patterns, links, an empty one, one of some MiB.
set -e
rm -rf /srv/uploads /srv/.slipway-* /etc/shop /var/log/shop
mkdir -p /srv/uploads/2026/nested "/srv/uploads/with space" /etc/shop /var/log/shop
for number in $(seq 40); do
  echo "upload number $number of this scenario" > "/srv/uploads/2026/$number.txt"
done
seq 400000 > /srv/uploads/large
echo "in brackets" > "/srv/uploads/with space/[x]*?.txt"
: > /srv/uploads/empty
ln -s large /srv/uploads/link
ln /srv/uploads/empty /srv/uploads/hard
mkdir /srv/uploads/cache
echo "left out" > /srv/uploads/cache/tile
chown -R 1234:1234 /srv/uploads
chmod 0750 /srv/uploads
chmod 0600 /srv/uploads/large
chmod 2770 /srv/uploads/2026/nested # as the journal's directory, which a drill has to restore
echo "debug: false" > /etc/shop/shop.yml
seq 50 > /var/log/shop/shop.log
