# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter health_results."""

from __future__ import annotations

DOCUMENTATION = r"""
name: health_results
short_description: Results of every host, also of those that could not be checked
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Takes what tasks of M(slipway.ops.health_check) registered on many hosts and gives their results.
  - The first result of each host says that it could be checked. One that could not be reached, or where the module
    broke or refused its definitions, has that alone, with the verdict C(fail), so that no host is silently missing.
  - With O(last), what a host's timers measured last and that failed is among its results, in its own words.
options:
  _input:
    description: A mapping of host names to what was registered there; an empty mapping where nothing was.
    type: dict
    required: true
  last:
    description:
      - A mapping of host names to what timers measured there last, RV(slipway.ops.spooled_results#module:latest).
      - Of several hosts that know a result the newest counts, on the first of them. One of more than eight days ago
        says nothing of now; readiness calls it too old.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Sum up all hosts of the play
  ansible.builtin.set_fact:
    summary: "{{ registered | slipway.ops.health_results | slipway.ops.health_summary }}"
  vars:
    registered: "{{ dict(ansible_play_hosts_all | zip(ansible_play_hosts_all | map('extract', hostvars, 'health'))) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: A mapping of host names to lists of results.
  type: dict
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, timestamp
from ansible_collections.slipway.ops.plugins.module_utils.evidence.record import parse_time
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import VERSION

RECENT = datetime.timedelta(days=8)

_ByHost = dict[str, list[dict[str, Any]]]


def _filter(
    registered: Mapping[str, Mapping[str, Any]], last: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> _ByHost:
    if not isinstance(registered, Mapping):
        raise AnsibleFilterError("health_results: give a mapping of host names to what health_check registered there")
    failed = _failed(last or {}, datetime.datetime.now(datetime.timezone.utc) - RECENT)
    return {host: _results(host, outcome) + failed.get(host, []) for host, outcome in registered.items()}


def _failed(last: Mapping[str, Sequence[Mapping[str, Any]]], since: datetime.datetime) -> _ByHost:
    """What timers measured last and that is no pass, by host."""
    now = timestamp()  # what a wrong clock left of the future gives way to everything else
    newest: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
    told = [(result, host) for host, results in last.items() for result in results]
    for result, host in sorted(told, key=lambda one: (one[0]["at"] <= now, one[0]["at"])):
        newest[result["id"], result["subject"]] = (host, result)
    found: _ByHost = {}
    for host, result in newest.values():
        if result["verdict"] == "fail" and parse_time(result["at"]) >= since:
            found.setdefault(host, []).append(dict(result))
    return found


def _results(host: str, outcome: Mapping[str, Any]) -> list[dict[str, Any]]:
    checked = Result(
        id="infrastructure.host.checked",
        area="infrastructure",
        subject=host,
        claim=f"{host} can be reached and its checks can be run",
        verdict="pass",
        source=f"health_check {VERSION}",
    )
    if "results" in outcome:
        return [checked.as_dict(), *outcome["results"]]
    what = "the host cannot be reached" if outcome.get("unreachable") else "the checks could not be run"
    said = " ".join(str(outcome.get(key) or "") for key in ("msg", "module_stderr")).strip()
    checked.verdict = "fail"
    checked.reason = " ".join(f"{what}: {said or 'nothing was registered'}".split())[:1000]
    return [checked.as_dict()]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"health_results": _filter}
