"""The host that backs up, the store, and what the tests do to them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import testinfra
import yaml

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
os.environ.setdefault("MOLECULE_PROJECT_DIRECTORY", str(SCENARIO.parents[1]))  # the inventory reads it
HOST, STORE = "slipway-data-s3-db1", "slipway-data-s3-objects1"
GROUPS: dict[str, Any] = yaml.safe_load(INVENTORY.read_text())["all"]["children"]
SECRETS = {
    "mongodb": "only-for-this-scenario@",
    "identity": GROUPS["mongodb"]["vars"]["mongodump_key"],
    "dump": GROUPS["mongodb"]["vars"]["mongodump_s3"]["key_secret"],
    "password": GROUPS["files"]["vars"]["restic_password"],
    "files": GROUPS["files"]["vars"]["restic_environment"]["AWS_SECRET_ACCESS_KEY"],
}
BUCKETS = "/srv/object-store/buckets"
FAILED = 3  # what was to be shown is not so; 1 is for what could not be tried

host, store = (testinfra.get_host(f"docker://{name}") for name in (HOST, STORE))


def mongo(*words: str) -> dict[str, Any]:
    """What is in the server, after something is done to it."""
    return json.loads(host.check_output(f"python3 /root/mongo.py {' '.join(words)}"))


def objects(pattern: str) -> list[str]:
    """Paths of objects, on the disk of the store."""
    return store.check_output(f"find {BUCKETS} -type f -path '{BUCKETS}/{pattern}' | sort").split()


def flip(path: str) -> None:
    """Makes one byte in the middle of an object another."""
    program = (
        "import os, sys; f = open(sys.argv[1], 'r+b'); at = os.path.getsize(sys.argv[1]) // 2; f.seek(at);"
        " byte = f.read(1)[0]; f.seek(at); f.write(bytes([byte ^ 1]))"
    )
    store.check_output(f'python3 -c "{program}" {path}')


@contextmanager
def changed(path: str, **values: str) -> Iterator[None]:
    """A JSON file of the host with other values, wherever they are in it."""

    def put(into: Any) -> Any:
        if isinstance(into, dict):
            return {name: values.get(name, put(one)) for name, one in into.items()}
        return into

    before = host.check_output(f"cat {path}")
    write(path, json.dumps(put(json.loads(before))))
    try:
        yield
    finally:
        write(path, before)


def write(path: str, text: str) -> None:
    """The text by standard input: what is in it is in no argument."""
    host.backend.run_local(f"docker exec -i {HOST} sh -c 'cat > {path}' <<'END'\n{text}\nEND")


@contextmanager
def without(what: str) -> Iterator[None]:
    """The store lacks a bucket, or does not run."""
    away, back = (
        ("systemctl stop versitygw", "systemctl start versitygw")
        if what == "store"
        else (f"mv {BUCKETS}/{what} /srv/object-store/away", f"mv /srv/object-store/away {BUCKETS}/{what}")
    )
    store.check_output(away)
    try:
        yield
    finally:
        store.check_output(back)
