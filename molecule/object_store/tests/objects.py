"""The object store, a real client of S3 on another host, and what the tests ask of them."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import testinfra
import yaml
from playbook import Run, play

SCENARIO = Path(__file__).resolve().parents[1]
INVENTORY = SCENARIO / "inventory.yml"
os.environ.setdefault("MOLECULE_PROJECT_DIRECTORY", str(SCENARIO.parents[1]))  # the inventory reads it
STORE, CLIENT = "slipway-object-store-objects1", "slipway-object-store-client1"
URL = "https://objects1:7070"
VARIABLES: dict[str, Any] = yaml.safe_load(INVENTORY.read_text())["all"]["children"]["object_store"]["vars"]
USERS, BUCKETS = VARIABLES["object_store_users"], VARIABLES["object_store_buckets"]
SECRETS = {user["name"]: user["secret"] for user in USERS}
OWNER = VARIABLES["object_store_secret_key"]
DIRECTORY = "/srv/object-store"
UNIT = "versitygw.service"
PROGRAM = """
import json, sys
import boto3, botocore
from botocore.config import Config
from botocore.exceptions import ClientError


def client(key, secret):
    signature = "s3v4" if key else botocore.UNSIGNED
    options = {"retries": {"max_attempts": 1}, "s3": {"addressing_style": "path"}, "signature_version": signature}
    return boto3.client(
        "s3", endpoint_url=sys.argv[1], region_name="us-east-1", verify="/etc/ssl/certs/ca-certificates.crt",
        aws_access_key_id=key, aws_secret_access_key=secret, config=Config(**options))


def answer(given):
    try:
        said = getattr(client(given["key"], given["secret"]), given["method"])(*given["words"], **given["options"])
    except ClientError as error:
        return {"refused": error.response["Error"]["Code"]}
    if isinstance(said, dict) and "Body" in said:
        said["Body"] = said["Body"].read().decode()
    return said


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), default=str), flush=True)
"""

store, client = (testinfra.get_host(f"docker://{name}") for name in (STORE, CLIENT))


@cache
def boto3() -> subprocess.Popen[str]:
    """The client's program, which reads what it is to ask from its input: there secrets are in no argument."""
    return subprocess.Popen(
        ["docker", "exec", "--interactive", CLIENT, "python3", "-c", PROGRAM, URL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def s3(who: str, method: str, *words: Any, secret: str | None = None, **options: Any) -> Any:
    """What boto3's method returns to a user, or ``{"refused": code}``; nobody is the empty name."""
    known = {"": "", "slipway-owner": OWNER, **SECRETS}
    given = {"key": who, "secret": known.get(who, "") if secret is None else secret, "method": method}
    program = boto3()
    assert program.stdin and program.stdout
    program.stdin.write(json.dumps(given | {"words": words, "options": options}) + "\n")
    program.stdin.flush()
    return json.loads(program.stdout.readline())


def refused(answer: Any) -> str | None:
    return answer.get("refused")


def keys(who: str, bucket: str) -> list[str]:
    return [entry["Key"] for entry in s3(who, "list_objects_v2", Bucket=bucket).get("Contents", [])]


def configure(*options: str, **variables: Any) -> Run:
    """Runs the role, with other variables than the inventory's."""
    return play(SCENARIO / "converge.yml", INVENTORY, "--limit=objects1", *options, **variables)


def main_process() -> int:
    return int(store.check_output(f"systemctl show --property=MainPID --value {UNIT}"))


def answers() -> bool:
    return client.run(f"curl --silent --fail --max-time 5 {URL}/-health").stdout == "OK"
