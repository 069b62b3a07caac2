# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an inventory gets wrong, said before anything changes: names, types, and what roles refuse of it.

A role says what it refuses in ``meta/preflight.yml``, data that is evaluated on the controller:

- ``refuse``: entries with ``that`` (conditions), ``fail_msg`` and perhaps ``when``, as ``ansible.builtin.assert`` has
  them, or with ``problems``, a list of sentences;
- ``elsewhere``: the same for hosts that do not get the role;
- ``roles``: others whose variables and refusals hold for it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError, AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.ops.plugins.plugin_utils.variable_types import type_problems

COLLECTION = Path(__file__).resolve().parents[2]
PLAYBOOKS = COLLECTION / "playbooks"
NAMESPACE = "slipway.ops."
Variables = Mapping[str, Any]


def load(loader: DataLoader, path: Path) -> Any:
    """A file of this collection, whose text may be templates."""
    return loader.load_from_file(str(path), trusted_as_template=True) if path.exists() else None


def _plain(path: Path) -> dict[str, Any]:
    """A file that has no templates, by the fast parser."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load(path.read_text(encoding="utf-8"), loader))  # noqa: S506 (a safe one)


class Role:
    """What a role's files say."""

    def __init__(self, loader: DataLoader, name: str) -> None:
        self.name = name
        self.path = COLLECTION / "roles" / name
        self._loader = loader

    def _read(self, relative: str) -> dict[str, Any]:
        return load(self._loader, self.path / relative) or {}

    @cached_property
    def _specs(self) -> dict[str, Any]:
        """By entry point, its options."""
        entries = _plain(self.path / "meta" / "argument_specs.yml")["argument_specs"]
        return {name: entry.get("options") or {} for name, entry in entries.items()}

    @cached_property
    def names(self) -> set[str]:
        """Every public variable, of any entry point."""
        return {name for options in self._specs.values() for name in options}

    @cached_property
    def options(self) -> dict[str, Any]:
        return self._specs["main"]

    @cached_property
    def _preflight(self) -> dict[str, Any]:
        return self._read("meta/preflight.yml")

    @cached_property
    def others(self) -> list[Role]:
        return [Role(self._loader, name) for name in self._preflight.get("roles", [])]

    def variables(self, host: Variables) -> dict[str, Any]:
        """A host's variables, as the role's own tasks see them."""
        roles = [*self.others, self]
        found: dict[str, Any] = {}
        for role in roles:
            found |= role._read("defaults/main.yml")
        found |= host
        for role in roles:
            found |= role._read("vars/main.yml")
        return found | {"role_path": str(self.path), "role_name": self.name}

    def all_options(self) -> dict[str, Any]:
        return {name: option for role in [*self.others, self] for name, option in role.options.items()}

    def refusals(self) -> list[dict[str, Any]]:
        return [entry for role in [*self.others, self] for entry in role._preflight.get("refuse", [])]

    def elsewhere(self) -> list[dict[str, Any]]:
        return self._preflight.get("elsewhere", [])


@lru_cache
def all_roles(loader: DataLoader) -> dict[str, Role]:
    paths = sorted((COLLECTION / "roles").glob("*/meta/argument_specs.yml"))
    return {path.parent.parent.name: Role(loader, path.parent.parent.name) for path in paths}


@lru_cache
def playbook_options() -> dict[str, dict[str, Any]]:
    """By playbook, the variables that it reads itself, and those of roles whose hosts it finds out as it goes."""
    shared = _plain(PLAYBOOKS / "arguments" / "shared.yml")
    paths = sorted((PLAYBOOKS / "arguments").glob("*.yml"))
    found = {path.stem: _plain(path) for path in paths if path.stem != "shared"}
    return {name: {**_shared(shared, entry), **entry.get("options", {})} for name, entry in found.items()}


def _shared(shared: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    options = {name: shared[name] for name in entry.get("shared", [])}
    for role in entry.get("roles", []):
        specs = _plain(COLLECTION / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
        options |= specs["main"]["options"]
    return options


def known_names(loader: DataLoader, only: Sequence[str] = ()) -> dict[str, set[str]]:
    """By prefix, every public name: a role's are its own, a playbook's begin with whatever its names begin with.

    With ``only``, names of these roles; other prefixes are there without names, for whose longer names are theirs.
    """
    known = {name: set(role.names) if name in only or not only else set() for name, role in all_roles(loader).items()}
    for options in playbook_options().values():
        for name in options:
            if "_" in name:
                prefix = max((role for role in known if name.startswith(f"{role}_")), key=len, default=None)
                known.setdefault(prefix or name.partition("_")[0], set()).add(name)
    return known


def given_roles(loader: DataLoader, playbook: str) -> list[tuple[Any, list[tuple[str, Any]]]]:
    """For each play, its pattern of hosts and its roles of this collection, each with its ``when``."""
    found = []
    for play in load(loader, PLAYBOOKS / f"{playbook}.yml"):
        entries = [entry if isinstance(entry, dict) else {"role": entry} for entry in play.get("roles", [])]
        roles = [(entry["role"].removeprefix(NAMESPACE), entry.get("when", True)) for entry in entries]
        if roles:
            found.append((play["hosts"], roles))
    return found


def play_variables(loader: DataLoader, playbook: str) -> set[str]:
    """Names that a playbook sets itself, for an inventory to build on, such as ``readiness_default_policy``."""
    plays = load(loader, PLAYBOOKS / f"{playbook}.yml") or []
    return {name for play in plays for name in play.get("vars") or {} if not name.startswith("__")}


def option_problems(templar: Templar, variables: Variables, options: Mapping[str, Any]) -> Iterator[str]:
    """Of the ``variables`` that are set, those of a wrong type and those that cannot be worked out."""
    for name, option in options.items():
        if name not in variables:
            if option.get("required"):
                yield f"{name} is missing"
            continue
        try:
            value = templar.template(variables[name])
        except AnsibleError as error:
            yield f"{name} cannot be worked out: {_reason(error)}"
            continue
        yield from type_problems(name, option, value)


def refusal_problems(templar: Templar, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for entry in entries:
        try:
            if not _holds(templar, entry.get("when", True)):
                continue
            if "problems" in entry:
                yield from templar.template(entry["problems"])
            elif not _holds(templar, entry["that"]):
                yield templar.template(entry["fail_msg"])
        except AnsibleError as error:
            yield f"cannot be judged: {_reason(error)}"


def holds(templar: Templar, conditions: Any) -> bool:
    """Whether a role's ``when`` lets it run; what cannot be known yet does."""
    try:
        return _holds(templar, conditions)
    except AnsibleUndefinedVariable:
        return True


def _holds(templar: Templar, conditions: Any) -> bool:
    every = conditions if isinstance(conditions, list) else [conditions]
    return all(templar.evaluate_conditional(condition) for condition in every)


def _reason(error: AnsibleError) -> str:
    return " ".join(str(error).split())
