# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A role's ``meta/alerts.yml``: groups of Prometheus' alerting rules, and what an inventory changes of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import CardError

SEVERITIES = ("critical", "warning", "info")
CHANGES = ("for", "expr", "severity", "enabled")
Rule = dict[str, Any]
Group = dict[str, Any]


def read_alerts(role: str, data: Any) -> list[Group]:
    """The groups, each alert of which says how bad it is, what has happened, and what to do."""
    groups = data.get("groups") if isinstance(data, Mapping) else None
    if not isinstance(groups, Sequence) or not all(isinstance(one, Mapping) for one in groups):
        raise CardError(f"alerts of role {role} need groups, a list as Prometheus' rule files have it")
    for rule in rules_of(groups):
        if "alert" in rule:
            _refuse_incomplete(role, rule)
    return [dict(group) for group in groups]


def rules_of(groups: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for group in groups:
        yield from group.get("rules") or []


def changed(groups: Iterable[Group], changes: Mapping[str, Mapping[str, Any]]) -> list[Group]:
    """The groups with what an inventory says of alerts, by their names; those that are not enabled are left out."""
    return [group | {"rules": list(_changed_rules(group.get("rules") or [], changes))} for group in groups]


def change_problems(names: Iterable[str], changes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Changes of alerts that are not there, and of what cannot be changed."""
    known = sorted(set(names))
    for name, change in changes.items():
        if name not in known:
            yield f"no role of this inventory has an alert {name}{_nearest(name, known)}"
        for field in change:
            if field not in CHANGES:
                yield f"of alert {name}, {', '.join(CHANGES)} can be changed, not {field}"
        if "severity" in change and change["severity"] not in SEVERITIES:
            yield f"severity of alert {name} is {change['severity']}, not one of {', '.join(SEVERITIES)}"


def _changed_rules(rules: Iterable[Rule], changes: Mapping[str, Mapping[str, Any]]) -> Iterator[Rule]:
    for rule in rules:
        change = dict(changes.get(rule.get("alert", ""), {}))
        if not change.pop("enabled", True):
            continue
        severity = change.pop("severity", None)
        labels = {"labels": rule["labels"] | {"severity": severity}} if severity else {}
        yield rule | change | labels


def _refuse_incomplete(role: str, rule: Mapping[str, Any]) -> None:
    where = f"alert {rule['alert']} of role {role}"
    severity = (rule.get("labels") or {}).get("severity")
    if severity not in SEVERITIES:
        raise CardError(f"{where} has severity {severity}, not one of {', '.join(SEVERITIES)}")
    annotations = rule.get("annotations") or {}
    missing = [name for name in ("summary", "runbook") if not str(annotations.get(name) or "").strip()]
    if missing:
        raise CardError(f"{where} lacks {' and '.join(missing)} among its annotations")


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
