"""Backups in a bucket: what goes there in parts comes back as it was, and what is wrong with the store is told."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError, bucket
from ansible_collections.slipway.ops.plugins.module_utils.data.bucket import Bucket
from ansible_collections.slipway.ops.plugins.module_utils.data.shelf import DAY, Kept, Shelf, digest
from ansible_collections.slipway.ops.plugins.module_utils.net.s3 import Answer, Client, Endpoint, S3Error

NOW = 1_800_000_000.0
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class Store:
    """An S3 server, as much of it as is asked for. ``trouble`` is raised by the next requests."""

    authority = "objects1:7070"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.trouble: list[S3Error] = []
        self.asked: list[str] = []

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
        return self.answer(method, path, query, body).body

    def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        self.asked.append(f"{method} {path}")
        if self.trouble:
            raise self.trouble.pop(0)
        if path == "/dumps":
            return Answer({}, self._listed(dict(query or {})))
        if query:
            return self._in_parts(method, path, query, body)
        if method == "PUT":
            self.objects[path] = body
        elif method == "DELETE":
            self.objects.pop(path, None)
        elif path not in self.objects:
            raise S3Error(f"{method} {path}: it answered 404 NoSuchKey", "NoSuchKey")
        else:
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", (more or {}).get("range", ""))
            cut = slice(int(found[1]), int(found[2]) + 1) if found else slice(None)
            return Answer({}, self.objects[path][cut])
        return Answer({}, b"")

    def _in_parts(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        if "uploads" in query:
            self.uploads["u1"] = (path, {})
            return Answer({}, b"<r><UploadId>u1</UploadId></r>")
        upload = self.uploads[query["uploadId"]]
        if method == "PUT":
            upload[1][int(query["partNumber"])] = body
            return Answer({"etag": f'"{hashlib.md5(body).hexdigest()}"'}, b"")
        if method == "POST":
            marks = re.findall(rb'<ETag>"(\w+)"</ETag>', body)
            parts = [upload[1][number] for number in sorted(upload[1])]
            assert marks == [hashlib.md5(part).hexdigest().encode() for part in parts]
            self.objects[path] = b"".join(parts)
        del self.uploads[query["uploadId"]]
        return Answer({}, b'<r><ETag>"whole"</ETag></r>')

    def _listed(self, query: dict[str, str]) -> bytes:
        """Two at a time, so that there is a next page."""
        if "uploads" in query:
            said = "".join(
                f"<U><Key>{path[7:]}</Key><UploadId>{name}</UploadId></U>" for name, (path, _) in self.uploads.items()
            )
            return f"<r>{said}</r>".encode()
        names = sorted(path[7:] for path in self.objects if path[7:].startswith(query["prefix"]))
        start = int(query.get("continuation-token", "0"))
        page = "".join(
            f"<C><Key>{name}</Key><Size>{len(self.objects[f'/dumps/{name}'])}</Size></C>"
            for name in names[start : start + 2]
        )
        following = f"<NextContinuationToken>{start + 2}</NextContinuationToken>" if start + 2 < len(names) else ""
        return f"<r>{page}{following}</r>".encode()


class Backups(Shelf[Kept]):
    def read(self, description: dict[str, Any]) -> Kept:
        return Kept(**description)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def there(store: Store, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setattr(bucket, "PART", 10)
    monkeypatch.setattr(bucket, "_PAUSES", (0.0, 0.0))
    return Bucket(store, "dumps", "db1/")  # type: ignore[arg-type]


@pytest.fixture
def shelf(there: Bucket, tmp_path: Path) -> Backups:
    return Backups("modelops", tmp_path, Path("/k"), bucket=there)


def made(shelf: Backups, day: float) -> Kept:
    """A backup that is kept, so many days ago."""
    label = f"2026{1000 - int(day):04d}T000000Z"
    partial = shelf.partial(label)
    partial.write_bytes(f"what was sealed {day} days ago".encode())
    moment = NOW - day * DAY
    kept = Kept(label, moment - 5, moment, digest(partial), partial.stat().st_size, 300)
    shelf.keep(kept)
    return kept


@pytest.mark.parametrize("size", [0, 9, 10, 11, 35])
def test_what_goes_there_in_parts_comes_back_as_it_was(store: Store, there: Bucket, tmp_path: Path, size: int) -> None:
    whole = bytes(range(size))
    (tmp_path / "source").write_bytes(whole)
    there.send(tmp_path / "source", "one")
    assert store.objects == {"/dumps/db1/one": whole} and not store.uploads
    assert there.sizes() == {"one": size}
    there.fetch("one", size, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == whole
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600


def test_a_large_file_has_no_more_parts_than_a_server_takes(
    store: Store, there: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_PARTS", 3)
    (tmp_path / "source").write_bytes(bytes(100))
    there.send(tmp_path / "source", "one")
    assert len([asked for asked in store.asked if asked.startswith("PUT")]) == 3
    assert store.objects["/dumps/db1/one"] == bytes(100)


def test_an_upload_that_fails_leaves_no_part_and_one_that_was_killed_is_removed_later(
    store: Store, there: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(bytes(30))
    real = store.answer

    def full(method: str, path: str, query: Any = None, body: bytes = b"", more: Any = None) -> Answer:
        if (query or {}).get("partNumber") == "2":
            raise S3Error(f"{method} {path}: it answered 507 StorageFull", "StorageFull")
        return real(method, path, query, body, more)

    store.answer = full  # type: ignore[method-assign]
    with pytest.raises(BackupError, match="the object store: PUT /dumps/db1/one: it answered 507 StorageFull"):
        there.send(tmp_path / "source", "one")
    assert not store.uploads and not store.objects
    store.uploads["left"] = ("/dumps/db1/one", {})
    there.abort()
    assert not store.uploads


def test_a_failure_beneath_the_status_of_a_success_is_one(store: Store, there: Bucket, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(30))
    real = store.answer
    said = Answer({}, b"<Error><Code>InternalError</Code></Error>")
    store.answer = lambda method, *given: said if method == "POST" and "uploadId" in given[1] else real(method, *given)  # type: ignore
    with pytest.raises(BackupError, match="did not take an upload: it says <Error><Code>InternalError"):
        there.send(tmp_path / "source", "one")


def test_a_server_that_was_away_for_a_moment_is_asked_again(store: Store, there: Bucket) -> None:
    away = S3Error("no answer", passing=True)
    store.trouble = [away, away]
    assert there.sizes() == {}
    store.trouble = [away, away, away]
    with pytest.raises(BackupError, match="the object store: no answer"):
        there.sizes()
    asked = len(store.asked)
    store.trouble = [S3Error("it answered 403", "SignatureDoesNotMatch")]
    with pytest.raises(BackupError, match="it answered 403; the key has another secret: mend it"):
        there.sizes()
    assert len(store.asked) == asked + 1, "what is refused is not asked again"


def test_fewer_bytes_than_asked_for_are_told(store: Store, there: Bucket, tmp_path: Path) -> None:
    store.objects["/dumps/db1/one"] = bytes(15)
    with pytest.raises(BackupError, match=r"https://objects1:7070/dumps/db1/one: the server sent 5 bytes of 10"):
        there.fetch("one", 20, tmp_path / "target")


def test_a_shelf_in_a_bucket_is_as_one_in_a_directory(store: Store, shelf: Backups) -> None:
    old, last = made(shelf, 30), made(shelf, 1)
    assert list(shelf.directory.iterdir()) == [], "nothing of it stays here"
    assert shelf.all() == [old, last] and shelf.newest() == last
    with shelf.at_hand(last) as path:
        shelf.refuse_damage(last)
        assert path.read_bytes() == b"what was sealed 1 days ago"
    assert list(shelf.directory.iterdir()) == []
    (state,) = shelf.statuses("mongodb", NOW)
    assert (state.backups, state.age, state.stored) == (2, DAY + 5, last.stored)
    shelf.partial("killed").touch()
    shelf.sealed("20260101T000000Z").touch()
    former = shelf.directory / "20250101T000000Z.age"
    former.write_bytes(b"of a time before there was a bucket")
    store.objects["/dumps/db2/other"] = b"of another server"
    assert shelf.expire(NOW) == [old.label]
    assert list(shelf.directory.iterdir()) == [former], "what killed runs left is gone, and nothing else"
    assert sorted(store.objects) == [
        f"/dumps/db1/{last.label}.age",
        f"/dumps/db1/{last.label}.json",
        "/dumps/db2/other",
    ]


def test_damage_in_a_bucket_is_told_and_nothing_stays_here(store: Store, shelf: Backups) -> None:
    kept = made(shelf, 1)
    name = f"/dumps/db1/{kept.label}.age"
    whole = store.objects[name]
    store.objects[name] = whole[:-1] + b"!"
    with pytest.raises(BackupError, match=r"objects1:7070/dumps/db1/.* its checksum is another"), shelf.at_hand(kept):
        shelf.refuse_damage(kept)
    store.objects[name] = whole[:-1]
    with pytest.raises(BackupError, match="it is truncated"), shelf.at_hand(kept):
        pass
    del store.objects[name]
    with pytest.raises(BackupError, match=f"the backup {kept.label} is missing: https://objects1"), shelf.at_hand(kept):
        pass
    assert "is missing" in (shelf.statuses("mongodb", NOW)[0].trouble or "")
    assert shelf.expire(NOW + 30 * DAY) == [], "nothing goes without a good one"
    assert list(shelf.directory.iterdir()) == []


def test_a_full_disk_is_told_when_one_is_fetched(shelf: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = made(shelf, 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Bucket, "fetch", full)
    with pytest.raises(BackupError, match=r"is full, so .* cannot be fetched: enlarge it"), shelf.at_hand(kept):
        pass


def test_a_backup_counts_when_its_description_is_there(store: Store, shelf: Backups) -> None:
    real = store.answer

    def answer(method: str, path: str, query: Any = None, body: bytes = b"", more: Any = None) -> Answer:
        if path.endswith(".json"):
            raise S3Error("killed")
        return real(method, path, query, body, more)

    store.answer = answer  # type: ignore[method-assign]
    with pytest.raises(BackupError):
        made(shelf, 1)
    store.answer = real  # type: ignore[method-assign]
    assert store.objects and shelf.all() == []


def test_what_has_no_description_goes_when_it_is_old(store: Store, shelf: Backups) -> None:
    """A run was killed between the two."""
    last = made(shelf, 1)
    store.objects["/dumps/db1/20260901T000000Z.age"] = b"old"
    store.objects["/dumps/db1/20270115T000000Z.age"] = b"perhaps on its way"
    assert shelf.expire(NOW) == []
    assert sorted(store.objects) == [
        f"/dumps/db1/{last.label}.age",
        f"/dumps/db1/{last.label}.json",
        "/dumps/db1/20270115T000000Z.age",
    ]


@pytest.mark.parametrize(
    "said", [b"<html>please log in", b"<r><Key>a</Key><Size>many</Size></r>", b"<r><Key>a</Key><Key>b</Key></r>"]
)
def test_an_answer_that_is_no_list_is_told(
    store: Store, there: Bucket, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(store, "_listed", lambda query: said)
    for ask in (there.sizes, there.abort):
        if said.startswith(b"<html") or ask == there.sizes:
            with pytest.raises(BackupError, match="objects1:7070 did not tell what it has: it says <"):
                ask()


def test_the_roles_settings_name_server_bucket_and_place(tmp_path: Path) -> None:
    secrets = tmp_path / "bucket.json"
    secrets.write_text(json.dumps({"key": "dump", "secret": SECRET}))
    given = {"url": "https://objects1:7070/dumps/a/db1/", "region": "eu-1", "ca": "/ca", "secrets": str(secrets)}
    found = bucket.bucket(given)
    assert found and (found.name, found.prefix) == ("dumps", "a/db1/")
    assert found.client.endpoint == Endpoint("objects1", "objects1", 7070, "eu-1", "/ca")
    assert SECRET not in repr(found)
    plain = bucket.bucket({**given, "url": "https://s3.example.org/dumps"})
    assert plain and (plain.prefix, plain.called("x")) == ("", "https://s3.example.org/dumps/x")
    assert bucket.bucket({}) is None
    secrets.unlink()
    with pytest.raises(BackupError, match=r"bucket.json cannot be read .* run the engine's role again"):
        bucket.bucket(given)


def test_an_authority_that_cannot_be_read_is_told() -> None:
    client = Client(Endpoint("objects1", "127.0.0.1", 9, "us-east-1", "/nowhere.pem"), "key", SECRET)
    with pytest.raises(S3Error, match=r"the authority in /nowhere\.pem cannot be read"):
        client.ask("GET", "/")
    assert replace(client.endpoint, port=443) != client.endpoint
