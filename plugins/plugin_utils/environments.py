# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which environment a run is for, and whether somebody has to say so before it begins."""

from __future__ import annotations

import os
from collections.abc import Mapping

GUARDED = "production"
SPOKEN = 6  # hosts that are named


class EnvironmentRefused(Exception):
    """What an operator reads; nothing was changed."""


def environment_of(hosts: Mapping[str, str]) -> str:
    """The one environment of these hosts, each with its own; empty where none has any."""
    found: dict[str, list[str]] = {}
    for host, name in hosts.items():
        if name:
            found.setdefault(name, []).append(host)
    if len(found) > 1:
        said = "; ".join(f"{named(members)}: {name}" for name, members in sorted(found.items()))
        raise EnvironmentRefused(
            f"The hosts are of several environments ({said}), and a run is for one: use two inventories, or --limit."
        )
    return next(iter(found), "")


def question(environment: str, hosts: list[str], confirm: str) -> str:
    """What somebody is asked before the run begins; empty where nobody is, for that was said or need not be."""
    # A pipeline says it always; where the inventory says nothing, nobody would have been asked.
    nameless = confirm == GUARDED and not environment
    if confirm and confirm != environment and not nameless:
        raise EnvironmentRefused(
            f"confirm is {confirm}, and this inventory is {environment or 'of no environment (slipway_environment)'}. "
            "Is it the right one (-i)?"
        )
    if environment != GUARDED or confirm:
        return ""
    return f"This changes {environment}: {named(hosts)}. Type {environment} to go on: "


def approved_elsewhere(variables: Mapping[str, object]) -> bool:
    """In AWX an approval node stands for the question, and nobody is there to answer."""
    return bool(variables.get("awx_job_id") or variables.get("tower_job_id") or os.environ.get("AWX_JOB_ID"))


def named(hosts: list[str]) -> str:
    more = f" and {len(hosts) - SPOKEN} more" if len(hosts) > SPOKEN else ""
    return ", ".join(hosts[:SPOKEN]) + more
