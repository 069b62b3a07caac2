"""Writes requirements.txt, what of requirements.lock the execution environment has, without what only tests need.

`--check` only compares. Run it after `make lock`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCK, TARGET = HERE.parent / "requirements.lock", HERE / "requirements.txt"
OURS = "slipway (pyproject.toml)"
HEAD = "# Made of requirements.lock by awx/generate.py: what the controller needs, and nothing that only tests do.\n"
_PACKAGE = re.compile(r"([a-z0-9][a-z0-9._-]*)==(\S+)")


@dataclass(frozen=True)
class Locked:
    """A package of the lock: its lines, and who wants it."""

    name: str
    version: str
    lines: tuple[str, ...]
    via: frozenset[str]


def read(text: str) -> list[Locked]:
    return [_locked(block) for block in _blocks(text)]


def needed(packages: list[Locked]) -> list[Locked]:
    """Those that the controller needs, by itself or for one that it does."""
    names = {OURS}
    while more := {one.name for one in packages if one.via & names} - names:
        names |= more
    return [one for one in packages if one.name in names]


def render(text: str) -> str:
    return HEAD + "".join(f"{line}\n" for one in needed(read(text)) for line in one.lines)


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in text.splitlines():
        if _PACKAGE.match(line) and block:
            yield block
            block = []
        if block or _PACKAGE.match(line):
            block.append(line)
    if block:
        yield block


def _locked(block: list[str]) -> Locked:
    head = _PACKAGE.match(block[0])
    assert head is not None  # noqa: S101 (a block begins with one)
    comments = [line.strip().removeprefix("#").strip() for line in block if line.strip().startswith("#")]
    via = {comment.removeprefix("via").strip() for comment in comments} - {""}
    lines = tuple(line for line in block if not line.strip().startswith("#"))
    return Locked(head[1], head[2], lines, frozenset(via))


def main() -> int:
    text = render(LOCK.read_text(encoding="utf-8"))
    if "--check" in sys.argv:
        same = TARGET.exists() and TARGET.read_text(encoding="utf-8") == text
        print(
            "" if same else "awx/requirements.txt is not what requirements.lock says; run python awx/generate.py",
            end="",
        )
        return 0 if same else 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
