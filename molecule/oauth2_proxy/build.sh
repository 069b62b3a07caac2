#!/usr/bin/env bash
# oauth2-proxy's release as upstream packs it, and the scenario's provider; Go's checksum database vouches for both.
set -euo pipefail
sources=$1 place=$2
command -v go >/dev/null || { echo "Go (1.26 or newer) is missing here; it builds this scenario's programs" >&2; exit 1; }
mkdir -p "$place"
export CGO_ENABLED=0
(cd "$sources" && go build -trimpath -ldflags=-s -o "$place/provider" .)
[ -e "$place/checksum" ] && exit
GOBIN=$place go install -trimpath -ldflags="-s -X github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION=v7.15.6" \
  github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6
tar --create --gzip --file="$place/release.tar.gz" --directory="$place" --transform='s,^,oauth2-proxy-v7.15.6.linux-amd64/,' oauth2-proxy
sum=$(sha256sum "$place/release.tar.gz")
echo "${sum%% *}" > "$place/checksum"
