# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Buckets of an S3 server as the inventory wants them: there, with versions or without, and open to whom it names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.net.s3 import Client, S3Error, texts

# A version that is deleted is gone; that is for root alone, so that a client's stolen key destroys no version.
_READ = {
    "": ["GetBucketLocation", "GetBucketVersioning", "ListBucket", "ListBucketVersions"],
    "/*": ["GetObject", "GetObjectAttributes", "GetObjectTagging", "GetObjectVersion"],
}
_WRITE = {
    "": [*_READ[""], "ListBucketMultipartUploads"],
    "/*": [
        *_READ["/*"],
        "AbortMultipartUpload",
        "DeleteObject",
        "ListMultipartUploadParts",
        "PutObject",
        "PutObjectTagging",
    ],
}
ACCESS = {"read": _READ, "write": _WRITE}
_VERSIONING = '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>{}</Status></VersioningConfiguration>'


@dataclass(frozen=True)
class Bucket:
    """``access`` are the names of users by what they may."""

    name: str
    versioning: bool
    access: Mapping[str, Sequence[str]]

    @property
    def policy(self) -> dict[str, Any] | None:
        statements = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": sorted(users)},
                "Action": [f"s3:{action}" for action in sorted(actions)],
                "Resource": f"arn:aws:s3:::{self.name}{suffix}",
            }
            for kind, users in sorted(self.access.items())
            if users
            for suffix, actions in ACCESS[kind].items()
        ]
        return {"Version": "2012-10-17", "Statement": statements} if statements else None


def settle(client: Client, wanted: Sequence[Bucket], check: bool = False) -> list[str]:
    """What was done, or would be, a sentence each. No bucket is removed, and no object."""
    there = set(texts(client.ask("GET", "/"), "Name"))
    done = [step for bucket in wanted for step in _settle(client, bucket, bucket.name in there, check)]
    strangers = sorted(there - {bucket.name for bucket in wanted})
    return done + [step for name in strangers for step in _policy(client, Bucket(name, False, {}), True, check)]


def _settle(client: Client, bucket: Bucket, there: bool, check: bool) -> Iterator[str]:
    if not there:
        if not check:
            client.ask("PUT", f"/{bucket.name}")
        yield f"made bucket {bucket.name}"
    yield from _versioning(client, bucket, there, check)
    yield from _policy(client, bucket, there, check)


def _versioning(client: Client, bucket: Bucket, there: bool, check: bool) -> Iterator[str]:
    query = {"versioning": ""}
    there = there or not check
    now = texts(client.ask("GET", f"/{bucket.name}", query), "Status") if there else []
    if bucket.versioning == (now == ["Enabled"]):
        return
    status = "Enabled" if bucket.versioning else "Suspended"
    if not check:
        client.ask("PUT", f"/{bucket.name}", query, _VERSIONING.format(status).encode())
    yield f"{'keeps' if bucket.versioning else 'no longer keeps'} versions in {bucket.name}"


def _policy(client: Client, bucket: Bucket, there: bool, check: bool) -> Iterator[str]:
    query = {"policy": ""}
    now = _policy_there(client, bucket.name) if there else None
    if now == bucket.policy:
        return
    if not check:
        if bucket.policy:
            client.ask("PUT", f"/{bucket.name}", query, json.dumps(bucket.policy).encode())
        else:
            client.ask("DELETE", f"/{bucket.name}", query)
    users = sorted({user for names in bucket.access.values() for user in names})
    yield f"opened {bucket.name} to {', '.join(users)} alone" if users else f"closed {bucket.name} to all users"


def _policy_there(client: Client, name: str) -> Any:
    try:
        return json.loads(client.ask("GET", f"/{name}", {"policy": ""}))
    except S3Error as error:
        if error.code == "NoSuchBucketPolicy":
            return None
        raise
    except ValueError as error:
        raise S3Error(f"the policy of bucket {name} is not JSON; delete it, then run this again") from error
