# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From cards to the configuration of Prometheus."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.monitoring import alerts, probes, scrape
from ansible_collections.slipway.ops.plugins.module_utils.net.address import AddressError

HEAD = "# Written by the role slipway.ops.prometheus; changes here are lost.\n"


def scrape_jobs(targets: list[dict[str, Any]], host: str) -> list[dict[str, Any]]:
    """See scrape_jobs.yml."""
    try:
        return scrape.jobs(targets, host)
    except AddressError as error:
        raise AnsibleFilterError(f"scrape_jobs: {error}") from error


def out_of_reach(targets: list[dict[str, Any]], host: str) -> list[str]:
    """See out_of_reach.yml."""
    return scrape.out_of_reach(targets, host)


def probe_list(entries: list[dict[str, Any]], host: str, *wishes: Any) -> list[dict[str, Any]]:
    """See probes.yml."""
    try:
        found = probes.probes(entries, probes.Watcher(host, *wishes))
    except (probes.ProbeError, AddressError) as error:
        raise AnsibleFilterError(f"probes: {error}") from error
    return [asdict(one) | {"has_certificate": one.has_certificate} for one in found]


def probe_problems(entries: list[dict[str, Any]], host: str, *wishes: Any) -> list[str]:
    """See probe_problems.yml."""
    return list(probes.problems(entries, probes.Watcher(host, *wishes)))


def password_files(jobs: list[dict[str, Any]], group: str) -> list[dict[str, Any]]:
    """See password_files.yml."""
    access = {"group": group, "mode": "0640", "secret": True}
    return [
        {"path": f"passwords/{job['name']}", "content": job["password"]} | access for job in jobs if job["password"]
    ]


def rule_files(
    brought: list[dict[str, Any]], changes: Mapping[str, Any], own: list[dict[str, Any]], objective: float
) -> list[dict[str, Any]]:
    """See rule_files.yml."""
    budget = {"record": "slipway:error_budget:percent", "expr": f"vector({round(100 - objective, 6):g})"}
    sets = [(one["role"], alerts.changed(one["groups"], changes)) for one in brought]
    return [
        {"path": f"rules/{name}.yml", "content": HEAD + _yaml({"groups": groups})}
        for name, groups in [*sets, ("inventory", [{"name": "objective", "rules": [budget]}, *own])]
    ]


def rule_problems(brought: list[dict[str, Any]], changes: Mapping[str, Any]) -> list[str]:
    """See rule_problems.yml."""
    names = [str(rule["alert"]) for one in brought for rule in alerts.rules_of(one["groups"]) if "alert" in rule]
    return list(alerts.change_problems(names, changes))


def _yaml(data: Any) -> str:
    plain = json.loads(json.dumps(data))  # Ansible's texts are types of their own
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "scrape_jobs": scrape_jobs,
            "out_of_reach": out_of_reach,
            "probes": probe_list,
            "probe_problems": probe_problems,
            "password_files": password_files,
            "rule_files": rule_files,
            "rule_problems": rule_problems,
        }
