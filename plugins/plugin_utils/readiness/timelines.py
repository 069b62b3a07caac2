# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pictures from artifacts: a JSON artifact whose ``picture`` is ``timeline`` is drawn beside its record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def timelines(records: Sequence[Record], artifacts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What can be drawn from the records' artifacts: ``{title, record, picture}``, each artifact once."""
    drawn: dict[str, dict[str, Any]] = {}
    for record in records:
        for path in record.get("artifacts") or []:
            picture = _picture((artifacts.get(path) or {}).get("content"))
            if picture and path not in drawn:
                drawn[path] = {"record": record, "picture": picture, "path": path}
    return list(drawn.values())


def _picture(content: str | None) -> dict[str, Any] | None:
    """The timeline in an artifact; None for any other artifact, whatever is in it."""
    try:
        data = json.loads(content or "")
        if not isinstance(data, dict) or data.get("picture") != "timeline":
            return None
        return {
            "title": str(data.get("title", "")),
            "lanes": [
                {"name": str(lane["name"]), "spans": [_span(span) for span in lane["spans"]]} for lane in data["lanes"]
            ],
            "marks": [
                {"at": float(mark["at"]), "label": str(mark["label"]), "kind": str(mark.get("kind", "info"))}
                for mark in data.get("marks", [])
            ],
            "facts": {str(name): str(value) for name, value in data.get("facts", {}).items()},
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _span(span: Mapping[str, Any]) -> dict[str, Any]:
    return {"from": float(span["from"]), "to": float(span["to"]), "label": str(span.get("label", ""))}
