"""What can be done to a bucket: `attack`, with all that a key may, and `rewind`, as the owner, to a moment.

Who asks gives {"url", "key", "secret", "bucket", "moment"} by standard input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

asked = json.load(sys.stdin)
bucket = {"Bucket": asked["bucket"]}
store = boto3.client(
    "s3",
    endpoint_url=asked["url"],
    region_name="us-east-1",
    verify="/etc/ssl/certs/ca-certificates.crt",
    aws_access_key_id=asked["key"],
    aws_secret_access_key=asked["secret"],
    config=Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"max_attempts": 1}),
)


def versions() -> list[dict[str, Any]]:
    """All of them, deletions too."""
    found: list[dict[str, Any]] = []
    for page in store.get_paginator("list_object_versions").paginate(**bucket):
        found += page.get("Versions", [])
        found += [one | {"deleted": True} for one in page.get("DeleteMarkers", [])]
    return found


def made(version: dict[str, Any]) -> float:
    """When, as its id says, a ULID: of a version that another replaced versitygw tells that moment as its time."""
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    moment = 0
    for letter in version["VersionId"][:10]:
        moment = 32 * moment + letters.index(letter)
    return moment / 1000  # milliseconds


def answer(action: Callable[[], Any]) -> str:
    try:
        action()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


def attack() -> dict[str, Any]:
    """What it destroyed, and the answers to what it tried against the versions."""
    there = versions()
    keys = {one["Key"] for one in there if not one.get("deleted")}
    told = {
        "versioning": answer(
            lambda: store.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Suspended"})
        ),
        "policy": answer(lambda: store.put_bucket_policy(**bucket, Policy="{}")),
        "acl": answer(lambda: store.put_bucket_acl(**bucket, ACL="public-read-write")),
        "bucket": answer(lambda: store.delete_bucket(**bucket)),
    }
    for key in keys:
        told["overwrite"] = answer(lambda key=key: store.put_object(**bucket, Key=key, Body=b"encrypted"))
        told["delete"] = answer(lambda key=key: store.delete_object(**bucket, Key=key))
    told["versions"] = sorted(
        {
            answer(lambda one=one: store.delete_object(**bucket, Key=one["Key"], VersionId=one["VersionId"]))
            for one in versions()
        }
    )
    left = [one["Key"] for one in store.list_objects_v2(**bucket).get("Contents", [])]
    return {"objects": len(keys), "left": left, **told}


def rewind() -> dict[str, Any]:
    """Every object is as it was at a moment."""
    before: dict[str, dict[str, Any]] = {}
    changed = set()
    for one in sorted(versions(), key=made):
        if made(one) <= asked["moment"]:
            before[one["Key"]] = one
        else:
            changed.add(one["Key"])
    back = [before[key] for key in changed if key in before and not before[key].get("deleted")]
    for one in back:
        body = store.get_object(**bucket, Key=one["Key"], VersionId=one["VersionId"])["Body"].read()
        store.put_object(**bucket, Key=one["Key"], Body=body)
    gone = [key for key in changed if key not in {one["Key"] for one in back}]
    for key in gone:
        store.delete_object(**bucket, Key=key)
    return {"back": len(back), "removed": len(gone)}


print(json.dumps({"attack": attack, "rewind": rewind}[sys.argv[1]]()))
