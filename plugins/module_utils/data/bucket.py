# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A part of a bucket of an S3 server, where backups are kept: files go there in parts and come back in parts.

A part is in memory at a time, sent with its checksum, which the server holds it against, and tried again when the
server was not there for it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.data import BackupError
from ansible_collections.slipway.ops.plugins.module_utils.net.s3 import Answer, Client, Endpoint, S3Error, texts
from ansible_collections.slipway.ops.plugins.module_utils.net.url import parse_url

PART = 16 * 2**20  # bytes; a server wants 5 MiB at least
_PARTS = 10_000  # of one object, at most
_PAUSES = (1.0, 4.0)  # seconds before the next attempt
_HINTS = {
    "AccessDenied": "this key may not do that: open the bucket to it",
    "InvalidAccessKeyId": "the server knows no such key: mend it, and its secret",
    "NoSuchBucket": "make the bucket, or mend its name",
    "SignatureDoesNotMatch": "the key has another secret: mend it",
}


@dataclass(frozen=True)
class Bucket:
    """The objects beneath a prefix, by their names there."""

    client: Client
    name: str
    prefix: str = ""

    def called(self, name: str) -> str:
        return f"https://{self.client.authority}{self._path(name)}"

    def sizes(self) -> dict[str, int]:
        """Bytes of what is there."""
        found: dict[str, int] = {}
        query = {"list-type": "2", "prefix": self.prefix}
        while True:
            told = self._ask("GET", f"/{self.name}", query).body
            listed = self._listed(told, "Key", "Size")
            try:
                found |= {key.removeprefix(self.prefix): int(size) for key, size in listed}
            except ValueError as error:
                raise self._no_list(told) from error
            following = self._listed(told, "NextContinuationToken")
            if not following:
                return found
            query["continuation-token"] = following[0][0]

    def text(self, name: str) -> str:
        return self._ask("GET", self._path(name)).body.decode()

    def write(self, name: str, text: str) -> None:
        self._ask("PUT", self._path(name), body=text.encode())

    def remove(self, name: str) -> None:
        self._ask("DELETE", self._path(name))

    def fetch(self, name: str, size: int, target: Path) -> None:
        """Brings so many bytes back, into a file that is the caller's alone."""
        with target.open("wb") as file:
            target.chmod(0o600)
            for start in range(0, size, PART):
                last = min(start + PART, size) - 1
                part = self._ask("GET", self._path(name), headers={"range": f"bytes={start}-{last}"}).body
                if len(part) != last + 1 - start:
                    raise BackupError(
                        f"{self.called(name)}: the server sent {len(part)} bytes of {last + 1 - start}: it is truncated"
                    )
                file.write(part)

    def send(self, source: Path, name: str) -> None:
        """Brings a file there. It is there when it is whole."""
        size = source.stat().st_size
        length = max(PART, -(-size // _PARTS))
        with source.open("rb") as file:
            if size <= length:
                self._ask("PUT", self._path(name), body=file.read())
                return
            upload = self._one(self._ask("POST", self._path(name), {"uploads": ""}), "UploadId")
            try:
                marks: list[str] = []
                while part := file.read(length):
                    query = {"partNumber": str(len(marks) + 1), "uploadId": upload}
                    marks.append(self._ask("PUT", self._path(name), query, part).headers.get("etag", ""))
                self._complete(name, upload, marks)
            except BaseException:
                self._abort(name, upload)
                raise

    def abort(self) -> None:
        """Removes the parts of what killed runs did not bring to its end."""
        told = self._ask("GET", f"/{self.name}", {"uploads": "", "prefix": self.prefix}).body
        for key, upload in self._listed(told, "Key", "UploadId"):
            self._abort(key.removeprefix(self.prefix), upload)

    def _complete(self, name: str, upload: str, marks: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{mark}</ETag></Part>" for number, mark in enumerate(marks, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        # A server may say that it failed beneath the status of a success.
        self._one(self._ask("POST", self._path(name), {"uploadId": upload}, body), "ETag")

    def _abort(self, name: str, upload: str) -> None:
        try:
            self.client.ask("DELETE", self._path(name), {"uploadId": upload})
        except S3Error:
            return  # the next backup tries again

    def _listed(self, told: bytes, *elements: str) -> list[tuple[str, ...]]:
        """What a list says of each of its entries."""
        try:
            return list(zip(*(texts(told, element) for element in elements), strict=True))
        except (S3Error, ValueError) as error:
            raise self._no_list(told) from error

    def _no_list(self, told: bytes) -> BackupError:
        said = " ".join(told[:200].decode(errors="replace").split())
        return BackupError(f"the object store at {self.client.authority} did not tell what it has: it says {said}")

    def _one(self, answer: Answer, element: str) -> str:
        try:
            found = texts(answer.body, element)
        except S3Error:
            found = []
        if len(found) != 1:
            said = " ".join(answer.body[:200].decode(errors="replace").split())
            raise BackupError(f"the object store at {self.client.authority} did not take an upload: it says {said}")
        return found[0]

    def _path(self, name: str) -> str:
        return f"/{self.name}/{self.prefix}{name}"

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        for pause in (*_PAUSES, None):
            try:
                return self.client.answer(method, path, query, body, headers)
            except S3Error as error:
                if pause is None or not error.passing:
                    hint = _HINTS.get(error.code, "")
                    raise BackupError(f"the object store: {error}{f'; {hint}' if hint else ''}") from error
            time.sleep(pause)
        raise AssertionError


def bucket(given: Mapping[str, str]) -> Bucket | None:
    """The bucket that plain data of a role describes: ``url``, ``region``, ``ca``, and ``secrets``, a file with ``key``
    and ``secret``. None without a URL."""
    if not given.get("url"):
        return None
    try:
        secrets = json.loads(Path(given["secrets"]).read_text(encoding="utf-8"))
        key, secret = str(secrets["key"]), str(secrets["secret"])
    except (OSError, ValueError, KeyError) as error:
        raise BackupError(f"{given['secrets']} cannot be read ({error}); run the engine's role again") from error
    url = parse_url(given["url"], ("https",))
    name, _, prefix = url.target.strip("/").partition("/")
    endpoint = Endpoint(url.host, url.host, url.port, given.get("region") or "us-east-1", given.get("ca", ""))
    return Bucket(Client(endpoint, key, secret), name, f"{prefix}/" if prefix else "")
