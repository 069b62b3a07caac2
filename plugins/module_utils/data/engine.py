# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Engines: what each of them does, and which there are.

An engine is a directory beneath ``engines`` with a module ``engine``. Nothing else names it: programs on hosts find it
there, playbooks and roles by its files.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from ansible_collections.slipway.ops.plugins.module_utils.core.result import Result
from ansible_collections.slipway.ops.plugins.module_utils.data import Busy, DataError, aside
from ansible_collections.slipway.ops.plugins.module_utils.data.drill.report import Report
from ansible_collections.slipway.ops.plugins.module_utils.data.status import Status

Kind = Literal["full", "incr", "verify"]
ACTIONS = ("restore", "undo", "discard", "recover")
Settings = Mapping[str, Any]
Tell = Callable[[str], None]

# By name: what is built on this is no part of it.
PACKAGE = f"{__name__.rpartition('.data.')[0]}.engines"


def skipped(name: str, subject: str, claim: str, busy: Busy, source: str, **given: Any) -> Result:
    """A backup or verification that another run kept from being made."""
    return Result(
        f"data.backup.{name}", "data", aside(subject), claim, "skip", source=source, reason=str(busy), **given
    )


class Refused(DataError):
    """What was asked for cannot be, or needs to be confirmed; nothing was changed."""


@dataclass(frozen=True)
class Restore:
    """What an operator wants back: ``action`` is one of ``ACTIONS``, ``set`` the backup's label (the newest without),
    ``into`` other names for things by their own (all under their own without), ``confirm`` was typed to replace what is
    there. With ``look`` nothing is changed: it is told, or refused.

    ``undo`` brings back what the last restore replaced, ``discard`` removes that, ``recover`` wants nothing there.
    """

    action: str = "restore"
    set: str = ""
    into: Mapping[str, str] = field(default_factory=dict)
    confirm: str = ""
    look: bool = False


class Engine(Protocol):
    """A kind of store, on the host that makes its backups or has its data. ``settings`` are what its role left there,
    ``tell`` takes a line for whoever waits."""

    def back_up(self, kind: Kind, settings: Settings, only: str | None, tell: Tell) -> list[Result]:
        """Makes a backup of each thing (of the one called ``only``), or verifies it; what failed is in the results."""

    def statuses(self, settings: Settings, now: float) -> list[Status]:
        """The state of each backup; DataError when none can be told."""

    def drill(self, settings: Settings, run: str, tell: Tell) -> Report:
        """Restores the newest backup beside its source, compares, measures, and leaves nothing of it."""

    def sweep(self, settings: Settings) -> None:
        """Removes what a drill that was killed left; Busy while something is under way."""


class Restorable(Protocol):
    """What an engine does too that has no playbook of its own in ``playbooks/engines/<engine>``."""

    def restore(self, settings: Settings, asked: Restore, tell: Tell) -> None:
        """Brings back and compares; Refused before anything is changed, another DataError after."""


def names() -> list[str]:
    """The engines that are installed here."""
    places = map(Path, importlib.import_module(PACKAGE).__path__)
    return sorted({file.parent.name for place in places for file in place.glob("*/engine.py")})


def load(name: str) -> Engine:
    """One of them."""
    if name not in names():
        raise DataError(f"{name} is no engine that is installed here; there are {', '.join(names()) or 'none'}")
    try:
        return cast(Engine, importlib.import_module(f"{PACKAGE}.{name}.engine"))
    except ImportError as error:
        # Engines share what other roles install: one that ran alone may have brought another version of it.
        raise DataError(f"{name} was installed by another version ({error}); run the engine's role again") from error
