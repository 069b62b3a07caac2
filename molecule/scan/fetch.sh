#!/bin/bash
# Fetches what scanners.txt names from the package registry, for the Python and the machine of another host, and packs it.
set -euo pipefail
python=$1 machine=$2 archive=$3
cd "$(dirname "$0")/../.."
requirements=molecule/scan/scanners.txt
[ ! "$archive" -nt "$requirements" ] || exit 0
make --silent .cache/uv/bin/uv
place=$(mktemp --directory)
trap 'rm -rf "$place"' EXIT
.cache/uv/bin/uv pip install --quiet --no-deps --target "$place/packages" --requirement "$requirements" \
  --python-version "$python" --python-platform "$machine-manylinux_2_28"
tar --create --gzip --file "$place/archive" --directory "$place/packages" .
mv "$place/archive" "$archive"
echo fetched
