#!/usr/bin/env bash
# docker-registry 2.8.2 (Debian 12): `garbage-collect --delete-untagged` is to "delete manifests that are not currently referenced via tag".
# It does not look into manifest lists: those of the single architectures have no tag of their own, so they and their layers go, and the
# list stays under its tag. The command ends with 0, the tag is still listed and answered, and every pull of a multi-architecture image
# fails with "manifest unknown", hours later on the host that needs it. Without the option the same image stays whole.
# Seen: tag 200, amd64 200, arm64 200 after a plain collection; tag 200, amd64 404, arm64 404 after one with the option; both ended with 0.
# Slipway chooses what goes by itself and never uses the option (roles/registry/files/registry_gc.py).
set -euo pipefail
dir=$(mktemp -d); trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir" && cd "$dir"
apt-get download docker-registry=2.8.2+ds1-1 >/dev/null 2>&1 && dpkg -x docker-registry_*.deb .
cat > conf <<CONF
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
http: {addr: "127.0.0.1:18986"}
CONF
cat > client.py <<'PY'
import hashlib, json, sys, urllib.error, urllib.request

BASE = "http://127.0.0.1:18986/v2/app/"
KIND = "application/vnd.docker.distribution.manifest"

def ask(method, place, data=None, kind="application/octet-stream"):
    headers = {"Content-Type": kind, "Accept": kind}
    return urllib.request.urlopen(urllib.request.Request(place, data, headers, method=method))

def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()

def blob(data, kind):
    place = ask("POST", BASE + "blobs/uploads/", b"").headers["Location"]
    ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest(data)}", data)
    return {"mediaType": kind, "size": len(data), "digest": digest(data)}

def manifest(tag, kind, **parts):
    data = json.dumps({"schemaVersion": 2, "mediaType": kind} | parts).encode()
    ask("PUT", f"{BASE}manifests/{tag or digest(data)}", data, kind)
    return {"mediaType": kind, "size": len(data), "digest": digest(data)}

def push():
    each = []
    for architecture in ("amd64", "arm64"):
        platform = {"architecture": architecture, "os": "linux"}
        config = blob(json.dumps(platform).encode(), "application/vnd.docker.container.image.v1+json")
        layer = blob(architecture.encode(), "application/vnd.docker.image.rootfs.diff.tar.gzip")
        each.append(manifest(None, f"{KIND}.v2+json", config=config, layers=[layer]) | {"platform": platform})
    manifest("1.0", f"{KIND}.list.v2+json", manifests=each)

def status(reference, kind):
    try:
        answer = ask("GET", f"{BASE}manifests/{reference}", None, kind)
    except urllib.error.HTTPError as error:
        return error.status, {}
    return answer.status, json.load(answer)

if sys.argv[1] == "push":
    push()
else:
    tag, body = status("1.0", f"{KIND}.list.v2+json")
    print("tag", tag, *(f"{m['platform']['architecture']} {status(m['digest'], KIND + '.v2+json')[0]}" for m in body["manifests"]))
PY
serving() { # a command of the client while the registry runs
  usr/bin/docker-registry serve conf >/dev/null 2>&1 & registry=$!
  for _ in $(seq 100); do curl -sf -o /dev/null http://127.0.0.1:18986/v2/ && break; sleep 0.1; done
  python3 client.py "$1"
  kill "$registry"; wait "$registry" 2>/dev/null || true
}
serving push
usr/bin/docker-registry garbage-collect conf >/dev/null 2>&1; serving pull > plain
usr/bin/docker-registry garbage-collect --delete-untagged conf >/dev/null 2>&1; serving pull > untagged
echo "after a plain collection: $(cat plain); with --delete-untagged: $(cat untagged)"
[[ $(cat plain) == "tag 200 amd64 200 arm64 200" && $(cat untagged) == "tag 200 amd64 404 arm64 404" ]]
