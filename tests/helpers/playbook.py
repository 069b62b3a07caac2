"""Runs playbooks and modules as an operator does, from tests of scenarios; on the path of every test."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
    "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.memory",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",  # Molecule sets it, and `changed` reads plain text
}
LONGEST = 900  # seconds


class Run:
    """A playbook under way, with its output as it comes; `variables` are extra variables of any type.

    The playbook is a name under playbooks/, a collection's (with dots), or the path of one.
    """

    def __init__(
        self,
        playbook: str | Path,
        inventory: str | Path,
        /,
        *options: str,
        timeout: float = LONGEST,
        **variables: Any,
    ) -> None:
        path = ROOT / f"playbooks/{playbook}.yml" if isinstance(playbook, str) and "." not in playbook else playbook
        extra = ["--extra-vars", json.dumps(variables)] if variables else []
        self.timeout = timeout
        self._place = tempfile.TemporaryDirectory(prefix="run-")
        with self._file("stdout").open("wb") as stdout, self._file("stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                ["ansible-playbook", "--inventory", str(inventory), str(path), *options, *extra],
                cwd=ROOT,
                env=os.environ | SETTINGS,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def _file(self, name: str) -> Path:
        return Path(self._place.name) / name

    def until(self, text: str) -> bool:
        """Waits until it has said the text; false when the run ended without it."""
        over = False
        while text not in self.stdout:
            if over:
                return False
            over = self.process.poll() is not None
            time.sleep(0.05)
        return True

    def kill(self) -> None:
        """SIGKILL to the whole process group, and wait for the dust to settle."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> Run:
        """Waits for the end; `timeout` seconds from now it is killed, and the test has failed."""
        try:
            self.process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not over after {self.timeout} s: {self.output}") from None
        return self

    @property
    def code(self) -> int:
        return self.process.returncode

    @property
    def stdout(self) -> str:
        """Results; errors and warnings go to stderr as well."""
        return self._file("stdout").read_text(encoding="utf-8", errors="replace")

    @property
    def output(self) -> str:
        return self.stdout + self._file("stderr").read_text(encoding="utf-8", errors="replace")

    @property
    def said(self) -> str:
        """The output without the line breaks that YAML puts into long messages."""
        return re.sub(r"\s+", " ", self.output.replace("''", "'"))

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts."""
        return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", self.output))


def play(playbook: str | Path, inventory: str | Path, /, *options: str, **variables: Any) -> Run:
    """A playbook from start to end."""
    return Run(playbook, inventory, *options, **variables).end()


def attempt(
    inventory: str | Path, hosts: str, name: str, arguments: dict[str, Any], timeout: float = LONGEST
) -> tuple[int, dict[str, Any]]:
    """The exit code and what a module returns, by host, also when it fails."""
    done = subprocess.run(
        ["ansible", "--inventory", str(inventory), hosts, "-m", name, "-a", json.dumps(arguments)],
        cwd=ROOT,
        env=os.environ
        | SETTINGS
        | {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert "{" in done.stdout, done.stdout + done.stderr
    results = done.stdout[done.stdout.index("{") :]  # up to the table of play times
    return done.returncode, json.JSONDecoder().raw_decode(results)[0]["plays"][0]["tasks"][0]["hosts"]


def module(inventory: str | Path, hosts: str, name: str, /, **arguments: Any) -> dict[str, Any]:
    """What a module returns, by host."""
    code, results = attempt(inventory, hosts, name, arguments)
    assert code == 0, results
    return results
