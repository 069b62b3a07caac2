"""The host with every engine, the one that keeps what survives it, and what the tests ask of them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import testinfra
import yaml
from playbook import module

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
os.environ.setdefault("MOLECULE_PROJECT_DIRECTORY", str(SCENARIO.parents[1]))  # the inventory reads it
CONTAINER = "slipway-data-"
GROUPS: dict[str, Any] = yaml.safe_load(INVENTORY.read_text())["all"]["children"]
OWNER = {"key": "slipway-owner", "secret": GROUPS["object_store"]["vars"]["object_store_secret_key"]}
USERS = {user["name"]: user["secret"] for user in GROUPS["object_store"]["vars"]["object_store_users"]}
SECRETS = {
    "owner": OWNER["secret"],
    "restic": GROUPS["files"]["vars"]["restic_password"],
    "identity": GROUPS["redis"]["vars"]["redis_key"],
    "repository": "only-for-this-scenario-not-a-secret-1pgh",
    **USERS,
}
ENGINES = ("files", "mongodb", "postgresql", "redis")
KEEPER = {"postgresql": "backup1"}  # who makes the backups, where it is not the host itself
ENVIRONMENT = "/etc/slipway/restic/environment.json"
RESTIC = (
    "export RESTIC_REPOSITORY=rest:https://backup1:8000/db1/ RESTIC_PASSWORD_FILE=/etc/slipway/restic/password;"
    f" eval $(python3 -c \"import json; print('export', *map('='.join, json.load(open('{ENVIRONMENT}')).items()))\");"
)

db1, backup1 = (testinfra.get_host(f"docker://{CONTAINER}{host}") for host in ("db1", "backup1"))


def data(what: str = "tell") -> dict[str, Any]:
    """Counts and hashes of everything in every store, after something is done to it."""
    return json.loads(db1.check_output(f"python3 /root/data.py {what}"))


def bucket(host: str, what: str, **asked: Any) -> dict[str, Any]:
    """What came of it; secrets go by standard input."""
    done = subprocess.run(
        ["docker", "exec", "--interactive", f"{CONTAINER}{host}", "python3", "/root/bucket.py", what],
        input=json.dumps({"url": "https://backup1:7070", **asked}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def states() -> dict[str, dict[str, Any]]:
    """The state of every backup, by engine and name."""
    told = [
        one
        for host in ("db1", "backup1")
        for one in module(INVENTORY, host, "slipway.ops.backup_info", records=[])[host]["backups"]
    ]
    return {f"{one['engine']} {one['name']}": one for one in told}
