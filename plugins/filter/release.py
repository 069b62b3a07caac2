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
from ansible_collections.slipway.ops.plugins.module_utils.release import compose, plan
from ansible_collections.slipway.ops.plugins.module_utils.release.service import (
    ServiceError,
    check_version,
    find_service,
    parse_service,
)


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
        found = asdict(find_service(services, name))
    except ServiceError as error:
        raise AnsibleFilterError(str(error)) from error
    return found | {"secrets": dict.fromkeys(found["secrets"], "")}


def service_problem(services: Sequence[Mapping[str, Any]], name: str, version: str = "") -> str:
    """What is wrong with a service's description, its name or a version, as a sentence; empty when nothing is."""
    try:
        find_service(services, name)
        if version:
            check_version(version)
    except ServiceError as error:
        return str(error)
    return ""


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


def release_plan(
    surveys: Mapping[str, Any], edges: Mapping[str, str], action: str, version: str = "", force: bool = False
) -> dict[str, Any]:
    """What a run has to do, from the app hosts' surveys and each edge's live colour; ``problem`` when it cannot."""
    truth = plan.find_truth(edges, surveys)
    try:
        if action == "rollback":
            decided = plan.plan_rollback(truth, surveys, version or None)
        else:
            decided = plan.plan_deploy(truth, surveys, version, force)
    except ServiceError as error:
        return {"problem": str(error), "live": asdict(truth.live) if truth.live else None, "notes": truth.notes}
    return {"problem": "", "live": asdict(truth.live) if truth.live else None, **decided.as_dict()}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "service": service,
            "service_problem": service_problem,
            "services_problems": services_problems,
            "services_tree": services_tree,
            "release_files": release_files,
            "release_plan": release_plan,
        }
