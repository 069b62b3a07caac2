# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases as evidence has them. A release went live before its bake: what the bake said later counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]

RELEASES = ("delivery.deploy.result", "delivery.rollback.result")
BAKE = "delivery.bake.result"
WENT_BACK = "delivery.bake.rollback"


def released(records: Iterable[Record]) -> list[Record]:
    """Releases and rollbacks, oldest first. One that its bake found bad is a failed one, with the bake's reason and
    ``taken_back``: whether an edge went back to the release before."""
    known = {(one["id"], one["subject"], one["at"]): one for one in records if one.get("at")}.values()
    found = sorted((one for one in known if one["id"] in RELEASES), key=lambda one: one["at"])
    bakes = sorted((one for one in known if one["id"] in (BAKE, WENT_BACK)), key=lambda one: one["at"])
    return [_judged(one, _until_the_next(one, found, bakes)) for one in found]


def _until_the_next(one: Record, released_: Sequence[Record], bakes: Sequence[Record]) -> list[Record]:
    """What bakes said of a service after this release and before the next one, which ends them."""
    later = [other["at"] for other in released_ if other["subject"] == one["subject"] and other["at"] > one["at"]]
    end = later[0] if later else None
    return [
        bake
        for bake in bakes
        if bake["subject"].partition(" on ")[0] == one["subject"]
        and bake["at"] > one["at"]
        and (end is None or bake["at"] < end)
    ]


def _judged(one: Record, bakes: Sequence[Record]) -> Record:
    bad = [
        bake
        for bake in bakes
        if bake["id"] == BAKE and bake["verdict"] == "fail" and bake["measured"] == one["measured"]
    ]
    if not bad or one["verdict"] == "fail":
        return one
    reasons = dict.fromkeys(str(bake["reason"]) for bake in bad)
    taken_back = any(bake["id"] == WENT_BACK for bake in bakes)
    return {**one, "verdict": "fail", "reason": "; ".join(reasons), "taken_back": taken_back}
