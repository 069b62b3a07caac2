# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Harmless requests that attackers begin with: what a site tells them."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from ansible_collections.slipway.ops.plugins.module_utils.scan.finding import Finding, ScanError

PREFIX = "probe."  # other scanners have findings of the same endpoint
HIDDEN = ("/.git/config", "/.git/HEAD", "/.env", "/.htpasswd", "/.svn/entries")
NOWHERE = "/slipway-probe-of-nothing"
_WANTED = {
    "strict-transport-security": "",
    "x-content-type-options": "nosniff",
    "referrer-policy": "",
    "content-security-policy": "",
}
_VERSION = re.compile(r"\d+\.\d+")
_LARGEST = 65536


@dataclass(frozen=True)
class Site:
    name: str
    address: str
    port: int
    timeout: float


@dataclass(frozen=True)
class Answer:
    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Probed:
    """Findings by promise, and the answers without their bodies, for what is hidden may be a secret."""

    hidden: list[Finding]
    server: list[Finding]
    trace: list[Finding]
    headers: list[Finding]
    answers: str


def probe(site: Site) -> Probed:
    """Asks eight times, one after the other."""
    try:
        front, nowhere, trace, *hidden = (
            _ask(site, method, path)
            for method, path in (("GET", "/"), ("GET", NOWHERE), ("TRACE", "/"), *(("GET", path) for path in HIDDEN))
        )
    except (OSError, http.client.HTTPException) as error:
        raise ScanError(f"{site.name}:{site.port} at {site.address} did not answer a request: {error}") from error
    return Probed(
        [Finding(f"{PREFIX}hidden{one.path}", f"answered with {one.status}") for one in hidden if _shown(one, nowhere)],
        _once(finding for one in (front, nowhere) for finding in _told(one)),
        [Finding(f"{PREFIX}trace", f"TRACE is answered with {trace.status}")] if trace.status < 300 else [],
        _once(finding for one in (front, nowhere) for finding in _missing(one)),
        json.dumps([_without_body(one) for one in (front, nowhere, trace, *hidden)], indent=1) + "\n",
    )


def _ask(site: Site, method: str, path: str) -> Answer:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whether to trust it is testssl.sh's to say
    with (
        socket.create_connection((site.address, site.port), site.timeout) as plain,
        context.wrap_socket(plain, server_hostname=site.name) as sock,
    ):
        connection = http.client.HTTPConnection(site.name, site.port)
        connection.sock = sock
        connection.request(
            method, path, headers={"Host": site.name, "User-Agent": "slipway-scan", "Connection": "close"}
        )
        response = connection.getresponse()
        headers = {key.lower(): value for key, value in response.getheaders()}
        return Answer(method, path, response.status, headers, response.read(_LARGEST))


def _shown(one: Answer, nowhere: Answer) -> bool:
    """A page is none of these files: some applications answer every path with theirs."""
    page = one.headers.get("content-type", "").startswith("text/html")
    return one.status < 300 and bool(one.body) and not page and one.body != nowhere.body


def _told(one: Answer) -> list[Finding]:
    server, powered = one.headers.get("server", ""), one.headers.get("x-powered-by", "")
    told = [Finding(f"{PREFIX}server", f"Server is {server}")] if _VERSION.search(server) else []
    return [*told, *([Finding(f"{PREFIX}x-powered-by", f"X-Powered-By is {powered}")] if powered else [])]


def _missing(one: Answer) -> list[Finding]:
    missing = [
        name for name, value in _WANTED.items() if value not in one.headers.get(name, "") or name not in one.headers
    ]
    if "x-frame-options" not in one.headers and "frame-ancestors" not in one.headers.get("content-security-policy", ""):
        missing.append("x-frame-options")
    return [Finding(f"{PREFIX}{name}", f"not sent with the {one.status} of {one.path}") for name in missing]


def _once(findings: Iterable[Finding]) -> list[Finding]:
    """The first of each."""
    by_id: dict[str, Finding] = {}
    for finding in findings:
        by_id.setdefault(finding.id, finding)
    return list(by_id.values())


def _without_body(one: Answer) -> dict[str, object]:
    return {name: value for name, value in asdict(one).items() if name != "body"} | {"bytes": len(one.body)}
