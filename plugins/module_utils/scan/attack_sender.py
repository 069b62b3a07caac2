# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sends the attempts of one site, one after the other, and says what came back of each."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import timestamp
from ansible_collections.slipway.ops.plugins.module_utils.scan.attack import (
    AGENT,
    FORGED_ADDRESS,
    Attempt,
    Site,
    order,
    plan,
)

PAUSE = 0.05  # seconds between two requests, so that at most 20 come in a second; a rate limit is asked without it
TIMEOUT = 10.0
VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1}
KEPT = ("location", "retry-after", "x-request-id", "server")
OWN = ("NO_PROTOCOLS_AVAILABLE", "UNSUPPORTED_PROTOCOL", "NO_CIPHERS_AVAILABLE")


@dataclass(frozen=True)
class Answer:
    """``status`` is 0 where the connection was closed instead, or TLS refused; ``error`` is why there is neither."""

    status: int
    headers: dict[str, str]
    told: str = ""
    error: str = ""


def own_address(site: Site) -> str:
    """The address by which this host reaches the edge; an OSError says why it does not."""
    with socket.create_connection((site.address, site.port), TIMEOUT) as plain:
        return str(plain.getsockname()[0])


def send(site: Site) -> dict[str, Any]:
    """``at``, ``took``, ``own``, the sender's address, and ``answers``, by the id of the attempt."""
    began, at = time.monotonic(), timestamp()
    answers: dict[str, list[dict[str, Any]]] = {}
    own = ""
    try:
        own = own_address(site)
        for attempt in order(plan(site)):
            came = [asdict(_sent(site, attempt, number)) for number in range(attempt.count)]
            answers.setdefault(attempt.id, []).extend(came)
            time.sleep(PAUSE)
        error = ""
    except OSError as problem:
        error = f"{site.address}:{site.port} cannot be reached from here: {problem}"
    took = round(time.monotonic() - began, 1)
    return {"site": site.name, "at": at, "took": took, "own": own, "error": error, "answers": answers}


def _sent(site: Site, attempt: Attempt, number: int) -> Answer:
    try:
        with _connected(site, attempt) as sock:
            return _asked(site, attempt, sock, number)
    except ssl.SSLError as error:
        own = any(word in str(error) for word in OWN)
        return Answer(0, {}, error=f"this host's OpenSSL does not try it: {error}") if own else _refusal(error)
    except (ConnectionError, http.client.RemoteDisconnected) as error:
        return _refusal(error)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, {}, error=str(error) or type(error).__name__)


def _refusal(error: Exception) -> Answer:
    tls = isinstance(error, ssl.SSLError)
    return Answer(0, {}, told="handshake refused" if tls else "closed")


@contextmanager
def _connected(site: Site, attempt: Attempt) -> Iterator[socket.socket]:
    port = site.http_port if attempt.plain else site.port
    with socket.create_connection((site.address, port), TIMEOUT) as plain:
        if attempt.plain or not site.tls:
            yield plain
            return
        with _context(attempt.version).wrap_socket(plain, server_hostname=attempt.sni or site.host) as sock:
            yield sock


def _context(version: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whether to trust it is testssl.sh's to say
    if version:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = VERSIONS[version]
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _asked(site: Site, attempt: Attempt, sock: socket.socket, number: int) -> Answer:
    connection = http.client.HTTPConnection(site.host)
    connection.sock = sock
    headers = {"Host": site.host, "User-Agent": AGENT, "Accept": "*/*", "Connection": "close"}
    if attempt.count > 1:  # a limit that believed it would count none of them
        headers["X-Forwarded-For"] = f"{FORGED_ADDRESS.rpartition('.')[0]}.{number + 1}"
    body = attempt.body.encode() if attempt.body is not None else None
    connection.request(attempt.method, attempt.target, body, headers | dict(attempt.headers))
    response = connection.getresponse()
    kept = {name: value for name in KEPT if (value := response.getheader(name))}
    response.read(65536)
    return Answer(response.status, kept, response.reason)
