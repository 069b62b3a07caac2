#!/usr/bin/env python3
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a service's pipeline asks of Slipway. Needs Python 3.10 and ansible-playbook, nothing else.

    slipway_ci.py play --project ops --inventory inventories/production deploy service=shop version=2.0.0
    slipway_ci.py scan trivy.json --high 5
    slipway_ci.py notify "shop 2.0.0 waits for approval"

Secrets come by the environment alone - SLIPWAY_SSH_KEY with SLIPWAY_KNOWN_HOSTS, SLIPWAY_VAULT_PASSWORD,
SLIPWAY_WEBHOOK. They are files of this run's own while it lasts, and in no command's arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REFUSED = 64  # exit code of what cannot be meant
SECRETS = ("SLIPWAY_SSH_KEY", "SLIPWAY_KNOWN_HOSTS", "SLIPWAY_VAULT_PASSWORD", "SLIPWAY_WEBHOOK")
# Who runs it, in a container whose own user is nobody; the first that is there.
RUNNERS = ("SLIPWAY_RUN_BY", "GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN")
GRADES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_VERB = re.compile(r"[a-z][a-z_]*")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class CiError(ValueError):
    """What cannot be meant or done; the message tells what to do."""


def variables_of(given: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE; an empty value is an optional input that nobody gave."""
    found = {}
    for one in given:
        name, mark, value = one.partition("=")
        if not mark or not _NAME.fullmatch(name):
            raise CiError(f"{one!r} is no variable; say NAME=VALUE, such as version=2.0.0.")
        if value:
            found[name] = value
    return found


def play(project: Path, inventory: str, verb: str, given: Sequence[str], secrets: Mapping[str, str]) -> int:
    """Runs a verb of Slipway in the project, without a terminal; its exit code."""
    variables = variables_of(given)
    if not _VERB.fullmatch(verb):
        raise CiError(f"{verb!r} is no verb; they are names of playbooks, such as deploy.")
    if not (project / inventory).exists():
        raise CiError(f"There is no inventory {project / inventory}. Is the project checked out there?")
    with tempfile.TemporaryDirectory(prefix="slipway-ci-") as private:
        place = Path(private)
        argv = ["ansible-playbook", "-i", inventory, f"slipway.ops.{verb}"]
        argv += ["--extra-vars", f"@{_secret(place, 'variables.json', json.dumps(variables))}"]
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        argv += _login(place, secrets, environment)
        if by := next(filter(None, map(environment.get, RUNNERS)), ""):
            environment["SLIPWAY_RUN_BY"] = by
        return _run(argv, project, environment)


def _run(argv: Sequence[str], project: Path, environment: Mapping[str, str]) -> int:
    """A pipeline that is cancelled ends the run with it, and what it had of secrets goes."""
    try:
        process = subprocess.Popen(argv, cwd=project, env=dict(environment), stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise CiError("ansible-playbook is not here. Run this in Slipway's execution environment.") from None
    former = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, former)


def _login(place: Path, secrets: Mapping[str, str], environment: dict[str, str]) -> list[str]:
    """Options and environment by which Ansible finds the key, the hosts' keys and the vault's password."""
    if key := secrets.get("SLIPWAY_SSH_KEY"):
        known = secrets.get("SLIPWAY_KNOWN_HOSTS")
        if not known:
            raise CiError("SLIPWAY_KNOWN_HOSTS is empty: keys of hosts are not taken on trust. ssh-keyscan shows them.")
        environment["ANSIBLE_PRIVATE_KEY_FILE"] = str(_secret(place, "key", key.rstrip("\n") + "\n"))
        hosts = _secret(place, "known_hosts", known.rstrip("\n") + "\n")
        environment["ANSIBLE_SSH_COMMON_ARGS"] = f"-o UserKnownHostsFile={hosts} -o StrictHostKeyChecking=yes"
    if password := secrets.get("SLIPWAY_VAULT_PASSWORD"):
        return ["--vault-password-file", str(_secret(place, "vault", password))]
    return []


def _secret(place: Path, name: str, content: str) -> Path:
    path = place / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    return path


def scan(report: Path, most: Mapping[str, int]) -> list[str]:
    """Findings of Trivy's JSON beyond what may be. A report that is none proves nothing, and is refused."""
    try:
        told: Any = json.loads(report.read_text(encoding="utf-8"))
        found = [one["Severity"] for result in told["Results"] for one in result.get("Vulnerabilities") or []]
        scanned = told["ArtifactName"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CiError(
            f"{report} is no report of Trivy as JSON ({error}). What was not scanned is not released."
        ) from None
    counts = {grade: found.count(grade) for grade in GRADES}
    print(f"{scanned}: " + ", ".join(f"{grade.lower()} {count}" for grade, count in counts.items()))
    return [
        f"{grade.lower()}: {counts[grade]}, at most {limit}" for grade, limit in most.items() if counts[grade] > limit
    ]


def notify(text: str, url: str) -> None:
    """Tells a webhook as Slack, Mattermost and Teams' workflows take it."""
    if not url:
        print(f"Nobody is told, SLIPWAY_WEBHOOK is empty: {text}")
        return
    if not url.startswith(("https://", "http://localhost", "http://127.0.0.1")):
        raise CiError("SLIPWAY_WEBHOOK does not begin with https://, and it is a secret.")
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 (looked at above)
    try:
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            print(f"Told: {text}")
    except urllib.error.HTTPError as error:
        raise CiError(f"The webhook answers {error.code}; nobody was told.") from None
    except OSError as error:
        raise CiError(f"The webhook cannot be reached ({getattr(error, 'reason', error)}); nobody was told.") from None


def approver(environment: Mapping[str, str], waited_for: str) -> str:
    """Who let GitHub's run go on into the environment that it ``waited_for``; nobody, when it did not have to wait.

    The list is of all environments of the run: whoever let staging begin has not approved production."""
    try:
        url = "{GITHUB_API_URL}/repos/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}/approvals".format_map(
            environment
        )
        token = environment["GITHUB_TOKEN"]
    except KeyError as error:
        raise CiError(f"{error.args[0]} is missing; GitHub's runner sets it, and the workflow GITHUB_TOKEN.") from None
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:  # noqa: S310
            told = json.load(answer)
        approved = [one["user"]["login"] for one in told if one["state"] == "approved" and _is_of(one, waited_for)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CiError(
            f"GitHub does not say who approved ({error}). The job needs the permission actions: read."
        ) from None
    return str(approved[-1]) if approved else ""


def _is_of(approval: Mapping[str, Any], environment: str) -> bool:
    """GitHub's environments are the same in small letters and capitals."""
    return environment.lower() in [str(one["name"]).lower() for one in approval["environments"]]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    play_parser = commands.add_parser("play", help="run a verb of Slipway")
    play_parser.add_argument("--project", type=Path, required=True, help="checkout that has the inventory")
    play_parser.add_argument("--inventory", required=True, help="within it")
    play_parser.add_argument("verb")
    play_parser.add_argument("variables", nargs="*", metavar="NAME=VALUE")
    scan_parser = commands.add_parser("scan", help="hold an image's scan to limits")
    scan_parser.add_argument("report", type=Path)
    scan_parser.add_argument("--critical", type=int, default=0)
    scan_parser.add_argument("--high", type=int, default=0)
    notify_parser = commands.add_parser("notify", help="tell a channel")
    notify_parser.add_argument("text")
    approver_parser = commands.add_parser("approver", help="who approved the run of GitHub")
    approver_parser.add_argument("environment", nargs="?", default="production", help="that the job waited for")
    given = parser.parse_args(argv)
    secrets = {name: os.environ.get(name, "") for name in SECRETS}
    try:
        if given.command == "play":
            return play(given.project, given.inventory, given.verb, given.variables, secrets)
        if given.command == "scan":
            beyond = scan(given.report, {"CRITICAL": given.critical, "HIGH": given.high})
            print("\n".join(beyond), file=sys.stderr, end="\n" if beyond else "")
            return 1 if beyond else 0
        if given.command == "approver":
            print(approver(os.environ, given.environment))
        else:
            notify(given.text, secrets["SLIPWAY_WEBHOOK"])
    except CiError as error:
        print(error, file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
