# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a playbook would change: how it is run to tell, and what its events (`ansible.posix.jsonl`) say."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result, Verdict

SOURCE = "drift 0.1.0"
DIFF_CHARACTERS = 20000  # of one difference, in the artifact
NAMED = 3  # things that a line names
SAID = 1000  # characters of a host's error

_ROLE = re.compile(r"(?:\w+\.)*(\w+) : (.*)", re.DOTALL)
# What the operator gave ansible-playbook holds for the run beneath it. Tags are none of them: all is compared.
_OPTIONS = {
    "subset": "--limit",
    "forks": "--forks",
    "remote_user": "--user",
    "private_key_file": "--private-key",
    "connection": "--connection",
    "timeout": "--timeout",
    "ssh_common_args": "--ssh-common-args",
    "sftp_extra_args": "--sftp-extra-args",
    "scp_extra_args": "--scp-extra-args",
    "ssh_extra_args": "--ssh-extra-args",
    "become_method": "--become-method",
    "become_user": "--become-user",
}


def arguments(given: Mapping[str, Any], playbook: str) -> list[str]:
    """Options of the run beneath; what is secret is added by who writes it into files."""
    options = [f"{name}={given[key]}" for key, name in _OPTIONS.items() if given.get(key)]
    options += [f"--inventory={source}" for source in given.get("inventory") or ()]
    options += [f"--extra-vars={text}" for text in given.get("extra_vars") or ()]
    options += ["--become"] if given.get("become") else []
    return [*options, "--check", "--diff", playbook]


@dataclass
class Difference:
    """A task that would change something: `what` it would change, and by how many lines."""

    host: str
    topic: str
    task: str
    what: list[str]
    added: int
    removed: int
    diff: str

    def line(self) -> str:
        more = f" and {len(self.what) - NAMED} more" if len(self.what) > NAMED else ""
        things = ", ".join(self.what[:NAMED]) + more
        lines = f" (+{self.added} -{self.removed})" if self.added or self.removed else ""
        return f"{self.host}: {self.topic}: {self.task}" + (f": {things}" if things else "") + lines


@dataclass
class Comparison:
    """`topics` are the roles that were compared, by host; `problems` why a host was not compared to the end."""

    topics: dict[str, list[str]] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        if self.problems:
            return "unknown"
        return "fail" if self.differences else "pass"

    def lines(self) -> list[str]:
        return [one.line() for one in self.differences] + [f"{host}: {why}" for host, why in self.problems.items()]

    def sentence(self) -> str:
        differing = len({one.host for one in self.differences})
        number = len(self.differences)
        told = f"{number} difference{'s' if number > 1 else ''} on {differing} of {len(self.topics)} hosts"
        unknown = f"; not compared: {', '.join(self.problems)}" if self.problems else ""
        compared = len(self.topics.keys() - self.problems.keys())
        return (told if self.differences else f"no difference on {compared} of {len(self.topics)} hosts") + unknown

    def artifact(self) -> str:
        return json.dumps([asdict(one) for one in self.differences], indent=1, ensure_ascii=False)

    def records(self, at: str, took: float) -> list[dict[str, Any]]:
        """Evidence: of each host whether it was compared, and of each of its topics how much differs."""
        found = []
        for host, topics in self.topics.items():
            problem = self.problems.get(host)
            common: dict[str, Any] = {"area": "operations", "subject": host, "at": at, "took": took, "source": SOURCE}
            claim = f"{host} can be compared with the inventory"
            verdict: Verdict = "unknown" if problem else "pass"
            found.append(Result("operations.drift.compared", claim=claim, verdict=verdict, reason=problem, **common))
            for topic in topics:
                lines = [one.line() for one in self.differences if (one.host, one.topic) == (host, topic)]
                result = Result(
                    f"operations.drift.{topic}",
                    claim=f"{topic} on {host} is as the inventory says",
                    verdict="fail" if lines else "pass",
                    measured=len(lines),
                    limit="= 0",
                    reason="\n".join(lines)[:4000] or None,
                    **common,
                )
                found.append(result)
        return [one.as_dict() for one in found]


def read(output: str, errors: str, hosts: Sequence[str]) -> Comparison:
    """What a run said of the hosts; a host that it says nothing of, or that it gave up, was not compared."""
    found = Comparison({host: [] for host in hosts})
    failures: dict[str, str] = {}
    stats: Mapping[str, Any] | None = None
    other: list[str] = []
    for event in _events(output, other):
        stats = event.get("stats", stats)
        topic, task = _topic(event.get("task", {}).get("name", ""))
        for host, result in event.get("hosts", {}).items():
            if host not in found.topics or event["_event"] == "v2_runner_on_skipped":
                continue
            if event["_event"] != "v2_runner_on_ok":
                failures[host] = f"{topic}: {task}: {_message(result)}"
                continue
            if topic not in found.topics[host]:
                found.topics[host].append(topic)
            if result.get("changed"):
                found.differences.append(_difference(host, topic, task, result))
    said = " ".join(f"{errors} {' '.join(other)}".split())[-SAID:]
    for host in hosts:
        state = (stats or {}).get(host, {})
        if stats is None:
            found.problems[host] = failures.get(host) or f"the run did not come to its end: {said or 'it said nothing'}"
        elif state.get("failures") or state.get("unreachable"):
            found.problems[host] = failures.get(host, "it failed")
        elif not found.topics[host]:
            found.problems[host] = "no task was run there" + (f"; the run said: {said}" if said else "")
    return found


def _events(output: str, other: list[str]) -> Iterator[dict[str, Any]]:
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and "_event" in event:
            yield event
        elif line.strip():
            other.append(line.strip())


def _topic(name: str) -> tuple[str, str]:
    """The role of a task and the task in it, from the name that Ansible gives it."""
    found = _ROLE.fullmatch(name)
    return (found[1], found[2]) if found else ("playbook", name)


def _message(result: Mapping[str, Any]) -> str:
    parts = [result.get("msg"), result.get("stderr"), result.get("module_stderr")]
    failed = [item.get("msg") for item in result.get("results") or () if item.get("failed")]
    return " ".join(" ".join(str(part) for part in [*parts, *failed] if part).split())[:SAID] or "it failed"


def _difference(host: str, topic: str, task: str, result: Mapping[str, Any]) -> Difference:
    results = [item for item in result.get("results") or () if isinstance(item, Mapping) and item.get("changed")]
    changed = results or [result]
    what = list(dict.fromkeys(str(thing) for one in changed for thing in _things(one) if thing))
    lines = [line for one in changed for diff in _diffs(one) for line in _unified(diff)]
    signs = [line[:1] for line in lines]
    text = "\n".join(lines)[:DIFF_CHARACTERS]
    return Difference(host, topic, task, what, signs.count("+"), signs.count("-"), text)


def _things(result: Mapping[str, Any]) -> Iterable[Any]:
    """What a result says that it would change: paths, units, packages; else the item of the loop."""
    for key in ("changed_paths", "actions"):
        if result.get(key):
            return list(result[key])
    heads = [diff.get("after_header") or diff.get("before_header") for diff in _diffs(result)]
    if any(heads):
        return [str(head).partition(" (content)")[0] for head in heads if head]
    return [next((result[key] for key in ("dest", "path", "name", "cmd", "item") if result.get(key)), "")]


def _diffs(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    diff = result.get("diff") or []
    return [one for one in (diff if isinstance(diff, list) else [diff]) if isinstance(one, Mapping)]


def _unified(diff: Mapping[str, Any]) -> list[str]:
    if diff.get("prepared"):
        return str(diff["prepared"]).splitlines()
    before, after = (_lines(diff.get(side)) for side in ("before", "after"))
    return list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]


def _lines(side: Any) -> list[str]:
    if side is None:
        return []
    return (side if isinstance(side, str) else json.dumps(side, indent=1, sort_keys=True, default=str)).splitlines()
