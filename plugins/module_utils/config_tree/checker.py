# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program's own checker: started with a time limit, its answer kept short and free of secrets."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import File

KEPT_OUTPUT = 4000  # characters, from the end
SHORTEST_SECRET = 6  # characters; shorter words of a secret file are too common to be hidden


@dataclass(frozen=True)
class Verdict:
    """What the checker said."""

    passed: bool
    output: str
    reason: str = ""


@dataclass(frozen=True)
class Checker:
    """`argv` is run without a shell and without input for at most `timeout` seconds."""

    argv: list[str]
    timeout: float
    hidden: tuple[File, ...] = ()

    def is_installed(self) -> bool:
        return self._program() is not None

    def run(self) -> Verdict:
        """Run it and judge by its exit code."""
        program = self._program()
        if program is None:
            return Verdict(False, "", f"{self.argv[0]} is not installed")
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [program, *self.argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                start_new_session=True,
                cwd="/",
            )
            try:
                code: int | None = process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
            output.seek(0)
            text = self._presentable(output.read().decode("utf-8", "replace"))
        if code == 0:
            return Verdict(True, text)
        return Verdict(False, text, f"no answer within {self.timeout:g} s" if code is None else f"exit code {code}")

    def _program(self) -> str | None:
        places = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
        return shutil.which(self.argv[0], path=places)

    def _presentable(self, text: str) -> str:
        words = {word for file in self.hidden for word in file.content.decode("utf-8", "replace").split()}
        for word in sorted(words, key=len, reverse=True):
            if len(word) >= SHORTEST_SECRET:
                text = text.replace(word, "(secret)")
        text = text.strip()
        return text if len(text) <= KEPT_OUTPUT else "[...] " + text[-KEPT_OUTPUT:]
