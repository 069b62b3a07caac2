# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The archive of ``mongodump``, read as a stream: what is in it, and whether it is whole.

An archive is a magic number, a prelude that announces collections with their indexes, and blocks of documents, each
beneath a header with the collection's name. A collection that ends has a header that says so. The documents of a time
series are buckets of measurements, of a collection that the prelude does not announce: here they are the series'.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError

_MAGIC = b"\x6d\xe2\x99\x81"
_END = b"\xff\xff\xff\xff"
_LARGEST = 48 * 2**20  # bytes of a document, with room for what commands wrap around one
_MODULUS = 1 << 128
_BUCKETS = "system.buckets."  # begins the name of the collection that has a time series' documents
_LENGTHS = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}


@dataclass
class Collection:
    """``hash`` does not depend on the documents' order; ``indexes`` are their definitions, sorted by name."""

    documents: int = 0
    size: int = 0
    hash: str = ""
    indexes: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Sum:
    """Adds up documents in any order."""

    def __init__(self, indexes: list[dict[str, Any]]) -> None:
        self.documents = self.size = self.total = 0
        self.indexes, self.ended = indexes, False

    def add(self, document: bytes) -> None:
        self.documents += 1
        self.size += len(document)
        self.total += int.from_bytes(hashlib.sha256(document).digest()[:16], "big")

    def collection(self) -> Collection:
        return Collection(self.documents, self.size, f"{self.total % _MODULUS:032x}", self.indexes)


def read(stream: BinaryIO) -> dict[str, Collection]:
    """The collections of an archive by ``database.collection``. MongodbError where it is cut or is none."""
    if _exactly(stream, 4) != _MAGIC:
        raise MongodbError("this is no archive of mongodump")
    _document(stream, _start(stream))  # versions
    announced = [fields(document) for document in _documents(stream)]
    sums = {_name(one): _Sum(_indexes(one)) for one in announced}
    series = {_buckets(one): _name(one) for one in announced if one.get("type") == "timeseries"}
    while (start := stream.read(4)) != b"":
        header = fields(_document(stream, _whole(start, 4)))
        name = series.get(_name(header), _name(header))
        if header.get("EOF"):
            sums.setdefault(name, _Sum([])).ended = True
        one = sums.setdefault(name, _Sum([]))
        for document in _documents(stream):
            one.add(document)
    cut = sorted(name for name, one in sums.items() if not one.ended)
    if cut:
        raise MongodbError(f"the archive ends before {', '.join(cut[:3])} does: it is truncated")
    return {name: one.collection() for name, one in sorted(sums.items())}


def fields(document: bytes) -> dict[str, Any]:
    """Top-level text, numbers and booleans of a BSON document; what else is in it is passed over."""
    found: dict[str, Any] = {}
    at = 4
    try:
        while document[at]:
            kind, end = document[at], document.index(0, at + 1)
            name, at = document[at + 1 : end].decode(), end + 1
            if kind in (0x02, 0x0D, 0x0E):
                length = struct.unpack_from("<i", document, at)[0]
                found[name], at = document[at + 4 : at + 3 + length].decode(), at + 4 + length
            elif kind in (0x03, 0x04):
                at += struct.unpack_from("<i", document, at)[0]
            elif kind == 0x05:
                at += 5 + struct.unpack_from("<i", document, at)[0]
            else:
                if kind == 0x08:
                    found[name] = bool(document[at])
                elif kind in (0x10, 0x12):
                    found[name] = int.from_bytes(document[at : at + _LENGTHS[kind]], "little", signed=True)
                at += _LENGTHS[kind]
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise MongodbError("the archive has a header that cannot be read: it is damaged") from error
    return found


def _indexes(announced: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        metadata = json.loads(announced.get("metadata") or "{}")
        return sorted(map(index, metadata.get("indexes") or []), key=lambda one: str(one["name"]))
    except (ValueError, KeyError, AttributeError) as error:
        raise MongodbError(f"the archive's description of {_name(announced)} cannot be read: it is damaged") from error


def index(definition: Mapping[str, Any]) -> dict[str, Any]:
    """An index of an archive or a server, without what the server says of itself, and numbers as plain numbers."""
    return {name: _plain(value) for name, value in definition.items() if name not in ("v", "ns")}


def _plain(value: Any) -> Any:
    """MongoDB's extended JSON as what it means."""
    if isinstance(value, dict):
        for wrapped, kind in (("$numberInt", int), ("$numberLong", int), ("$numberDouble", float)):
            if list(value) == [wrapped]:
                number = kind(value[wrapped])
                return int(number) if number == int(number) else number
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value == int(value) else value


def _name(header: Mapping[str, Any]) -> str:
    return f"{header.get('db', '')}.{header.get('collection', '')}"


def _buckets(series: Mapping[str, Any]) -> str:
    return f"{series.get('db', '')}.{_BUCKETS}{series.get('collection', '')}"


def _documents(stream: BinaryIO) -> Iterator[bytes]:
    """Up to the end of a block."""
    while (start := _start(stream)) != _END:
        yield _document(stream, start)


def _start(stream: BinaryIO) -> bytes:
    return _exactly(stream, 4)


def _document(stream: BinaryIO, start: bytes) -> bytes:
    length = struct.unpack("<i", start)[0]
    if not 5 <= length <= _LARGEST:
        raise MongodbError("the archive has a document of an impossible length: it is damaged")
    return start + _exactly(stream, length - 4)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    return _whole(stream.read(length), length)


def _whole(found: bytes, length: int) -> bytes:
    if len(found) != length:
        raise MongodbError("the archive ends in the middle: it is truncated")
    return found
