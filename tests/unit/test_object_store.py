"""Signed requests to an S3 server, and what is done to its buckets."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.data.buckets import Bucket, settle
from ansible_collections.slipway.ops.plugins.module_utils.net.s3 import (
    Client,
    Endpoint,
    Request,
    S3Error,
    signed,
    texts,
)
from ansible_collections.slipway.ops.plugins.modules.object_buckets import owner

# Key, secret, time and answer are those of "GET Bucket Lifecycle" among AWS' own examples of this signature.
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SIGNATURE = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"


def client(port: int = 443) -> Client:
    return Client(Endpoint("examplebucket.s3.amazonaws.com", "127.0.0.1", port, "us-east-1"), KEY, SECRET, timeout=5)


def test_a_request_is_signed_as_aws_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "authority", client().endpoint.name)  # the example leaves the port out
    moment = datetime(2013, 5, 24, tzinfo=timezone.utc)
    assert signed(client(), Request("GET", "/", {"lifecycle": ""}), moment)["authorization"].endswith(SIGNATURE)
    assert not signed(client(), Request("GET", "/", {"acl": ""}), moment)["authorization"].endswith(SIGNATURE)


def test_a_server_that_is_not_there_is_told_without_the_secret() -> None:
    with pytest.raises(S3Error, match=r"GET /\?policy at .*: no answer .*does it run") as told:
        client(9).ask("GET", "/", {"policy": ""})
    assert SECRET not in str(told.value) + repr(client())


def test_names_are_read_and_what_is_no_xml_is_told() -> None:
    assert texts(b'<a xmlns="urn:x"><Name>one</Name><b><Name>two</Name></b></a>', "Name") == ["one", "two"]
    with pytest.raises(S3Error, match="is not XML: hello"):
        texts(b"hello", "Name")


class Server:
    """A server's buckets, as much of them as is asked for; ``asked`` are the requests that change something."""

    def __init__(self, **buckets: dict[str, bytes]) -> None:
        self.buckets = buckets
        self.asked: list[tuple[str, str, str]] = []

    def ask(self, method: str, path: str, query: dict[str, str] | None = None, body: bytes = b"") -> bytes:
        name, word = path[1:], "".join(query or {})
        if method == "GET":
            return self._tell(name, word)
        self.asked.append((method, name, word))
        if method == "DELETE":
            del self.buckets[name][word]
        elif word:
            self.buckets[name][word] = body
        else:
            self.buckets[name] = {}
        return b""

    def _tell(self, name: str, word: str) -> bytes:
        if not name:
            return f"<r>{''.join(f'<Name>{one}</Name>' for one in self.buckets)}</r>".encode()
        if word == "policy" and word not in self.buckets[name]:
            raise S3Error("it has none", "NoSuchBucketPolicy")
        return self.buckets[name].get(word, b"<r/>")


WANTED = [Bucket("backups", True, {"read": ["auditor"], "write": ["shop", "app"]}), Bucket("spare", False, {})]


def settled(server: Any, wanted: list[Bucket], check: bool = False) -> list[str]:
    return settle(server, wanted, check)


def test_buckets_are_made_opened_and_then_left_alone() -> None:
    server = Server()
    assert settled(server, WANTED) == [
        "made bucket backups",
        "keeps versions in backups",
        "opened backups to app, auditor, shop alone",
        "made bucket spare",
    ]
    server.asked.clear()
    assert settled(server, WANTED) == [] and server.asked == []
    assert settled(server, [Bucket("backups", False, {}), WANTED[1]]) == [
        "no longer keeps versions in backups",
        "closed backups to all users",
    ]
    assert b"Suspended" in server.buckets["backups"]["versioning"] and "policy" not in server.buckets["backups"]


def test_check_mode_tells_the_same_and_asks_for_nothing() -> None:
    server = Server()
    assert settled(server, WANTED, check=True) == settled(Server(), WANTED)
    assert server.asked == []


def test_a_bucket_that_is_not_named_is_closed_and_stays() -> None:
    server = Server(former={"policy": b"{}"}, other={})
    assert settled(server, []) == ["closed former to all users"]
    assert server.asked == [("DELETE", "former", "policy")]


def test_no_user_may_delete_a_version_or_change_a_bucket() -> None:
    policy = WANTED[0].policy
    assert policy
    for action in ("DeleteObjectVersion", "PutBucketPolicy", "PutBucketVersioning", "DeleteBucket", "s3:*"):
        assert action not in json.dumps(policy)
    reading = json.dumps([one for one in policy["Statement"] if one["Principal"] == {"AWS": ["auditor"]}])
    assert "s3:GetObject" in reading and "Put" not in reading and "Delete" not in reading


def test_a_policy_that_cannot_be_read_is_told() -> None:
    with pytest.raises(S3Error, match="the policy of bucket odd is not JSON"):
        settled(Server(odd={"policy": b"<"}), [Bucket("odd", False, {})])


def test_the_owners_credentials_are_read_from_their_file(tmp_path: Path) -> None:
    place = tmp_path / "root.env"
    place.write_text("ROOT_ACCESS_KEY_ID=me\nROOT_SECRET_ACCESS_KEY=a=b=\n")
    assert owner(str(place)) == ("me", "a=b=")
    place.write_text("ROOT_ACCESS_KEY_ID=me\n")
    with pytest.raises(S3Error, match="has no line ROOT_SECRET_ACCESS_KEY"):
        owner(str(place))
