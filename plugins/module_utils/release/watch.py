# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What looking at a release under traffic comes to: whether to take it back, to look on, or to let it stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import LATE, lateness

FIRST = 3.0  # seconds before the first judgement: fewer are too few requests to judge by
PATIENCE = 60.0  # seconds beyond the watch for which a late prober may still see its first answer

_WAY_OUT = "Where this service is asked is watch.url of app_services, else its location in nginx_sites."


@dataclass(frozen=True)
class Look:
    """One look. ``watched`` and ``wanted`` are seconds, ``traffic`` a prober's summary and ``judged`` its results,
    ``down`` the servers of the live set that are down, ``served`` how many requests HAProxy has sent to the set."""

    watched: float
    wanted: float
    traffic: Mapping[str, Any]
    judged: Sequence[Mapping[str, Any]]
    down: Sequence[str] = ()
    served: int = 0
    version: str = ""


@dataclass
class Decision:
    """``refused`` are the reasons to take the release back, ``doubts`` what could not be measured, ``over`` the end."""

    refused: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    over: bool = False


def decide(look: Look) -> Decision:
    """The sooner a bad release is refused the fewer see it. What the prober missed by its own fault refuses none."""
    decision = Decision([*_silence(look), *look.down])
    if look.watched >= min(FIRST, look.wanted):
        measured = bool(look.traffic["total"]["requests"])
        for result in look.judged:
            if result["verdict"] == "fail" or (result["verdict"] == "unknown" and not (measured or _late(look))):
                decision.refused.append(str(result["reason"]))
            elif result["verdict"] == "unknown":
                decision.doubts.append(str(result["reason"]))
    stranger = _stranger(look)
    if look.watched >= look.wanted and not (stranger and _late(look) and look.watched < look.wanted + PATIENCE):
        decision.over = True
        decision.refused += [stranger] if stranger else []
    decision.over = decision.over or bool(decision.refused)
    return decision


def _silence(look: Look) -> list[str]:
    """Why nobody asks any more; what was asked before says nothing of now."""
    if look.traffic["running"]:
        return []
    return [f"Nobody asks {look.traffic['url']} any more: the prober has ended ({look.traffic['ended_because']})."]


def _late(look: Look) -> bool:
    return float(look.traffic["total"]["prober_late"]) > LATE


def _stranger(look: Look) -> str:
    """Why what was watched is not the new release; empty when it is."""
    url, total = look.traffic["url"], look.traffic["total"]
    told = {str(seen["version"]): int(seen["responses"]) for seen in look.traffic["versions"] if look.version}
    if not total["answers"]:
        why = f" {lateness(total['prober_late'])}." if _late(look) else ""
        return f"No request to {url} was answered while it was watched.{why}"
    if told and look.version not in told:
        others = ", ".join(f"{version} ({count})" for version, count in told.items())
        return (
            f"No answer of {url} was {look.version}'s, they were those of {others}: another release was watched. "
            f"{_WAY_OUT} A service whose answers give another version than its image's tag sets watch.version to false."
        )
    if not look.served:
        return f"{url} answers, but HAProxy sent the new release no request: another service was watched. {_WAY_OUT}"
    return ""
