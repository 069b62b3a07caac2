# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over ``module_utils/traffic/load``: whether a load may be sent, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.traffic import load


def _load(order: Mapping[str, Any]) -> load.Load:
    rates = {str(client): float(rate) for client, rate in order["rates"].items()}
    limits = {str(name): str(limit) for name, limit in order["limits"].items()}
    return load.Load(rates, float(order["seconds"]), limits, float(order["slower"]))


def load_problem(order: Mapping[str, Any]) -> str:
    """Why a load must not be sent; empty when it may."""
    try:
        return load.load_problem(_load(order))
    except (AttributeError, TypeError, ValueError) as error:
        return f"load_rates, load_seconds, load_limits and load_slower are numbers and limits by name: {error}."


def load_results(
    traffic: Mapping[str, Any], order: Mapping[str, Any], subject: str, last: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The records of the evidence, the lines of the summary, and why the run failed."""
    found = load.judge_load(traffic, _load(order), str(subject), last)
    failures = [str(result["reason"]) for result in found if result["verdict"] in ("fail", "unknown")]
    head = f"{subject}: {'a limit was not kept' if failures else 'every limit was kept'}"
    return {"records": found, "summary": [head, *load.load_in_words(found)], "failures": failures}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {function.__name__: function for function in (load_problem, load_results)}
