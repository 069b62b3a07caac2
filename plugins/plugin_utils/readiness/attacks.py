# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The report's section on attacks: what ``attack.yml`` tried of each site, what came back, and what was promised."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from ansible_collections.slipway.ops.plugins.plugin_utils.readiness.words import Words

Record = Mapping[str, Any]
ICONS = {"skip": "not_applicable"}


def records(known: Iterable[Record]) -> list[Record]:
    """Those of attacks that are still asked for; a site that is gone has a skip of all its records."""
    own = [record for record in known if record["id"].startswith("security.attack.")]
    gone = {record["subject"] for record in own} - {one["subject"] for one in own if one["verdict"] != "skip"}
    return [record for record in own if record["subject"] not in gone]


def attacks(own: Sequence[Record], artifacts: Mapping[str, Any], words: Words) -> list[dict[str, Any]]:
    """One for each site of each edge, of its newest run: ``record``, ``title``, ``lead`` and ``groups`` of ``rows``."""
    found: list[dict[str, Any]] = []
    for record in own:
        for path in record.get("artifacts") or []:
            told = _read((artifacts.get(path) or {}).get("content"))
            if told and not any(one["path"] == path for one in found):
                found.append({"path": path, "record": record, **_drawn(told, words["attack"])})
    return found


def _read(content: str | None) -> Mapping[str, Any] | None:
    try:
        told = json.loads(content or "")
        attempts = [{name: str(one[name]) for name in FIELDS} for one in told["attempts"]]
        return {**told, "attempts": attempts} if told["picture"] == "attack" else None
    except (ValueError, KeyError, TypeError):
        return None


FIELDS = ("id", "group", "sent", "came", "expected", "why", "verdict", "reason")


def _drawn(told: Mapping[str, Any], texts: Mapping[str, Any]) -> dict[str, Any]:
    attempts = told["attempts"]
    held = sum(one["verdict"] == "pass" for one in attempts)
    mode = texts["modes"].get(told.get("mode"), "")
    facts = {
        "n": told.get("requests", ""),
        "host": told.get("from", ""),
        "held": held,
        "of": len(attempts),
        "mode": mode,
    }
    groups = [
        {"name": texts["groups"].get(group, group), "rows": [_row(one, texts) for one in same]}
        for group, same in groupby(attempts, key=lambda one: one["group"])
    ]
    title = f"{told.get('site', '')} · {told.get('host', '')} · {told.get('edge', '')}"
    return {"title": title, "lead": texts["lead"].format(**facts), "groups": groups}


def _row(attempt: Mapping[str, str], texts: Mapping[str, Any]) -> dict[str, str]:
    family, _, detail = attempt["id"].partition(".")
    verdict = attempt["verdict"] if attempt["verdict"] in texts["verdicts"] else "unknown"
    words = texts["ordinary"] if attempt["group"] == "ordinary" else texts["verdicts"]
    return {
        "name": " · ".join(filter(None, [texts["families"].get(family, family), texts["details"].get(detail, detail)])),
        "sent": attempt["sent"],
        "expected": texts["why"].get(attempt["why"], attempt["expected"]),
        "came": texts["came"].get(attempt["came"], attempt["came"]),
        "icon": ICONS.get(verdict, verdict),
        "verdict": words.get(verdict, texts["verdicts"][verdict]),
        "reason": attempt["reason"] if verdict in ("unknown", "skip") else "",
    }
