# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over ``module_utils/scan/attack``: which sites are attacked how, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.scan import attack, attack_verdict
from ansible_collections.slipway.ops.plugins.plugin_utils.filters import filters_of


def attack_sites(
    declared: Sequence[Mapping[str, Any]], edge: Mapping[str, Any], only: str = ""
) -> list[dict[str, Any]]:
    """What is known of each site that has a name to ask for."""
    return attack.sites(declared, edge, only)


def attack_announced(sites: Sequence[Mapping[str, Any]], sender: str) -> list[str]:
    """What will be sent, one line for each site."""
    return attack.announced(sites, sender)


def attack_results(
    sent: Sequence[Mapping[str, Any]], sites: Sequence[Mapping[str, Any]], log: Sequence[str], sender: str
) -> dict[str, Any]:
    """The records of the evidence with their artifacts, the lines of the summary, and why the run failed."""
    return attack_verdict.results(sites, sent, log, sender)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return filters_of(attack_sites, attack_announced, attack_results)
