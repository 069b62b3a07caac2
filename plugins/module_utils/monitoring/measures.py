# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A role's ``meta/measures.yml``: what the report asks Prometheus of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.limit import LimitError, parse_limit
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import CardError

SECTIONS = ("response", "traffic", "errors", "availability", "resources", "capacity", "data", "releases")
SHOWN = ("mean", "max", "min", "last")


@dataclass(frozen=True)
class Measure:
    """``query`` is asked over the period, ``total`` once at its end. In both ``$window`` is the time between two points
    and ``$period`` the whole one. ``show`` is what stands for a series where there is no ``total``, ``by`` the labels
    that name one, ``runs_out`` a query for the seconds until nothing is left, ``limit`` a comparison in ``unit``. Only
    of a measure that ``may_be_empty`` it is well to have no data, or little. ``role`` is whose it is."""

    id: str
    section: str
    title: Mapping[str, str]
    unit: str
    query: str
    by: Sequence[str] = ("host",)
    show: str = "mean"
    total: str = ""
    runs_out: str = ""
    limit: str = ""
    may_be_empty: bool = False
    role: str = ""


def read_measures(role: str, data: Any) -> list[dict[str, Any]]:
    """What the file says, once it is complete; plain data, as a lookup returns it."""
    if not isinstance(data, Sequence) or isinstance(data, str):
        raise CardError(f"measures of role {role} are no list")
    for entry in data:
        _measure(entry, f"measures of role {role}")
    return [dict(entry) | {"role": role} for entry in data]


def limited(entries: Sequence[Mapping[str, Any]], limits: Mapping[str, str]) -> list[Measure]:
    """The measures with an inventory's limits, by id."""
    known = [str(entry["id"]) for entry in entries]
    for name in limits:
        if name not in known:
            raise CardError(f"there is no measure {name} to limit; there are {', '.join(known)}")
    return [
        _measure({**entry, "limit": limits.get(entry["id"], entry.get("limit", ""))}, "measures") for entry in entries
    ]


def _measure(entry: Any, where: str) -> Measure:
    names = [one.name for one in fields(Measure)]
    if not isinstance(entry, Mapping) or not set(names[:5]) <= entry.keys():
        raise CardError(f"{where}: {entry} needs {', '.join(names[:5])}")
    if unknown := [name for name in entry if name not in names]:
        raise CardError(f"{where}: {entry['id']} has no {', '.join(unknown)}; it may have {', '.join(names[5:])}")
    measure = Measure(**entry)
    if measure.section not in SECTIONS or measure.show not in SHOWN or "en" not in measure.title:
        raise CardError(
            f"{where}: {measure.id} has section {measure.section} ({', '.join(SECTIONS)}), show {measure.show}"
            f" ({', '.join(SHOWN)}), and a title in {', '.join(measure.title)} (en is needed)"
        )
    if measure.limit:
        try:
            parse_limit(measure.limit)
        except LimitError as error:
            raise CardError(f"{where}: {measure.id}: {error}") from error
    return measure
