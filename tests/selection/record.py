"""What passed with which inputs, kept in `tests/passed.json`: the run writes it, who changes commits it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

PATIENCE = 5  # a part that was left out this many times in a row runs anyway: the world outside of the tree changes too


@dataclass(frozen=True)
class Passed:
    """The last time that a part passed: digest of its inputs, commit, seconds, and how often it was left out since."""

    inputs: str
    at: str
    seconds: float
    left_out: int = 0


@dataclass(frozen=True)
class Choice:
    """Whether a part runs, and why."""

    part: str
    runs: bool
    reason: str


class Record:
    def __init__(self, path: Path) -> None:
        self.path = path
        entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.passed = {part: Passed(**entry) for part, entry in entries.items()}

    def seconds(self, part: str, unknown: float) -> float:
        return self.passed[part].seconds if part in self.passed else unknown

    def choose(self, part: str, inputs: dict[str, str], digest: str, before: dict[str, str]) -> Choice:
        """`inputs` are the part's files, `before` those of the commit at which it last passed (empty when unknown)."""
        last = self.passed.get(part)
        if last is None:
            return Choice(part, True, "it has not passed yet")
        if last.inputs != digest:
            new = [name for name, value in inputs.items() if before.get(name) != value] if before else []
            what = ", ".join(new[:2]) + (f" and {len(new) - 2} more" if len(new) > 2 else "")
            return Choice(
                part, True, f"changed since {last.at}: {what}" if new else f"its inputs changed since {last.at}"
            )
        if last.left_out >= PATIENCE:
            return Choice(part, True, f"left out {last.left_out} times in a row")
        return Choice(part, False, f"passed with the same inputs at {last.at} in {last.seconds:.0f} s")

    def beyond(self, parts: Iterable[str], budget: float, unknown: float) -> set[str]:
        """Which of them do not fit into so many seconds.

        What never passed is first, then what waited longest, then what is short; the same of the same parts each time.
        """

        def turn(part: str) -> tuple[bool, int, float, str]:
            last = self.passed.get(part)
            return last is not None, -(last.left_out if last else 0), self.seconds(part, unknown), part

        left = budget
        put_off = set()
        for part in sorted(parts, key=turn):
            if self.seconds(part, unknown) > left:
                put_off.add(part)
            else:
                left -= self.seconds(part, unknown)
        return put_off

    def note(self, ran: dict[str, Passed | None], left_out: set[str], known: set[str]) -> None:
        """Takes in a run: parts that passed, that failed (None), that were left out; what is no part any more goes."""
        for part, outcome in ran.items():
            self.passed.pop(part, None)
            if outcome is not None:
                self.passed[part] = outcome
        for part in left_out & self.passed.keys():
            self.passed[part] = replace(self.passed[part], left_out=self.passed[part].left_out + 1)
        kept = {part: asdict(self.passed[part]) for part in sorted(self.passed.keys() & known)}
        self.path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def commit(root: Path) -> str:
    """The checked-out commit, short, with a + when the tree has changes beside it."""
    head = _git(root, "rev-parse", "--short=10", "HEAD")
    return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "") if head else "no commit"


def digests_at(root: Path, at: str) -> dict[str, str]:
    """Git's own digest of every file at a commit; nothing where the commit is not known here."""
    lines = _git(root, "ls-tree", "-r", at.rstrip("+")).splitlines()
    return {line.split("\t", 1)[1]: line.split()[2] for line in lines}


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
