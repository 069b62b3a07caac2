# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What kind of host this is, and what it has already."""

from __future__ import annotations

import grp
import pwd
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.ops.plugins.module_utils.host.packages import seen_here

DPKG_JOURNAL = Path("/var/lib/dpkg/updates")
PLACES = (Path("/usr/lib/systemd/system"), Path("/usr/sbin"))


@dataclass(frozen=True)
class Host:
    """`container` is its kind, or empty; `has_locale` whether the locale is made; `installed` units and programs;
    `dpkg_interrupted` whether it left its journal; `administrators` whom earlier runs made; `packages` all that are
    installed."""

    container: str
    has_locale: bool
    accounts: list[str]
    groups: list[str]
    installed: list[str]
    dpkg_interrupted: bool
    administrators: list[str]
    packages: list[str]


def look(locale: str, names: Iterable[str], administrators: Iterable[str] = ()) -> Host:
    """Look at this host; changes nothing."""
    kind = _said("systemd-detect-virt", "--container").strip()
    return Host(
        container="" if kind == "none" else kind,
        has_locale=has_locale(locale, _said("locale", "-a").split()),
        accounts=[account.pw_name for account in pwd.getpwall()],
        groups=[group.gr_name for group in grp.getgrall()],
        installed=[name for name in names if any((place / name).exists() for place in PLACES)],
        dpkg_interrupted=dpkg_interrupted(DPKG_JOURNAL),
        administrators=named(map(Path, administrators)),
        packages=seen_here(),
    )


def dpkg_interrupted(journal: Path) -> bool:
    """Whether dpkg left entries that were not taken in; their names are numbers."""
    return journal.is_dir() and any(entry.name.isdecimal() for entry in journal.iterdir())


def named(files: Iterable[Path]) -> list[str]:
    """The first word of each line of those files that are there: a list of names, or rules of sudo."""
    lines = [line for path in files if path.is_file() for line in path.read_text(encoding="utf-8").splitlines()]
    return sorted({line.split()[0] for line in lines if line.strip() and not line.startswith(("#", "Defaults"))})


def has_locale(locale: str, known: Iterable[str]) -> bool:
    """Whether it is among the known ones; glibc writes C(UTF-8) as C(utf8)."""
    return _plain(locale) in set(map(_plain, known))


def _plain(locale: str) -> str:
    language, _dot, rest = locale.partition(".")
    codeset, at, modifier = rest.partition("@")
    return f"{language}.{re.sub('[^a-z0-9]', '', codeset.lower())}{at}{modifier}"


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except FileNotFoundError:
        return ""
