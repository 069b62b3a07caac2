# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over ``module_utils/release``: read a service's description, render a release, decide what a run does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.slipway.ops.plugins.module_utils.release import compose, plan, probe, report, request
from ansible_collections.slipway.ops.plugins.module_utils.release.service import (
    COLOURS,
    ServiceError,
    find_service,
    parse_service,
    without_secrets,
)
from ansible_collections.slipway.ops.plugins.module_utils.units import byte_size


class _Dumper(yaml.SafeDumper):
    """Plain YAML: no aliases, text of several lines as a block, and Ansible's string types as the text they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|" if "\n" in text else None)


_Dumper.add_multi_representer(str, _represent_text)
_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(dict, lambda dumper, value: dumper.represent_dict(dict(value)))
_Dumper.add_multi_representer(list, lambda dumper, value: dumper.represent_list(list(value)))


def service(services: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The service called ``name`` with its defaults filled in, and without the values of its secrets."""
    try:
        return without_secrets(find_service(services, name))
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error


def services_problems(services: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with each description; also ports that two services would share."""
    problems: list[str] = []
    owners: dict[int, str] = {}
    for item in services:
        try:
            found = parse_service(item)
        except ServiceError as error:
            problems.append(str(error))
            continue
        for port in found.host_ports("blue") + found.host_ports("green"):
            first = owners.setdefault(port, found.name)
            if first != found.name:
                problems.append(f"Services {first} and {found.name} would share port {port}.")
    return problems


def services_tree(services: Sequence[Mapping[str, Any]], root: str) -> dict[str, list[dict[str, Any]]]:
    """``files`` and ``directories`` for ``config_tree``: what each service needs on a host besides its releases."""
    files: list[dict[str, Any]] = []
    directories: list[dict[str, Any]] = [{"path": root}]
    for item in services:
        found = parse_service(item)
        top = f"{root}/{found.name}"
        uid, _, gid = found.user.partition(":")
        owner = {"owner": uid, "group": gid or uid}
        directories += [{"path": top}, {"path": f"{top}/releases"}, {"path": f"{top}/volumes"}]
        directories += [{"path": f"{top}/volumes/{volume.name}", "mode": "0750", **owner} for volume in found.volumes]
        directories.append({"path": f"{top}/secrets", "mode": "0500", "owned": True, **owner})
        files += [
            {"path": f"{top}/secrets/{name}", "content": str(value), "mode": "0400", "secret": True, **owner}
            for name, value in sorted(found.secrets.items())
        ]
    return {"files": files, "directories": directories}


def release_files(description: Mapping[str, Any], version: str, colour: str, **place: str) -> dict[str, str]:
    """The text of every file of a release; ``place`` is ``host``, ``address`` and ``directory``."""
    files = compose.release_files(parse_service(description), version, colour, compose.Place(**place))
    return {name: _text(name, content) for name, content in files.items()}


def _text(name: str, content: str | dict[str, Any]) -> str:
    if isinstance(content, str):
        return content
    if name.endswith(".json"):
        return json.dumps(content, indent=2) + "\n"
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120)


def release_request(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], action: str, name: str, version: str = ""
) -> dict[str, Any]:
    """The run's id and hosts, and its ``problem`` when it cannot be meant."""
    read = request.read_request(hostvars, groups, request.Request("", action, str(name), str(version), [], []))
    return asdict(read) | {"hosts": read.hosts}


def answers(hostvars: Mapping[str, Any], variable: str, hosts: Sequence[str], *keys: str) -> dict[str, Any]:
    """By host, a variable that a task registered there, or what is under ``keys`` in it; others are left out."""
    found = {}
    for host in hosts:
        value = hostvars[host].get(variable)
        for key in keys:
            value = value.get(key) if value else None
        if value and not (isinstance(value, Mapping) and (value.get("skipped") or value.get("failed"))):
            found[host] = value
    return found


def host_ports(description: Mapping[str, Any]) -> dict[str, list[int]]:
    """The host ports of each colour."""
    found = parse_service(description)
    return {colour: found.host_ports(colour) for colour in COLOURS}


def pool_url(pools: Sequence[Mapping[str, Any]], name: str) -> str:
    """Where HAProxy's frontend of a pool answers on its own host; empty when there is no such pool."""
    return probe.pool_url(pools, name)


def release_probe(
    description: Mapping[str, Any], pools: Sequence[Mapping[str, Any]], nginx: Mapping[str, Any]
) -> dict[str, str]:
    """Where a service is asked on an edge: ``url``, ``post_url`` and ``address`` for ``traffic``."""
    return probe.probe(parse_service(description), pools, probe.Nginx(**nginx)).as_dict()


def gate_checks(description: Mapping[str, Any], colour: str, address: str, host: str) -> list[dict[str, Any]]:
    """Checks of every instance of a colour for ``health_check``."""
    return request.gate_checks(parse_service(description), colour, address, host)


def release_plan(
    surveys: Mapping[str, Any], pools: Mapping[str, Any], asked: Mapping[str, Any], min_free: str, force: bool = False
) -> dict[str, Any]:
    """What a run has to do, from the app hosts' surveys and the edges' pools, and the ``problems`` that forbid it."""
    if not pools:
        name = asked["service"]
        told = f"No host of group edge has {name} in haproxy_pools. Give the service an edge_port and run site.yml."
        return {"problems": [told], "nothing": True}
    truth = plan.find_truth({edge: pool["live"] for edge, pool in pools.items()}, surveys)
    try:
        if asked["action"] == "rollback":
            decided = plan.plan_rollback(truth, surveys, asked["version"] or None)
        else:
            decided = plan.plan_deploy(truth, surveys, asked["version"], force)
    except ServiceError as error:
        return {"problems": [str(error)], "nothing": True}
    found = decided.as_dict()
    return found | {"problems": request.problems(surveys, pools, found, byte_size(min_free))}


def release_failure(failures: Mapping[str, Mapping[str, str]], unreachable: Sequence[str]) -> str:
    """Why a run failed, in one sentence."""
    return report.why(failures, list(unreachable))


def release_report(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The lines of the summary and the records of the evidence."""
    outcome = report.Outcome(**facts)
    return {
        "summary": report.summary(outcome),
        "records": report.records(outcome),
        "artifacts": report.artifacts(outcome),
    }


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        public = (
            answers,
            gate_checks,
            host_ports,
            pool_url,
            release_failure,
            release_files,
            release_plan,
            release_probe,
            release_report,
            release_request,
            service,
            services_problems,
            services_tree,
        )
        return {function.__name__: function for function in public}
