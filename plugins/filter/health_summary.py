# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter health_summary."""

from __future__ import annotations

DOCUMENTATION = r"""
name: health_summary
short_description: Counts, worst verdict and a table of health check results
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - Sums up what M(slipway.ops.health_check) returned on one host or on many.
options:
  _input:
    description:
      - A list of results, or a mapping of host names to lists of results.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Sum up one host
  ansible.builtin.debug:
    msg: "{{ (health.results | slipway.ops.health_summary).lines }}"

- name: Stop unless every host is well
  ansible.builtin.assert:
    that: summary.verdict in ['pass', 'warn']
    fail_msg: "{{ summary.lines | join('\n') }}"
  vars:
    summary: "{{ {'app1': app1_results, 'app2': app2_results} | slipway.ops.health_summary }}"
"""

RETURN = r"""
_value:
  description: The summary.
  type: dict
  contains:
    total: {description: How many results there are., type: int}
    counts: {description: How many have each verdict., type: dict}
    verdict: {description: 'The worst verdict; C(unknown) when there are no results.', type: str}
    sentence: {description: 'One line, such as C(12 checks: 1 fail, 11 pass).', type: str}
    lines:
      description: >-
        A table for a terminal. For a list each result, the worst first; for a mapping counts by host, and every result
        that is no pass. Reasons stand beneath their results.
      type: list
      elements: str
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.health.summary import (
    counts,
    fleet_table,
    sentence,
    table,
    worst_verdict,
)

Results = Sequence[Mapping[str, Any]]


def _filter(results: Results | Mapping[str, Results]) -> dict[str, Any]:
    try:
        if isinstance(results, Mapping):
            return _summary([result for group in results.values() for result in group], fleet_table(results))
        return _summary(results, table(results))
    except (KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"health_summary: not results of health_check: {error!r}") from error


def _summary(results: Results, lines: list[str]) -> dict[str, Any]:
    return {
        "total": len(results),
        "counts": counts(results),
        "verdict": worst_verdict(results),
        "sentence": sentence(results),
        "lines": lines,
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict:
        return {"health_summary": _filter}
