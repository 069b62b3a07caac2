# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The register: which secrets there are, since when, whose they are and where their values go. It knows no values.

It is a file of group variables, so that every playbook knows it as ``secrets_register``.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.core.units import SECONDS, UnitError, duration
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.files import SecretsError, put

PLACE = Path("group_vars/all/secrets_register.yml")
UNKNOWN, NEVER = "unknown", "never"
HEAD = """---
# Which secrets there are, without their values; secrets.yml writes it. Whoever changes a secret by hand says here when
# (rotated). owner and max_age (such as 90d, or never) may be changed, too.
"""

Register = dict[str, dict[str, Any]]


def read(path: Path) -> Register:
    if not path.exists():
        return {}
    try:
        found = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("secrets_register") or {}
        return {str(name): dict(entry) for name, entry in found.items()}
    except (yaml.YAMLError, AttributeError, TypeError, ValueError):
        raise SecretsError(
            f"{path} is not as secrets.yml writes it. Correct it, or take it from version control."
        ) from None


def text(register: Register) -> str:
    if not register:
        return ""
    return HEAD + yaml.safe_dump({"secrets_register": dict(sorted(register.items()))}, sort_keys=False, width=140)


def write(path: Path, content: str) -> None:
    put(path, content.encode(), 0o644)


def entry(former: Mapping[str, Any] | None, known: Mapping[str, Any], event: str = "") -> dict[str, Any]:
    """What is known now. ``event`` is ``created`` or ``rotated`` when that happened today; of a secret that was there
    before the register nobody knows since when."""
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    found = {"created": UNKNOWN, "rotated": UNKNOWN} | dict(known) | dict(former or {})
    found |= {name: known[name] for name in ("file", "used") if name in known}
    if event:
        found["rotated"] = today
    if event == "created":
        found["created"] = today
    return found


def age(entry: Mapping[str, Any], today: datetime.date) -> int | None:
    """Days since the value was made; nothing where nobody knows."""
    for name in ("rotated", "created"):
        try:
            return (today - datetime.date.fromisoformat(str(entry.get(name))[:10])).days
        except ValueError:
            continue
    return None


def results(register: Register, longest: str) -> list[Result]:
    """How old each value is, beside how old it may become."""
    today = datetime.datetime.now(datetime.timezone.utc).date()
    found = []
    for name, known in sorted(register.items()):
        limit = str(known.get("max_age") or longest)
        if limit == NEVER:
            continue
        days, most = age(known, today), _days(name, limit)
        result = Result(
            id="security.secrets.age",
            area="security",
            subject=name,
            claim="The secret was changed in time",
            verdict="unknown" if days is None or days < 0 else "pass" if days <= most else "fail",
            measured=days,
            unit="d",
            limit=f"<= {most:g}",
            source="secrets 0.1.0",
        )
        if result.verdict == "unknown":
            result.reason = f"Nobody knows since when it is in use: rotate it, or say so in {PLACE}."
        elif result.verdict == "fail":
            result.reason = (
                f"It is {days} days old. Owner: {known.get('owner') or 'nobody'}. Rotate it: -e rotate={name}"
            )
        found.append(result)
    return found


def _days(name: str, limit: str) -> float:
    try:
        return duration(limit) / SECONDS["d"]
    except UnitError as error:
        raise SecretsError(f"The highest age of {name} is no duration: {error}.") from error
