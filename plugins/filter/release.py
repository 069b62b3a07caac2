# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters over ``module_utils/release``: render a release, decide what a run does."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml
from ansible_collections.slipway.ops.plugins.module_utils.core.units import byte_size
from ansible_collections.slipway.ops.plugins.module_utils.net.address import join_host_port, reached_at
from ansible_collections.slipway.ops.plugins.module_utils.release import (
    compose,
    guards,
    history,
    longest,
    migration,
    plan,
    probe,
    publish,
    report,
    request,
    rolling,
)
from ansible_collections.slipway.ops.plugins.module_utils.release.version import RequestError
from ansible_collections.slipway.ops.plugins.module_utils.service.reader import parse_service
from ansible_collections.slipway.ops.plugins.plugin_utils.locking import owner


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


def bake_boards(surveys: Mapping[str, Mapping[str, Any]], port: int) -> list[str]:
    """Where the hosts of a release ask its app hosts' boards: a host's own address, its name when it listens on all."""
    return [join_host_port(reached_at(host, str(told["address"])), int(port)) for host, told in surveys.items()]


def release_longest(description: Mapping[str, Any], hosts: int, limits: Mapping[str, Any]) -> float:
    """Seconds that a release of the service on so many hosts may take, with the way back."""
    steps = limits["steps"]
    seconds = {name: float(value) for name, value in limits.items() if name != "steps"}
    return longest.longest(parse_service(description), int(hosts), longest.Limits(**seconds, steps=steps))


def engine_timeout(description: Mapping[str, Any], start: float) -> float:
    """Seconds that one command of Docker's for the service may take."""
    return longest.engine_timeout(parse_service(description), float(start))


def release_request(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], action: str, name: str, version: str = ""
) -> dict[str, Any]:
    """The run's id and hosts, and its ``problem`` when it cannot be meant."""
    read = request.read_request(hostvars, groups, request.Request("", action, str(name), str(version), [], []))
    return asdict(read) | {"hosts": read.hosts}


def release_guards(
    variables: Mapping[str, Any], change: str = "", approved_by: str = "", override: str = ""
) -> dict[str, Any]:
    """Whether a release may begin now by the guards among a host's variables, and its ``problem`` when it may not."""
    said = guards.Said(owner(dict(variables)), str(change), str(approved_by), str(override))
    try:
        wanted = guards.read_guards(variables)
        passage = guards.pass_guards(wanted, said, datetime.datetime.now(datetime.timezone.utc))
    except guards.GuardError as error:
        passage, wanted = guards.Passage(str(error)), guards.Guards()
    told = {name: value for name, value in asdict(said).items() if value and name != "by"}
    return asdict(passage) | {"guarded": wanted.any, "said": told}


def retire_problem(
    hostvars: Mapping[str, Any], groups: Mapping[str, Sequence[str]], name: str, force: bool = False
) -> str:
    """See retire_problem.yml."""
    return request.retire_problem(hostvars, groups, str(name), force)


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
        found = decided.as_dict() | {"batches": [], "scales": bool(asked.get("scales"))}
        if rolling.rolls(asked.get("strategy", ""), found):
            planned = rolling.plan_batches(found, surveys, pools, str(asked["max_unavailable"]))
            now = rolling.serving(found["pointed"], surveys, pools)
            found |= {"batches": [asdict(batch) for batch in planned], "serving": now}
    except RequestError as error:
        return {"problems": [str(error)], "nothing": True}
    problems = request.problems(surveys, pools, found, byte_size(min_free), asked.get("strategy", ""))
    override = str(asked.get("override") or "")
    problems += request.bake_problems(surveys, found, override)
    if not (found["nothing"] or override):
        problems += [told for told in [migration.way_problem(decided.target.version, truth.events)] if told]
    return found | {"problems": problems}


def migration_problem(decided: Mapping[str, Any], surveys: Mapping[str, Any], works_with: str) -> str:
    """See migration_problem.yml."""
    events = history.merge(survey["history"] for survey in surveys.values())
    live = (decided["live"] or {}).get("version", "")
    return migration.migration_problem(live, decided["target"]["version"], works_with, events)


def rolling_batches(now: Mapping[str, str], to: str, unavailable: str) -> list[dict[str, Any]]:
    """See rolling_batches.yml."""
    return [asdict(batch) for batch in rolling.batches(now, to, rolling.batch_size(str(unavailable), len(now)))]


def publish_problems(images: Any, registry: str, users: Any) -> list[str]:
    """What is wrong with the images that are to be published."""
    return publish.problems(images, registry, users)


def release_events(decided: Mapping[str, Any], origin: Mapping[str, Any], event: str, reason: str = "") -> list[Any]:
    """What the history gets when a run has ``begun``, is ``done`` or has ``failed``."""
    return plan.Plan.from_dict(decided).events(origin, event, reason)


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
            bake_boards,
            engine_timeout,
            gate_checks,
            migration_problem,
            pool_url,
            publish_problems,
            release_events,
            release_failure,
            release_files,
            release_guards,
            release_longest,
            release_plan,
            release_probe,
            release_report,
            release_request,
            retire_problem,
            rolling_batches,
        )
        return {function.__name__: function for function in public}
