# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""prometheus: every series of an instant query keeps to a limit; a query without data is never a pass by itself."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import Limit
from ansible_collections.slipway.ops.plugins.module_utils.core.units import known
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import Check
from ansible_collections.slipway.ops.plugins.module_utils.health.finding import (
    CheckFailed,
    CheckUnknown,
    Finding,
    within,
)
from ansible_collections.slipway.ops.plugins.module_utils.health.http_client import HttpClient, Request
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds.http import http_url
from ansible_collections.slipway.ops.plugins.module_utils.health.options import (
    absolute_path,
    any_address,
    any_limit,
    choice,
    option,
    text,
)

_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Prometheus(Check):
    KIND = "prometheus"
    AREA = "monitoring"

    url: str = option(http_url, "http://127.0.0.1:9090")
    query: str = option(text)
    limit: Limit = option(any_limit)
    unit: str | None = option(text, None)
    no_data: str = option(choice("unknown", "fail", "pass"), "unknown")
    username: str | None = option(text, None)
    password: str | None = option(text, None, secret=True)
    ca: str | None = option(absolute_path, None)
    address: str | None = option(any_address, None)

    def __post_init__(self) -> None:
        if isinstance(self.limit.value, str):
            raise ValueError(f"limit: '{self.limit}' is not a limit on a number")
        if self.unit and self.limit.unit and not known(self.unit):
            raise ValueError(f"unit: {self.unit!r} cannot be compared with {self.limit.unit!r}")
        if self.unit and self.limit.unit:
            self.limit.measured(1, self.unit)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")

    @property
    def aspect(self) -> str:
        return self.query

    @property
    def statement(self) -> str:
        return f"{self.query} is {self.limit}"

    async def measure(self, client: HttpClient) -> list[Finding]:
        series = await self._query(client)
        if not series:
            reason = f"the query {self.query} has no data: is its target scraped, is the metric's name right?"
            verdict = self.no_data
            return [Finding(verdict, "no data", limit=self.limit.bare, reason=None if verdict == "pass" else reason)]  # type: ignore[arg-type]
        unit = self.unit or self.limit.unit or "1"
        return [within(self.limit, value, unit, name) for name, value in series]

    async def _query(self, client: HttpClient) -> list[tuple[str, float]]:
        headers = {}
        if self.username is not None:
            credentials = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        url = f"{self.url.rstrip('/')}/api/v1/query?query={quote(self.query, safe='')}"
        try:
            answer = await client.fetch(Request(url, headers=headers, ca=self.ca, address=self.address))
        except CheckFailed as error:
            raise CheckUnknown(f"Prometheus does not answer: {error}") from error
        try:
            document = answer.json()
        except ValueError as error:
            raise CheckUnknown(f"{self.url} answered {answer.status} and no JSON: is it Prometheus?") from error
        if not isinstance(document, dict) or document.get("status") != "success":
            told = document.get("error") if isinstance(document, dict) else None
            raise CheckUnknown(f"Prometheus refuses the query {self.query}: {str(told or answer.status)[:_SHOWN]}")
        try:
            return _series(document["data"], self.query)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise CheckUnknown(
                f"{self.url} does not answer as Prometheus does ({error!r}): is it Prometheus?"
            ) from error


def _series(data: dict[str, Any], query: str) -> list[tuple[str, float]]:
    if data["resultType"] == "scalar":
        return [(query, float(data["result"][1]))]
    if data["resultType"] != "vector":
        raise CheckUnknown(f"the query {query} gives a {data['resultType']}, not one value for each series")
    return [(_name(item["metric"], query), _value(item, query)) for item in data["result"]]


def _value(item: dict[str, Any], query: str) -> float:
    if "histogram" in item:
        raise CheckUnknown(
            f"{_name(item['metric'], query)} is a native histogram and no number;"
            " ask for histogram_quantile, histogram_avg or histogram_count of it"
        )
    return float(item["value"][1])


def _name(labels: dict[str, str], query: str) -> str:
    """The query, and the labels that tell its series apart."""
    told = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{query} for {told}" if told else query
