# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""http: a URL answers with the right status, headers and body, fast enough; TLS is always verified."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.core.percentile import percentile
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import CheckFailed, Finding, same, within
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import Answer, HttpClient, Request
from ansible_collections.slipway.ops.plugins.module_utils.health.json_path import look_up, parse_path
from ansible_collections.slipway.ops.plugins.module_utils.health.options import (
    absolute_path,
    any_address,
    choice,
    integer,
    limit_in,
    mapping,
    number,
    option,
    pattern,
    patterns,
    text,
    text_mapping,
)
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port, split_host_port
from ansible_collections.slipway.ops.plugins.module_utils.net.url import Url, parse_url

_REDIRECTS = (301, 302, 303, 307, 308)
_SEE_OTHER = (301, 302, 303)  # what was posted is not posted again
_SHOWN = 120
_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


def http_url(value: Any) -> str:
    url = text(value)
    parse_url(url)
    return url


def statuses(value: Any) -> tuple[int, ...]:
    """``200``, ``[200, 401]`` or classes such as ``2xx``."""
    codes: list[int] = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        word = str(item).lower()
        if re.fullmatch(r"[1-5]xx", word):
            codes.extend(range(int(word[0]) * 100, int(word[0]) * 100 + 100))
        elif re.fullmatch(r"[1-5]\d\d", word):
            codes.append(int(word))
        else:
            raise ValueError(f"{item!r} is not a status such as 200 or 2xx")
    if not codes:
        raise ValueError("an empty list says nothing")
    return tuple(codes)


def expectations(value: Any) -> dict[str, Any]:
    """JSON paths and what stands there: a value, or a limit such as ``< 100``."""
    wanted = mapping(value)
    for path, item in wanted.items():
        parse_path(path)
        if isinstance(item, str) and re.match(r"\s*[<>=!]", item):
            parse_limit(item)
    return wanted


@dataclass(frozen=True, kw_only=True)
class Http(Check):
    KIND = "http"
    AREA = "application"

    url: str = option(http_url)
    method: str = option(choice(*_METHODS), "GET")
    headers: dict[str, str] = option(text_mapping, {}, secret=True)
    username: str | None = option(text, None)
    password: str | None = option(text, None, secret=True)
    body: str | None = option(text, None, secret=True)
    ca: str | None = option(absolute_path, None)
    address: str | None = option(any_address, None)
    redirects: int = option(integer(0, 20), 0)
    status: tuple[int, ...] = option(statuses, 200)
    contains: str | None = option(text, None)
    matches: re.Pattern[str] | None = option(pattern, None)
    json: dict[str, Any] | None = option(expectations, None)
    response_headers: dict[str, re.Pattern[str]] | None = option(patterns, None)
    requests: int = option(integer(1, 10_000), 1)
    percentile: float = option(number(0, 100), 95)
    latency: Limit | None = option(limit_in("ms"), None)

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.requests > 1 and self.latency is None:
            raise ValueError("several requests measure a latency; say which: latency: < 500 ms")

    @property
    def aspect(self) -> str:
        return "latency" if self.latency else "answers"

    @property
    def statement(self) -> str:
        fast = f" in {self.latency}" if self.latency else ""
        share = f", {self.percentile:g} % of {self.requests} times" if self.requests > 1 else ""
        return f"{self.url} answers {self._wanted_status}{fast}{share}"

    @property
    def endpoint(self) -> str:
        return self.url

    @property
    def weight(self) -> int:
        return self.requests * (1 + self.redirects)

    async def measure(self, client: HttpClient) -> list[Finding]:
        took = []
        findings: list[Finding] = []
        for _ in range(self.requests):
            answer, seconds = await self._follow(client)
            took.append(seconds)
            findings = list(self._judge(answer))
            if any(finding.verdict != "pass" for finding in findings):
                return findings
        if self.latency:
            what = (
                f"P{self.percentile:g} of {self.requests} requests" if self.requests > 1 else "the time of the answer"
            )
            findings.insert(0, within(self.latency, percentile(took, self.percentile), "s", what, timed=True))
        return findings

    @property
    def _wanted_status(self) -> str:
        codes = [str(code) for code in self.status]
        return codes[0] if len(codes) == 1 else f"one of {', '.join(codes)}" if len(codes) < 10 else f"{codes[0][0]}xx"

    async def _follow(self, client: HttpClient) -> tuple[Answer, float]:
        """The answer at the end of the redirects, and the seconds that all of them took."""
        url, method, seconds = self.url, self.method, 0.0
        for _ in range(self.redirects + 1):
            answer = await client.fetch(self._request(url, method))
            seconds += answer.took
            if answer.status not in _REDIRECTS or not self.redirects or "location" not in answer.headers:
                return answer, seconds
            target = urljoin(url, answer.headers["location"])
            try:
                url = http_url(target)
            except ValueError as error:
                raise CheckFailed(f"{url} redirects to what is no URL: {target[:_SHOWN]!r}") from error
            if answer.status in _SEE_OTHER and method != "HEAD":
                method = "GET"
        raise CheckFailed(f"more than {self.redirects} redirects, the last one to {url[:_SHOWN]}")

    def _request(self, url: str, method: str) -> Request:
        here, there = parse_url(self.url), parse_url(url)
        # What was meant for one origin is not sent to another that it redirects to.
        if (here.scheme, here.authority) != (there.scheme, there.authority):
            return Request(url, "GET", ca=self.ca, address=self._address_at(here, there))
        headers = self.headers
        if self.username is not None:
            credentials = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            headers = headers | {"Authorization": f"Basic {credentials}"}
        body = self.body if method == self.method else None
        return Request(url, method, headers, (body or "").encode(), self.ca, self.address)

    def _address_at(self, here: Url, there: Url) -> str | None:
        """The check's address for another port or scheme of its host: the same machine, but the port of the URL."""
        if not self.address or there.host != here.host:
            return None
        return join_host_port(split_host_port(self.address, here.port)[0], there.port)

    def _judge(self, answer: Answer) -> Iterator[Finding]:
        excerpt = "" if answer.coding else " ".join(answer.text[: _SHOWN * 2].split())[:_SHOWN]
        told = f"it answered {answer.status}, wanted {self._wanted_status}" + (
            f"; it said: {excerpt}" if excerpt else ""
        )
        yield same(answer.status, self.status, told)
        for name, wanted in (self.response_headers or {}).items():
            yield _header(name, wanted, answer.headers.get(name.lower()))
        if answer.coding and (self.contains is not None or self.matches is not None or self.json is not None):
            reason = f"the body is in the coding {answer.coding}, which was not asked for and cannot be read here"
            yield Finding("unknown", answer.coding, reason=reason)
            return
        cut = "; only the first MiB was read" if answer.truncated else ""
        if self.contains is not None and self.contains not in answer.text:
            yield Finding("fail", excerpt, reason=f"the body does not contain {self.contains!r}{cut}")
        if self.matches is not None and not self.matches.search(answer.text):
            yield Finding("fail", excerpt, reason=f"the body does not match {self.matches.pattern}{cut}")
        if self.json is not None:
            yield from _json_findings(self.json, answer, cut)


def _header(name: str, wanted: re.Pattern[str], value: str | None) -> Finding:
    if value is None:
        return Finding("fail", reason=f"the answer has no header {name}")
    if not wanted.search(value):
        return Finding("fail", value, reason=f"the header {name} is {value!r} and does not match {wanted.pattern}")
    return Finding("pass", value)


def _json_findings(wanted: dict[str, Any], answer: Answer, cut: str) -> Iterator[Finding]:
    try:
        document = answer.json()
    except ValueError as error:
        yield Finding("fail", reason=f"the body is not JSON: {error}{cut}")
        return
    for path, expected in wanted.items():
        try:
            found = look_up(document, parse_path(path))
        except KeyError:
            yield Finding("fail", reason=f"the JSON body has nothing at {path}")
            continue
        yield _json_value(path, expected, found)


def _json_value(path: str, expected: Any, found: Any) -> Finding:
    if isinstance(expected, str) and re.match(r"\s*[<>=!]", expected):
        limit = parse_limit(expected)
        if isinstance(found, (int, float)) and not isinstance(found, bool) and not isinstance(limit.value, str):
            return within(limit, found, limit.unit, f"{path} in the JSON body")
        kept, wanted, shown = (
            limit.satisfied(found if isinstance(found, str) else json.dumps(found)),
            str(limit),
            limit.bare,
        )
    else:
        kept = _equal(found, expected)
        wanted, shown = repr(expected), f"= {' '.join(str(expected).split()) or repr('')}"
    told = found if isinstance(found, (str, int, float)) and not isinstance(found, bool) else json.dumps(found)[:_SHOWN]
    reason = None if kept else f"{path} in the JSON body is {told!r}, wanted {wanted}"
    return Finding("pass" if kept else "fail", told, limit=shown, reason=reason)


def _equal(found: Any, expected: Any) -> bool:
    """Whether they are the same JSON: 1 is 1.0, but neither ``true`` nor ``"1"``, and ``"ok"`` is not ``"OK"``."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_equal(found[key], expected[key]) for key in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_equal, found, expected))
    if isinstance(expected, str) and not isinstance(found, (str, dict, list)):
        # Ansible's templates may have made text of a number, a truth or nothing.
        return expected in (str(found), json.dumps(found))
    return isinstance(found, bool) == isinstance(expected, bool) and found == expected
