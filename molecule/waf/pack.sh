#!/usr/bin/env bash
# The Core Rule Set as its project packs a release, from the module that carries it for Go programs, which Go's checksum database
# vouches for. That module has left out the blank lines between rules, which ModSecurity 3.0.14 needs after a rule without actions.
set -euo pipefail
archive=$1
command -v go >/dev/null || { echo "Go is missing here; it has this scenario's rules" >&2; exit 1; }
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
module=$(cd "$place" && GOFLAGS=-mod=mod go mod download -json github.com/corazawaf/coraza-coreruleset/v4@v4.25.0 | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
tree=$place/coreruleset-4.25.0
mkdir -p "$tree/rules" "$(dirname "$archive")"
cp "$module/rules/@crs-setup.conf.example" "$tree/crs-setup.conf.example"
cp "$module/rules/@owasp_crs/"* "$tree/rules/"
chmod -R u+w,go=rX "$tree"
sed -i 's/^Sec/\n&/' "$tree/rules/"*.conf
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$place" -cf - coreruleset-4.25.0 | gzip -n > "$archive.new"
printf %s "$(sha256sum "$archive.new" | cut -d' ' -f1)" > "$(dirname "$archive")/sha256"
mv "$archive.new" "$archive"
