# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the cards of roles for a host or for the whole inventory; what they mean is in module_utils.cards."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cards
short_description: Read what roles tell the rest of the house
version_added: 0.1.0
author: The Slipway authors (@slipway)
description:
  - A role has a card, C(meta/card.yml), with the groups that it serves, the units that it runs, its ports, metrics and
    logs. Beside it may be C(meta/checks.yml.j2), what M(slipway.ops.health_check) measures of it, C(meta/policy.yml),
    what must be proven of it, C(meta/alerts.yml), groups of Prometheus' alerting rules, and C(meta/measures.yml), what
    the report asks Prometheus.
  - Looks among the roles of this collection and those of C(roles_path), so that a role of your own with a card is
    known too.
  - Cards are read with the role's defaults beneath the host's variables.
options:
  _terms:
    description:
      - What to read. V(checks), V(units), V(ports), V(probes), V(metrics), V(logs) and V(engines) are of the roles that
        the host's groups bring, V(policy), V(alerts) and V(measures) of those that any host of the inventory has.
      - V(checks) of a role that cannot be made, by a template or a definition that is wrong, are one check of kind
        C(unmeasured) that says why. V(watched) are those V(units) that can be worked out.
      - V(probes) are C(ports) of a role whose card says no C(probes).
      - V(targets) is V(metrics) of every host - of group V(slipway), if there is one. Each has C(host) and
        C(reached_at), the host's C(prometheus_address) or its name.
      - V(probed) is V(probes) of every host, likewise.
      - V(doors) is V(ports) and V(metrics) of every host. Each has C(host).
    required: true
    choices:
      - checks
      - policy
      - units
      - watched
      - ports
      - probes
      - metrics
      - logs
      - engines
      - alerts
      - measures
      - targets
      - probed
      - doors
"""

EXAMPLES = r"""
- name: Run the checks of each host
  slipway.ops.health_check:
    checks: "{{ query('slipway.ops.cards', 'checks') }}"
"""

RETURN = r"""
_raw:
  description: The entries of all cards, in the order of the roles' names; C(role) says whose an entry of a card is.
  type: list
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible import constants
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import DefinitionError, define
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.module_utils.inventory.cards import (
    ENTRIES,
    Card,
    CardError,
    entries,
    read_card,
    serves,
    unit_checks,
    wanted,
)
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.alerts import read_alerts
from ansible_collections.slipway.ops.plugins.module_utils.monitoring.measures import read_measures

ROLES = Path(__file__).resolve().parents[2] / "roles"
OF_ALL_HOSTS = ("policy", "alerts", "measures")
ALL_THE_SAME = ("checks", "watched")  # of the other roles, whatever one is
ON_EVERY_HOST = {"targets": ("metrics",), "probed": ("probes",), "doors": ("ports", "metrics")}
Variables = Mapping[str, Any]


class _Role:
    """A role with a card: its ``meta``, and the host's variables above its defaults."""

    def __init__(self, card: Card, meta: Path, variables: ChainMap[str, Any]) -> None:
        self.card, self.meta, self.variables = card, meta, variables


class LookupModule(LookupBase):
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        self.set_options(var_options=variables, direct=kwargs)
        own = variables or {}
        readers = {
            "checks": self._checks,
            "policy": self._policy,
            "alerts": self._alerts,
            "measures": self._measures,
            "engines": self._engines,
            **dict.fromkeys(ENTRIES, self._entries),
            "probes": self._probes,
            "watched": self._watched,
        }
        try:
            return [item for term in terms for item in self._read(term, own, readers)]
        except CardError as error:
            raise AnsibleLookupError(str(error)) from error

    def _read(self, term: str, variables: Variables, readers: Mapping[str, Any]) -> Iterator[Any]:
        if term in ON_EVERY_HOST:
            yield from self._on_every_host(term, variables, readers)
            return
        if term not in readers:
            raise AnsibleLookupError(f"cards tell {', '.join([*readers, *ON_EVERY_HOST])}, not {term}")
        for meta in self._metas():
            try:
                role = self._role(meta, variables)
                serving = serves(role.card, self._template(role, role.card.groups), _names(term, variables))
            except (AnsibleError, CardError) as error:
                if term not in ALL_THE_SAME:
                    raise
                yield from [_unmeasured(meta.parent.name, error)] if term == "checks" else []
                continue
            if serving:
                yield from readers[term](role, term)

    def _role(self, meta: Path, variables: Variables) -> _Role:
        card = read_card(meta.parent.name, self._load(meta / "card.yml"))
        path = meta.parent / "defaults/main.yml"
        defaults = (self._load(path) or {}) if path.exists() else {}
        return _Role(card, meta, ChainMap(card.vars, dict(variables), defaults))

    def _on_every_host(self, term: str, variables: Variables, readers: Mapping[str, Any]) -> Iterator[Any]:
        hostvars, groups = variables["hostvars"], variables["groups"]
        for host in groups.get("slipway", groups["all"]):
            theirs = {**hostvars.raw_get(host), "hostvars": hostvars}
            try:
                templar = self._templar.copy_with_new_env(available_variables=theirs)
                reached_at = templar.template(theirs.get("prometheus_address")) or host
                for section in ON_EVERY_HOST[term]:
                    for entry in self._read(section, theirs, readers):
                        yield {"host": host, "reached_at": reached_at} | entry
            except AnsibleError as error:
                raise AnsibleLookupError(f"{term} of {host} cannot be worked out: {error}") from error

    def _metas(self) -> list[Path]:
        """The ``meta`` of every role with a card; of two roles with one name the collection's counts."""
        found: dict[str, Path] = {}
        for roles in (ROLES, *map(Path, constants.DEFAULT_ROLES_PATH)):
            for card in roles.glob("*/meta/card.yml"):
                found.setdefault(card.parents[1].name, card.parent)
        return [found[name] for name in sorted(found)]

    def _checks(self, role: _Role, term: str) -> list[Any]:
        """A role whose checks cannot be made is one that is not measured; those of the others are."""
        try:
            checks = unit_checks(self._entries(role, "units")) + self._own_checks(role)
            define(checks, KINDS)
        except (AnsibleError, CardError, DefinitionError) as error:
            return [_unmeasured(role.card.role, error)]
        return checks

    def _own_checks(self, role: _Role) -> list[Any]:
        path = role.meta / "checks.yml.j2"
        try:
            checks = yaml.safe_load(self._text(role, path)) or []
        except yaml.YAMLError as error:
            raise CardError(f"{path} gives no YAML with these variables: {error}") from error
        except AnsibleError as error:
            raise CardError(f"{path}: {error.message}") from error
        if not isinstance(checks, list):
            raise CardError(f"{path} gives {type(checks).__name__}, not a list of checks")
        return checks

    def _policy(self, role: _Role, term: str) -> list[Any]:
        path = role.meta / "policy.yml"
        return wanted(self._template(role, self._load(path))) if path.exists() else []

    def _alerts(self, role: _Role, term: str) -> list[Any]:
        path = role.meta / "alerts.yml"
        if not path.exists():
            return []
        # Their own templates, {{ $labels.host }}, are Prometheus'.
        return [{"role": role.card.role, "groups": read_alerts(role.card.role, self._loader.load_from_file(str(path)))}]

    def _measures(self, role: _Role, term: str) -> list[Any]:
        path = role.meta / "measures.yml"
        return read_measures(role.card.role, self._loader.load_from_file(str(path))) if path.exists() else []

    def _engines(self, role: _Role, term: str) -> list[str]:
        return [role.card.engine] if role.card.engine else []

    def _entries(self, role: _Role, section: str) -> list[Any]:
        return entries(role.card, section, self._template(role, getattr(role.card, section)))

    def _watched(self, role: _Role, term: str) -> list[Any]:
        try:
            return self._entries(role, "units")
        except (AnsibleError, CardError):  # the role's line among the checks says so
            return []

    def _probes(self, role: _Role, term: str) -> list[Any]:
        return self._entries(role, "probes" if role.card.probes else "ports")

    def _load(self, path: Path) -> Any:
        return self._loader.load_from_file(str(path), trusted_as_template=True)

    def _text(self, role: _Role, path: Path) -> str:
        if not path.exists():
            return ""
        text = trust_as_template(path.read_text(encoding="utf-8"))
        return (
            self._templar.copy_with_new_env(available_variables=role.variables).template(text, escape_backslashes=False)
            or ""
        )

    def _template(self, role: _Role, value: Any) -> Any:
        return self._templar.copy_with_new_env(available_variables=role.variables).template(value)


def _names(term: str, variables: Variables) -> set[str]:
    """The names that a card's groups are looked for among: the host's own, or all that have hosts."""
    own = {"all", variables["inventory_hostname"], *variables.get("group_names", [])}
    if term not in OF_ALL_HOSTS:
        return own
    groups = variables.get("groups", {})
    return (
        own | {name for name, hosts in groups.items() if hosts} | {host for hosts in groups.values() for host in hosts}
    )


def _unmeasured(role: str, error: Exception) -> dict[str, Any]:
    """A check that says why a role has no others."""
    why = " ".join(str(getattr(error, "message", error)).split())
    return {
        "id": f"operations.{role}.checks",
        "kind": "unmeasured",
        "claim": f"What role {role} runs is measured",
        "reason": f"the checks of role {role} could not be made, so none of them was: {why}",
    }
