# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to an S3 server, signed with version 4 of AWS' signatures, by the standard library alone.

Keys and secrets are in no message of an error.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from urllib.parse import quote
from xml.etree import ElementTree

from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port

_ALGORITHM = "AWS4-HMAC-SHA256"
_ANSWER_LIMIT = 16 * 1024 * 1024
_SHOWN = 200


class S3Error(Exception):
    """What an operator should read: what was tried, what came back, what to do. ``code`` is the server's own word,
    ``passing`` whether the same may be answered the next time."""

    def __init__(self, message: str, code: str = "", passing: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.passing = passing


@dataclass(frozen=True)
class Endpoint:
    """A server: connected to at ``address``, while certificate and signature are for ``name``."""

    name: str
    address: str
    port: int
    region: str
    ca: str = ""  # a file; the system's authorities without it


@dataclass(frozen=True)
class Request:
    """``query`` has an empty text for a word without a value."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def target(self) -> str:
        """The path as it is sent and signed."""
        return quote(self.path, safe="/-_.~")

    @property
    def words(self) -> str:
        """The query as it is sent and signed."""
        pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in self.query.items())
        return "&".join(f"{name}={value}" for name, value in pairs)


@dataclass(frozen=True)
class Answer:
    """``headers`` have names of small letters."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Client:
    endpoint: Endpoint
    key: str
    secret: str = field(repr=False)
    timeout: float = 30

    def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
        """The body of a good answer."""
        return self.answer(method, path, query, body).body

    def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """A good answer. ``more`` are headers that are not signed."""
        request = Request(method, path, query or {}, body)
        tried = f"{method} {path}{'?' + '&'.join(request.query) if query else ''} at {self.authority}"
        target = f"{request.target}?{request.words}" if query else request.target
        headers = {**(more or {}), **signed(self, request, datetime.now(timezone.utc))}
        try:
            connection = _Connection(self.endpoint, self.timeout)
        except OSError as error:
            raise S3Error(f"{tried}: the authority in {self.endpoint.ca} cannot be read ({error})") from error
        try:
            connection.request(method, target, body or None, headers)
            answer = connection.getresponse()
            said = answer.read(_ANSWER_LIMIT)
            if answer.length and len(said) < _ANSWER_LIMIT:
                raise http.client.IncompleteRead(said, answer.length)
        except ssl.SSLCertVerificationError as error:
            raise S3Error(
                f"{tried}: its certificate is not accepted ({error}); look at its name and authority"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise S3Error(
                f"{tried}: no answer ({error}); does it run, and is the address right?", passing=True
            ) from error
        finally:
            connection.close()
        if answer.status >= 300:
            code, message = _refusal(said)
            told = f"{tried}: it answered {answer.status} {code or answer.reason} {message}".rstrip()
            raise S3Error(told, code, passing=answer.status >= 500)
        return Answer({name.lower(): value for name, value in answer.getheaders()}, said)

    @property
    def authority(self) -> str:
        whole = join_host_port(self.endpoint.name, self.endpoint.port)
        return whole.removesuffix(":443") if self.endpoint.port == 443 else whole


class _Connection(http.client.HTTPSConnection):
    """TLS for the server's name, wherever it is connected to."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._trust = ssl.create_default_context(cafile=endpoint.ca or None)
        self._at = (endpoint.address, endpoint.port)
        super().__init__(endpoint.name, endpoint.port, timeout=timeout, context=self._trust)

    def connect(self) -> None:
        plain = socket.create_connection(self._at, self.timeout)
        try:
            self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def signed(client: Client, request: Request, now: datetime) -> dict[str, str]:
    """The headers of a request, its signature among them."""
    moment, digest = now.strftime("%Y%m%dT%H%M%SZ"), hashlib.sha256(request.body).hexdigest()
    headers = {"host": client.authority, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names, lines = ";".join(headers), "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = "\n".join([request.method, request.target, request.words, lines, names, digest])
    scope = f"{moment[:8]}/{client.endpoint.region}/s3/aws4_request"
    text = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{client.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={client.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"{_ALGORITHM} {credential}"}


def texts(document: bytes, name: str) -> list[str]:
    """What the elements of a name in an answer say, whatever their name space."""
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  the server is one's own, and its certificate was verified
    except ElementTree.ParseError as error:
        said = " ".join(document[:_SHOWN].decode(errors="replace").split())
        raise S3Error(f"the server's answer is not XML: {said}") from error
    return [element.text or "" for element in root.iter() if element.tag.rpartition("}")[2] == name]


def _refusal(said: bytes) -> tuple[str, str]:
    """The server's word for why it refuses, and its sentence."""

    def element(name: str) -> str:
        found = re.search(f"<{name}>([^<]*)</{name}>".encode(), said)
        return found[1].decode(errors="replace")[:_SHOWN] if found else ""

    return element("Code"), element("Message")
