# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run makes and rotates, and in which file; everything that is wrong is said before anything is written."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.files import Sealed, SecretsError, Vault, cipher_of
from ansible_collections.slipway.ops.plugins.plugin_utils.secrets.needs import Kind, Need

DEFAULT_FILE = Path("group_vars/all/vault.yml")


@dataclass(frozen=True)
class Wishes:
    """What an operator asks for: names to rotate, names that come from others, and whether missing ones are made."""

    kinds: Collection[Kind]
    rotate: Collection[str] = ()
    given: Collection[str] = ()
    make: bool = True


@dataclass
class Plan:
    """``made`` and ``rotated`` are names; ``kinds`` is by name, ``files`` says where each secret is or will be."""

    made: list[str] = field(default_factory=list)
    rotated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # given by others, or not made because nothing was to be
    kinds: dict[str, Kind] = field(default_factory=dict)
    files: dict[str, Sealed] = field(default_factory=dict)


def plan(needs: Mapping[str, Need], sealed: Sequence[Sealed], new_file: Sealed | None, wishes: Wishes) -> Plan:
    """Raises :class:`SecretsError` with all that is wrong."""
    held: dict[str, list[Sealed]] = {}
    for file in sealed:
        for name in file.names:
            held.setdefault(name, []).append(file)
    found = Plan(kinds={name: need.kind(wishes.kinds, wishes.given) for name, need in needs.items()})
    found.files = {name: files[0] for name, files in held.items()}
    problems = []
    for name, need in sorted(needs.items()):
        if need.without and name in held:
            hosts = ", ".join(sorted(need.without))
            problems.append(f"{name} is in {held[name][0].path}, which {hosts} cannot read, and they need it.")
        elif need.without and (found.kinds[name].kind == "given" or not wishes.make):
            found.missing.append(name)
        elif need.without:
            found.made.append(name)
    for name in dict.fromkeys(wishes.rotate):
        if problem := _not_rotated(name, held, found.kinds.get(name, Kind())):
            problems.append(problem)
        else:
            found.rotated.append(name)
    if found.made and new_file is None:
        choice = ", ".join(str(file.path) for file in sealed)
        problems.append(f"{', '.join(found.made)} can go to one of {choice}. Name it: -e secrets_file=…")
    elif new_file is not None:
        found.files |= dict.fromkeys(found.made, new_file)
    if problems:
        raise SecretsError("\n".join(problems))
    return found


def _not_rotated(name: str, held: Mapping[str, Sequence[Sealed]], kind: Kind) -> str:
    """Why a secret is not rotated; empty when it is."""
    places = held.get(name, ())
    if not places:
        return f"{name} is in no encrypted file of this inventory; there are {', '.join(sorted(held)) or 'none'}."
    if len(places) > 1:
        return f"{name} is in several files: {', '.join(str(file.path) for file in places)}. Keep one of them."
    if kind.kind == "given":
        return f"{name} comes from others. Get another value from them, and put it into {places[0].path}."
    if kind.fixed:
        return f"{name} is not rotated: {kind.fixed}."
    return ""


def file_for_new(inventory: Path, wanted: str | None, sealed: Sequence[Sealed], vault: Vault) -> Sealed | None:
    """Where new secrets go: the file that was named, or the only one; the default where there is none."""
    if not wanted and len(sealed) > 1:
        return None
    path = inventory / wanted if wanted else sealed[0].path if sealed else inventory / DEFAULT_FILE
    for file in sealed:
        if file.path.resolve() == path.resolve():
            return file
    # Without links being followed: what inventories have in common is one.
    place, beside = (Path(os.path.normpath(Path.cwd() / one)) for one in (path, inventory))
    inside = any(place.is_relative_to(beside / name) for name in ("group_vars", "host_vars"))
    if path.suffix not in (".yml", ".yaml") or not inside:
        raise SecretsError(f"secrets_file is {wanted}; it is a file such as {DEFAULT_FILE}, beside the inventory.")
    cipher = cipher_of(path, vault)
    if cipher is None:
        raise SecretsError(f"{path} is not encrypted, so no secret is put there.")
    return Sealed(path, cipher, None, "")
