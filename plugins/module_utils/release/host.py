# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes releases on this host: starts and stops a colour, hands the workers over, clears old versions away."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace
from ansible_collections.slipway.ops.plugins.module_utils.release import engine, history
from ansible_collections.slipway.ops.plugins.module_utils.release.version import check_version
from ansible_collections.slipway.ops.plugins.module_utils.service.model import COLOURS, project_name

RECENT = 60  # seconds that a worker runs after it was started again before it counts as one that goes on
BUSY = 120  # seconds: how long a command that a killed run left behind may still hold the service

MIGRATION = "slipway.migration"  # the label of a migration's container: its service


class ReleaseError(Exception):
    """A change was not possible; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Host:
    """A service's place on this host. ``timeout`` bounds each command of Docker's, in seconds."""

    service: str
    directory: Path
    timeout: float = 300

    @property
    def history(self) -> Path:
        """Where the history is."""
        return self.directory / "history.jsonl"

    @property
    def migration(self) -> str:
        """The container, and the Compose project, in which a release changes its database."""
        return f"{self.service}-migration"

    def release_directory(self, version: str, colour: str) -> Path:
        """Where the files of a version are, for one colour: both can run the same version."""
        return self.directory / "releases" / check_version(version) / colour

    @contextlib.contextmanager
    def held(self) -> Iterator[int]:
        """One change at a time on this host, also against a command that outlived its killed run.

        The descriptor goes to Docker's commands: the kernel frees the lock when the last of them ends.
        """
        make_directory(self.directory)
        descriptor = os.open(self.directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor, time.monotonic() + BUSY)
            yield descriptor
        finally:
            os.close(descriptor)

    def start(self, version: str, colour: str, files: Mapping[str, str], held: int, keep: bool = False) -> bool:
        """Writes the release's files and starts its instances, not its workers; true when anything changed.

        Those that there are no more in the files are removed; ``keep`` leaves those that run as they are.
        """
        changed = write_files(self.release_directory(version, colour), files) if files else False
        place = self._existing(version, colour)
        before = self._started(colour)
        command = ["up", "--detach", "--no-build", "--remove-orphans", "--quiet-pull"]
        self._compose(place, colour, command + (["--no-recreate"] if keep else []), held)
        return changed or self._started(colour) != before

    def migrate(self, version: str, colour: str, files: Mapping[str, str], command: Sequence[str], held: int) -> str:
        """Runs a command of the release in a container of its own, to its end; returns its last words.

        It is none of the colour's, which a failure removes: whoever ends a migration in the middle breaks a database.
        One that a killed run left behind is waited for, one that failed stays for a look at what it said.
        """
        write_files(self.release_directory(version, colour), files)
        name = self.migration
        if engine.get(f"/containers/{name}/json"):
            engine.run(["docker", "wait", name], self.timeout, [held])
            self._remove_migration()
        place = ["--project-name", name, "--file", str(self._existing(version, colour) / "compose.yml")]
        # Without the service's label nobody takes it for one of its containers.
        labels = ["--label", "slipway.service=", "--label", f"{MIGRATION}={self.service}"]
        run = ["run", "--name", name, "--no-deps", "--no-TTY", *labels, "app-1", *command]
        try:
            engine.run(["docker", "compose", "--progress", "quiet", *place, *run], self.timeout, [held])
        except engine.EngineError as error:
            raise ReleaseError(
                f"the migration of {version} {_fate(name, self.timeout)}: {_words_of(name) or error}. "
                "No release was started. What the migration has changed so far is there; "
                f"docker logs {name} on this host has all that it said."
            ) from error
        words = _words_of(name)
        self._remove_migration()
        return words

    def forget_migration(self) -> set[str]:
        """Takes away what a migration left that has ended; the version of one that goes on."""
        found = engine.containers([f"{MIGRATION}={self.service}"])
        going_on = {c["Labels"]["slipway.version"] for c in found if c["State"] == "running"}
        if found and not going_on:
            self._remove_migration()
        return going_on

    def _remove_migration(self) -> None:
        """Of one that has ended: for a moment Docker's list may still have it as running."""
        down = ["down", "--remove-orphans", "--timeout", "0"]
        engine.run(["docker", "compose", "--project-name", self.migration, *down], self.timeout)

    def stop(self, colour: str, held: int) -> bool:
        """Removes the containers of a colour; true when there were any."""
        if not self._containers(colour):
            return False
        command = ["docker", "compose", "--project-name", project_name(self.service, colour), "--profile", "live"]
        engine.run([*command, "down", "--remove-orphans"], self.timeout, [held])
        return True

    def hand_over_workers(self, version: str, colour: str, held: int) -> bool:
        """Workers run in the live colour only: takes the other's away, whatever they do, then starts this one's."""
        place = self._existing(version, colour)
        changed = False
        for other in COLOURS:
            names = [container_name(container) for container in self._containers(other, "worker")]
            if other != colour and names:
                engine.run(["docker", "stop", *names], self.timeout, [held])
                engine.run(["docker", "rm", "--force", *names], self.timeout, [held])
                changed = True
        workers = manifest(place).get("workers", [])
        if workers:
            before = self._started(colour, "worker")
            self._compose(place, colour, ["up", "--detach", "--no-build", *workers], held)
            changed = changed or self._started(colour, "worker") != before
        return changed

    def watch_workers(self, version: str, colour: str, seconds: float) -> None:
        """Returns when every worker of a release has run for so long; :class:`ReleaseError` as soon as one does not."""
        deadline = time.monotonic() + seconds
        self._check_workers(version, colour)
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 1))
            self._check_workers(version, colour)

    def _check_workers(self, version: str, colour: str) -> None:
        found = {container_name(item): item["Id"] for item in self._containers(colour, "worker")}
        for worker in manifest(self._existing(version, colour)).get("workers", []):
            name = f"{project_name(self.service, colour)}-{worker}"
            state = engine.get(f"/containers/{found[name]}/json") if name in found else None
            problem = worker_problem(state, time.time()) if state else "it is not there"
            if problem:
                words = engine.last_words(_both(["docker", "logs", "--tail", "3", name])) if state else ""
                raise ReleaseError(
                    f"the worker {name} does not go on: {problem}" + (f"; it said: {words}" if words else "")
                )

    def clear(self, keep: int) -> list[str]:
        """Removes files and images of versions beyond the ``keep`` newest, never of one that runs; returns which."""
        running = {c["Labels"].get("slipway.version", "") for c in self._containers()} | self.forget_migration()
        kept = history.versions_to_keep(history.read(self.history), running, keep)
        removed = []
        for place in sorted((self.directory / "releases").glob("*")):
            if place.name in kept:
                continue
            images = {manifest(colour).get("image", "") for colour in place.iterdir()}
            for image in images - self.images_of_others():
                if image and engine.image_id(image):
                    engine.run(["docker", "image", "rm", image], self.timeout)
            shutil.rmtree(place)
            removed.append(place.name)
        return removed

    def images_of_others(self) -> set[str]:
        """Images that other services of this host have releases of, or run."""
        releases = (
            place for place in self.directory.parent.glob("*/releases/*/*") if self.directory not in place.parents
        )
        run = {
            str(container.get("Image", ""))
            for container in engine.containers([])
            if self.service not in (container["Labels"].get("slipway.service"), container["Labels"].get(MIGRATION))
        }
        return {str(manifest(place).get("image", "")) for place in releases} | run

    def logs(self, colour: str, lines: int = 50) -> dict[str, dict[str, Any]]:
        """Status and last lines of each container of a colour: what an operator asks for after a failed gate."""
        report: dict[str, dict[str, Any]] = {}
        for container in self._containers(colour):
            name = container_name(container)
            command = ["docker", "logs", "--tail", str(lines), name]
            with contextlib.suppress(engine.EngineError):
                report[name] = {"status": container["Status"], "lines": _both(command).splitlines()}
        return report

    def _existing(self, version: str, colour: str) -> Path:
        place = self.release_directory(version, colour)
        if not (place / "compose.yml").exists():
            raise ReleaseError(f"This host has no release {version} in {colour}: {place}/compose.yml is not there.")
        return place

    def _containers(self, colour: str = "", role: str = "") -> list[dict[str, Any]]:
        labels = [f"slipway.service={self.service}"]
        labels += [f"slipway.colour={colour}"] if colour else []
        labels += [f"slipway.role={role}"] if role else []
        return engine.containers(labels)

    def _started(self, colour: str, role: str = "instance") -> set[tuple[str, str]]:
        return {(c["Id"], c["State"]) for c in self._containers(colour, role)}

    def _compose(self, place: Path, colour: str, command: Sequence[str], held: int) -> None:
        project = ["--project-name", project_name(self.service, colour), "--file", str(place / "compose.yml")]
        engine.run(["docker", "compose", "--progress", "quiet", *project, *command], self.timeout, [held])


def worker_problem(container: Mapping[str, Any], now: float) -> str:
    """Why a worker, as the engine describes it at ``now`` (Unix time), is no use; empty when it runs or ended its work.

    One that was started again long ago has gone on since.
    """
    state, restarts = container["State"], int(container.get("RestartCount", 0))
    if state["Status"] == "exited" and state["ExitCode"] == 0 and not restarts:
        return ""
    again = f"it ended and was started again {restarts} times"
    if state["Status"] == "restarting":
        return again
    if state["Status"] != "running":
        return f"it is {state['Status']}, its last exit was {state['ExitCode']}"
    started = datetime.datetime.strptime(f"{state['StartedAt'][:19]}+0000", "%Y-%m-%dT%H:%M:%S%z").timestamp()
    return again if restarts and now - started < RECENT else ""


def container_name(container: Mapping[str, Any]) -> str:
    return str(container["Names"][0]).lstrip("/")


def _fate(container: str, timeout: float) -> str:
    found = engine.get(f"/containers/{container}/json")
    running = bool(found) and found["State"]["Running"]
    return f"goes on after {timeout:.0f} s" if running else "failed"


def _words_of(container: str) -> str:
    """What it said last; empty when it is not there or said nothing."""
    if not engine.get(f"/containers/{container}/json"):
        return ""
    said = _both(["docker", "logs", "--tail", "3", container])
    return engine.last_words(said) if said.strip() else ""


def _both(command: Sequence[str]) -> str:
    return engine.run(["sh", "-c", 'exec "$@" 2>&1', "sh", *command], 20)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise ReleaseError(f"another change of this service still runs on this host after {BUSY} s") from error
            time.sleep(0.2)


def manifest(place: Path) -> dict[str, Any]:
    """A release's ``release.json``: its image and the names of its workers."""
    try:
        return dict(json.loads((place / "release.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}


def write_files(place: Path, files: Mapping[str, str]) -> bool:
    """Brings a directory to exactly these files, each replaced whole; true when one differed."""
    make_directory(place)
    changed = False
    for name, content in files.items():
        path = place / name
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        replace(path, content, 0o640)
        changed = True
    for stray in {path for path in place.iterdir() if path.name not in files}:
        stray.unlink()
        changed = True
    return changed
