# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pictures from artifacts: what ``slipway.ops.traffic`` saw, or a timeline that someone drew.

An artifact is drawn when it is JSON and either what the module ``traffic`` returned as ``traffic`` (alone, by host, or
under the name ``traffic`` beside ``events``, a list of ``{at, label}`` with RFC 3339 times), or ``{"picture":
"timeline", "title", "lanes", "marks", "facts"}`` with times in seconds since its start. Any other is shown as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import EvidenceError, parse_time
from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words, quantity

Record = Mapping[str, Any]
PERCENTILES = ("p50", "p95", "p99", "max")


def timelines(records: Sequence[Record], artifacts: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """What can be drawn from the records' artifacts: ``{record, picture}``, each artifact once."""
    drawn: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        for path in record.get("artifacts") or []:
            if path not in drawn:
                pictures = _pictures((artifacts.get(path) or {}).get("content"), words)
                drawn[path] = [{"record": record, "picture": picture} for picture in pictures]
    return [one for pictures in drawn.values() for one in pictures]


def _pictures(content: str | None, words: Words) -> list[dict[str, Any]]:
    """The pictures in an artifact; none in any other artifact, whatever is in it."""
    try:
        data = json.loads(content or "")
        if not isinstance(data, Mapping):
            return []
        if data.get("picture") == "timeline":
            return [_drawn_by_hand(data)]
        events = data.get("events") or []
        by_host = {"": data.get("traffic", data)}
        if not by_host[""].get("versions"):
            by_host = {host: seen for host, seen in data.items() if isinstance(seen, Mapping) and seen.get("versions")}
        return [{**_traffic(seen, events, words), "where": str(host)} for host, seen in by_host.items()]
    except (ValueError, KeyError, TypeError, AttributeError, EvidenceError):
        return []


def _drawn_by_hand(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": str(data.get("title", "")),
        "lanes": [
            {"name": str(lane["name"]), "kind": "", "spans": [_span(**span) for span in lane["spans"]]}
            for lane in data["lanes"]
        ],
        "marks": [{"at": float(mark["at"]), "label": str(mark["label"])} for mark in data.get("marks", [])],
        "facts": {str(name): str(value) for name, value in data.get("facts", {}).items()},
        "latency": {},
        "where": "",
    }


def _span(**span: Any) -> dict[str, Any]:
    return {"from": float(span["from"]), "to": float(span["to"]), "label": str(span.get("label", ""))}


def _traffic(traffic: Mapping[str, Any], events: Sequence[Mapping[str, Any]], words: Words) -> dict[str, Any]:
    """A lane per version from its first to its last answer, one with the failures, the events across."""
    start = parse_time(traffic["started_at"])

    def since(moment: str) -> float:
        return (parse_time(moment) - start).total_seconds()

    lanes = [
        {
            "name": str(version["version"]),
            "kind": "",
            "spans": [
                _span(**{"from": since(version["first"]), "to": since(version["last"])}, label=_answers(version, words))
            ],
        }
        for version in traffic["versions"]
    ]
    failures = [
        _span(**{"from": since(failure["at"]), "to": since(failure["at"])}, label=str(failure["reason"]))
        for failure in traffic.get("failures") or []
    ]
    if failures:
        lanes.append({"name": words["traffic"]["failed"], "kind": "fail", "spans": failures})
    return {
        "title": "",
        "lanes": lanes,
        "marks": [{"at": since(event["at"]), "label": str(event["label"])} for event in events],
        "facts": _facts(traffic["total"], words["traffic"]),
        "latency": {
            str(name): {point: float(client["latency"][point]) for point in PERCENTILES}
            for name, client in (traffic.get("clients") or {}).items()
            if client.get("latency")
        },
    }


def _answers(version: Mapping[str, Any], words: Words) -> str:
    return f"{version['version']}: {words('answers', n=version['responses'])}"


def _facts(total: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    facts = {names["requests"]: quantity(total["requests"], "1"), names["failed"]: quantity(total["failed"], "1")}
    for point in PERCENTILES:
        if (total.get("latency") or {}).get(point) is not None:
            facts[names[point]] = quantity(float(total["latency"][point]), "ms")
    if total.get("longest_gap") is not None:
        facts[names["longest_gap"]] = quantity(float(total["longest_gap"]), "s")
    return facts
